"""A new dataflow's defs.yaml loads as it is, and a name that breaks the rule is told the rule."""

import pytest
import yaml

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.errors import ConfigError
from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.orchestration.scaffolding import NewDataflow, dataflow_yaml, write_dataflow

RULE = "it must start with a letter, hold only letters and digits"


def loaded(text):
    content = yaml.safe_load(text)
    assert content["type"] == "stripe_dataflow.StripeDataflow"
    return Attributes(**content["attributes"])


def test_the_file_of_a_new_dataflow_is_valid_and_selects_customers():
    attributes = loaded(dataflow_yaml("Shop", NewDataflow()))
    assert (attributes.name, attributes.tables, attributes.api_key_env) == ("Shop", ["customers"], "STRIPE_API_KEY")


def test_every_table_is_listed_once_with_its_description_and_without_the_mark_it_is_selected():
    text = dataflow_yaml("Shop", NewDataflow())
    for table in TABLES.values():
        assert text.count(f"- {table.name}  # {table.description}\n") == 1
    everything = loaded(text.replace("    # - ", "    - "))
    assert sorted(map(str, everything.tables)) == sorted(TABLES)


@pytest.mark.parametrize(
    "text",
    ['He said "yes"', "C:\\shop # not a comment", "Größe: 日本語 {x} 'y'", "two\nlines"],
    ids=["quotes", "a backslash and a hash", "unicode, a colon, braces", "two lines"],
)
def test_display_name_and_description_come_back_as_they_were_typed(text):
    attributes = loaded(dataflow_yaml("Shop", NewDataflow(display_name=text, description=text)))
    assert (attributes.display_name, attributes.description) == (text, text)


@pytest.mark.parametrize("name", ["", "1abc", "a b", "a_b", "Main", "system", "é", "../up"])
def test_a_name_that_breaks_the_rule_is_told_it_and_nothing_is_written(name, tmp_path):
    with pytest.raises(ConfigError, match=RULE):
        write_dataflow(tmp_path, name, NewDataflow())
    assert list(tmp_path.iterdir()) == []


def test_a_key_where_its_variables_name_belongs_is_refused_without_being_repeated(tmp_path):
    with pytest.raises(ConfigError, match="api_key_env holds an API key") as refused:
        write_dataflow(tmp_path, "Shop", NewDataflow(api_key_env="sk_live_verysecret"))
    assert "verysecret" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_dataflow_that_is_there_is_not_written_over(tmp_path):
    path = write_dataflow(tmp_path, "Shop", NewDataflow(description="first"))
    with pytest.raises(ConfigError, match="There is a folder"):
        write_dataflow(tmp_path, "SHOP", NewDataflow(description="second"))
    assert loaded(path.read_text(encoding="utf-8")).description == "first"

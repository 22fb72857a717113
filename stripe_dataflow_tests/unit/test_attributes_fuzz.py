"""Any YAML at all: a dataflow whose definitions can be built, or one sentence that repeats no key."""

import re
import warnings
from datetime import date

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.errors import ConfigError
from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.jobs import dataflow_definitions
from stripe_dataflow.orchestration.partitions import partitions_of

SECRET = "51HiddenPart"
KEYS = [f"{kind}_{SECRET}" for kind in ("sk_live", "rk_test", "pk_live", "whsec", "sk", "rk")]
NASTY = [
    *KEYS, "", " ", "\0", "\ud800", "😀", "a\nb", "../..", "/", "'; drop schema main; --", 'a"b', "select", "Main",
    "0 * * * *", "* * * * * *", "Mars/Base", "http://[", "http://user:pass@host", "https://x:99999", "sandbox", "all",
    "a" * 5000, "charges", "customers", "email", "id", "monthly", "{{ env.STRIPE_API_KEY }}", "x.duckdb", "9999-12-31",
]  # fmt: skip

texts = st.sampled_from(NASTY) | st.text(max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | texts | st.just(10**40)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
choices = st.fixed_dictionaries(
    {},
    optional={
        "table": st.sampled_from(sorted(TABLES)) | values,
        "name": texts | values,
        "purpose": values,
        "exclude": st.lists(texts) | values,
        "hash": st.lists(texts) | values,
        SECRET: values,
    },
)
known = {
    "schedule": st.fixed_dictionaries({}, optional={"cron": texts, "timezone": texts, "enabled": values}) | values,
    "sandbox": st.fixed_dictionaries({}, optional={"customers": values, "seed": values}) | values,
    "tables": st.lists(choices | st.sampled_from(sorted(TABLES)) | values, max_size=3) | values,
    "start_date": st.dates() | values,
    "partitions": st.sampled_from(["monthly", "weekly", "daily"]) | values,
}
one_at_a_time = st.sampled_from(sorted(Attributes.model_fields)).flatmap(
    lambda name: st.fixed_dictionaries({"name": st.just("Shop"), name: known.get(name, scalars)})
)
attributes = (
    one_at_a_time
    | st.fixed_dictionaries(
        {"name": st.just("Shop") | values},
        optional={**{name: known.get(name, values) for name in Attributes.model_fields if name != "name"}},
    )
    | st.dictionaries(texts | st.sampled_from(sorted(Attributes.model_fields)), values, max_size=4)
)


def refusal(given_attributes) -> str | None:
    """Return the sentence some attributes are refused with, None where they make a dataflow."""
    try:
        made = Attributes.model_validate(given_attributes)
    except ConfigError as error:
        return str(error)
    dataflow = Dataflow(made)
    assert dataflow.pool
    assert dataflow.fingerprint
    assert str(partitions_of(made).get_first_partition_key()) >= "1969-12"
    return None


def check_sentence(sentence: str) -> None:
    assert "\n" not in sentence
    assert sentence.endswith((".", "?")), sentence
    assert SECRET not in sentence.replace(f"unknown attribute '{SECRET}'", "")
    sentence.encode()


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(one_at_a_time | attributes | values)
@example({"name": "Shop", "start_date": date(1, 1, 1), "partitions": "weekly"})
@example({"name": KEYS[0]})
@example({KEYS[0]: 1})
@example({"name": "Shop", "display_name": "\ud800"})
@example({"name": "Shop", "database": "a\0b"})
def test_any_attributes_are_a_dataflow_or_one_sentence_without_a_key(given_attributes):
    sentence = refusal(given_attributes)
    if sentence is not None:
        check_sentence(sentence)


def yaml_paths():
    """Return each place of the attributes a text can stand in, as a maker of attributes."""
    for name in Attributes.model_fields:
        yield pytest.param(lambda text, name=name: {"name": "Shop", name: text}, id=name)
        yield pytest.param(lambda text, name=name: {"name": "Shop", name: [text]}, id=f"{name}, in a list")
    yield pytest.param(lambda text: {"name": "Shop", text: 1}, id="an attribute's name")
    for name in ("table", "purpose", "name", "exclude", "hash"):
        yield pytest.param(
            lambda text, name=name: {"name": "Shop", "tables": [{"table": "charges", name: text}]},
            id=f"a table's {name}",
        )
    for name in ("cron", "timezone"):
        yield pytest.param(
            lambda text, name=name: {"name": "Shop", "schedule": {"cron": "0 * * * *", name: text}}, id=f"its {name}"
        )


@pytest.mark.parametrize("place", list(yaml_paths()))
def test_a_key_is_refused_wherever_it_stands_and_never_repeated(place):
    for key in KEYS[:4]:
        sentence = refusal(place(f"x {key} y"))
        assert sentence is not None
        assert SECRET not in sentence


def test_attributes_that_hold_themselves_or_nest_for_ever_are_refused():
    loop: list = []
    loop.append(loop)
    deep: list = []
    for _ in range(20_000):
        deep = [deep]
    for value in (loop, deep, {"a": loop}):
        sentence = refusal({"name": "Shop", "tables": value, "description": value})
        assert sentence is not None
        check_sentence(sentence)


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        pytest.param({"schedule": {"cron": "x"}}, "the schedule's cron 'x' with timezone 'UTC' is refused", id="cron"),
        pytest.param({"schedule": {"cron": "0 0 31 2 *"}}, "is refused", id="a day that never comes"),
        pytest.param({"schedule": {"cron": "0 * * * *", "timezone": "Mars"}}, "timezone 'Mars'", id="time zone"),
        pytest.param({"start_date": "1969-12-31"}, "lies before 1970-01-01", id="a start before all time"),
        pytest.param({"account": "acct_1\nX: y"}, "must be a connected account's id", id="a header injected"),
        pytest.param({"database": "data/"}, "must be a file's path", id="a folder as database"),
        pytest.param({"api_base": "https://me:word@host"}, "hold no user or password", id="a password in the address"),
        pytest.param({"sandbox": 5}, "sandbox must be names with values", id="a number for a group"),
        pytest.param({"tables": 5}, "the attribute 'tables' is of a wrong kind", id="a number for tables"),
        pytest.param({"keep_loads": 10**20}, "input should be less than or equal to 1000000", id="too many loads"),
    ],
)  # fmt: skip
def test_what_would_fail_later_is_refused_at_once(attributes, sentence):
    assert sentence in str(refusal({"name": "Shop", **attributes}))


@settings(max_examples=8, deadline=None)
@given(
    name=st.from_regex(r"\A[A-Za-z][A-Za-z0-9]{0,20}\Z") | st.sampled_from(["Select", "Table", "Order", "Null"]),
    destination=st.from_regex(r"\A[A-Za-z][A-Za-z0-9_]{0,20}\Z") | st.sampled_from(["select", "from", "group"]),
    database=st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=40),
    text=st.text(max_size=50),
)
def test_what_is_accepted_makes_definitions(name, destination, database, text):
    chosen = [{"table": "charges", "name": destination}]
    given_attributes = {
        "name": name, "tables": chosen, "database": database, "description": text, "display_name": text,
        "schedule": {"cron": "0 * * * *"},
    }  # fmt: skip
    if refusal(given_attributes) is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            definitions = dataflow_definitions(Dataflow(Attributes(**given_attributes)))
            jobs = [definitions.resolve_job_def(f"{name}__{job}").name for job in ("run", "rollback", "remove")]
        assert all(re.fullmatch(rf"{name}__\w+", job) for job in jobs)


@pytest.mark.parametrize("key", [f"{KEYS[0]}\nX-Other: 1", f"{KEYS[0]} {KEYS[1]}", f"{KEYS[0]}é", KEYS[2]])
def test_what_is_no_key_is_refused_before_it_is_sent_and_never_repeated(key, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", key)
    with pytest.raises(ConfigError, match="SHOP_KEY holds") as refused:
        Dataflow(Attributes(name="Shop", api_key_env="SHOP_KEY")).connection()
    assert SECRET not in str(refused.value)

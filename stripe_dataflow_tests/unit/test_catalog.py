import re

import pytest

from stripe_dataflow.catalog import CORE, NOT_LANDED, TABLES, stripe_columns
from stripe_dataflow.catalog.columns import DATA_FILE
from stripe_dataflow.catalog.descriptions import descriptions
from stripe_dataflow.catalog.generate import data_text
from stripe_dataflow.catalog.sdk import list_endpoints

EACH_TABLE = pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)


def test_the_catalog_has_forty_core_and_thirty_seven_optional_lists_and_two_snapshots():
    lists = [table for table in TABLES.values() if not table.snapshot]
    assert [len([t for t in lists if t.tier == tier]) for tier in ("core", "optional")] == [40, 37]
    assert {table.name for table in TABLES.values() if table.snapshot} == {"balance", "account"}
    assert len(CORE) == 42


def test_every_list_endpoint_of_the_sdk_is_landed_or_left_out_with_a_reason():
    landed = {table.path for table in TABLES.values() if not table.snapshot}
    assert landed | NOT_LANDED.keys() == list_endpoints().keys()
    assert not landed & NOT_LANDED.keys()
    assert all(len(reason) > 20 for reason in NOT_LANDED.values())


def test_the_committed_columns_are_those_of_the_installed_package():
    assert DATA_FILE.read_text(encoding="utf-8") == data_text()


def test_no_sentence_of_stripes_is_committed_with_the_columns():
    longest = max(re.findall(r'"([^"]*)"', DATA_FILE.read_text(encoding="utf-8")), key=len)
    assert " " not in longest


@EACH_TABLE
def test_a_row_of_the_catalog_names_only_columns_the_table_has(table):
    columns = {column.name for column in stripe_columns(table)}
    ours = {"_parent_id"} if table.parents else set()
    assert set(table.key) <= columns | ours
    assert set(table.pii) <= columns
    assert not set(table.secrets) & columns
    assert not table.created_filter or table.created in columns


@EACH_TABLE
def test_a_child_names_a_parent_that_has_no_parent_itself_and_the_list_it_comes_in(table):
    for parent in table.parents:
        assert not TABLES[parent.table].parents
        assert f"{{{parent.param}}}" in table.path or table.parents
    if table.embedded:
        assert table.embedded in {column.name for column in stripe_columns(TABLES[table.parent])}
    assert table.embedded or not table.expanded


@EACH_TABLE
def test_stripe_has_a_sentence_for_the_table_or_its_columns(table):
    assert any(descriptions(table).values())

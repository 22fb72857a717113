"""The list of dataflows: what each line says, before any run and after, in the shell and in the UI."""

from typing import Any

import dagster as dg
import duckdb
import pytest

from stripe_dataflow.orchestration.dataflow_list import KEY, dataflow_list_definitions, list_lines


@pytest.fixture
def shop(make_shop):
    return make_shop(tables=["customers", "products"], customers=5, display_name="My shop")


def line_of(shop, **changes) -> Any:
    """Return the one line of the list."""
    [line] = list_lines([shop.dataflow(**changes)])
    return line


def test_a_dataflow_without_a_run_is_new_and_no_database_is_made(shop):
    line = line_of(shop)
    assert (line.name, line.display_name, line.type, line.status, line.stale, line.tables) == (
        "Shop", "My shop", "stripe", "New", False, 2,
    )  # fmt: skip
    assert (line.created, line.updated, line.last_refresh, line.last_attempt) == (None, None, None, None)
    assert not shop.database.exists()


def test_a_database_that_this_project_never_wrote_to_leaves_a_dataflow_new(shop):
    with duckdb.connect(str(shop.database)) as connection:
        connection.execute("create table mine as select 1 as one")
    assert line_of(shop).status == "New"


def test_a_failed_run_moves_the_last_attempt_and_not_the_last_refresh(shop):
    shop.run()
    first = line_of(shop)
    assert first.status == "Completed"
    assert first.created == first.updated
    assert first.created <= first.last_attempt <= first.last_refresh
    shop.faults.keys = {"sk_test_another": frozenset()}
    shop.run()
    second = line_of(shop)
    assert second.status == "Failed"
    assert second.last_refresh == first.last_refresh
    assert second.last_attempt > first.last_attempt


def test_a_changed_configuration_is_stale_until_a_run_completes(shop):
    shop.run()
    assert not line_of(shop).stale
    assert not line_of(shop, api_key_env="OTHER_KEY").stale
    changed = {"tables": ["customers", "products", "coupons"]}
    assert (line_of(shop, **changed).stale, line_of(shop, **changed).tables) == (True, 3)
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/coupons"})}
    shop.run(**changed)
    assert line_of(shop, **changed).stale
    shop.faults.keys = None
    shop.run(**changed)
    line = line_of(shop, **changed)
    assert not line.stale
    assert line.created < line.updated < line.last_refresh


def test_the_asset_shows_the_list_as_a_table_and_stands_in_no_dataflows_group(shop):
    shop.run()
    other = shop.dataflow(name="Another")
    definitions = dataflow_list_definitions([shop.dataflow(), other])
    [asset] = [a for a in definitions.assets or [] if isinstance(a, dg.AssetsDefinition)]
    assert set(asset.group_names_by_key.values()) == {"stripe_dataflow"}
    assert dg.materialize([asset], instance=shop.instance).success
    event = shop.instance.get_latest_materialization_event(KEY)
    metadata = event.asset_materialization.metadata
    records = [dict(record.data) for record in metadata["dataflows"].records]
    assert [(r["name"], r["display_name"], r["status"], r["tables"]) for r in records] == [
        ("Another", "My shop", "New", 2),
        ("Shop", "My shop", "Completed", 2),
    ]
    assert records[0]["created"] == ""
    assert records[1]["last_refresh"] >= records[1]["last_attempt"] >= records[1]["created"] > "2026"
    assert metadata["as text"].value.splitlines()[3].startswith("| Shop | My shop | stripe | Completed | False | 2 |")


def test_a_file_that_is_no_database_fails_the_asset_with_one_sentence(shop):
    shop.database.write_text("not a database")
    [asset] = [
        a for a in dataflow_list_definitions([shop.dataflow()]).assets or [] if isinstance(a, dg.AssetsDefinition)
    ]
    done = dg.materialize([asset], instance=shop.instance, raise_on_error=False)
    [failed] = [event for event in done.all_events if event.is_step_failure]
    error = failed.step_failure_data.error
    assert error is not None
    assert error.cls_name == "Failure"
    assert "it is no DuckDB database" in error.message
    assert error.cause is None

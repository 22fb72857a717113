from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.warehouse import (
    Counts,
    DataflowRow,
    LoadStats,
    TableRow,
    Target,
    Warehouse,
    committed_partitions,
    end_run,
    get_cursor,
    list_dataflows,
    list_loads,
    list_runs,
    list_tables,
    record_load,
    record_partition,
    register_dataflow,
    set_cursor,
    start_run,
)
from stripe_dataflow.warehouse.registry import VERSION

CUSTOMERS = Target("Shop", "people", TABLES["customers"])


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with Warehouse(tmp_path / "shop.duckdb", stage_dir=tmp_path / "stage") as warehouse:
        yield warehouse


def shop(fingerprint: str, *tables: str) -> DataflowRow:
    return DataflowRow("Shop", fingerprint, "Our 'shop'", "ü", tables=tuple(TableRow(name, name) for name in tables))


def test_a_new_dataflow_is_listed_as_new(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        register_dataflow(connection, shop("1", "customers", "charges"))
        (row,) = list_dataflows(connection)
    assert (row.name, row.display_name, row.description, row.type, row.tables) == (
        "Shop",
        "Our 'shop'",
        "ü",
        "stripe",
        2,
    )
    assert (row.status, row.last_refresh, row.last_attempt) == ("New", None, None)
    assert row.created == row.updated


def test_only_a_changed_configuration_moves_the_updated_date(warehouse: Warehouse) -> None:
    seen = []
    for fingerprint in ("1", "1", "2"):
        with warehouse.transaction() as connection:
            register_dataflow(connection, shop(fingerprint))
            (row,) = list_dataflows(connection)
            seen.append((row.created, row.updated))
    (created, first), second, (still, third) = seen
    assert (created, first) == second
    assert still == created
    assert third > first


def test_a_deselected_table_stays_as_not_active(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        register_dataflow(connection, shop("1", "customers", "charges"))
        register_dataflow(connection, shop("2", "charges"))
        assert list_tables(connection, "Shop") == [
            TableRow("charges", "charges"),
            TableRow("customers", "customers", active=False),
        ]
        assert list_dataflows(connection)[0].tables == 1


def test_load_ids_rise_over_all_dataflows_and_a_run_keeps_its_own(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        ids = [
            start_run(connection, run, dataflow=dataflow, kind="run")
            for run, dataflow in [("a", "Shop"), ("b", "Other"), ("a", "Shop"), ("c", "Shop"), ("a", "Other")]
        ]
    assert ids == [1, 2, 1, 3, 4]


def test_a_run_is_opened_and_closed(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        register_dataflow(connection, shop("1"))
        start_run(connection, "a", dataflow="Shop", kind="run")
        (run,) = list_runs(connection, "Shop")
        assert (run.status, run.ended, list_dataflows(connection)[0].status) == ("In-Progress", None, "In-Progress")
    with warehouse.transaction() as connection:
        end_run(connection, "a", dataflow="Shop", status="Failed", details="1 table", description="it's so")
        (run,) = list_runs(connection)
        assert (run.run_id, run.kind, run.status, run.details, run.description) == (
            "a",
            "run",
            "Failed",
            "1 table",
            "it's so",
        )
        assert run.ended
        assert run.ended > run.started
        (row,) = list_dataflows(connection)
        assert (row.status, row.last_refresh, row.last_attempt) == ("Failed", None, run.started)


DIES = """
import sys
from pathlib import Path
from stripe_dataflow.warehouse import Warehouse, start_run
folder = Path(sys.argv[1])
with Warehouse(folder / "shop.duckdb", stage_dir=folder / "stage").transaction() as connection:
    start_run(connection, "dead", dataflow="Shop", kind="run")
    start_run(connection, "dead too", dataflow="Other", kind="run")
"""


def test_the_next_run_closes_what_died_in_its_own_dataflow(warehouse: Warehouse, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=True)
    with warehouse.transaction() as connection:
        start_run(connection, "alive", dataflow="Shop", kind="run")
        start_run(connection, "alive too", dataflow="Shop", kind="rollback")
        assert [(run.run_id, run.status, run.description.split(":")[0]) for run in list_runs(connection)] == [
            ("alive too", "In-Progress", ""),
            ("alive", "In-Progress", ""),
            ("dead too", "In-Progress", ""),
            ("dead", "Failed", "Interrupted"),
        ]


def test_the_merges_of_one_load_add_up_to_one_record(warehouse: Warehouse) -> None:
    one = LoadStats(mode="list", counts=Counts(5, 1, 1, 1, 2), window=(10, 20), cursor_before="9")
    other = LoadStats(mode="list", counts=Counts(3, 3, 0, 0, 0), window=(0, 10), cursor_before="10")
    parts = [
        replace(one, requests=2, retries=1, bytes=100, seconds=0.5),
        replace(other, requests=1, bytes=50, seconds=0.25),
    ]
    with warehouse.transaction() as connection:
        load = start_run(connection, "a", dataflow="Shop", kind="run")
        for number, part in enumerate(parts):
            set_cursor(connection, "Shop", "customers", cursor=str(10 + number))
            record_load(connection, CUSTOMERS, load, stats=part)
        end_run(connection, "a", dataflow="Shop", status="Completed")
        (row,) = list_loads(connection, "Shop")
    assert (row.table_name, row.destination, row.window, row.counts) == (
        "customers",
        "people",
        (0, 20),
        Counts(8, 4, 1, 1, 2),
    )
    assert (row.requests, row.retries, row.bytes, row.seconds) == (3, 1, 150, 0.75)
    assert (row.cursor_before, row.cursor_after, row.status, row.reachable) == ("9", "11", "Completed", True)


def test_a_cursor_is_set_and_taken_away(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        assert get_cursor(connection, "Shop", "customers") is None
        for cursor in ("1", "2", None):
            set_cursor(connection, "Shop", "customers", cursor=cursor)
            assert get_cursor(connection, "Shop", "customers") == cursor


def test_partitions_are_known_by_the_first_run_they_belong_to(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        for window, root in [((0, 10), "a"), ((10, 20), "a"), ((20, 30), "b")]:
            record_partition(connection, CUSTOMERS, 1, window=window, rows=1, root_run_id=root, cursor="x")
        found = committed_partitions(connection, "Shop", "customers", root_run_id="a")
        assert found == {(0, 10): "x", (10, 20): "x"}


def test_partitions_up_to_an_attempt_that_completed_are_not_gone_on_after(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        for number, run in enumerate(["first", "second", "third"]):
            load = start_run(connection, run, dataflow="Shop", kind="run")
            record_partition(connection, CUSTOMERS, load, window=(number, number + 1), rows=1, root_run_id="first")
        for completed, expected in [([], {0, 1, 2}), (["second"], {2}), (["first", "third"], set())]:
            found = committed_partitions(connection, "Shop", "customers", root_run_id="first", completed=completed)
            assert {gte for gte, _ in found} == expected


def test_the_registry_is_made_once(warehouse: Warehouse) -> None:
    for _ in range(2):
        with warehouse.transaction() as connection:
            assert connection.execute("select version from warehouse._dataflow.version").fetchall() == [(VERSION,)]

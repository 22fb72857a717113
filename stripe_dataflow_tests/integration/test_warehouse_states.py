from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stripe_dataflow.errors import ConfigError, DatabaseLocked, WarehouseError
from stripe_dataflow.warehouse import (
    Counts,
    Removed,
    committed_partitions,
    compact,
    get_cursor,
    list_runs,
    prune,
    remove_dataflow,
    resolve_target,
)
from stripe_dataflow_tests.integration.test_warehouse_rollback import CUSTOMERS, PRODUCTS, A, B, Shop, people


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    with shop.warehouse:
        yield shop


@pytest.mark.parametrize(
    ("to", "load"),
    [
        pytest.param("previous", 1, id="previous"),
        pytest.param("1", 1, id="load id as text"),
        pytest.param(2, 2, id="load id"),
        pytest.param("2999-01-01", 2, id="time after all"),
        pytest.param("2999-01-01T00:00:00+02:00", 2, id="time with a zone"),
    ],
)
def test_a_target_is_named_in_three_ways(shop: Shop, to: str | int, load: int) -> None:
    shop.load(*A)
    shop.load(*B)
    with shop.warehouse.reading() as connection:
        assert resolve_target(connection, "Shop", to) == load


@pytest.mark.parametrize(
    ("to", "why"),
    [
        pytest.param("yesterday", "`to` is `previous`, a load id or an ISO time", id="a word"),
        pytest.param("2001-01-01", "2001-01-01 lies before the oldest state", id="too early"),
        pytest.param("77", "there never was a load 77", id="unknown"),
    ],
)
def test_a_target_that_is_none_is_refused(shop: Shop, to: str, why: str) -> None:
    shop.load(*A)
    with shop.warehouse.reading() as connection, pytest.raises(ConfigError, match=why):
        resolve_target(connection, "Shop", to)


def test_expired_loads_are_refused_and_kept_ones_restored(shop: Shop) -> None:
    states = [shop.load((CUSTOMERS, people(ann=str(n), bob="b"))) and shop.state(CUSTOMERS) for n in range(6)]
    with shop.warehouse.transaction() as connection:
        assert prune(connection, "Shop", keep_loads=2) == 3
        assert prune(connection, "Shop", keep_loads=2) == 0
    assert [row.reachable for row in shop.loads()] == [True] * 3 + [False] * 3
    with pytest.raises(
        ConfigError, match=r"load 3 expired, as more than keep_loads came after it\. The nearest state is load 4"
    ):
        shop.rollback(CUSTOMERS, to=3)
    for load in (4, 5, 6):
        shop.rollback(CUSTOMERS, to=load)
        assert shop.state(CUSTOMERS) == states[load - 1]


def test_pruning_across_rollbacks_keeps_what_the_kept_states_need(shop: Shop) -> None:
    shop.load((CUSTOMERS, people(ann="1", bob="1")))
    shop.load((CUSTOMERS, people(ann="2", bob="1")))
    shop.rollback(CUSTOMERS)
    shop.load((CUSTOMERS, people(ann="4", bob="4")))
    four = shop.state(CUSTOMERS)
    shop.load((CUSTOMERS, people(ann="5")))
    with shop.warehouse.transaction() as connection:
        prune(connection, "Shop", keep_loads=1)
    shop.rollback(CUSTOMERS)
    assert shop.state(CUSTOMERS) == four
    assert shop.rows(f"select distinct email from {CUSTOMERS.history} order by email") == [("4",), ("5",)]


def test_removed_rows_cannot_be_brought_back_and_runs_stay(shop: Shop) -> None:
    shop.load(*A)
    shop.load(*B)
    with shop.warehouse.transaction() as connection:
        expected = [Removed("customers", 3, 2), Removed("products", 2, 1)]
        assert remove_dataflow(connection, "Shop", dry_run=True) == expected
        assert remove_dataflow(connection, "Shop") == expected
        assert get_cursor(connection, "Shop", "customers") is None
    assert shop.rows("select schema_name from duckdb_schemas() where schema_name like 'Shop%'") == []
    with shop.warehouse.reading() as connection:
        assert [(run.load_id, run.status) for run in list_runs(connection, "Shop")] == [
            (2, "Completed"),
            (1, "Completed"),
        ]
        with pytest.raises(ConfigError, match="Shop has no completed load"):
            resolve_target(connection, "Shop", "previous")
    shop.load(*A)
    with pytest.raises(ConfigError, match="load 3 is the first"):
        shop.rollback(CUSTOMERS, PRODUCTS)


def test_one_removed_table_leaves_the_others_their_states(shop: Shop) -> None:
    shop.load(*A)
    products = shop.state(PRODUCTS)
    shop.load(*B)
    with shop.warehouse.transaction() as connection:
        remove_dataflow(connection, "Shop", tables=["customers"])
    shop.rollback(PRODUCTS, to=1)
    assert shop.state(PRODUCTS) == products


def test_compacting_takes_the_bytes_of_removed_rows_out_of_the_file(shop: Shop) -> None:
    secret = "very-private-address@example.com"
    shop.load((CUSTOMERS, people(ann=secret)), A[1])
    products = shop.state(PRODUCTS)
    with shop.warehouse.transaction() as connection:
        remove_dataflow(connection, "Shop", tables=["customers"])
    assert secret.encode() in shop.database.read_bytes()
    compact(shop.database)
    assert secret.encode() not in shop.database.read_bytes()
    assert shop.state(PRODUCTS) == products
    assert shop.database.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in shop.folder.glob("shop*")) == ["shop.duckdb"]


def test_compacting_a_held_file_is_refused_and_leaves_it(shop: Shop) -> None:
    shop.load(*A)
    before = shop.database.read_bytes()
    with shop.warehouse.reading(), pytest.raises(DatabaseLocked):
        compact(shop.database)
    assert shop.database.read_bytes() == before


def test_compacting_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="There is no database"):
        compact(tmp_path / "none.duckdb")
    assert list(tmp_path.iterdir()) == []


def test_undone_partitions_are_read_again(shop: Shop) -> None:
    shop.load(*A)
    shop.load(*B)
    shop.rollback(CUSTOMERS, PRODUCTS)
    with shop.warehouse.reading() as connection:
        assert committed_partitions(connection, "Shop", "customers", root_run_id="root") == {(0, 1): ""}


def test_a_rollback_is_a_load_of_its_own_in_the_record(shop: Shop) -> None:
    shop.load(*A)
    shop.load(*B)
    shop.rollback(CUSTOMERS, PRODUCTS)
    row = next(row for row in shop.loads() if row.table_name == "customers")
    assert (row.load_id, row.kind, row.mode, row.restored, row.counts, row.cursor_before, row.cursor_after) == (
        3, "rollback", "rollback", 1, Counts(updated=2, deleted=1), "cursor 2", "cursor 1",
    )  # fmt: skip

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.errors import ConfigError
from stripe_dataflow.warehouse import (
    LoadRow,
    LoadStats,
    Restored,
    Scope,
    Target,
    Warehouse,
    end_run,
    get_cursor,
    list_loads,
    record_load,
    record_partition,
    remove_dataflow,
    resolve_target,
    restore,
    set_cursor,
    start_run,
)

JANUARY = 1_767_225_600
CUSTOMERS = Target("Shop", "customers", TABLES["customers"])
PRODUCTS = Target("Shop", "products", TABLES["products"])
OTHER = Target("Other", "customers", TABLES["customers"])

Object = dict[str, Any]


class Shop:
    """A warehouse whose loads and rollbacks are one call each, as the runs make them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "shop.duckdb"
        self.warehouse = Warehouse(self.database, stage_dir=folder / "stage", wait_s=1)
        self.runs = 0

    def load(self, *tables: tuple[Target, Sequence[Object]], failed: bool = False) -> int:
        """Load these objects as the whole of each table; the cursor becomes the load's number."""
        self.runs += 1
        run, schema = f"run {self.runs}", tables[0][0].schema
        with self.warehouse.transaction() as connection:
            load = start_run(connection, run, dataflow=schema, kind="run")
        for target, objects in tables:
            path = self.folder / "lines.ndjson"
            fetched = (JANUARY + self.runs) * 1_000_000
            path.write_text("\n".join(json.dumps({"_fetched_at": fetched, **o}) for o in objects))
            self.warehouse.stage(target, [path])
            with self.warehouse.transaction() as connection:
                counts = self.warehouse.merge(connection, target, load_id=load, scope=Scope.whole())
                set_cursor(connection, schema, target.table.name, cursor=f"cursor {load}")
                record_load(connection, target, load, stats=LoadStats(mode="list", counts=counts))
                record_partition(connection, target, load, window=(0, load), rows=1, root_run_id="root")
        with self.warehouse.transaction() as connection:
            end_run(connection, run, dataflow=schema, status="Failed" if failed else "Completed")
        return load

    def rollback(self, *targets: Target, to: str | int = "previous", some: bool = False) -> list[Restored]:
        self.runs += 1
        run, schema = f"run {self.runs}", targets[0].schema
        with self.warehouse.transaction() as connection:
            load = start_run(connection, run, dataflow=schema, kind="rollback")
        with self.warehouse.transaction() as connection:
            names = tuple(target.name for target in targets) if some else ()
            target_load = resolve_target(connection, schema, to, tables=names)
            done = restore(connection, targets, to_load_id=target_load, new_load_id=load)
        with self.warehouse.transaction() as connection:
            end_run(connection, run, dataflow=schema, status="Completed")
        return done

    def state(self, *targets: Target) -> list[Any]:
        """Return everything a rollback must bring back: columns, types, rows, cursors."""
        found: list[Any] = []
        with self.warehouse.reading() as connection:
            for target in targets:
                found += [
                    connection.execute(f"describe {target.current}").fetchall(),
                    connection.execute(f"select * from {target.current} order by id").fetchall(),
                    get_cursor(connection, target.schema, target.table.name),
                ]
        return found

    def loads(self) -> list[LoadRow]:
        with self.warehouse.reading() as connection:
            return list_loads(connection, "Shop")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.warehouse.reading() as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    with shop.warehouse:
        yield shop


def people(**emails: str) -> list[Object]:
    return [{"id": f"cus_{name}", "email": email, "created": JANUARY} for name, email in emails.items()]


def goods(*names: str) -> list[Object]:
    return [{"id": f"prod_{name}", "name": name, "created": JANUARY} for name in names]


A = (CUSTOMERS, people(ann="a", bob="b")), (PRODUCTS, goods("x", "y"))
B = (CUSTOMERS, people(ann="a2", eve="e")), (PRODUCTS, goods("x"))
C = (CUSTOMERS, people(ann="a3", bob="b3", eve="e")), (PRODUCTS, goods("x", "y", "z"))


def test_a_rollback_restores_rows_columns_and_cursor_of_every_table(shop: Shop) -> None:
    shop.load(*A)
    with shop.warehouse.transaction() as connection:
        for schema in ("Shop", "Shop_history"):
            connection.execute(f"alter table warehouse.{schema}.customers drop column address")
        connection.execute(f"""update {CUSTOMERS.current} set _extra = '{{"address":{{"city":"Ulm"}}}}'""")
    before = shop.state(CUSTOMERS, PRODUCTS)
    shop.load(*B)
    after = shop.state(CUSTOMERS, PRODUCTS)
    assert shop.rollback(CUSTOMERS, PRODUCTS) == [
        Restored("customers", inserted=0, updated=2, deleted=1),
        Restored("products", inserted=0, updated=1, deleted=0),
    ]
    assert shop.state(CUSTOMERS, PRODUCTS) == before
    shop.rollback(CUSTOMERS, PRODUCTS, to=2)
    assert _data(shop.state(CUSTOMERS, PRODUCTS)) == _data(after)


def _data(state: list[Any]) -> list[Any]:
    """Return the state with columns in name order: one that came back stands at the end."""
    return [sorted(part) if isinstance(part, list) and part and isinstance(part[0][0], str) else part for part in state]


def test_loading_again_after_a_rollback_leads_to_the_same_rows(shop: Shop) -> None:
    shop.load(*A)
    shop.load(*B)
    wanted = shop.rows(f"select id, email from {CUSTOMERS.current} where _deleted_at is null order by id")
    shop.rollback(CUSTOMERS, PRODUCTS)
    shop.load(*B)
    now = shop.rows(f"select id, email from {CUSTOMERS.current} where _deleted_at is null order by id")
    assert now == wanted


def test_a_second_rollback_goes_one_further_back_and_a_later_load_can_be_gone_to(shop: Shop) -> None:
    shop.load(*A)
    first = shop.state(CUSTOMERS, PRODUCTS)
    shop.load(*B)
    second = shop.state(CUSTOMERS, PRODUCTS)
    third_load = shop.load(*C)
    third = shop.state(CUSTOMERS, PRODUCTS)
    shop.rollback(CUSTOMERS, PRODUCTS)
    assert shop.state(CUSTOMERS, PRODUCTS) == second
    shop.rollback(CUSTOMERS, PRODUCTS)
    assert shop.state(CUSTOMERS, PRODUCTS) == first
    shop.rollback(CUSTOMERS, PRODUCTS, to=third_load)
    assert shop.state(CUSTOMERS, PRODUCTS) == third
    shop.rollback(CUSTOMERS, PRODUCTS)
    assert shop.state(CUSTOMERS, PRODUCTS) == second


def test_states_of_a_branch_that_was_left_can_still_be_gone_to(shop: Shop) -> None:
    shop.load(*A)
    left_load = shop.load(*B)
    left = shop.state(CUSTOMERS, PRODUCTS)
    shop.rollback(CUSTOMERS, PRODUCTS)
    new_load = shop.load(*C)
    new = shop.state(CUSTOMERS, PRODUCTS)
    for load, state in [(left_load, left), (new_load, new), (left_load, left)]:
        shop.rollback(CUSTOMERS, PRODUCTS, to=load)
        assert shop.state(CUSTOMERS, PRODUCTS) == state


@pytest.mark.parametrize("seed", range(3))
def test_any_walk_over_loads_and_rollbacks_restores_each_state_exactly(shop: Shop, seed: int) -> None:
    states: dict[int, list[Any]] = {}
    for step in range(12):
        choice = (seed * 7 + step * 5 + step * step) % 10
        if step < 2 or choice < 6:
            some = {name: f"{(choice + n) % 3}" for n, name in enumerate("abcd") if (step + n + choice) % 3}
            load = shop.load((CUSTOMERS, people(**some)))
            states[load] = shop.state(CUSTOMERS)
        else:
            load = sorted(states)[(choice * step) % len(states)]
            shop.rollback(CUSTOMERS, to=load)
            assert shop.state(CUSTOMERS) == states[load]


def test_a_failed_load_is_no_step_and_its_rows_go(shop: Shop) -> None:
    shop.load(*A)
    first = shop.state(CUSTOMERS, PRODUCTS)
    second_load = shop.load(*B)
    second = shop.state(CUSTOMERS, PRODUCTS)
    failed = shop.load(*C, failed=True)
    with pytest.raises(ConfigError, match=f"load {failed} failed"):
        shop.rollback(CUSTOMERS, PRODUCTS, to=failed)
    shop.rollback(CUSTOMERS, PRODUCTS, to=second_load)
    assert shop.state(CUSTOMERS, PRODUCTS) == second
    shop.rollback(CUSTOMERS, PRODUCTS)
    assert shop.state(CUSTOMERS, PRODUCTS) == first


def test_one_table_goes_back_alone(shop: Shop) -> None:
    shop.load(*A)
    customers = shop.state(CUSTOMERS)
    shop.load(*B)
    products, both = shop.state(PRODUCTS), shop.state(CUSTOMERS, PRODUCTS)
    shop.rollback(CUSTOMERS, some=True)
    assert (shop.state(CUSTOMERS), shop.state(PRODUCTS)) == (customers, products)
    shop.rollback(CUSTOMERS, PRODUCTS)
    assert shop.state(CUSTOMERS, PRODUCTS) == both


def test_a_table_the_undone_load_created_is_dropped_and_comes_back(shop: Shop) -> None:
    shop.load(A[0])
    load = shop.load(*B)
    second = shop.state(CUSTOMERS, PRODUCTS)
    assert shop.rollback(CUSTOMERS, PRODUCTS)[1] == Restored("products", deleted=1, dropped=True)
    assert shop.rows("select 1 from duckdb_tables() where schema_name = 'Shop' and table_name = 'products'") == []
    with shop.warehouse.reading() as connection:
        foreseen = restore(connection, [PRODUCTS], to_load_id=load, new_load_id=0, dry_run=True)
    assert foreseen == shop.rollback(PRODUCTS, to=load, some=True) == [Restored("products", inserted=1)]
    shop.rollback(CUSTOMERS, PRODUCTS, to=load)
    assert shop.state(CUSTOMERS, PRODUCTS) == second


def test_the_first_load_cannot_be_undone(shop: Shop) -> None:
    shop.load(*A)
    before = shop.state(CUSTOMERS, PRODUCTS)
    with pytest.raises(ConfigError, match="load 1 is the first, nothing lies before it"):
        shop.rollback(CUSTOMERS, PRODUCTS)
    assert shop.state(CUSTOMERS, PRODUCTS) == before


def test_another_dataflow_is_not_touched(shop: Shop) -> None:
    shop.load((OTHER, people(ann="o")))
    other = shop.state(OTHER)
    shop.load(*A)
    shop.load(*B)
    shop.rollback(CUSTOMERS, PRODUCTS)
    with shop.warehouse.transaction() as connection:
        remove_dataflow(connection, "Shop")
    assert shop.state(OTHER) == other


def test_a_dry_run_counts_what_the_rollback_then_does(shop: Shop) -> None:
    shop.load(*A)
    shop.load(*B)
    before = shop.state(CUSTOMERS, PRODUCTS)
    with shop.warehouse.reading() as connection:
        foreseen = restore(connection, [CUSTOMERS, PRODUCTS], to_load_id=1, new_load_id=0, dry_run=True)
    assert shop.state(CUSTOMERS, PRODUCTS) == before
    assert foreseen == shop.rollback(CUSTOMERS, PRODUCTS)


KILLED = """
import os, signal, sys
from pathlib import Path
from stripe_dataflow.catalog import TABLES
from stripe_dataflow.warehouse import Target, Warehouse, restore, start_run
folder = Path(sys.argv[1])
with Warehouse(folder / "shop.duckdb", stage_dir=folder / "stage").transaction() as connection:
    load = start_run(connection, "killed", dataflow="Shop", kind="rollback")
    targets = [Target("Shop", name, TABLES[name]) for name in ("customers", "products")]
    restore(connection, targets, to_load_id=1, new_load_id=load)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_rollback_killed_half_way_leaves_the_state_before(shop: Shop) -> None:
    shop.load(*A)
    shop.load(*B)
    before = shop.state(CUSTOMERS, PRODUCTS)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(shop.folder)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert shop.state(CUSTOMERS, PRODUCTS) == before
    shop.rollback(CUSTOMERS, PRODUCTS)
    with Warehouse(shop.database, stage_dir=shop.folder / "stage"):
        left = {path.name.split("-")[1] for path in (shop.folder / "stage").iterdir()}
        assert left == {str(os.getpid())}

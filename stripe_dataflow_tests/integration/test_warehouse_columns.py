"""Columns that come and go between loads: a rollback brings back the columns of a state with their values."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stripe_dataflow.warehouse import Target
from stripe_dataflow_tests.integration.test_warehouse_rollback import CUSTOMERS, PRODUCTS, Object, Shop, goods

JANUARY = 1_767_225_600
WITHOUT_EMAIL = replace(CUSTOMERS, excluded=("email",))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    with shop.warehouse:
        yield shop


def held(shop: Shop, target: Target = CUSTOMERS) -> list[Object] | None:
    """Return a table's rows as column -> value, None where there is no such table."""
    with shop.warehouse.reading() as connection:
        if not connection.execute(
            "select 1 from duckdb_tables() where schema_name = 'Shop' and table_name = ?", [target.name]
        ).fetchone():
            return None
        found = connection.execute(f"select * from {target.current} order by id")
        names = [name for name, *_ in found.description or ()]
        return [dict(sorted(zip(names, row, strict=True))) for row in found.fetchall()]


def people(**fields: str | None) -> list[Object]:
    return [{"id": f"cus_{n}", "email": v, "phone": v, "created": JANUARY} for n, v in fields.items()]


def test_an_excluded_column_goes_with_its_values_and_a_rollback_brings_both_back(shop: Shop) -> None:
    first = shop.load((CUSTOMERS, people(ann="a", bob="b", cyd=None)))
    before = held(shop)
    second = shop.load((WITHOUT_EMAIL, people(ann="a", bob="b2", cyd=None)))
    after = held(shop)
    assert [row.get("email", "no column") for row in after or ()] == ["no column"] * 3
    assert [row["_load_id"] for row in after or ()] == [second, second, first]
    assert shop.rows(f"select id, email from {CUSTOMERS.history} order by id") == [("cus_ann", "a"), ("cus_bob", "b")]
    for to, state in [(first, before), (second, after), (first, before)]:
        shop.rollback(WITHOUT_EMAIL, to=to)
        assert held(shop) == state
    shop.load((CUSTOMERS, people(ann="a", bob="b2", cyd=None)))
    assert [row["email"] for row in held(shop) or ()] == ["a", "b2", None]
    shop.rollback(CUSTOMERS, to=second)
    assert held(shop) == after


def test_a_column_that_the_catalog_no_longer_knows_keeps_its_values_in_history(shop: Shop) -> None:
    shop.load((CUSTOMERS, people(ann="a")))
    with shop.warehouse.transaction() as connection:
        for schema in ("Shop", "Shop_history"):
            connection.execute(f"alter table warehouse.{schema}.customers add column fax varchar")
            connection.execute(f"update warehouse.{schema}.customers set fax = 'f'")
    before = held(shop)
    shop.load((CUSTOMERS, people(ann="a2")))
    shop.rollback(CUSTOMERS)
    assert held(shop) == before


@pytest.mark.parametrize("seed", range(2))
def test_any_walk_restores_the_columns_of_each_state_also_of_a_table_that_was_dropped(shop: Shop, seed: int) -> None:
    lot = random.Random(seed)
    states = {shop.load((PRODUCTS, goods("x"))): held(shop)}
    for _ in range(10):
        target = replace(CUSTOMERS, excluded=tuple(lot.sample(["email", "phone", "name"], lot.randint(0, 2))))
        if len(states) < 3 or lot.random() < 0.5:
            some = {name: lot.choice(["1", "2", None]) for name in lot.sample("abcd", 3)}
            load = shop.load((target, people(**some)))
            states[load] = held(shop)
        else:
            load = lot.choice(sorted(states))
            shop.rollback(target, to=load)
            assert held(shop) == states[load]
            states[shop.loads()[0].load_id] = states[load]

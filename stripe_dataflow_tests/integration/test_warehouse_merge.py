from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stripe_dataflow.catalog import TABLES, Column, stripe_columns
from stripe_dataflow.warehouse import OUR_COMMENTS, Counts, Scope, Target, Warehouse, quote

NOON = 1_767_268_800_000_000  # 2026-01-01 12:00 UTC, microseconds
JANUARY, FEBRUARY, MARCH = 1_767_225_600, 1_769_904_000, 1_772_323_200
CUSTOMERS = Target("Shop", "customers", TABLES["customers"])
CHARGES = Target("Shop", "charges", TABLES["charges"])
CAPABILITIES = Target("Shop", "capabilities", TABLES["account_capabilities"])


def at(hours: float) -> int:
    return NOON + int(hours * 3_600_000_000)


def time_of(hours: float) -> datetime:
    return datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(hours=hours)


class Shop:
    """A warehouse, with staging and merging in one call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warehouse = Warehouse(folder / "data" / "stripe.duckdb", stage_dir=folder / "stage", wait_s=1)
        self.files = 0

    def stage(self, target: Target, *objects: dict[str, Any], hours: float = 0) -> int:
        self.files += 1
        path = self.folder / f"{self.files}.ndjson"
        lines = [json.dumps({"_fetched_at": at(hours), **o}, sort_keys=True) for o in objects]
        path.write_text("\n".join(lines))
        return self.warehouse.stage(target, [path])

    def merge(
        self,
        target: Target,
        *objects: dict[str, Any],
        load: int = 1,
        scope: Scope | None = None,
        hours: float = 0,
    ) -> Counts:
        if objects:
            self.stage(target, *objects, hours=hours)
        with self.warehouse.transaction() as connection:
            return self.warehouse.merge(connection, target, load_id=load, scope=scope or Scope.changes())

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.warehouse.reading() as connection:
            return connection.execute(sql).fetchall()

    def emails(self, schema: str = "Shop") -> list[tuple[Any, ...]]:
        more = ", _replaced_by" if schema.endswith("_history") else ", _deleted_at"
        return self.rows(f'select id, email, _load_id{more} from warehouse."{schema}".customers order by id, _load_id')


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    with shop.warehouse:
        yield shop


def customer(number: int, email: str = "a@example.com", created: int = JANUARY, **more: Any) -> dict[str, Any]:
    return {"id": f"cus_{number}", "email": email, "created": created, **more}


SENT = {"BIGINT": 2**53 + 1, "BOOLEAN": True, "DOUBLE": 0.1, "VARCHAR": "ü 'x'", "DECIMAL(38,12)": "1.25"}
READ = {**SENT, "DECIMAL(38,12)": Decimal("1.250000000000"), "JSON": '{"a":[null,1.5],"b":"é"}'}


def sent(column: Column) -> Any:
    match column.source:
        case "epoch_s":
            return JANUARY
        case "epoch_ms":
            return JANUARY * 1000
        case _:
            return SENT.get(column.type, {"a": [None, 1.5], "b": "é"})


def read(column: Column) -> Any:
    return datetime(2026, 1, 1, tzinfo=UTC) if column.type == "TIMESTAMPTZ" else READ[column.type]


@pytest.mark.parametrize("table", ["charges", "invoice_items", "prices", "terminal_readers", "quotes"])
def test_every_type_comes_back_as_it_was_sent(shop: Shop, table: str) -> None:
    target = Target("Shop", table, TABLES[table])
    columns = stripe_columns(TABLES[table])
    shop.merge(target, {column.name: sent(column) for column in columns})
    names = ", ".join(quote(column.name) for column in columns)
    assert shop.rows(f"select {names} from {target.current}") == [tuple(read(column) for column in columns)]


def test_null_and_absent_become_sql_null(shop: Shop) -> None:
    nothing = dict.fromkeys((column.name for column in CHARGES.data_columns), None)
    shop.merge(CHARGES, {**nothing, "id": "ch_1", "_extra": None}, {"id": "ch_2"})
    names = [
        quote(column.name)
        for column in (*CHARGES.data_columns, Column("_extra", "JSON", nullable=True, source="value"))
    ]
    filled = " or ".join(f"{name} is not null" for name in names if name != '"id"')
    assert shop.rows(f"select count(*) from {CHARGES.current} where {filled}") == [(0,)]


def test_columns_are_commented_and_typed(shop: Shop) -> None:
    target = Target("Shop", "customers", TABLES["customers"], comments={"": "It's ours", "email": 'The "e-mail"'})
    shop.merge(target, customer(1))
    assert shop.rows("select comment from duckdb_tables() where table_name = 'customers' and schema_name = 'Shop'") == [
        ("It's ours",)
    ]
    assert shop.rows(
        "select column_name, data_type, comment from duckdb_columns() where schema_name = 'Shop' "
        "and (column_name = 'email' or column_name like '\\_%' escape '\\') order by column_index"
    ) == [
        ("email", "VARCHAR", 'The "e-mail"'),
        ("_load_id", "BIGINT", "The load that wrote this version of the row."),
        ("_loaded_at", "TIMESTAMP WITH TIME ZONE", "When Stripe answered with this version."),
        ("_deleted_at", "TIMESTAMP WITH TIME ZONE", OUR_COMMENTS["_deleted_at"]),
        ("_extra", "JSON", "Fields the pinned API version does not know."),
    ]  # fmt: skip


def test_a_second_identical_load_changes_nothing(shop: Shop) -> None:
    whole = [customer(n, _extra={"new": n}, metadata={"a": "1"}) for n in range(5)]
    assert shop.merge(CUSTOMERS, *whole, scope=Scope.whole()) == Counts(read=5, inserted=5)
    before = shop.rows(f"select * from {CUSTOMERS.current} order by id")
    assert shop.merge(CUSTOMERS, *whole, load=2, scope=Scope.whole(), hours=1) == Counts(read=5, unchanged=5)
    assert shop.rows(f"select * from {CUSTOMERS.current} order by id") == before
    assert shop.emails("Shop_history") == []


def test_changed_vanished_and_returned_objects_leave_their_versions_in_history(shop: Shop) -> None:
    shop.merge(CUSTOMERS, customer(1), customer(2), scope=Scope.whole())
    changed = shop.merge(CUSTOMERS, customer(1, "b@example.com"), load=2, scope=Scope.whole(), hours=1)
    assert changed == Counts(read=1, updated=1, deleted=1)
    assert shop.emails() == [("cus_1", "b@example.com", 2, None), ("cus_2", "a@example.com", 2, time_of(1))]
    back = shop.merge(CUSTOMERS, customer(1, "b@example.com"), customer(2), load=3, scope=Scope.whole(), hours=2)
    assert back == Counts(read=2, updated=1, unchanged=1)
    assert shop.emails() == [("cus_1", "b@example.com", 2, None), ("cus_2", "a@example.com", 3, None)]
    assert shop.emails("Shop_history") == [
        ("cus_1", "a@example.com", 1, 2),
        ("cus_2", "a@example.com", 1, 2),
        ("cus_2", "a@example.com", 2, 3),
    ]


def test_several_merges_of_one_load_leave_one_old_version(shop: Shop) -> None:
    shop.merge(CUSTOMERS, customer(1))
    shop.merge(CUSTOMERS, customer(1, "b@example.com"), load=2, hours=1)
    shop.merge(CUSTOMERS, customer(1, "c@example.com"), load=2, hours=2)
    assert shop.emails() == [("cus_1", "c@example.com", 2, None)]
    assert shop.emails("Shop_history") == [("cus_1", "a@example.com", 1, 2)]


def test_a_window_is_merged_alone_and_the_rest_stays_staged(shop: Shop) -> None:
    shop.merge(CUSTOMERS, customer(1), customer(2, created=FEBRUARY), scope=Scope.whole())
    shop.stage(CUSTOMERS, customer(3), customer(4, created=FEBRUARY), customer(5, created=MARCH), hours=1)
    january = shop.merge(CUSTOMERS, load=2, scope=Scope.window(JANUARY, FEBRUARY))
    assert january == Counts(read=1, inserted=1, deleted=1)
    assert [row[0::3] for row in shop.emails()] == [("cus_1", time_of(1)), ("cus_2", None), ("cus_3", None)]
    rest = shop.merge(CUSTOMERS, load=2, scope=Scope.window(FEBRUARY, MARCH + 1))
    assert rest == Counts(read=2, inserted=2, deleted=1)
    assert shop.merge(CUSTOMERS, load=2) == Counts()


def test_an_empty_window_deletes_what_it_held_before_reading_began(shop: Shop) -> None:
    shop.merge(CUSTOMERS, customer(1), hours=0)
    shop.merge(CUSTOMERS, customer(2), hours=2)
    scope = Scope.window(JANUARY, FEBRUARY, started=at(1))
    assert shop.merge(CUSTOMERS, load=2, scope=scope) == Counts(deleted=1)
    assert [row[0::2] for row in shop.emails()] == [("cus_1", 2), ("cus_2", 1)]
    gone = f"select epoch_us(_deleted_at) from {CUSTOMERS.current} where _deleted_at is not null"
    assert shop.rows(gone) == [(at(1),)]


def test_absence_deletes_nothing_where_objects_cannot_disappear(shop: Shop) -> None:
    kept = Target("Shop", "kept", replace(TABLES["customers"], deletable=False))
    shop.merge(kept, customer(1), scope=Scope.whole())
    assert shop.merge(kept, load=2, scope=Scope.whole()) == Counts()


def test_children_of_the_read_parents_alone_are_complete(shop: Shop) -> None:
    target = Target("Shop", "items", TABLES["subscription_items"])
    assert target.table.deletable
    children = [{"id": f"si_{n}", "_parent_id": f"sub_{n % 2}", "created": JANUARY} for n in range(4)]
    shop.merge(target, *children, scope=Scope.whole())
    counts = shop.merge(target, children[0], load=2, scope=Scope.parents(["sub_0"]), hours=1)
    assert counts == Counts(read=1, deleted=1, unchanged=1)
    gone = shop.rows(f"select id, _parent_id from {target.current} where _deleted_at is not null")
    assert gone == [("si_2", "sub_0")]


def test_tombstones_delete_once_and_ask_for_no_row(shop: Shop) -> None:
    shop.merge(CUSTOMERS, customer(1), customer(2))
    gone = [{"id": "cus_1", "_deleted": True}, {"id": "cus_9", "_deleted": True}]
    assert shop.merge(CUSTOMERS, *gone, load=2, hours=1) == Counts(read=2, deleted=1, unchanged=1)
    assert shop.merge(CUSTOMERS, *gone, load=3, hours=2) == Counts(read=2, unchanged=2)
    assert shop.emails() == [("cus_1", "a@example.com", 2, time_of(1)), ("cus_2", "a@example.com", 1, None)]


@pytest.mark.parametrize(
    ("staged", "wins"),
    [
        pytest.param([(1, "old"), (2, "new")], "new", id="later answer, later in the file"),
        pytest.param([(2, "new"), (1, "old")], "new", id="later answer, earlier in the file"),
        pytest.param([(1, "first"), (1, "last")], "last", id="same answer time, later in the file"),
    ],
)
def test_of_staged_doublets_the_newest_wins(shop: Shop, staged: list[tuple[int, str]], wins: str) -> None:
    for hours, email in staged:
        shop.stage(CUSTOMERS, customer(1, email), hours=hours)
    assert shop.merge(CUSTOMERS) == Counts(read=2, inserted=1)
    assert shop.emails() == [("cus_1", wins, 1, None)]


def test_an_older_answer_never_beats_a_newer_row(shop: Shop) -> None:
    shop.merge(CUSTOMERS, customer(1, "new"), hours=2)
    assert shop.merge(CUSTOMERS, customer(1, "old"), load=2, hours=1) == Counts(read=1, unchanged=1)
    tombstone = {"id": "cus_1", "_deleted": True}
    assert shop.merge(CUSTOMERS, tombstone, load=2, hours=1) == Counts(read=1, unchanged=1)
    shop.merge(CUSTOMERS, tombstone, load=3, hours=4)
    assert shop.merge(CUSTOMERS, customer(1, "seen before it went"), load=4, hours=3) == Counts(read=1, unchanged=1)
    assert shop.emails() == [("cus_1", "new", 3, time_of(4))]


def test_null_in_a_key_is_a_value_like_another(shop: Shop) -> None:
    rows = [{"account": None, "id": "card_payments", "status": "active"}, {"account": "acct_1", "id": "card_payments"}]
    assert shop.merge(CAPABILITIES, *rows) == Counts(read=2, inserted=2)
    assert shop.merge(CAPABILITIES, *rows, load=2, hours=1) == Counts(read=2, unchanged=2)


def test_what_was_discarded_is_not_merged(shop: Shop) -> None:
    shop.stage(CUSTOMERS, customer(1))
    shop.warehouse.discard(CUSTOMERS)
    shop.warehouse.discard(CUSTOMERS)
    assert shop.merge(CUSTOMERS) == Counts()


def test_a_transaction_that_fails_keeps_the_rows_and_the_staging(shop: Shop) -> None:
    shop.merge(CUSTOMERS, customer(1))
    shop.stage(CUSTOMERS, customer(1, "b@example.com"), hours=1)
    with pytest.raises(ZeroDivisionError), shop.warehouse.transaction() as connection:
        assert shop.warehouse.merge(connection, CUSTOMERS, load_id=2, scope=Scope.changes()).updated / 0
    assert shop.emails() == [("cus_1", "a@example.com", 1, None)]
    assert shop.merge(CUSTOMERS, load=3) == Counts(read=1, updated=1)


def test_a_column_the_catalog_learns_is_filled_from_extra(shop: Shop) -> None:
    shop.merge(CUSTOMERS, customer(1), customer(2))
    with shop.warehouse.transaction() as connection:
        for schema in ("Shop", "Shop_history"):
            for column in ("balance", "address"):
                connection.execute(f"alter table warehouse.{schema}.customers drop column {column}")
    known = [
        customer(1, _extra={"address": {"city": "Ulm"}, "balance": 7, "other": 1}),
        customer(2, _extra={"address": None, "balance": "none"}),
    ]
    with shop.warehouse.transaction() as connection:
        for line in known:
            connection.execute(
                f"update {CUSTOMERS.current} set _extra = ? where id = ?",
                [json.dumps(line["_extra"], separators=(",", ":")), line["id"]],
            )
    assert shop.merge(CUSTOMERS, load=2) == Counts(updated=2, filled=2)
    now = shop.rows(f"select id, balance, address, _extra, _load_id from {CUSTOMERS.current} order by id")
    assert now == [("cus_1", 7, '{"city":"Ulm"}', '{"other":1}', 2), ("cus_2", None, None, '{"balance":"none"}', 2)]
    whole = [customer(1, balance=7, address={"city": "Ulm"}, _extra={"other": 1})]
    assert shop.merge(CUSTOMERS, *whole, load=3, hours=1) == Counts(read=1, unchanged=1)


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        pytest.param("stripe", "customers", id="schema named as the file"),
        pytest.param("select", "order", id="keywords"),
        pytest.param("O'Brien", 'cus"tomers; drop', id="quotes"),
    ],
)
def test_any_name_may_be_a_schema_or_a_table(shop: Shop, schema: str, name: str) -> None:
    target = Target(schema, name, TABLES["customers"])
    assert shop.merge(target, customer(1), scope=Scope.whole()) == Counts(read=1, inserted=1)
    assert shop.merge(target, customer(1, "b"), load=2, scope=Scope.whole(), hours=1) == Counts(read=1, updated=1)
    assert shop.rows(f"select id from {target.history}") == [("cus_1",)]

"""The simulated account: the same each time, complete, coherent, and growing."""

import hashlib
import subprocess
import sys
from collections import Counter, defaultdict
from typing import Any

import orjson
import pytest

from stripe_dataflow.catalog import TABLES, stripe_columns
from stripe_dataflow.catalog.sdk import read_class
from stripe_dataflow.sandbox import Account
from stripe_dataflow.sandbox.shapes import event_types, object_name, shape

NOW = 1_764_000_000
DAY = 86_400
Object = dict[str, Any]
JSON_TYPES = {
    "BIGINT": int, "BOOLEAN": bool, "VARCHAR": str, "TIMESTAMPTZ": int, "DOUBLE": (int, float),
    "DECIMAL(38,12)": str, "JSON": (dict, list, str),
}  # fmt: skip


@pytest.fixture(scope="module")
def account() -> Account:
    return Account(customers=60, seed=7, now=NOW)


def grown(days: int = 3) -> tuple[Account, dict[str, list[Object]]]:
    account = Account(customers=20, seed=5, now=NOW)
    before = {name: account.listed(name) for name in TABLES}
    account.advance(NOW + days * DAY)
    return account, before


def digest(account: Account) -> str:
    tables = {name: account.listed(name) for name in TABLES}
    return hashlib.sha256(orjson.dumps(tables, option=orjson.OPT_SORT_KEYS)).hexdigest()


def ids(rows: list[Object]) -> list[str]:
    return [row["id"] for row in rows]


def test_the_same_arguments_make_the_same_account_in_another_process() -> None:
    code = (
        "import importlib.util as u, sys;"
        f"s = u.spec_from_file_location('t', {__file__!r}); m = u.module_from_spec(s); s.loader.exec_module(m);"
        "a = m.Account(customers=20, seed=5, now=m.NOW); a.advance(m.NOW + 9 * m.DAY); print(m.digest(a))"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    here = Account(customers=20, seed=5, now=NOW)
    here.advance(NOW + 9 * DAY)
    assert answers == {f"{digest(here)}\n"}


def test_another_seed_makes_another_account() -> None:
    assert digest(Account(20, 1, NOW)) != digest(Account(20, 2, NOW))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_table_has_objects_even_in_a_small_account(seed: int) -> None:
    account = Account(customers=20, seed=seed, now=NOW)
    assert [name for name in TABLES if not account.listed(name)] == []


@pytest.mark.parametrize("name", TABLES)
def test_every_object_has_every_field_of_its_class(account: Account, name: str) -> None:
    classes = {object_name(c): {f.name for f in read_class(c).fields} - {"deleted"} for c in TABLES[name].classes}
    hidden = {object_name(c): set(shape(c).lists) for c in TABLES[name].classes}
    for row in account.listed(name):
        wanted = {field for field in classes[row["object"]] if not field.endswith("_")}
        assert wanted - row.keys() <= hidden[row["object"]]
        assert row.keys() <= wanted


@pytest.mark.parametrize("name", TABLES)
def test_every_value_fits_its_column(account: Account, name: str) -> None:
    columns = {column.name: column for column in stripe_columns(TABLES[name])}
    wrong = {
        (field, type(value).__name__)
        for row in account.listed(name)
        for field, value in row.items()
        if (column := columns.get(field)) is not None
        if not (
            (value is None and column.nullable)
            or (
                isinstance(value, JSON_TYPES[column.type])
                and not (isinstance(value, bool) and column.type != "BOOLEAN")
            )
        )
    }
    assert wrong == set()


@pytest.mark.parametrize("name", [name for name, table in TABLES.items() if not table.snapshot])
def test_objects_come_newest_first_with_ids_of_their_own(account: Account, name: str) -> None:
    table = TABLES[name]
    rows = account.listed(name)
    columns = [*table.key, "_parent_id"] if table.parents else list(table.key)
    if table.parents:
        rows = [row | {"_parent_id": parent} for row, parent in zip(rows, account.parent_ids(name), strict=True)]
    keys = [tuple(row[column] for column in columns) for row in rows]
    assert len(set(keys)) == len(keys)
    if table.created_filter:
        times = [int(row[table.created]) for row in rows]
        assert times == sorted(times, reverse=True)
        assert max(times) <= NOW


@pytest.mark.parametrize("name", [name for name, table in TABLES.items() if table.embedded])
def test_a_parent_of_every_embedded_list_has_more_children_than_it_shows(account: Account, name: str) -> None:
    assert max(Counter(account.parent_ids(name)).values()) > 10


def test_the_balance_is_the_sum_of_its_transactions(account: Account) -> None:
    expected: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in account.listed("balance_transactions"):
        assert row["net"] == row["amount"] - row["fee"]
        assert row["status"] == ("available" if row["available_on"] <= NOW else "pending")
        expected[row["currency"], row["status"]] += row["net"]
    (balance,) = account.listed("balance")
    found = {(f["currency"], status): f["amount"] for status in ("available", "pending") for f in balance[status]}
    assert {key: amount for key, amount in found.items() if amount} == {k: v for k, v in expected.items() if v}


@pytest.mark.parametrize(
    ("table", "field", "target"),
    [
        ("payment_intents", "latest_charge", "charges"),
        ("charges", "payment_intent", "payment_intents"),
        ("charges", "balance_transaction", "balance_transactions"),
        ("refunds", "charge", "charges"),
        ("disputes", "charge", "charges"),
        ("invoice_payments", "invoice", "invoices"),
        ("invoice_line_items", "invoice", "invoices"),
        ("credit_notes", "invoice", "invoices"),
        ("prices", "product", "products"),
        ("subscription_items", "subscription", "subscriptions"),
        ("setup_attempts", "setup_intent", "setup_intents"),
        ("payouts", "balance_transaction", "balance_transactions"),
        ("transfers", "destination", "accounts"),
        ("issuing_transactions", "card", "issuing_cards"),
    ],
)
def test_references_lead_to_objects(account: Account, table: str, field: str, target: str) -> None:
    known = set(ids(account.listed(target)))
    assert {row[field] for row in account.listed(table) if row[field]} <= known


def test_events_are_of_the_last_thirty_days_and_of_types_stripe_has(account: Account) -> None:
    events = account.listed("events")
    assert min(event["created"] for event in events) >= NOW - 30 * DAY
    assert {event["type"] for event in events} <= event_types()
    assert all(("previous_attributes" in e["data"]) == e["type"].endswith(".updated") for e in events)


def test_the_account_has_all_four_kinds_of_currency(account: Account) -> None:
    assert {row["currency"] for row in account.listed("charges")} == {"usd", "eur", "jpy", "kwd"}
    assert all(row["amount"] % 10 == 0 for row in account.listed("charges") if row["currency"] == "kwd")


def test_growth_brings_new_objects_to_most_tables() -> None:
    account, before = grown()
    new = {name for name, rows in before.items() if set(ids_of(account.listed(name))) - set(ids_of(rows))}
    assert len(new) > 45


def ids_of(rows: list[Object]) -> list[str]:
    return [row.get("id", row["object"]) for row in rows]


@pytest.mark.parametrize(
    "name", ["customers", "invoice_items", "invoices", "product_features", "subscription_items", "products", "prices",
             "radar_value_list_items", "coupons"],
)  # fmt: skip
def test_growth_takes_objects_away(name: str) -> None:
    account, before = grown(days=20)
    kept = set(ids_of(account.listed(name)))
    assert [row["id"] for row in before[name] if row["id"] not in kept] or name in {"invoices", "products", "prices"}
    gone = {e["data"]["object"]["id"] for e in account.listed("events") if e["type"] in TABLES[name].deleted_events}
    assert gone.isdisjoint(kept)
    assert bool(gone) == bool(TABLES[name].deleted_events)


def test_growth_makes_pending_money_available_without_an_event() -> None:
    account, before = grown()
    pending = {row["id"] for row in before["balance_transactions"] if row["status"] == "pending"}
    now = {row["id"]: row["status"] for row in account.listed("balance_transactions")}
    assert pending
    assert {now[each] for each in pending} == {"available"}


def test_growth_cancels_subscriptions_that_stay_listed() -> None:
    account, before = grown(days=25)
    was = {row["id"]: row["status"] for row in before["subscriptions"]}
    now = {row["id"]: row["status"] for row in account.listed("subscriptions")}
    canceled = {each for each, status in now.items() if status == "canceled" and was.get(each) != "canceled"}
    told = {e["data"]["object"]["id"] for e in account.listed("events") if e["type"] == "customer.subscription.deleted"}
    assert canceled
    assert canceled <= told


def test_every_changed_object_with_events_of_its_kind_can_be_found_by_them() -> None:
    account, before = grown()
    told = {event["data"]["object"].get("id") for event in account.listed("events") if event["created"] > NOW}
    was = {row["id"]: row for row in before["charges"]}
    changed = {row["id"] for row in account.listed("charges") if was.get(row["id"]) != row and row["review"] is None}
    silent = {each for each in changed - told if was[each] | {"review": None} == account_row(account, each)}
    assert changed - told == silent


def account_row(account: Account, charge: str) -> Object:
    return next(row for row in account.listed("charges") if row["id"] == charge)


def test_metadata_of_a_payment_intent_changes_without_an_event() -> None:
    account, before = grown()
    was = {row["id"]: row for row in before["payment_intents"]}
    told = {event["data"]["object"].get("id") for event in account.listed("events") if event["created"] > NOW}
    silent = [
        row
        for row in account.listed("payment_intents")
        if row["id"] in was and row["id"] not in told and was[row["id"]] != row
    ]
    assert silent
    assert all(was[row["id"]] == row | {"metadata": was[row["id"]]["metadata"]} for row in silent)


@pytest.mark.parametrize(
    ("table", "created", "updated", "deleted"),
    [
        pytest.param("customers", "customer.created", "customer.updated", "customer.deleted", id="a customer"),
        pytest.param("coupons", "coupon.created", "coupon.updated", "coupon.deleted", id="a coupon"),
        pytest.param("invoice_items", "invoiceitem.created", None, "invoiceitem.deleted", id="no invoiceitem.updated"),
        pytest.param("customer_tax_ids", "customer.tax_id.created", "customer.tax_id.updated",
                     "customer.tax_id.deleted", id="a child"),
        pytest.param("radar_value_list_items", None, None, None, id="no events at all"),
        pytest.param("setup_attempts", None, None, None, id="a child without events"),
    ],
)  # fmt: skip
def test_a_single_change_makes_the_event_stripe_has_for_it(
    table: str, created: str | None, updated: str | None, deleted: str | None
) -> None:
    account = Account(customers=20, seed=3, now=NOW)
    known = set(ids(account.listed("events")))
    made = account.create(table)
    assert made in account.listed(table)
    changed = account.update(table, made["id"], livemode=True)
    assert changed == made | {"livemode": True}
    account.delete(table, made["id"])
    assert made["id"] not in ids(account.listed(table))
    types = Counter(event["type"] for event in account.listed("events") if event["id"] not in known)
    assert types == Counter(kind for kind in (created, updated, deleted) if kind)


def test_a_payment_intent_changes_without_an_updated_event() -> None:
    account = Account(customers=20, seed=3, now=NOW)
    before = account.listed("events")
    account.update("payment_intents", account.listed("payment_intents")[0]["id"], metadata={"a": "b"})
    assert account.listed("events") == before


def test_a_deleted_subscription_is_canceled_and_stays() -> None:
    account = Account(customers=20, seed=3, now=NOW)
    chosen = next(row for row in account.listed("subscriptions") if row["status"] == "active")
    account.delete("subscriptions", chosen["id"])
    (row,) = [row for row in account.listed("subscriptions") if row["id"] == chosen["id"]]
    assert (row["status"], row["canceled_at"]) == ("canceled", NOW)
    assert account.listed("events")[0]["type"] in {"customer.subscription.deleted", *event_types()}


@pytest.mark.parametrize("total", [50, 5_000], ids=["fewer than the customers would make", "more"])
def test_an_account_has_as_many_charges_as_asked(total: int) -> None:
    account = Account(customers=30, seed=1, now=NOW, charges=total)
    rows = account.listed("charges")
    assert len({row["id"] for row in rows}) == total
    assert [row["created"] for row in rows] == sorted((row["created"] for row in rows), reverse=True)


def test_too_few_charges_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 50 charges"):
        Account(customers=20, now=NOW, charges=3)


def test_events_can_be_rendered_in_another_version() -> None:
    account = Account(customers=20, seed=1, now=NOW, event_version="2024-06-20")
    assert {event["api_version"] for event in account.listed("events")} == {"2024-06-20"}

"""How a table lands is changed: it is read whole once, and no row keeps the shape it had."""

import hashlib
import hmac

import orjson
import pytest

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.sync import Cursor, TablePlan
from stripe_dataflow.warehouse import Target
from stripe_dataflow_tests.conftest import Shop

HOUR = 3600
PLAIN = {"table": "customers"}
HASHED = {"table": "customers", "hash": ["email", "address"], "exclude": ["phone"]}
RENAMED = {"table": "customers", "name": "people"}


@pytest.fixture(autouse=True)
def _hash_key(monkeypatch):
    monkeypatch.setenv("STRIPE_DATAFLOW_HASH_KEY", "first")


@pytest.fixture
def shop(make_shop):
    """Return a shop whose customers were loaded, one of them deleted since."""
    shop = make_shop(tables=[PLAIN], customers=12, days_ago=5)
    assert shop.failures(shop.run()) == {}
    shop.gone = shop.account.listed("customers")[0]
    shop.account.delete("customers", shop.gone["id"])
    assert shop.failures(shop.run()) == {}
    return shop


def modes(shop):
    return [mode for (mode,) in shop.query("select mode from _dataflow.loads order by load_id")]


def hashed(value, key="first"):
    if value is None:
        return None
    text = value.encode() if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return hmac.new(key.encode(), text, hashlib.sha256).hexdigest()


def found(shop, table="customers"):
    """Return id -> email, address and phone of every row, deleted ones too; no phone where there is no such column."""
    [there] = shop.query(f"select count(*) > 0 from (describe {table}) where column_name = 'phone'")
    rows = shop.query(f"select id, email, address::json, {'phone' if there[0] else 'null'} from {table}")
    return {key: (email, orjson.loads(address) if address else None, phone) for key, email, address, phone in rows}


def true(shop, key=None):
    """Return the same of what Stripe lists and the customer who is gone; with a key hashed and without the phone."""
    people = [*shop.account.listed("customers"), shop.gone]
    if key is None:
        return {c["id"]: (c["email"], c["address"], c["phone"]) for c in people}
    return {c["id"]: (hashed(c["email"], key), hashed(c["address"], key), None) for c in people}


def living(shop):
    """Return the same of what Stripe lists alone."""
    return {key: values for key, values in true(shop).items() if key != shop.gone["id"]}


def shows(rows, expected):
    """Tell whether the rows hold what is expected, beside those of deleted objects."""
    return all(rows[key] == values for key, values in expected.items())


def test_columns_that_are_hashed_or_excluded_later_keep_no_value_in_any_row(shop):
    assert found(shop) == true(shop)
    for expected in ("list", "changes"):
        assert shop.failures(shop.run(tables=[HASHED])) == {}
        assert found(shop) == true(shop, "first")
        assert modes(shop)[-1] == expected
    replaced = set(shop.query("select id, phone from Shop_history.customers where email not similar to '[0-9a-f]{64}'"))
    assert replaced >= {(key, phone) for key, (_, _, phone) in true(shop).items()}  # what a rollback goes back to


def test_a_rollback_beyond_the_change_brings_the_values_back_until_the_next_run(shop):
    before = found(shop)
    assert shop.failures(shop.run(tables=[HASHED])) == {}
    assert shop.operate("rollback").success
    assert found(shop) == before
    assert shop.failures(shop.run(tables=[HASHED])) == {}
    assert found(shop) == true(shop, "first")


def test_another_key_hashes_every_row_that_stripe_lists_anew(shop, monkeypatch):
    assert shop.failures(shop.run(tables=[HASHED])) == {}
    monkeypatch.setenv("STRIPE_DATAFLOW_HASH_KEY", "second")
    assert shop.failures(shop.run(tables=[HASHED])) == {}
    expected = {**true(shop, "second"), shop.gone["id"]: true(shop, "first")[shop.gone["id"]]}
    assert found(shop) == expected
    kept = shop.query("select cursor from _dataflow.cursors union select cursor_after from _dataflow.loads")
    assert "second" not in str(kept)


def test_a_table_that_is_renamed_back_is_read_whole(shop):
    for table, name in ((RENAMED, "people"), (PLAIN, "customers")):
        shop.account.advance(shop.account.now + HOUR)
        someone = shop.account.listed("customers")[0]["id"]
        shop.account.update("customers", someone, email=f"{name}@example.com")
        assert shop.failures(shop.run(tables=[table])) == {}
        assert modes(shop)[-1] == "list"
        assert shows(found(shop, name), living(shop))


def test_a_cursor_of_an_earlier_release_leads_to_the_whole_list_once(shop):
    old = orjson.dumps({"event": shop.account.now, "checked": shop.account.now, "start": 1_735_689_600}).decode()
    assert Cursor.parse(old) == Cursor(shop.account.now, shop.account.now, 1_735_689_600, landing="")
    with shop.writing() as connection:
        connection.execute("update _dataflow.cursors set cursor = ?", [old])
    for expected in ("list", "changes"):
        assert shop.failures(shop.run()) == {}
        assert modes(shop)[-1] == expected


def fail_at_events(shop, **changes):
    """Run while the key may not read events: all lands, and no cursor."""
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/events"})}
    result = shop.run(**changes)
    shop.faults.keys = None
    return result


def one_partition(shop, **changes):
    [[month]] = shop.query("select max(strftime(created, '%Y-%m-01')) from customers where _deleted_at is null")
    return shop.run(tags={"dagster/partition": month}, **changes)


@pytest.mark.parametrize(
    "run", [pytest.param(one_partition, id="one partition"), pytest.param(fail_at_events, id="without events")]
)
def test_a_change_that_is_taken_back_after_some_rows_landed_leaves_none_of_them(shop, run):
    assert shop.failures(run(shop, tables=[HASHED])) == {}
    assert found(shop) != true(shop)
    assert shop.failures(Shop.run(shop)) == {}
    assert shows(found(shop), living(shop))
    assert modes(shop)[-1] == "list"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param({"excluded": ("a", "b")}, {"excluded": ("b", "a")}, True, id="order says nothing"),
        pytest.param({"name": "x"}, {"name": "X"}, True, id="DuckDB ignores case"),
        pytest.param({"key": b"1"}, {"key": b"2"}, True, id="a key that hashes no column"),
        pytest.param({"name": "x"}, {"name": "y"}, False, id="destination"),
        pytest.param({"excluded": ("a",)}, {"excluded": ("b",)}, False, id="excluded"),
        pytest.param({"excluded": ("a",)}, {"hashed": ("a",)}, False, id="hashed instead"),
        pytest.param({"hashed": ("a",), "key": b"1"}, {"hashed": ("a",), "key": b"2"}, False, id="key"),
    ],
)
def test_a_landing_is_a_digest_of_what_rows_look_like(one, other, same):
    def landing(*, name="x", excluded=(), hashed=(), key=b""):
        target = Target("Shop", name, TABLES["customers"], excluded=excluded)
        return TablePlan(target, hashed=hashed, hash_key=key).landing

    assert (landing(**one) == landing(**other)) is same

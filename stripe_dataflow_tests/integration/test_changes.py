"""A run without a partition reads what changed, at the cost of what changed, and is exact."""

import random

import dagster as dg
import pytest

from stripe_dataflow.catalog import TABLES, stripe_columns
from stripe_dataflow.sync import Cursor
from stripe_dataflow.warehouse import quote
from stripe_dataflow_tests.conftest import Shop
from stripe_dataflow_tests.integration.test_reconcile import reconcile

HOUR = 3600


@pytest.fixture
def shop(make_shop):
    return make_shop(tables="all", customers=25, days_ago=5)


def differences(shop):
    """Return the tables whose rows are not the objects that Stripe lists.

    Where Stripe hides objects that still exist (old events, closed reviews) the table keeps them.
    """
    with shop.reading():
        return [
            name
            for name, table in ((name, TABLES[name]) for name in shop.dataflow().tables)
            if (landed := shop.keys(name)) != (true := shop.true_keys(name))
            and (table.deletable or not set(landed) > set(true))
        ]


def asked(shop, since):
    """Return the paths asked for after some number of requests."""
    return [path for _, path, _ in list(shop.sandbox.requests)[since:]]


def test_nothing_new_costs_few_requests_and_changes_no_row(make_shop):
    tables = [t.name for t in TABLES.values() if t.keep_current == "events" and not t.look_back_days and not t.parents]
    shop = make_shop(tables=tables, customers=25, days_ago=5)
    assert shop.failures(shop.run()) == {}
    before = len(shop.sandbox.requests)
    assert shop.failures(shop.run()) == {}
    assert len(asked(shop, before)) <= 10
    assert shop.query("select sum(inserted + updated + deleted) from _dataflow.loads where load_id = 2") == [(0,)]


def test_a_changed_a_new_and_a_deleted_object_arrive_by_their_events(make_shop):
    shop = make_shop(tables=["customers", "customer_tax_ids", "charges"], customers=25, days_ago=5)
    assert shop.failures(shop.run()) == {}
    shop.account.advance(shop.account.now + HOUR)
    one, other = (c["id"] for c in shop.account.listed("customers")[:2])
    shop.account.update("customers", one, email="new@example.com")
    shop.account.delete("customers", other)
    shop.account.create("customers", email="first@example.com")
    before = len(shop.sandbox.requests)
    assert shop.failures(shop.run()) == {}
    for table in ("customers", "customer_tax_ids", "charges"):
        assert shop.keys(table) == shop.true_keys(table)
    assert shop.query(f"select email from customers where id = '{one}'") == [("new@example.com",)]
    assert shop.query(f"select _deleted_at is not null from customers where id = '{other}'") == [(True,)]
    assert len(asked(shop, before)) <= 12


def test_rounds_of_churn_on_every_table_stay_exact(shop):
    assert shop.failures(shop.run()) == {}
    assert differences(shop) == []
    for _ in range(2):
        shop.account.advance(shop.account.now + 21 * HOUR)
        assert shop.failures(shop.run()) == {}
        assert differences(shop) == []


def test_single_changes_of_random_objects_stay_exact(make_shop):
    names = [name for name, table in TABLES.items() if not table.parents and not table.snapshot and table.events]
    shop = make_shop(tables=names, customers=25, days_ago=5)
    assert shop.failures(shop.run()) == {}
    chance = random.Random(5)
    for _ in range(2):
        shop.account.advance(shop.account.now + 60)
        for name in chance.sample(names, 24):
            objects = shop.account.listed(name)
            if objects and "metadata" in objects[0]:
                shop.account.update(name, chance.choice(objects)["id"], metadata={"round": "x"})
            shop.account.create(name)
        assert shop.failures(shop.run()) == {}
        assert differences(shop) == []


def test_an_event_that_shows_up_late_is_seen_by_the_next_run(make_shop):
    shop = make_shop(tables=["customers"], customers=25, days_ago=5)
    assert shop.failures(shop.run()) == {}
    shop.account.advance(shop.account.now + HOUR)
    shop.account.create("customers")
    assert shop.failures(shop.run()) == {}
    shop.account.create("customers")  # in the same second as the newest event
    assert shop.failures(shop.run()) == {}
    assert shop.keys("customers") == shop.true_keys("customers")


def test_a_start_date_moved_back_leads_to_the_whole_list(make_shop):
    shop = make_shop(tables=["customers"], customers=25, days_ago=5)
    assert shop.failures(shop.run()) == {}
    before = len(shop.sandbox.requests)
    assert shop.failures(shop.run(start_date="2024-12-01")) == {}  # the table was never read from there
    assert [path for path in asked(shop, before) if path.startswith("/v1/customers?")]
    assert shop.keys("customers") == shop.true_keys("customers")


@pytest.mark.parametrize(
    ("days", "mode"),
    [pytest.param(28, "changes", id="within retention"), pytest.param(29, "list", id="events have aged out")],
)
def test_a_cursor_is_good_for_as_long_as_events_are_kept(days, mode):
    cursor = Cursor(event=100, checked=1_000, start=0)
    assert cursor.covers(0, 1_000 + days * 86_400) is (mode == "changes")


def test_a_payload_of_another_version_turns_no_column_null(make_shop):
    shop = make_shop(tables=["charges", "invoices"], customers=25, days_ago=5, event_version="2020-08-27")
    assert shop.failures(shop.run()) == {}
    shop.account.advance(shop.account.now + HOUR)
    for table in ("charges", "invoices"):
        shop.account.update(table, shop.account.listed(table)[0]["id"], metadata={"a": "b"})
    assert shop.failures(shop.run()) == {}
    for table in ("charges", "invoices"):
        newest = shop.account.listed(table)[0]
        columns = [c.name for c in stripe_columns(TABLES[table])]
        [row] = shop.query(f"select {', '.join(map(quote, columns))} from {table} where id = '{newest['id']}'")
        assert [c for c, v in zip(columns, row, strict=True) if v is None and newest.get(c) is not None] == []


def test_a_key_that_may_not_read_events_lists_everything_each_time(make_shop):
    shop = make_shop(tables=["customers"], customers=25, days_ago=5)
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/events"})}
    assert shop.failures(shop.run()) == {}
    shop.account.create("customers")
    assert shop.failures(shop.run()) == {}
    assert shop.keys("customers") == shop.true_keys("customers")
    assert shop.query("select distinct mode from _dataflow.loads") == [("list",)]


def test_a_run_without_a_partition_fills_the_partitions_that_hold_rows(make_shop):
    shop = make_shop(tables=["charges"], customers=25, days_ago=5)
    assert shop.failures(shop.run()) == {}
    filled = shop.instance.get_materialized_partitions(dg.AssetKey(["Shop", "charges"]))
    true = {month for (month,) in shop.query("select distinct strftime(created, '%Y-%m-01') from charges")}
    assert true <= filled


def test_what_a_customer_may_use_arrives_by_an_event_that_has_no_id(make_shop):
    shop = make_shop(tables=["active_entitlements", "customers"], customers=25, days_ago=5)
    assert shop.failures(shop.run()) == {}
    shop.account.advance(shop.account.now + HOUR)
    taken = shop.account.listed("active_entitlements")[3]
    shop.account.delete("active_entitlements", taken["id"])
    granted = shop.account.create("active_entitlements", _parent_id=shop.account.listed("customers")[-1]["id"])
    before = len(shop.sandbox.requests)
    assert shop.failures(shop.run()) == {}
    keys = shop.keys("active_entitlements")
    assert keys == shop.true_keys("active_entitlements")
    assert ((granted["id"],) in keys, (taken["id"],) in keys) == (True, False)
    assert len([path for path in asked(shop, before) if path.startswith("/v1/entitlements/active")]) <= 4


def test_a_changed_parent_costs_nothing_where_only_children_are_wanted_that_have_events_of_their_own(make_shop):
    shop = make_shop(tables=["active_entitlements"], customers=25, days_ago=5)
    assert shop.failures(shop.run()) == {}
    shop.account.advance(shop.account.now + HOUR)
    for customer in shop.account.listed("customers")[:3]:
        shop.account.update("customers", customer["id"], metadata={"changed": "yes"})
    before = len(shop.sandbox.requests)
    assert shop.failures(shop.run()) == {}
    assert [path for path in asked(shop, before) if path.startswith("/v1/customers")] == []
    assert shop.keys("active_entitlements") == shop.true_keys("active_entitlements")


def test_what_an_event_tells_of_an_older_parent_does_not_land(make_shop):
    tables = ["customers", "customer_cash_balance_transactions"]
    shop = make_shop(tables=tables, customers=25, days_ago=5, start_date="2026-06-01")
    assert shop.failures(shop.run()) == {}
    shop.account.advance(shop.account.now + HOUR)
    newest, *_, oldest = (customer["id"] for customer in shop.account.listed("customers"))
    landed, left_out = (
        shop.account.create("customer_cash_balance_transactions", _parent_id=parent)["id"]
        for parent in (newest, oldest)
    )
    assert shop.failures(shop.run()) == {}
    keys = shop.keys("customer_cash_balance_transactions")
    assert ((landed,) in keys, (left_out,) in keys) == (True, False)


@pytest.mark.parametrize("table", ["charges", "customers", "prices"])
def test_what_an_event_tells_of_an_older_object_does_not_land(make_shop, table):
    shop = make_shop(tables=[table], customers=25, days_ago=5, start_date="2026-06-01")
    assert shop.failures(shop.run()) == {}
    shop.account.advance(shop.account.now + HOUR)
    newest, *_, oldest = shop.account.listed(table)
    assert oldest["created"] < shop.start <= newest["created"]
    for changed in (newest, oldest):
        shop.account.update(table, changed["id"], metadata={"changed": "yes"})
    assert shop.failures(shop.run()) == {}
    assert shop.keys(table) == shop.true_keys(table)


@pytest.mark.parametrize("count", [pytest.param(1, id="one"), pytest.param(3, id="more of a day")])
@pytest.mark.parametrize(
    "runs",
    [
        pytest.param([Shop.run], id="changes"),
        pytest.param([reconcile], id="reconcile"),
        pytest.param([Shop.run_all_partitions, Shop.run_all_partitions, Shop.run], id="list, then changes"),
    ],
)
def test_a_review_that_is_closed_arrives_though_the_list_does_not_show_it(make_shop, count, runs):
    shop = make_shop(tables=["reviews"], customers=25, days_ago=5)
    shop.account.advance(shop.account.now + HOUR)
    made = [shop.account.create("reviews")["id"] for _ in range(count)]
    assert shop.failures(shop.run()) == {}
    shop.account.advance(shop.account.now + HOUR)
    for review in made:
        shop.account.state.change("reviews", review, event="review.closed", open=False, closed_reason="approved")
    shop.account.advance(shop.account.now + HOUR)
    shop.account.create("reviews")  # so that the newest event is none of theirs
    for run in runs:
        assert shop.failures(run(shop)) == {}
    found = dict(shop.query("select id, open from reviews where _deleted_at is null"))
    assert [found[review] for review in made] == [False] * count


def test_what_a_review_or_a_dispute_changes_of_its_charge_arrives_with_their_events(make_shop):
    shop = make_shop(tables=["charges", "payment_intents"], customers=25, days_ago=5)
    assert shop.failures(shop.run()) == {}
    shop.account.advance(shop.account.now + HOUR)
    reviewed, disputed = (c for c in shop.account.listed("charges")[-2:])
    review = shop.account.create("reviews", charge=reviewed["id"], payment_intent=reviewed["payment_intent"])
    for table, object_id in (("charges", reviewed["id"]), ("payment_intents", reviewed["payment_intent"])):
        shop.account.state.change(table, object_id, review=review["id"])  # Stripe makes no event of it
    shop.account.create("disputes", charge=disputed["id"])
    shop.account.state.change("charges", disputed["id"], disputed=True)
    assert shop.failures(shop.run()) == {}
    assert shop.query(f"select review from charges where id = '{reviewed['id']}'") == [(review["id"],)]
    assert shop.query(f"select count(*) from payment_intents where review = '{review['id']}'") == [(1,)]
    assert shop.query(f"select disputed from charges where id = '{disputed['id']}'") == [(True,)]

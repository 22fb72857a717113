"""What Stripe's lists leave out lands as well: customers on test clocks, inline prices, canceled subscriptions."""

import pytest

HOUR = 3600


@pytest.fixture
def clocked(make_shop):
    """Return a shop with a customer, a subscription and a quote on a test clock, and the tables these are in."""
    tables = ["customers", "customer_tax_ids", "subscriptions", "subscription_items", "quotes"]
    shop = make_shop(tables=tables, customers=25, days_ago=5)
    clock = shop.account.start_clock()
    for table in ("customers", "subscriptions", "quotes"):
        shop.account.conceal(table, shop.account.listed(table)[3]["id"], test_clock=clock)
    return shop


def wrong(shop):
    """Return the tables whose rows are not the account's objects."""
    return [table for table in shop.attributes["tables"] if shop.keys(table) != shop.true_keys(table)]


def test_objects_on_a_test_clock_land_with_the_whole_list(clocked):
    for run in (clocked.run, clocked.run_all_partitions):
        assert clocked.failures(run()) == {}
        assert wrong(clocked) == []
    assert clocked.query("select count(*) from customers where test_clock is not null") == [(1,)]


def test_a_change_of_a_customer_on_a_test_clock_arrives_and_the_customer_stays(clocked):
    assert clocked.failures(clocked.run()) == {}
    clocked.account.advance(clocked.account.now + HOUR)
    [customer] = [c["id"] for c in clocked.account.listed("customers") if c["test_clock"]]
    clocked.account.update("customers", customer, email="late@example.com")
    assert clocked.failures(clocked.run()) == {}
    assert wrong(clocked) == []
    assert clocked.query(f"select email from customers where id = '{customer}'") == [("late@example.com",)]


def test_a_live_account_is_not_asked_for_test_clocks(make_shop, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "rk_live_shop")
    shop = make_shop(tables=["customers"])
    assert shop.failures(shop.run()) == {}
    assert [path for _, path, _ in shop.sandbox.requests if "test_clock" in path] == []


def test_a_key_that_may_not_read_test_clocks_reads_the_rest(clocked):
    clocked.faults.keys = {"sk_test_shop": frozenset({"/v1/test_helpers"})}
    assert clocked.failures(clocked.run()) == {}
    assert clocked.query("select count(*) from customers where test_clock is not null") == [(0,)]


def hide_a_price(shop):
    """Return a price that the list leaves out and a subscription item holds, as one made with `price_data`."""
    item = shop.account.listed("subscription_items")[0]
    shop.account.conceal("prices", item["price"]["id"])
    return item["price"]["id"]


@pytest.mark.parametrize("whole", [pytest.param(True, id="whole list"), pytest.param(False, id="changes")])
def test_an_inline_price_lands_from_where_it_is_used_and_stays(make_shop, whole):
    shop = make_shop(tables=["prices", "subscription_items"], customers=25, days_ago=5)
    price = hide_a_price(shop)
    for _ in range(2):
        assert shop.failures(shop.run_all_partitions() if whole else shop.run()) == {}
        assert wrong(shop) == []
    [row] = shop.query(f"select currency, unit_amount, _deleted_at from prices where id = '{price}'")
    true = next(p for p in shop.account.listed("prices") if p["id"] == price)
    assert row == (true["currency"], true["unit_amount"], None)


@pytest.mark.parametrize("whole", [pytest.param(True, id="whole list"), pytest.param(False, id="changes")])
def test_an_inline_price_from_before_the_start_date_stays_out(make_shop, whole):
    shop = make_shop(tables=["prices", "subscription_items"], customers=25, days_ago=5, start_date="2026-06-01")
    assert shop.failures(shop.run()) == {}
    old = shop.account.create("prices", created=shop.start - 1)["id"]
    inline = shop.account.create("prices", created=shop.start)["id"]
    for item, price in zip(shop.account.listed("subscription_items"), (old, inline), strict=False):
        shop.account.conceal("prices", price)
        shop.account.update("subscription_items", item["id"], price=shop.account.state.get("prices", price))
        shop.account.update("subscriptions", item["subscription"], metadata={"changed": "yes"})
    for _ in range(2):
        assert shop.failures(shop.run_all_partitions() if whole else shop.run()) == {}
        seen = shop.query(f"select count(*) from subscription_items where price->>'id' in ('{old}', '{inline}')")
        assert seen == [(2,)]
        keys = shop.keys("prices")
        assert ((old,) in keys, (inline,) in keys) == (False, True)


def test_a_price_that_is_used_nowhere_and_not_listed_is_gone(make_shop):
    shop = make_shop(tables=["prices", "subscription_items"], customers=25, days_ago=5)
    assert shop.failures(shop.run()) == {}
    unused = shop.account.create("prices")["id"]
    assert shop.failures(shop.run()) == {}
    shop.account.state.remove("prices", unused)
    assert shop.failures(shop.run_all_partitions()) == {}
    assert shop.query(f"select _deleted_at is not null from prices where id = '{unused}'") == [(True,)]

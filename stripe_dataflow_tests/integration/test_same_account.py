"""Rows of two accounts, or of live and test data, never mix in one schema."""

import pytest

from stripe_dataflow.cli.showing import plan_lines


@pytest.fixture
def shop(make_shop):
    shop = make_shop(tables=["products"], customers=5)
    assert shop.failures(shop.run()) == {}
    return shop


def no_account(shop, key):
    """Let a key read all but the account."""
    shop.faults.keys = {key: frozenset({"/v1/account"})}


def test_the_key_of_another_account_is_refused_and_changes_nothing(shop, make_shop):
    other = make_shop(tables=["products"], customers=5, seed=2)
    before = shop.rows()
    failed = shop.failures(shop.run(api_base=other.sandbox.url))
    mine, theirs = (each.account.snapshot("account")["id"] for each in (shop, other))
    assert (
        f"Shop holds rows of {mine} (test mode), but the key in SHOP_KEY is of {theirs} (test mode)"
        in (failed["products"])
    )
    assert "Nothing was read. The table keeps the rows it had." in failed["products"]
    assert [path for _, path, _ in other.sandbox.requests if path.startswith("/v1/products")] == []
    assert shop.rows() == before
    assert shop.failures(shop.run()) == {}


def test_a_live_key_is_refused_where_test_data_lie(shop, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "sk_live_shop")
    assert "(live mode): two accounts, or live and test data, never mix" in shop.failures(shop.run())["products"]


def test_a_new_key_that_may_not_know_its_account_goes_on(shop, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "rk_test_rotated")
    no_account(shop, "rk_test_rotated")
    assert shop.failures(shop.run()) == {}
    assert shop.query("select account from _dataflow.accounts") == [(shop.account.snapshot("account")["id"],)]


def test_an_account_that_was_not_known_is_noted_once_it_is(make_shop):
    shop = make_shop(tables=["products"], customers=5)
    no_account(shop, "sk_test_shop")
    assert shop.failures(shop.run()) == {}
    assert shop.query("select account, live from _dataflow.accounts") == [("", False)]
    shop.faults.keys = None
    assert shop.failures(shop.run()) == {}
    assert shop.query("select account from _dataflow.accounts") == [(shop.account.snapshot("account")["id"],)]


def test_the_plan_says_that_every_run_will_be_refused(shop, make_shop):
    assert plan_lines(shop.dataflow()) == ["Nothing differs from the last run: it will bring each table up to date."]
    other = make_shop(tables=["products"], customers=5, seed=2)
    [line] = plan_lines(shop.dataflow(api_base=other.sandbox.url))
    assert line.startswith("Every run will be refused: Shop holds rows of acct_")
    assert line.endswith("Give the new one a dataflow of another name, or run Shop__remove first.")


def test_a_removed_dataflow_may_be_loaded_from_another_account(shop, make_shop):
    assert shop.operate("remove", confirm="Shop", dry_run=False).success
    other = make_shop(tables=["products"], customers=5, seed=2)
    assert shop.failures(shop.run(api_base=other.sandbox.url)) == {}
    assert shop.query("select account from _dataflow.accounts") == [(other.account.snapshot("account")["id"],)]

"""Child lists beside their parents': one that is refused, one whose cursor is gone, parents that are all gone."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

import pytest

from stripe_dataflow.sandbox import Account, Faults
from stripe_dataflow_tests.integration.test_reconcile import reconcile

HOUR = 3600
TAX_IDS = r"/v1/customers\b.*tax_ids"  # asked for by themselves, or within their customers


def wrong(shop, *tables):
    """Return the tables whose rows are not the account's objects."""
    return [table for table in tables if shop.keys(table) != shop.true_keys(table)]


def test_a_child_that_fails_while_its_parents_are_still_listed_fails_alone(make_shop):
    tables = ["customers", "active_entitlements", "customer_balance_transactions"]
    shop = make_shop(tables=tables, customers=230)
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/entitlements"})}
    # The parents' second page takes its time, until the refused child's step has failed.
    shop.faults.rates, shop.faults.path, shop.faults.times = {"503": 1.0}, r"/v1/customers\?.*starting_after", 4
    shop.faults.retry_after = "1"
    assert list(shop.failures(shop.run())) == ["active_entitlements"]
    assert wrong(shop, "customers", "customer_balance_transactions") == []


@pytest.mark.parametrize("many", [pytest.param(False, id="asked for by id"), pytest.param(True, id="listed again")])
def test_a_right_to_children_that_is_taken_away_fails_them_and_not_their_parents(make_shop, many):
    shop = make_shop(tables=["customers", "customer_tax_ids"], customers=25, days_ago=5)
    assert shop.failures(shop.run()) == {}
    shop.account.advance(shop.account.now + HOUR)
    for _ in range(20 if many else 1):
        shop.account.create("customers")
    shop.faults.keys = {"sk_test_shop": frozenset({TAX_IDS})}
    failed = shop.failures(shop.run())
    assert list(failed) == ["customer_tax_ids"]
    assert "rak_tax_id_read" in failed["customer_tax_ids"]
    assert wrong(shop, "customers") == []


class Deleting(Faults):
    """Deletes children as soon as what lies behind those that came with their parent is asked for."""

    account: Account
    doomed: Sequence[str] = ()

    def draw(self, path_with_query):
        """Let the objects be gone; the answer is the account's own."""
        url = urlsplit(path_with_query)
        if self.doomed and re.search("/tax_ids$", url.path) and "starting_after" in parse_qs(url.query):
            doomed, self.doomed = self.doomed, ()
            for object_id in doomed:
                self.account.delete("customer_tax_ids", object_id)
        return Faults.draw(self, path_with_query)


@pytest.mark.parametrize("count", [pytest.param(1, id="the last"), pytest.param(10, id="all that came along")])
def test_children_deleted_behind_those_that_came_with_their_parent_take_no_other_with_them(make_shop, count):
    deleting = Deleting()
    shop = make_shop(tables=["customers", "customer_tax_ids"], customers=5, days_ago=5, faults=deleting)
    deleting.account = shop.account
    shop.account.advance(shop.account.now + HOUR)
    customer = shop.account.create("customers")["id"]
    made = [shop.account.create("customer_tax_ids", _parent_id=customer)["id"] for _ in range(25)]
    assert shop.failures(shop.run()) == {}
    assert wrong(shop, "customer_tax_ids") == []
    deleting.doomed = made[-10:][:count]  # the newest come along, newest first
    assert shop.failures(shop.run_all_partitions()) == {}
    assert set(shop.true_keys("customer_tax_ids")) <= set(shop.keys("customer_tax_ids"))
    assert len(shop.true_keys("customer_tax_ids")) >= 25 - count
    assert shop.failures(shop.run_all_partitions()) == {}
    assert wrong(shop, "customer_tax_ids") == []


def test_the_children_of_parents_that_are_all_gone_without_an_event_go_with_them(make_shop):
    shop = make_shop(tables=["subscriptions", "subscription_items"], customers=25, days_ago=5)
    assert shop.failures(shop.run()) == {}
    for table in ("subscription_items", "subscriptions"):
        for gone in shop.account.listed(table):
            shop.account.state.remove(table, gone["id"])
    assert shop.failures(reconcile(shop)) == {}
    assert wrong(shop, "subscriptions", "subscription_items") == []

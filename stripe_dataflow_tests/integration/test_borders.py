"""Where pages and runs meet: equal seconds, a page's last object deleted, a row in the cursor's own second."""

from urllib.parse import parse_qs, urlsplit

import pytest

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.sandbox import Account, Faults
from stripe_dataflow_tests.integration.test_loading import content, true_content

HOUR = 3600


@pytest.fixture
def shop(make_shop):
    return make_shop(tables=["customers"], customers=10, days_ago=5)


def is_exact(shop):
    """Tell whether each table holds the account's objects, ids and content."""
    return all(content(shop, name) == true_content(shop, name) for name in shop.attributes["tables"])


def create_in_one_second(shop, count):
    """Make some customers within a second."""
    shop.account.advance(shop.account.now + HOUR)
    for number in range(count):
        shop.account.create("customers", email=f"{number}@example.com")
    return shop.account.now


def cursors(shop):
    """Return the ids that pages of customers were asked for behind."""
    paths = [path for _, path, _ in shop.sandbox.requests if path.startswith("/v1/customers?")]
    queries = [parse_qs(urlsplit(path).query) for path in paths]
    return [query["starting_after"][0] for query in queries if "starting_after" in query]


def run(shop, whole):
    """Run for all partitions, or for what changed."""
    return shop.failures(shop.run_all_partitions() if whole else shop.run())


WHOLE = pytest.mark.parametrize("whole", [pytest.param(True, id="list"), pytest.param(False, id="changes")])


@WHOLE
@pytest.mark.parametrize("newer", [pytest.param(99, id="the 100th and 101st"), pytest.param(0, id="several pages")])
def test_objects_of_one_second_on_both_sides_of_a_page_border_all_land(shop, whole, newer):
    assert run(shop, whole) == {}
    second = create_in_one_second(shop, 250 if not newer else 2)
    for number in range(newer):
        shop.account.advance(second + 1 + number)
        shop.account.create("customers")
    newest = shop.account.listed("customers")
    assert newest[99]["created"] == newest[100]["created"] == second
    assert run(shop, whole) == {}
    assert newest[99]["id"] in cursors(shop)
    assert is_exact(shop)


class Deleting(Faults):
    """Deletes the object that a page is asked for behind, once, before that is answered."""

    account: Account
    table = ""
    deleted = ""

    def draw(self, path_with_query):
        """Let the object be gone; the answer is the account's own."""
        url = urlsplit(path_with_query)
        behind = parse_qs(url.query).get("starting_after", [""])[0]
        if behind and not self.deleted and self.table and url.path == TABLES[self.table].path:
            self.deleted = behind
            self.account.delete(self.table, behind)
        return Faults.draw(self, path_with_query)


@WHOLE
@pytest.mark.parametrize("table", ["customers", "webhook_endpoints"])
def test_an_object_deleted_between_two_pages_hides_no_other_and_is_gone_after_the_next_run(make_shop, table, whole):
    deleting = Deleting()
    shop = make_shop(tables=[table], customers=10, days_ago=5, faults=deleting)
    deleting.account = shop.account
    assert run(shop, whole) == {}
    shop.account.advance(shop.account.now + HOUR)
    for _ in range(250):
        shop.account.create(table)
    deleting.table = table
    assert run(shop, whole) == {}
    statuses = [status for _, path, status in shop.sandbox.requests if f"starting_after={deleting.deleted}" in path]
    assert statuses == [400]
    # It was there when its page was read, so the run may keep it; nothing else is missing or too many.
    assert set(shop.keys(table)) - {(deleting.deleted,)} == set(shop.true_keys(table))
    assert run(shop, whole) == {}
    assert is_exact(shop)


@pytest.mark.parametrize("first", [pytest.param(True, id="after a list"), pytest.param(False, id="after changes")])
def test_rows_made_and_changed_in_the_cursors_own_second_arrive_with_the_next_run(shop, first):
    assert run(shop, first) == {}
    create_in_one_second(shop, 1)
    assert run(shop, first) == {}
    [(cursor,)] = shop.query("select cursor->>'event' from _dataflow.cursors")
    late = shop.account.create("customers", email="late@example.com")
    other = shop.account.listed("customers")[-1]["id"]
    shop.account.update("customers", other, email="changed@example.com")
    assert late["created"] == int(cursor) == shop.account.now
    assert run(shop, False) == {}
    assert shop.query("select mode from _dataflow.loads order by load_id desc limit 1") == [("changes",)]
    assert is_exact(shop)


@pytest.mark.parametrize("clock_s", [pytest.param(-72 * HOUR, id="behind"), pytest.param(72 * HOUR, id="ahead")])
def test_what_is_gone_is_dated_by_stripes_clock_also_where_nothing_is_left_to_list(make_shop, clock_s):
    shop = make_shop(tables=["customers", "products"], customers=4, days_ago=9, faults=Faults(clock_s=clock_s))
    assert shop.failures(shop.run_all_partitions()) == {}
    shop.account.advance(shop.account.now + HOUR)
    shop.faults.clock_s += 60  # `Date` has whole seconds: two runs within one would be in no order
    for customer in shop.account.listed("customers"):
        shop.account.delete("customers", customer["id"])
    assert shop.failures(shop.run_all_partitions()) == {}
    assert shop.keys("customers") == []
    off = "abs(epoch(_deleted_at) - epoch(now()) - {0}) > 600 or abs(epoch(_loaded_at) - epoch(now()) - {0}) > 600"
    assert shop.query(f"select count(*), count(*) filter ({off.format(clock_s)}) from customers")[0][1] == 0

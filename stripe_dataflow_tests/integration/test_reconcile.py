"""A reconciling run finds what no event told of, and says so."""

import dagster as dg
import pytest

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.orchestration.jobs import dataflow_definitions
from stripe_dataflow.stripe_api import Window
from stripe_dataflow.sync import recheck

DAY = 86_400
TABLES_HERE = ["customers", "charges", "invoices", "invoice_line_items", "refunds", "payment_methods"]


def reconcile(shop):
    dataflow = shop.dataflow()
    job = dataflow_definitions(dataflow).resolve_job_def("Shop__reconcile")
    return job.execute_in_process(instance=shop.instance, raise_on_error=False)


def told(shop, table):
    """Return what the newest materialization says was missed."""
    event = shop.instance.get_latest_materialization_event(dg.AssetKey(["Shop", table]))
    return event.asset_materialization.metadata["changed without an event"].value


@pytest.fixture
def shop(make_shop):
    shop = make_shop(tables=TABLES_HERE, customers=40, days_ago=1)
    assert shop.failures(shop.run()) == {}
    return shop


def silently(shop, table, object_id, **fields):
    """Change an object as Stripe does without an event."""
    shop.account.state.change(table, object_id, **fields)


def test_a_recent_change_without_an_event_is_found_and_named(shop):
    charge = shop.account.listed("charges")[0]["id"]
    silently(shop, "charges", charge, description="edited in silence")
    assert shop.failures(shop.run()) == {}
    assert shop.query(f"select description from charges where id = '{charge}'") != [("edited in silence",)]
    assert shop.failures(reconcile(shop)) == {}
    assert shop.query(f"select description from charges where id = '{charge}'") == [("edited in silence",)]
    assert told(shop, "charges") == f"1: {charge}"
    assert told(shop, "customers") == "none"


def test_what_an_event_tells_of_is_not_called_missed(shop):
    customer = shop.account.listed("customers")[0]["id"]
    shop.account.update("customers", customer, email="new@example.com")
    assert shop.failures(reconcile(shop)) == {}
    assert shop.query(f"select email from customers where id = '{customer}'") == [("new@example.com",)]
    assert told(shop, "customers") == "none"


def test_an_old_object_gone_without_an_event_is_found_by_the_count(shop):
    oldest = shop.account.listed("invoices")[-1]["id"]
    shop.account.state.remove("invoices", oldest)
    before = len(shop.sandbox.requests)
    assert shop.failures(reconcile(shop)) == {}
    for table in ("invoices", "invoice_line_items"):
        assert shop.keys(table) == shop.true_keys(table)
    assert told(shop, "invoices") == f"1: {oldest}"
    lists = [path for _, path, _ in list(shop.sandbox.requests)[before:] if path.startswith("/v1/invoices?")]
    listed_months = {path.partition("created[gte]=")[2].partition("&")[0] for path in map(_readable, lists)}
    assert len(listed_months) <= 3  # the oldest, and the recent ones as one


def test_what_stripe_cannot_count_is_listed_in_turn(shop):
    oldest = shop.account.listed("refunds")[-1]
    silently(shop, "refunds", oldest["id"], metadata={"edited": "in silence"})
    months = shop.query("select count(distinct partition_gte) from _dataflow.partitions where table_name = 'refunds'")
    for _ in range(months[0][0]):
        assert shop.failures(reconcile(shop)) == {}
        if told(shop, "refunds") != "none":
            break
    assert told(shop, "refunds") == f"1: {oldest['id']}"


def test_a_list_that_cannot_be_counted_or_windowed_is_read_whole(shop):
    method = shop.account.listed("payment_methods")[-1]["id"]
    silently(shop, "payment_methods", method, metadata={"edited": "in silence"})
    assert shop.failures(reconcile(shop)) == {}
    assert shop.query(f"select metadata->>'edited' from payment_methods where id = '{method}'") == [("in silence",)]


def test_an_account_without_search_is_listed_instead(shop):
    shop.faults.not_enabled = ["/v1/invoices/search"]
    oldest = shop.account.listed("invoices")[-1]["id"]
    shop.account.state.remove("invoices", oldest)
    assert shop.failures(reconcile(shop)) == {}
    assert shop.keys("invoices") == shop.true_keys("invoices")


def test_spans_are_counted_that_hold_fewer_than_stripe_counts_exactly():
    month, other, recent = Window(0, 30 * DAY), Window(30 * DAY, 60 * DAY), Window(360 * DAY, 390 * DAY)
    rows = {0: 6_000, 10: 6_000, 20: 3_000, 31: 5}
    found = recheck(TABLES["charges"], [month, other, recent], now=390 * DAY, rows_by_day=rows, listed_at={0: 7})
    assert found.counted == {Window(0, 10 * DAY): 6_000, Window(10 * DAY, 30 * DAY): 9_000}
    assert found.listed == (other, recent)  # the older one that was listed longest ago


def test_a_partition_with_a_day_too_large_to_count_is_listed_in_turn():
    months = [Window(0, 30 * DAY), Window(30 * DAY, 60 * DAY)]
    found = recheck(TABLES["charges"], months, now=390 * DAY, rows_by_day={3: 10_000, 40: 10_000}, listed_at={0: 7})
    assert found.counted == {}
    assert found.listed == (months[1],)


def _readable(path):
    return path.replace("%5B", "[").replace("%5D", "]")

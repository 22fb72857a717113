"""What hides, hangs together or changes in the sandbox does as at Stripe: children, stubs, events, usage."""

from typing import Any

import pytest

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.sandbox import Account, Sandbox
from stripe_dataflow_tests.sandbox.asking import DAY, LISTS, NOW, all_pages, get


def test_canceled_subscriptions_are_listed_only_when_asked_for(account: Account, sandbox: Sandbox) -> None:
    rows = account.listed("subscriptions")
    assert "canceled" in {row["status"] for row in rows}
    assert all_pages(sandbox, "/v1/subscriptions", 20) == [row for row in rows if row["status"] != "canceled"]
    ended = all_pages(sandbox, "/v1/subscriptions?status=ended", 20)
    assert ended == [row for row in rows if row["status"] == "canceled"]


def test_closed_reviews_come_only_by_id(account: Account, sandbox: Sandbox) -> None:
    closed = account.state.shelves["reviews"].where("open", value=False)[0][1]
    assert closed not in get(sandbox, "/v1/reviews?limit=100").ids
    assert get(sandbox, f"/v1/reviews/{closed}").body["open"] is False


def test_tax_ids_are_the_accounts_own(sandbox: Sandbox) -> None:
    assert {item["owner"]["type"] for item in get(sandbox, "/v1/tax_ids").body["data"]} == {"self"}


@pytest.mark.parametrize("table", ["customers", "coupons", "products"])
def test_a_deleted_object_leaves_a_stub_at_its_id(table: str) -> None:
    account = Account(customers=20, seed=2, now=NOW)
    made = account.create(table)
    account.delete(table, made["id"])
    with Sandbox(account) as sandbox:
        answer = get(sandbox, f"{TABLES[table].path}/{made['id']}")
        assert answer.body == {"id": made["id"], "object": made["object"], "deleted": True}
        cursor = get(sandbox, f"{TABLES[table].path}?starting_after={made['id']}")
    assert cursor.refusal[:2] == (400, "resource_missing")


def test_a_deleted_customers_children_are_gone() -> None:
    account = Account(customers=20, seed=2, now=NOW)
    customer = account.parent_ids("customer_tax_ids")[0]
    account.delete("customers", customer)
    with Sandbox(account) as sandbox:
        assert get(sandbox, f"/v1/customers/{customer}/tax_ids").status == 404
    assert customer not in account.parent_ids("customer_tax_ids")


@pytest.mark.parametrize("name", [name for name, table in LISTS.items() if table.embedded])
def test_an_embedded_list_continues_at_its_url(account: Account, sandbox: Sandbox, name: str) -> None:
    table = TABLES[name]
    parents = account.parent_ids(name)
    fullest = max(sorted(set(parents)), key=parents.count)
    path = f"{TABLES[str(table.parent)].path}/{fullest}"
    plain = get(sandbox, path).body
    assert (table.embedded in plain) is not table.expanded
    shown = get(sandbox, f"{path}?expand[]={table.embedded}").body if table.expanded else plain
    embedded = shown[table.embedded]
    assert (embedded["object"], len(embedded["data"]), embedded["has_more"]) == ("list", 10, True)
    joint = "&" if "?" in embedded["url"] else "?"
    rest = get(sandbox, f"{embedded['url']}{joint}limit=100&starting_after={embedded['data'][-1]['id']}").body
    whole = [row for row, parent in zip(account.listed(name), parents, strict=True) if parent == fullest]
    assert (embedded["data"] + rest["data"], rest["has_more"]) == (whole, False)


def test_expanded_references_are_the_objects_themselves(account: Account, sandbox: Sandbox) -> None:
    tables = ("charges", "balance_transactions", "customers")
    known = {row["id"]: row for name in tables for row in account.listed(name)}
    rows = {row["id"]: row for row in account.listed("payment_intents")}
    path = "/v1/payment_intents?limit=100&expand[]=data.latest_charge.balance_transaction&expand[]=data.customer"
    for shown in get(sandbox, path).body["data"]:
        row = rows[shown["id"]]
        charge = known.get(row["latest_charge"])
        if charge is not None:
            charge = charge | {"balance_transaction": known.get(charge["balance_transaction"])}
        stub = {"id": row["customer"], "object": "customer", "deleted": True}
        expected = {"latest_charge": charge, "customer": known.get(row["customer"], stub)}
        assert shown == row | expected


def test_a_change_reaches_the_next_page() -> None:
    account = Account(customers=20, seed=2, now=NOW)
    path = "/v1/customers?limit=1&expand[]=data.tax_ids"
    with Sandbox(account) as running:
        before = get(running, path).body["data"][0]
        account.update("customers", before["id"], email="new@example.com")
        between = get(running, path).body["data"][0]
        made = account.create("customer_tax_ids", _parent_id=before["id"])
        after = get(running, path).body["data"][0]
    assert between == before | {"email": "new@example.com"}
    assert after["tax_ids"]["data"] == [made, *before["tax_ids"]["data"]]


def test_an_expanded_reference_is_as_it_is_now() -> None:
    account = Account(customers=20, seed=2, now=NOW)
    path = "/v1/invoices?limit=1&expand[]=data.customer"
    with Sandbox(account) as running:
        before = get(running, path).body["data"][0]["customer"]
        account.update("customers", before["id"], email="new@example.com")
        assert get(running, path).body["data"][0]["customer"] == before | {"email": "new@example.com"}


@pytest.mark.parametrize(
    ("query", "keep"),
    [
        pytest.param("type=customer.created", lambda kind: kind == "customer.created", id="one type"),
        pytest.param("type=invoice.*", lambda kind: kind.startswith("invoice."), id="a pattern"),
        pytest.param(
            "types[]=charge.succeeded&types[]=invoice.paid",
            lambda kind: kind in {"charge.succeeded", "invoice.paid"},
            id="several types",
        ),
        pytest.param("type=customer.nothing", lambda _: False, id="no such type"),
    ],
)
def test_events_are_filtered_by_type(account: Account, sandbox: Sandbox, query: str, keep: Any) -> None:
    expected = [event for event in account.listed("events") if keep(event["type"])]
    assert all_pages(sandbox, f"/v1/events?{query}", 50) == expected


def test_an_event_older_than_thirty_days_is_no_cursor() -> None:
    account = Account(customers=20, seed=2, now=NOW)
    oldest = account.listed("events")[-1]
    account.advance(NOW + 31 * DAY)
    with Sandbox(account) as sandbox:
        answer = get(sandbox, f"/v1/events?starting_after={oldest['id']}")
        assert answer.refusal[::2] == (400, "starting_after")
        assert "aged out of our retention policy" in answer.refusal[3]
        assert get(sandbox, f"/v1/events/{oldest['id']}").status == 404
        assert oldest["id"] not in [event["id"] for event in all_pages(sandbox, "/v1/events", 100)]


def test_usage_is_summed_by_day_or_over_the_window(account: Account, sandbox: Sandbox) -> None:
    name = "billing_meter_event_summaries"
    first, customer = account.listed(name)[0], account.parent_ids(name)[0]
    path = f"/v1/billing/meters/{first['meter']}/event_summaries?customer={customer}"
    window = f"&start_time={NOW // DAY * DAY - 90 * DAY}&end_time={NOW // DAY * DAY + DAY}"
    days = all_pages(sandbox, f"{path}{window}&value_grouping_window=day", 100)
    assert all(day["end_time"] - day["start_time"] == DAY for day in days)
    (whole,) = get(sandbox, path + window).body["data"]
    assert whole["aggregated_value"] == sum(day["aggregated_value"] for day in days)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        pytest.param("", "start_time", id="no window"),
        pytest.param("&start_time=60", "end_time", id="no end"),
        pytest.param("&start_time=61&end_time=120", "start_time", id="off the minute"),
        pytest.param("&start_time=60&end_time=86400&value_grouping_window=day", "start_time", id="off the day"),
        pytest.param("&start_time=120&end_time=60", "end_time", id="end before start"),
    ],
)
def test_a_wrong_usage_window_is_refused(account: Account, sandbox: Sandbox, query: str, param: str) -> None:
    meter, customer = account.listed("billing_meters")[0]["id"], account.listed("customers")[0]["id"]
    answer = get(sandbox, f"/v1/billing/meters/{meter}/event_summaries?customer={customer}{query}")
    assert answer.refusal[::2] == (400, param)

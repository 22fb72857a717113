"""The sandbox's server answers as Stripe does: over real HTTP, compared with the account's own truth."""

import json
import re
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.sandbox import Account, Faults, Limits, Sandbox
from stripe_dataflow.sandbox.views import child_url

NOW = 1_764_000_000
DAY = 86_400
KEY = "sk_test_sandbox"
LISTS = {name: table for name, table in TABLES.items() if not table.snapshot}


@dataclass
class Answer:
    """One HTTP answer: status, headers with lower-case names, and the parsed body."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def ids(self) -> list[str]:
        """Return the ids of the page's objects."""
        return [item["id"] for item in self.body["data"]]

    @property
    def refusal(self) -> tuple[int, str | None, str | None, str]:
        """Return status, code, param and message of an error."""
        error = self.body["error"]
        return self.status, error.get("code"), error.get("param"), error["message"]


def get(sandbox: Sandbox, path: str, *, key: str | None = KEY, **headers: str) -> Answer:
    sent = headers | ({"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urlopen(Request(sandbox.url + quote(path, safe="/?&=[]."), headers=sent), timeout=10) as answer:
            return _answer(answer.status, answer.headers, answer.read())
    except HTTPError as error:
        with error:
            return _answer(error.code, error.headers, error.read())


def _answer(status: int, headers: Any, text: bytes) -> Answer:
    return Answer(status, {name.lower(): value for name, value in headers.items()}, json.loads(text))


def all_pages(sandbox: Sandbox, path: str, limit: int | None) -> list[dict[str, Any]]:
    """Return the objects of every page; `limit` None asks for no page, as some lists have none."""
    found: list[dict[str, Any]] = []
    joint = "&" if "?" in path else "?"
    while True:
        page = f"{joint}limit={limit}" if limit else ""
        cursor = f"&starting_after={found[-1]['id']}" if found else ""
        body = get(sandbox, f"{path}{page}{cursor}").body
        assert body["data"] or not body["has_more"]
        found += body["data"]
        if not body["has_more"]:
            return found


@pytest.fixture(scope="module")
def account() -> Account:
    return Account(customers=25, seed=7, now=NOW)


@pytest.fixture(scope="module")
def sandbox(account: Account) -> Iterator[Sandbox]:
    with Sandbox(account) as running:
        yield running


def with_limits(account: Account, **limits: Any) -> Sandbox:
    return Sandbox(account, limits=Limits(**limits))


@pytest.mark.parametrize("name", LISTS)
def test_following_the_cursor_finds_every_object_of_every_table(account: Account, sandbox: Sandbox, name: str) -> None:
    table = TABLES[name]
    params = "&".join(f"{key}={value}" for key, value in table.params)
    if not table.parents:
        path = f"{table.path}?{params}" if params else table.path
        assert all_pages(sandbox, path, 7 if name != "events" else 100) == account.listed(name)
        return
    by_parents: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for item, parent in zip(account.listed(name), account.parent_ids(name), strict=True):
        parents = (item["meter"], parent) if len(table.parents) > 1 else (parent,)
        by_parents.setdefault(parents, []).append(item)
    extra = f"{params}&start_time={NOW - 600 * DAY - NOW % DAY}&end_time={NOW - NOW % DAY + DAY}"
    largest = sorted(by_parents, key=lambda parents: -len(by_parents[parents]))[:8]
    for parents in largest:
        path = child_url(table, parents)
        path += ("&" if "?" in path else "?") + extra if table.per_parent_window else ""
        assert all_pages(sandbox, path, (5 if table.paged else None)) == by_parents[parents]


@pytest.mark.parametrize("name", ["balance", "account"])
def test_a_snapshot_is_the_one_object(account: Account, sandbox: Sandbox, name: str) -> None:
    assert [get(sandbox, TABLES[name].path).body] == account.listed(name)


@pytest.mark.parametrize("name", [n for n, t in LISTS.items() if not t.parents])
def test_an_object_is_found_by_its_id(account: Account, sandbox: Sandbox, name: str) -> None:
    newest = account.listed(name)[0]
    assert get(sandbox, f"{TABLES[name].path}/{newest['id']}").body == newest


def test_the_first_page_has_ten_objects_and_stripes_headers(account: Account, sandbox: Sandbox) -> None:
    answer = get(sandbox, "/v1/charges", **{"Stripe-Version": "2026-10-28.endive", "Stripe-Account": "acct_1"})
    assert answer.body == {
        "object": "list", "url": "/v1/charges", "has_more": True, "data": account.listed("charges")[:10],
    }  # fmt: skip
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["stripe-version"] == "2026-10-28.endive"
    assert re.fullmatch(r"req_\w+", answer.headers["request-id"])


def test_pages_go_back_with_ending_before(account: Account, sandbox: Sandbox) -> None:
    expected = [charge["id"] for charge in account.listed("charges")]
    answer = get(sandbox, f"/v1/charges?limit=3&ending_before={expected[8]}")
    assert (answer.ids, answer.body["has_more"]) == (expected[5:8], True)
    for at in (3, 2):
        answer = get(sandbox, f"/v1/charges?limit=3&ending_before={expected[at]}")
        assert (answer.ids, answer.body["has_more"]) == (expected[:at], False)


def test_objects_created_while_paging_move_no_page() -> None:
    account = Account(customers=20, seed=2, now=NOW)
    expected = [charge["id"] for charge in account.listed("charges")]
    with Sandbox(account) as running:
        first = get(running, "/v1/charges?limit=10").ids
        account.create("charges")
        second = get(running, f"/v1/charges?limit=10&starting_after={first[-1]}").ids
    assert first + second == expected[:20]


@pytest.mark.parametrize(
    ("operators", "keep"),
    [
        pytest.param(("gte",), lambda at, low, _high: at >= low, id="from a second on"),
        pytest.param(("gt",), lambda at, low, _high: at > low, id="after a second"),
        pytest.param(("gte", "lt"), lambda at, low, high: low <= at < high, id="a half-open span"),
        pytest.param(("gt", "lte"), lambda at, low, high: low < at <= high, id="open below, closed above"),
        pytest.param(("",), lambda at, low, _high: at == low, id="exactly a second"),
    ],
)
@pytest.mark.parametrize("name", ["charges", "invoice_items", "subscriptions"])
def test_created_filters_by_the_second(
    account: Account, sandbox: Sandbox, name: str, operators: tuple[str, ...], keep: Any
) -> None:
    table = TABLES[name]
    rows = account.listed(name)
    high, low = rows[len(rows) // 4][table.created], rows[len(rows) // 2][table.created]
    bounds = "".join(
        f"&created{f'[{op}]' if op else ''}={value}" for op, value in zip(operators, (low, high), strict=False)
    )
    found = all_pages(sandbox, f"{table.path}?status=all{bounds}" if table.params else f"{table.path}?{bounds[1:]}", 50)
    assert found == [row for row in rows if keep(row[table.created], low, high)]


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        pytest.param("/v1/charges?limit=0", (400, "parameter_invalid_integer", "limit"), id="limit too small"),
        pytest.param("/v1/charges?limit=101", (400, "parameter_invalid_integer", "limit"), id="limit too large"),
        pytest.param("/v1/charges?limit=ten", (400, "parameter_invalid_integer", "limit"), id="limit no number"),
        pytest.param("/v1/charges?created=now", (400, "parameter_invalid_integer", "created"), id="time no number"),
        pytest.param("/v1/charges?foo=1", (400, "parameter_unknown", "foo"), id="unknown parameter"),
        pytest.param("/v1/charges?created[since]=1", (400, "parameter_unknown", "created[since]"), id="operator"),
        pytest.param("/v1/quotes?created[gte]=1", (400, "parameter_unknown", "created[gte]"), id="no created filter"),
        pytest.param("/v1/charges?starting_after=ch_x", (400, "resource_missing", "starting_after"), id="cursor"),
        pytest.param("/v1/charges?starting_after=a&ending_before=b", (400, None, "starting_after"), id="both cursors"),
        pytest.param("/v1/subscription_items", (400, "parameter_missing", "subscription"), id="parent missing"),
        pytest.param("/v1/setup_attempts", (400, "parameter_missing", "setup_intent"), id="intent missing"),
        pytest.param("/v1/radar/value_list_items", (400, "parameter_missing", "value_list"), id="list missing"),
        pytest.param("/v1/billing/credit_balance_transactions", (400, "parameter_missing", "customer"), id="customer"),
        pytest.param("/v1/entitlements/active_entitlements", (400, "parameter_missing", "customer"), id="entitled"),
        pytest.param("/v1/setup_attempts?setup_intent=seti_x", (400, "resource_missing", "setup_intent"), id="parent"),
        pytest.param("/v1/customers/cus_x/tax_ids", (404, "resource_missing", "customer"), id="parent in the path"),
        pytest.param("/v1/charges/ch_x", (404, "resource_missing", "id"), id="no such object"),
        pytest.param("/v1/nothing", (404, None, None), id="no such path"),
        pytest.param("/v1/charges?expand[]=data.foo", (400, None, "expand"), id="unknown field to expand"),
        pytest.param("/v1/charges?expand[]=customer", (400, None, "expand"), id="expand without data"),
        pytest.param("/v1/charges?expand[]=data.a.b.c.d", (400, None, "expand"), id="expand too deep"),
        pytest.param("/v1/events?" + "&".join(["types[]=a"] * 21), (400, None, "types"), id="21 event types"),
    ],
)
def test_a_wrong_request_is_refused(sandbox: Sandbox, path: str, refusal: tuple[Any, ...]) -> None:
    answer = get(sandbox, path)
    assert answer.refusal[:3] == refusal
    assert answer.body["error"]["type"] == "invalid_request_error"
    assert answer.headers["request-id"] in answer.body["error"]["request_log_url"]


def test_lists_without_pages_take_no_limit(account: Account, sandbox: Sandbox) -> None:
    path = f"/v1/accounts/{account.listed('accounts')[0]['id']}/capabilities"
    assert get(sandbox, f"{path}?limit=5").refusal[:3] == (400, "parameter_unknown", "limit")
    assert get(sandbox, path).body["has_more"] is False


def test_a_cursor_of_another_parent_is_unknown(account: Account, sandbox: Sandbox) -> None:
    items, parents = account.listed("invoice_line_items"), account.parent_ids("invoice_line_items")
    other = next(parent for parent in parents if parent != parents[0])
    answer = get(sandbox, f"/v1/invoices/{other}/lines?starting_after={items[0]['id']}")
    assert answer.refusal[:3] == (400, "resource_missing", "starting_after")


def test_an_unknown_cursor_is_told_in_stripes_words(sandbox: Sandbox) -> None:
    assert get(sandbox, "/v1/charges?starting_after=ch_x").refusal[3] == "No such charge: 'ch_x'"


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


@pytest.mark.parametrize(
    ("header", "status"),
    [
        pytest.param(None, 401, id="no key"),
        pytest.param("Bearer nonsense", 401, id="no key of Stripe's form"),
        pytest.param("Bearer rk_live_1", 200, id="restricted key"),
        pytest.param("Basic " + b64encode(b"sk_test_1:").decode(), 200, id="key as the user's name"),
        pytest.param("Basic !", 401, id="broken header"),
    ],
)
def test_a_key_is_needed(sandbox: Sandbox, header: str | None, status: int) -> None:
    headers = {"Authorization": header} if header else {}
    assert get(sandbox, "/v1/balance", key=None, **headers).status == status


def test_a_key_reads_only_what_it_may(account: Account) -> None:
    faults = Faults(keys={"rk_test_a": frozenset({"/v1/issuing/cards"})}, not_enabled=frozenset({"/v1/treasury"}))
    own = account.listed("account")[0]["id"]
    with Sandbox(account, faults=faults) as sandbox:
        denied = get(sandbox, "/v1/issuing/cards?foo=1", key="rk_test_a")
        message = (
            "The provided key 'rk_test_***' does not have the required permissions for this endpoint on account "
            f"'{own}'. Having the 'rak_issuing_card_read' permission would allow this request to continue."
        )
        assert denied.refusal == (403, None, None, message)
        assert get(sandbox, "/v1/issuing/cardholders", key="rk_test_a").status == 200
        unknown = get(sandbox, "/v1/charges", key="rk_test_b")
        assert unknown.refusal == (401, None, None, "Invalid API Key provided: rk_test_***")
        refused = get(sandbox, "/v1/treasury/financial_accounts", key="rk_test_a")
    assert refused.status == 400
    assert refused.refusal[3].startswith("Your account is not set up to use Treasury.")


def test_a_rate_limit_is_told_with_its_reason(account: Account) -> None:
    with with_limits(account, endpoint_rps=2) as sandbox:
        one = account.listed("charges")[0]["id"]
        other = account.listed("charges")[1]["id"]
        statuses = [get(sandbox, f"/v1/charges/{each}").status for each in (one, other)]
        third = get(sandbox, f"/v1/charges/{one}")
        assert [*statuses, third.status, get(sandbox, "/v1/charges").status] == [200, 200, 429, 200]
    assert third.headers["stripe-rate-limited-reason"] == "endpoint-rate"
    assert third.headers["retry-after"] == "1"
    assert third.body["error"]["code"] == "rate_limit"


def test_the_global_limit_counts_every_endpoint(account: Account) -> None:
    with with_limits(account, global_rps=3) as sandbox:
        answers = [get(sandbox, path) for path in ("/v1/charges", "/v1/refunds", "/v1/balance", "/v1/payouts")]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].headers["stripe-rate-limited-reason"] == "global-rate"


def one_hangs_one_is_refused(sandbox: Sandbox, pool: ThreadPoolExecutor) -> tuple[Answer, Future[Answer]]:
    """Return the answer that came, and the request still under way."""
    both = {pool.submit(get, sandbox, "/v1/charges") for _ in range(2)}
    done, hanging = wait(both, timeout=10, return_when=FIRST_COMPLETED)
    return done.pop().result(), hanging.pop()


@pytest.mark.parametrize("scope", ["global", "endpoint"])
def test_requests_under_way_are_limited(account: Account, scope: str) -> None:
    limits, faults = Limits(**{f"{scope}_concurrency": 1}), Faults(rates={"hang": 1.0})
    with ThreadPoolExecutor() as pool, Sandbox(account, limits=limits, faults=faults) as sandbox:
        refused, _ = one_hangs_one_is_refused(sandbox, pool)
    assert refused.status == 429
    assert refused.headers["stripe-rate-limited-reason"] == f"{scope}-concurrency"


@pytest.mark.parametrize("status", ["409", "500", "502", "503"])
def test_a_status_can_be_made_to_come_once(account: Account, status: Any) -> None:
    faults = Faults(rates={status: 1.0}, path=r"^/v1/charges", times=1, should_retry=False, retry_after="2")
    with Sandbox(account, faults=faults) as sandbox:
        assert get(sandbox, "/v1/refunds").status == 200
        failed = get(sandbox, "/v1/charges")
        assert get(sandbox, "/v1/charges").status == 200
    assert failed.status == int(status)
    assert failed.headers["stripe-should-retry"] == "false"
    assert failed.headers["retry-after"] == "2"


@pytest.mark.parametrize("fault", ["reset", "truncated", "malformed", "html"])
def test_an_answer_can_be_broken(account: Account, fault: Any) -> None:
    with (
        Sandbox(account, faults=Faults(rates={fault: 1.0}, times=1)) as sandbox,
        pytest.raises((OSError, HTTPException, ValueError)),
    ):
        get(sandbox, "/v1/charges")


def test_a_page_can_come_twice_or_without_objects(account: Account) -> None:
    faults = Faults(rates={"repeated_page": 1.0})
    with Sandbox(account, faults=faults) as sandbox:
        first = get(sandbox, "/v1/charges").ids
        assert get(sandbox, f"/v1/charges?starting_after={first[-1]}").ids == first
        faults.rates = {"empty_page": 1.0}
        assert get(sandbox, "/v1/charges").body["data"] == []
        assert get(sandbox, "/v1/charges").body["has_more"] is True


def test_a_hanging_request_ends_unanswered_when_the_server_stops(account: Account) -> None:
    limits, faults = Limits(endpoint_concurrency=1), Faults(rates={"hang": 1.0})
    with ThreadPoolExecutor() as pool:
        with Sandbox(account, limits=limits, faults=faults) as sandbox:
            _, hanging = one_hangs_one_is_refused(sandbox, pool)
            assert not hanging.done()
        assert isinstance(hanging.exception(timeout=10), OSError | HTTPException)


def test_the_same_seed_hits_the_same_requests(account: Account) -> None:
    def statuses() -> list[int]:
        with Sandbox(account, faults=Faults(rates={"500": 0.3, "409": 0.2}, seed=4)) as sandbox:
            return [get(sandbox, "/v1/balance").status for _ in range(30)]

    first = statuses()
    assert set(first) == {200, 409, 500}
    assert statuses() == first


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="no such fault: 418; there are 500"):
        Faults(rates={"418": 1.0})  # pyright: ignore[reportArgumentType]


def test_what_was_asked_is_remembered(account: Account) -> None:
    with Sandbox(account) as sandbox:
        get(sandbox, "/v1/charges?limit=1")
        get(sandbox, "/v1/charges/ch_x")
        remembered = [(path, status) for _, path, status in sandbox.requests]
        counted = dict(sandbox.counts)
    assert remembered == [("/v1/charges?limit=1", 200), ("/v1/charges/ch_x", 404)]
    assert counted == {200: 1, 404: 1, "list charges": 1, "retrieve charges": 1}


def test_bulk_charges_are_listed_and_found_like_others() -> None:
    account = Account(customers=20, seed=1, now=NOW, charges=1_000)
    with Sandbox(account) as sandbox:
        rows = all_pages(sandbox, "/v1/charges", 100)
        assert rows == account.listed("charges")
        bulk = next(row for row in rows if row["id"].startswith("ch_3Bulk"))
        assert get(sandbox, f"/v1/charges/{bulk['id']}").body == bulk
        assert get(sandbox, f"/v1/charges/{bulk['id']}0").status == 404


def test_a_sandbox_that_is_not_running_says_so(account: Account) -> None:
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = Sandbox(account).requests


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_the_command_serves_until_it_is_stopped(number: signal.Signals) -> None:
    arguments = ["--customers", "20", "--seed", "7", "--now", str(NOW), "--port", "0"]
    command = [sys.executable, "-m", "stripe_dataflow.sandbox", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)\n", line)
        assert url is not None
        with urlopen(Request(url[1] + "/v1/customers?limit=100", headers={"Authorization": f"Bearer {KEY}"})) as found:
            rows = json.loads(found.read())["data"]
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    assert rows == Account(customers=20, seed=7, now=NOW).listed("customers")

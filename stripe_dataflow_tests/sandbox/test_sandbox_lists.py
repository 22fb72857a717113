"""The sandbox's lists are Stripe's: pages, cursors and filters, compared with the account's own truth."""

import re
from typing import Any

import pytest

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.sandbox import Account, Sandbox
from stripe_dataflow.sandbox.views import child_url
from stripe_dataflow_tests.sandbox.asking import DAY, LISTS, NOW, all_pages, get


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

"""Stripe's search, as far as this project asks it: the objects created in a span, and how many they are.

Source: https://docs.stripe.com/search
"""

from __future__ import annotations

import re
from bisect import bisect_left

from stripe_dataflow.catalog import Table
from stripe_dataflow.sandbox.account import Account
from stripe_dataflow.sandbox.query import Values, whole
from stripe_dataflow.sandbox.refusals import Refusal, missing_parameter, unknown_parameter
from stripe_dataflow.sandbox.views import pretty

_SPAN = re.compile(r"created>=(\d{1,18}) AND created<(\d{1,18})")
_EXACT_UP_TO = 10_000


def search(account: Account, table: Table, path: str, values: Values) -> bytes:
    """Return the first page of what was created in a span, with `total_count` where it is expanded.

    Raises:
        Refusal: The request is wrong, or asks for more than a span of `created`.
    """
    for name in values:
        if name not in {"query", "limit", "expand"}:
            raise unknown_parameter(name)
    if "query" not in values:
        raise missing_parameter("query")
    span = _SPAN.fullmatch(values["query"][-1])
    if span is None:
        raise Refusal(400, "We were unable to parse your search query.", param="query")
    limit = whole("limit", values.get("limit", ["10"])[-1])
    with account.lock:
        keys = account.keys(table.name)
        low, high = (bisect_left(keys, (int(bound), "")) for bound in span.groups())
        found = [account.state.views.view(table.name, handle) for _, handle in reversed(keys[low:high])][:limit]
    body = {"object": "search_result", "url": path, "has_more": high - low > limit, "data": found, "next_page": None}
    if values.get("expand") == ["total_count"]:
        body["total_count"] = min(high - low, _EXACT_UP_TO)
    return pretty(body)

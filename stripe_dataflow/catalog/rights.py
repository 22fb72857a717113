"""Which rights a restricted key needs for a table: its own list's, and those of the lists that lead to it.

Stripe publishes no list of the names; these are the ones its refusals ("Having the 'rak_plan_read' permission
would allow this request to continue") and its links to the page that makes a key use. Where none is known, the
part of the API in words is what the page shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from stripe_dataflow.catalog.table import Table

_PAGE = "https://dashboard.stripe.com/apikeys/create"
NAMES: Mapping[str, str] = {
    "accounts": "connected_account",
    "application fees": "application_fee",
    "balance": "balance",
    "balance transactions": "balance_transaction_source",
    "billing meters": "billing_meter",
    "charges": "charge",
    "checkout sessions": "checkout_session",
    "coupons": "coupon",
    "credit notes": "credit_note",
    "customers": "customer",
    "disputes": "dispute",
    "entitlements active entitlements": "entitlement",
    "entitlements features": "entitlement",
    "events": "event",
    "files": "file",
    "invoice payments": "invoice",
    "invoiceitems": "invoice",
    "invoices": "invoice",
    "payment intents": "payment_intent",
    "payment links": "payment_links",
    "payment methods": "payment_method",
    "payouts": "payout",
    "plans": "plan",
    "prices": "plan",
    "products": "product",
    "promotion codes": "promotion_code",
    "quotes": "quote",
    "refunds": "charge",
    "reviews": "review",
    "setup attempts": "setup_intent",
    "setup intents": "setup_intent",
    "shipping rates": "shipping_rate",
    "subscription items": "subscription",
    "subscription schedules": "subscription",
    "subscriptions": "subscription",
    "tax rates": "tax_rate",
    "topups": "top_up",
    "transfers": "transfer",
    "webhook endpoints": "webhook",
}


@dataclass(frozen=True, slots=True)
class Right:
    """One right to read: the part of the API in words, and Stripe's name of it, empty where none is known."""

    words: str
    name: str


def rights(table: Table, tables: Mapping[str, Table]) -> tuple[Right, ...]:
    """Return the rights to read a table: its own list's, then those of its parents' lists, each once."""
    found = [_right(table)]
    for parent in reversed(table.parents):
        found += rights(tables[parent.table], tables)
    return tuple(dict.fromkeys(found))


def key_page(wanted: Iterable[Right], *, name: str) -> str:
    """Return the address of Stripe's page that makes a key, with the rights filled in whose names are known."""
    names = sorted({right.name for right in wanted if right.name})
    return f"{_PAGE}?{urlencode([('name', name), *(('permissions[]', right) for right in names)])}"


def _right(table: Table) -> Right:
    name = NAMES.get(table.right, "")
    return Right(table.right, f"rak_{name}_read" if name else "")

"""How many decimals an amount has in Stripe's API, and which columns are amounts in which currency.

Source: https://docs.stripe.com/currencies
"""

from __future__ import annotations

import re

from stripe_dataflow.catalog.columns import stripe_columns
from stripe_dataflow.catalog.table import Table

# An amount of one of these is in whole units.
ZERO_DECIMAL = (
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf",
)  # fmt: skip
# An amount of one of these is in thousandths, its last digit always 0.
THREE_DECIMAL = ("bhd", "jod", "kwd", "omr", "tnd")
# All others are in hundredths. So are these in the API, though they are used without decimals: isk and ugx
# in every call, huf and twd where payouts take whole units only; their two last digits are then 0.
TWO_DECIMAL_IN_THE_API = ("huf", "isk", "twd", "ugx")

_AMOUNT = re.compile(r"(^|_)(amount|balance|fee|net|subtotal|total)(_|$)")


def money_columns(table: Table) -> dict[str, str]:
    """Return column -> the column of its currency, for the integers of a table that are amounts.

    `merchant_amount` is in `merchant_currency`, all others in `currency`; that one is the parent's
    where a child table has none itself.
    """
    names = {column.name for column in stripe_columns(table)}
    found: dict[str, str] = {}
    for column in stripe_columns(table):
        if column.type == "BIGINT" and _AMOUNT.search(column.name):
            own = column.name.removesuffix("amount") + "currency"
            found[column.name] = own if own in names else "currency"
    return found

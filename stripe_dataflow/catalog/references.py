"""Which column refers to which table: what the SDK's annotations say, less what no list can resolve."""

from __future__ import annotations

from dataclasses import dataclass

from stripe_dataflow.catalog.columns import referred_tables
from stripe_dataflow.catalog.table import Table

# Tables that need not hold what others refer to, as their list leaves objects out.
PARTLY_LISTED: dict[str, str] = {
    "payment_methods": "Stripe need not list one that was never attached to a customer, or was detached",
    "reviews": "Stripe lists open ones only",
}
# Columns that refer to an object of another account, which this account's list does not have.
OTHER_ACCOUNT: dict[tuple[str, str], str] = {
    ("application_fees", "charge"): "a charge of the connected account",
    ("application_fees", "originating_transaction"): "a charge of the connected account",
    ("charges", "source_transfer"): "a transfer of the platform",
    ("refunds", "source_transfer_reversal"): "a reversal of the platform",
    ("transfer_reversals", "destination_payment_refund"): "a refund of the connected account",
    ("transfers", "destination_payment"): "a charge of the connected account",
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that holds ids of another table's objects."""

    column: str
    table: str


def references(table: Table) -> tuple[Reference, ...]:
    """Return the references of a table's rows that a complete account resolves; a child's parent first."""
    found = [Reference("_parent_id", table.parent)] if table.parent else []
    found += [
        Reference(column, to)
        for column, to in referred_tables(table).items()
        if to not in {table.parent, *PARTLY_LISTED} and (table.name, column) not in OTHER_ACCOUNT
    ]
    return tuple(found)

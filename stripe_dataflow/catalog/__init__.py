"""What Stripe has: one frozen row per table, its columns, and the lists that are left out.

A new table is one row in `rows/`, and a run of `python -m stripe_dataflow.catalog.generate`.
"""

from stripe_dataflow.catalog.columns import Column, api_version, object_names, object_places, stripe_columns
from stripe_dataflow.catalog.currencies import THREE_DECIMAL, ZERO_DECIMAL, money_columns
from stripe_dataflow.catalog.not_landed import NOT_LANDED, TEST_CLOCKS
from stripe_dataflow.catalog.references import Reference, references
from stripe_dataflow.catalog.rows import billing, customers, payments, platform, snapshots
from stripe_dataflow.catalog.secrets import ANYWHERE, UNLISTED
from stripe_dataflow.catalog.table import Parent, Table

TABLES: dict[str, Table] = {
    row.name: row for module in (payments, customers, billing, platform, snapshots) for row in module.ROWS
}
CORE = tuple(table for table in TABLES.values() if table.tier == "core")

__all__ = [
    "ANYWHERE", "CORE", "NOT_LANDED", "TABLES", "TEST_CLOCKS", "THREE_DECIMAL", "UNLISTED", "ZERO_DECIMAL", "Column",
    "Parent", "Reference", "Table", "api_version", "money_columns", "object_names", "object_places", "references",
    "stripe_columns",
]  # fmt: skip

"""What Stripe has: one frozen row per table, its columns, and the lists that are left out.

A new table is one row in `rows/`, and a run of `python -m stripe_dataflow.catalog.generate`.
"""

from stripe_dataflow.catalog.columns import Column, api_version, object_names, stripe_columns
from stripe_dataflow.catalog.not_landed import NOT_LANDED, TEST_CLOCKS
from stripe_dataflow.catalog.rows import billing, customers, payments, platform, snapshots
from stripe_dataflow.catalog.table import Parent, Table

TABLES: dict[str, Table] = {
    row.name: row for module in (payments, customers, billing, platform, snapshots) for row in module.ROWS
}
CORE = tuple(table for table in TABLES.values() if table.tier == "core")

__all__ = [
    "CORE", "NOT_LANDED", "TABLES", "TEST_CLOCKS", "Column", "Parent", "Table", "api_version", "object_names",
    "stripe_columns",
]  # fmt: skip

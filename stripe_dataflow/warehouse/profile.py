"""What can be said of a table without keeping a value: the columns of purpose privacy_metadata."""

from __future__ import annotations

import duckdb

from stripe_dataflow.catalog import Column
from stripe_dataflow.warehouse.registry import registry_sql
from stripe_dataflow.warehouse.scope import Counts
from stripe_dataflow.warehouse.target import Target, literal, quote


def profile(connection: duckdb.DuckDBPyConnection, target: Target, *, load_id: int) -> Counts:
    """Write the registry's `columns` for a table from its staged rows; no row and no value lands.

    Of each column: type, rows, null share, distinct count (approximate), shortest and longest text
    in characters, and whether it can hold a person's data.
    """
    here = [target.schema, target.table.name]
    connection.execute(f"delete from {registry_sql('columns')} where dataflow = ? and table_name = ?", here)
    try:
        row = connection.execute(f"select count(*) from {target.staged}").fetchone()
    except duckdb.CatalogException:  # nothing was staged: Stripe lists no object
        return Counts()
    rows = row[0] if row else 0
    for column in target.data_columns:
        connection.execute(f"insert into {registry_sql('columns')} {_profile_sql(target, column)}", [*here, load_id])
    return Counts(read=rows)


def _profile_sql(target: Target, column: Column) -> str:
    name, text = quote(column.name), f"length({quote(column.name)}::varchar)"
    pii = "pii" if column.name in target.table.pii else "none"
    return f"""select ?, ?, {literal(column.name)}, {literal(column.type)}, count(*),
        1 - count({name}) / greatest(count(*), 1), approx_count_distinct({name}),
        min({text}), max({text}), {literal(pii)}, ?, now() from {target.staged}"""

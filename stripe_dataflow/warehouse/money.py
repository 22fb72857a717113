"""Two views per dataflow: each amount in major units, and their sums by day.

Views name their tables without schema and database, as DuckDB then looks beside the view: so they work
under whatever name the file is attached, and though the file is called like the schema.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import duckdb

from stripe_dataflow.catalog import TABLES, THREE_DECIMAL, ZERO_DECIMAL, money_columns
from stripe_dataflow.warehouse.registry import registry_sql
from stripe_dataflow.warehouse.target import WAREHOUSE, literal, quote, table_sql

AMOUNTS, DAILY = "amounts", "daily"
_OURS = "Made by stripe_dataflow of the tables' columns"
_MAJOR = (
    "case when length(currency) = 3 then amount::decimal(19, 0) * case "
    f"when currency in ({', '.join(map(literal, ZERO_DECIMAL))}) then 1.000 "
    f"when currency in ({', '.join(map(literal, THREE_DECIMAL))}) then 0.001 else 0.010 end end"
)


def refresh_money(connection: duckdb.DuckDBPyConnection, schema: str) -> bool:
    """Tell whether the dataflow's views had to be made anew or dropped, as its tables or columns are others.

    A table or a view of the user's own that has one of the names is left alone.

    Args:
        connection: Of a transaction.
        schema: The dataflow.
    """
    found = connection.execute(
        "select view_name, coalesce(comment, '') from duckdb_views() where database_name = ? "
        "and lower(schema_name) = lower(?) and view_name in (?, ?) union all "
        "select lower(table_name), '' from duckdb_tables() where database_name = ? "
        "and lower(schema_name) = lower(?) and lower(table_name) in (?, ?)",
        [WAREHOUSE, schema, AMOUNTS, DAILY] * 2,
    ).fetchall()
    if any(not comment.startswith(_OURS) for _, comment in found):
        return False
    parts = _parts(connection, schema)
    comment = f"{_OURS} ({hashlib.sha256(repr(parts).encode()).hexdigest()[:8]})."
    if parts and (AMOUNTS, comment) in found:
        return False
    if not parts:
        for name, _ in found:
            connection.execute(f"drop view {table_sql(schema, name)}")
        return bool(found)
    for name, sql in ((AMOUNTS, _amounts_sql(parts)), (DAILY, _daily_sql())):
        connection.execute(f"create or replace view {table_sql(schema, name)} as {sql}")
        connection.execute(f"comment on view {table_sql(schema, name)} is {literal(comment)}")
    return True


def _parts(connection: duckdb.DuckDBPyConnection, schema: str) -> list[str]:
    """Return one query for each table that holds amounts with their currency."""
    rows = connection.execute(
        f"select t.table_name, any_value(c.table_name), list(c.column_name) from {registry_sql('tables')} t "
        "join duckdb_columns() c on lower(c.table_name) = lower(t.destination) "
        "where t.dataflow = ? and c.database_name = ? and lower(c.schema_name) = lower(?) group by 1 order by 1",
        [schema, WAREHOUSE, schema],
    ).fetchall()
    landed = {name: (destination, columns) for name, destination, columns in rows if name in TABLES}
    parts: list[str] = []
    for name, (destination, columns) in landed.items():
        table = TABLES[name]
        amounts = {c: currency for c, currency in money_columns(table).items() if c in columns}
        parent = ""
        if "currency" not in columns and table.parent in landed and "currency" in landed[table.parent][1]:
            parent = landed[table.parent][0]
        amounts = {c: currency for c, currency in amounts.items() if currency in columns or parent}
        if amounts and "id" in columns:
            created = table.created if table.created in columns else ""
            parts.append(_part_sql(destination, amounts, created=created, parent=parent))
    return parts


def _part_sql(destination: str, amounts: dict[str, str], *, created: str, parent: str) -> str:
    """Return the query of one table's amounts: a row for each live row and amount, nulls included."""
    currency = "p" if parent else "t"
    join = f" left join {quote(parent)} p on p.id = t._parent_id" if parent else ""
    return (
        f"select {literal(destination)} as table_name, t.id, "
        f"{f't.{quote(created)}' if created else 'null::timestamptz'} as created, "
        f"{_unnested(currency, amounts.values())} as currency, "
        f"unnest([{', '.join(map(literal, amounts))}]) as column_name, {_unnested('t', amounts)} as amount "
        f"from {quote(destination)} t{join} where t._deleted_at is null"
    )


def _unnested(alias: str, columns: Iterable[str]) -> str:
    return f"unnest([{', '.join(f'{alias}.{quote(column)}' for column in columns)}])"


def _amounts_sql(parts: Sequence[str]) -> str:
    return (
        f"select table_name, id, created, currency, column_name, amount, {_MAJOR} as amount_major "
        f"from ({' union all '.join(parts)}) where amount is not null"
    )


def _daily_sql() -> str:
    """Return the sums of each day; a day begins at midnight in the session's time zone."""
    return (
        "select created::date as day, current_setting('TimeZone') as time_zone, table_name, column_name, currency, "
        f"count(*) as objects, sum(amount)::bigint as amount, sum(amount_major) as amount_major "
        f"from {AMOUNTS} where created is not null group by all"
    )

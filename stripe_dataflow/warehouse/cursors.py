"""Where the next run of a table continues."""

from __future__ import annotations

import duckdb

from stripe_dataflow.warehouse.registry import registry_sql


def get_cursor(connection: duckdb.DuckDBPyConnection, dataflow: str, table: str) -> str | None:
    """Return a table's cursor, None where it was never read to its end."""
    row = connection.execute(
        f"select cursor from {registry_sql('cursors')} where dataflow = ? and table_name = ?",
        [dataflow, table],
    ).fetchone()
    return row[0] if row else None


def get_cursors(connection: duckdb.DuckDBPyConnection, dataflow: str) -> dict[str, str]:
    """Return the cursor of each table of a dataflow that has one."""
    rows = connection.execute(
        f"select table_name, cursor from {registry_sql('cursors')} where dataflow = ?", [dataflow]
    ).fetchall()
    return dict(rows)


def set_cursor(connection: duckdb.DuckDBPyConnection, dataflow: str, table: str, *, cursor: str | None) -> None:
    """Set a table's cursor, or take it away with None, so that the next run reads everything."""
    connection.execute(
        f"delete from {registry_sql('cursors')} where dataflow = ? and table_name = ?", [dataflow, table]
    )
    if cursor is not None:
        connection.execute(f"insert into {registry_sql('cursors')} values (?, ?, ?)", [dataflow, table, cursor])

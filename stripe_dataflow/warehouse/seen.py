"""Objects that Stripe's list leaves out, and that lie whole in a column of other tables: inline prices."""

from __future__ import annotations

import duckdb

from stripe_dataflow.warehouse.tables import column_names
from stripe_dataflow.warehouse.target import Target, literal, quote


def seen_elsewhere(
    connection: duckdb.DuckDBPyConnection, target: Target, *, created_gte: int, known: bool
) -> list[tuple[str, int]]:
    """Return the JSON of each object of `target.seen_in` that the table lacks, and when it was loaded, microseconds.

    Args:
        connection: One that reads.
        target: The table.
        created_gte: Objects created before are left out, Unix seconds.
        known: Return those that the table has as well.
    """
    parts = _parts(connection, target, "{column} as object, epoch_us(_loaded_at) as loaded")
    if not parts:
        return []
    lacked = ""
    if not known and column_names(connection, target.schema, target.name):
        lacked = f"and object->>'id' not in (select {quote(target.table.key[0])} from {target.current})"
    return connection.execute(
        f"select object, loaded from ({parts}) where object->>'id' is not null {lacked} "
        f"and try_cast(object->>{literal(target.table.created)} as bigint) >= ? "
        "qualify row_number() over (partition by object->>'id' order by loaded desc) = 1",
        [created_gte],
    ).fetchall()


def spared_sql(connection: duckdb.DuckDBPyConnection, target: Target) -> str:
    """Return the condition that a row is not in use elsewhere, so that absence from the list means it is gone."""
    parts = _parts(connection, target, "{column}->>'id' as id")
    return f"{quote(target.table.key[0])} not in (select id from ({parts}) where id is not null)" if parts else "true"


def _parts(connection: duckdb.DuckDBPyConnection, target: Target, values: str) -> str:
    """Return the selection of some values from every place that exists by now."""
    return " union all ".join(
        f"select {values.format(column=quote(column))} from {place.current} where _deleted_at is null"
        for place, column in target.seen_in
        if column in column_names(connection, place.schema, place.name)
    )

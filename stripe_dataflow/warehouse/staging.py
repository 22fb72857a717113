"""Read newline-delimited JSON files into the staging database, every value checked against its column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import duckdb

from stripe_dataflow.catalog import Column
from stripe_dataflow.errors import RowRefused, WarehouseError
from stripe_dataflow.warehouse.target import EXTRA_COLUMN, STAGE, Target, literal, names_sql, quote

# What the writer of the files adds to each object, and the staged row keeps until it is merged.
WRITER_COLUMNS = (
    Column("_fetched_at", "BIGINT", nullable=True, source="value"),
    Column("_deleted", "BOOLEAN", nullable=True, source="value"),
)
# Stripe's largest objects, subscriptions with hundreds of items, are below 1 MB. DuckDB's own bound is 16, and
# each of its threads takes a buffer of twice the bound.
MAX_OBJECT_BYTES = 8 * 1024 * 1024


def stage(connection: duckdb.DuckDBPyConnection, target: Target, paths: Sequence[Path]) -> int:
    """Return how many objects of the files were added to those already staged, all or none.

    Raises:
        RowRefused: A value does not fit its column's type.
        WarehouseError: A file is missing, or is not newline-delimited JSON.
    """
    if not paths:
        return 0
    columns = staged_columns(target)
    connection.execute(create_sql(target))
    values = ", ".join(f"{value_sql(column)} as {quote(column.name)}" for column in columns)
    names = names_sql(column.name for column in columns)
    files = [str(path) for path in paths]
    try:
        rows = connection.execute(
            f"insert into {target.staged} ({names}) select {values} from {read_sql(columns)}", [files]
        ).fetchone()
    except (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException):
        # The cause is not chained: DuckDB's text repeats the value, which can be personal data.
        _refuse(connection, target, files)
    except duckdb.IOException as error:
        raise WarehouseError(f"Staging {target.schema}.{target.name} failed: {error}") from error
    return rows[0] if rows else 0


def rows_in(connection: duckdb.DuckDBPyConnection, target: Target, windows: Sequence[tuple[int, int]]) -> list[int]:
    """Return how many objects are staged of each window of `created`, [gte, lt) in Unix seconds."""
    if not is_staged(connection, target):
        return [0] * len(windows)
    created = f"epoch({quote(target.table.created)})::bigint"
    counts = ", ".join(f"count(*) filter ({created} >= {int(gte)} and {created} < {int(lt)})" for gte, lt in windows)
    found = connection.execute(f"select {counts} from {target.staged}").fetchone()
    return list(found or ())


def holds_more_than(connection: duckdb.DuckDBPyConnection, target: Target, rows: int) -> bool:
    """Tell whether more than so many objects are staged for a target."""
    if not is_staged(connection, target):
        return False
    found = connection.execute(f"select count(*) from {target.staged}").fetchone()
    return found is not None and found[0] > rows


def staged_columns(target: Target) -> tuple[Column, ...]:
    """Return the columns of a staged row."""
    return (*target.data_columns, EXTRA_COLUMN, *WRITER_COLUMNS)


def create_sql(target: Target) -> str:
    """Return the statement that makes the table of staged rows where there is none."""
    columns = ", ".join(f"{quote(column.name)} {column.type}" for column in staged_columns(target))
    return f"create table if not exists {target.staged} ({columns})"


def is_staged(connection: duckdb.DuckDBPyConnection, target: Target) -> bool:
    """Tell whether anything was staged for the target."""
    found = connection.execute(
        "select 1 from duckdb_tables() where database_name = ? and lower(table_name) = lower(?)",
        [STAGE, f"{target.schema}.{target.name}"],
    )
    return found.fetchone() is not None


def read_sql(columns: Sequence[Column]) -> str:
    """Return the scan of the files bound as the one value, every scalar as text.

    Text, because DuckDB would otherwise bend what does not fit: 1.5 becomes 2 in a BIGINT, 7 true
    in a BOOLEAN. Casting text costs no more than reading numbers.
    """
    types = ", ".join(
        f"{literal(column.name)}: '{'JSON' if column.type == 'JSON' else 'VARCHAR'}'" for column in columns
    )
    return (
        f"read_json(?, columns = {{{types}}}, format = 'newline_delimited', maximum_object_size = {MAX_OBJECT_BYTES})"
    )


def value_sql(column: Column) -> str:
    """Return the expression that turns a column's text into its type, or fails."""
    text = quote(column.name)
    whole = f"if(contains({text}, '.'), 'not whole', {text})::bigint"
    if column.source == "epoch_s":
        return f"make_timestamptz({whole} * 1000000)"
    if column.source == "epoch_ms":
        return f"make_timestamptz({whole} * 1000)"
    if column.type == "BIGINT":
        return whole
    if column.type == "BOOLEAN":
        return f"if({text} not in ('true', 'false'), 'neither', {text})::boolean"
    return text if column.type in {"VARCHAR", "JSON"} else f"{text}::{column.type}"


def _refuse(connection: duckdb.DuckDBPyConnection, target: Target, files: list[str]) -> NoReturn:
    """Raise the error that names the first object and column whose value does not fit."""
    columns = staged_columns(target)
    where = f"{target.schema}.{target.name}"
    key = quote(target.table.key[-1])
    misfit = "case " + " ".join(
        f"when {quote(column.name)} is not null and try({value_sql(column)}) is null then {literal(column.name)}"
        for column in columns
    )
    try:
        found = connection.execute(
            f"select {key}::varchar, misfit from (select {key}, {misfit} end as misfit "
            f"from {read_sql(columns)}) where misfit is not null limit 1",
            [files],
        ).fetchone()
    except duckdb.Error:
        found = None
    if found is None:
        raise WarehouseError(
            f"Staging {where} failed: a file is not one JSON object a line. "
            "Run again; if it persists, report it. Nothing of these files was staged."
        ) from None
    types = {column.name: column.type for column in columns}
    raise RowRefused(
        f"{where}.{found[1]} does not fit: the value of object {found[0]} is no {types[found[1]]}. "
        "Leave the column out with `exclude`, or report it with the object's id.",
        object_id=found[0] or "",
        column=found[1],
    ) from None

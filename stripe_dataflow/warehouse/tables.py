"""Create the tables of a target, and add the columns a newer catalog knows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import duckdb

from stripe_dataflow.catalog import Column
from stripe_dataflow.warehouse.registry import registry_sql
from stripe_dataflow.warehouse.staging import value_sql
from stripe_dataflow.warehouse.target import (
    OUR_COMMENTS,
    WAREHOUSE,
    Target,
    literal,
    names_sql,
    quote,
    table_sql,
)

REPLACED_BY = Column("_replaced_by", "BIGINT", nullable=False, source="value")


def column_names(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> tuple[str, ...]:
    """Return a warehouse table's columns in order; none where there is no such table."""
    rows = connection.execute(
        "select column_name from duckdb_columns() where database_name = ? "
        "and lower(schema_name) = lower(?) and lower(table_name) = lower(?) order by column_index",
        [WAREHOUSE, schema, name],
    ).fetchall()
    return tuple(row[0] for row in rows)


def columns_of(connection: duckdb.DuckDBPyConnection, target: Target) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns of a target's table and of its history, in one look: the catalog is slow."""
    found: dict[str, list[str]] = {target.schema.lower(): [], target.history_schema.lower(): []}
    rows = connection.execute(
        "select lower(schema_name), column_name from duckdb_columns() where database_name = ? "
        "and lower(schema_name) in (?, ?) and lower(table_name) = lower(?) order by column_index",
        [WAREHOUSE, *found, target.name],
    ).fetchall()
    for schema, name in rows:
        found[schema].append(name)
    current, history = found.values()
    return tuple(current), tuple(history)


def schema_columns(connection: duckdb.DuckDBPyConnection, schema: str) -> dict[str, list[str]]:
    """Return the columns of every table of a schema, by the table's name in lower case: one look, as each is slow."""
    rows = connection.execute(
        "select lower(table_name), list(column_name) from duckdb_columns() where database_name = ? "
        "and lower(schema_name) = lower(?) group by 1",
        [WAREHOUSE, schema],
    ).fetchall()
    return dict(rows)


def has_columns(present: Mapping[str, Sequence[str]], target: Target) -> bool:
    """Tell whether a target's table exists with every column that is to land: else its old rows lack values.

    `present` is what `schema_columns` says of the target's schema.
    """
    columns = present.get(target.name.lower())
    return columns is not None and not _missing(target.data_columns, columns)


def ensure_tables(connection: duckdb.DuckDBPyConnection, target: Target, *, load_id: int) -> int:
    """Return how many rows got a new version because a column came, with a value found in `_extra`, or went.

    Creates the schemas, the table and its history where they are missing. A column that is excluded now
    goes; the versions with its values go to history, where a rollback finds them.
    """
    old, history = columns_of(connection, target)
    if not old:
        _create(connection, target.schema, target, columns=target.columns)
    if not history:
        _create(connection, target.history_schema, target, columns=(*target.columns, REPLACED_BY))
        return 0
    add_columns(connection, target.history, _missing(target.data_columns, history))
    if not old:
        _note_made_again(connection, target, history, load_id=load_id)
        return 0
    gone = [name for name in old if name in target.excluded]
    added = _missing(target.data_columns, old)
    _note(connection, target, dict.fromkeys(gone) | {c.name: c.type for c in added}, load_id=load_id)
    changed = _take_out(connection, target, gone, load_id=load_id) if gone else 0
    if not added:
        return changed
    add_columns(connection, target.current, added)
    comment_columns(connection, target, added)
    return changed + _fill_from_extra(connection, target, added, load_id=load_id)


def make_again(connection: duckdb.DuckDBPyConnection, target: Target) -> None:
    """Create a table that a rollback dropped, empty, with every column that its history ever had."""
    known = {column.name: column for column in target.columns}
    _create(connection, target.schema, target, columns=[
        known.get(name) or Column(name, type_, nullable=True, source="value")
        for name, type_ in history_types(connection, target).items()
    ])  # fmt: skip


def history_types(connection: duckdb.DuckDBPyConnection, target: Target) -> dict[str, str]:
    """Return the columns of a target's history with their types, in order, but for `_replaced_by`."""
    rows = connection.execute(f"describe {target.history}").fetchall()
    return {name: type_ for name, type_, *_ in rows if name != REPLACED_BY.name}


def keep_versions(connection: duckdb.DuckDBPyConnection, target: Target, rows: str, *, load_id: int) -> None:
    """Copy to history the current versions of rows that a load is about to replace, every column of them.

    Also of columns that are excluded now, or that the pinned API version does not know any more.

    Args:
        rows: Query of their row ids.
        load_id: The load; a version it wrote itself was never a state anyone could go back to, and is not kept.
    """
    names = names_sql(shared_columns(connection, target))
    connection.execute(
        f"insert into {target.history} ({names}, _replaced_by) select {names}, ? from {target.current} "
        f"where rowid in ({rows}) and _load_id <> ?",
        [load_id, load_id],
    )


def shared_columns(connection: duckdb.DuckDBPyConnection, target: Target) -> list[str]:
    """Return the columns that a target's table and its history both have: all but those a user added.

    Both must be there; every merge asks, and this is cheaper than the catalog of all tables that `columns_of` reads.
    """
    here, there = (
        [name for name, *_ in connection.execute(f"select * from {table} limit 0").description or ()]
        for table in (target.current, target.history)
    )
    return [name for name in here if name in there]


def _note(
    connection: duckdb.DuckDBPyConnection, target: Target, columns: Mapping[str, str | None], *, load_id: int
) -> None:
    """Record which columns a load brought, by their types, or with None took out."""
    if columns:
        connection.executemany(
            f"insert into {registry_sql('added_columns')} values (?, ?, ?, ?, ?)",
            [[target.schema, target.name, name, type_, load_id] for name, type_ in columns.items()],
        )


def _note_made_again(
    connection: duckdb.DuckDBPyConnection, target: Target, history: Sequence[str], *, load_id: int
) -> None:
    """Record in which columns a table differs from the one of its name that a rollback dropped."""
    noted = connection.execute(
        f"select distinct column_name from {registry_sql('added_columns')} where dataflow = ? and destination = ?",
        [target.schema, target.name],
    ).fetchall()
    known = {*history} - {name for (name,) in noted}
    now = {column.name: column.type for column in target.columns}
    gone = dict.fromkeys(name for name in history if name not in now and name != REPLACED_BY.name)
    _note(connection, target, gone | {n: type_ for n, type_ in now.items() if n not in known}, load_id=load_id)


def _take_out(connection: duckdb.DuckDBPyConnection, target: Target, gone: Sequence[str], *, load_id: int) -> int:
    """Drop columns; return how many rows held a value there, and so got a new version without it."""
    held = " or ".join(f"{quote(name)} is not null" for name in gone)
    connection.execute(
        f"create or replace temp table held as select rowid as row_id from {target.current} where {held}"
    )
    keep_versions(connection, target, "select row_id from held", load_id=load_id)
    row = connection.execute(
        f"update {target.current} set _load_id = ? where rowid in (select row_id from held)", [load_id]
    ).fetchone()
    for name in gone:
        connection.execute(f"alter table {target.current} drop column {quote(name)}")
    return row[0] if row else 0


def add_columns(connection: duckdb.DuckDBPyConnection, table: str, columns: Iterable[Column]) -> None:
    """Add columns to a table, given as SQL; its old rows hold null there."""
    for column in columns:
        connection.execute(f"alter table {table} add column {quote(column.name)} {column.type}")


def _missing(wanted: Iterable[Column], present: Iterable[str]) -> list[Column]:
    known = {name.lower() for name in present}
    return [column for column in wanted if column.name.lower() not in known]


def _create(connection: duckdb.DuckDBPyConnection, schema: str, target: Target, *, columns: Sequence[Column]) -> None:
    connection.execute(f"create schema if not exists {WAREHOUSE}.{quote(schema)}")
    definitions = ", ".join(f"{quote(column.name)} {column.type}" for column in columns)
    table = table_sql(schema, target.name)
    connection.execute(f"create table if not exists {table} ({definitions})")
    if schema != target.schema:
        return
    if text := target.comments.get("") or target.table.description:
        connection.execute(f"comment on table {table} is {literal(text)}")
    comment_columns(connection, target, columns)


def comment_columns(connection: duckdb.DuckDBPyConnection, target: Target, columns: Iterable[Column]) -> None:
    """Comment columns; each costs a millisecond, so only when they are new."""
    for column in columns:
        if text := target.comments.get(column.name) or OUR_COMMENTS.get(column.name):
            connection.execute(f"comment on column {target.current}.{quote(column.name)} is {literal(text)}")


def _fill_from_extra(
    connection: duckdb.DuckDBPyConnection, target: Target, added: Sequence[Column], *, load_id: int
) -> int:
    """Return how many rows got a new version with the new columns taken out of `_extra`.

    A new version, not a change in place: a rollback beyond this load restores `_extra` as it was.
    """
    _find_in_extra(connection, target, added)
    keep_versions(connection, target, "select row_id from filled", load_id=load_id)
    values = ", ".join(f"{quote(column.name)} = f.{quote(column.name)}" for column in added)
    row = connection.execute(
        f"update {target.current} as t set {values}, _extra = nullif(f.rest, '{{}}'), _load_id = ? "
        "from filled as f where f.row_id = t.rowid",
        [load_id],
    ).fetchone()
    return row[0] if row else 0


def _find_in_extra(connection: duckdb.DuckDBPyConnection, target: Target, added: Sequence[Column]) -> None:
    """Fill `filled` with the rows whose `_extra` has the columns: their values, and the `rest` of it.

    What does not fit its column stays where it is.
    """
    texts, values, rest = [], [], "_extra"
    for column in added:
        name, path = quote(column.name), literal(f"$.{quote(column.name)}")
        text = f"json_extract_string(_extra, {path})"
        if column.type == "JSON":
            text = f"nullif(json_extract(_extra, {path}), 'null')"
        texts.append(f"{text} as {name}")
        values.append(f"try({value_sql(column)}) as {name}")
        moves = f"json_type(_extra, {path}) = 'NULL' or try({value_sql(column)}) is not null"
        rest = f"if({moves}, json_merge_patch({rest}, {literal(json.dumps({column.name: None}))}), {rest})"
    connection.execute(
        f"create or replace temp table filled as select row_id, {', '.join(values)}, {rest} as rest from "
        f"(select rowid as row_id, _extra, {', '.join(texts)} from {target.current} where _extra is not null) "
        "where rest is distinct from _extra"
    )

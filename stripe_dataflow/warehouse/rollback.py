"""Bring tables back to the state after an earlier load: the inverse of the merges since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from stripe_dataflow.catalog import Column
from stripe_dataflow.warehouse.cursors import get_cursor, set_cursor
from stripe_dataflow.warehouse.registry import registry_sql
from stripe_dataflow.warehouse.tables import (
    add_columns,
    column_names,
    columns_of,
    comment_columns,
    history_types,
    make_again,
    shared_columns,
)
from stripe_dataflow.warehouse.target import Target, names_sql, quote
from stripe_dataflow.warehouse.timeline import Span, resolve_target, spans, within_sql


@dataclass(frozen=True, slots=True)
class Restored:
    """What a rollback did, or would do, to one table, in rows; `dropped`: it was not there yet."""

    destination: str
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    dropped: bool = False


def restore(
    connection: duckdb.DuckDBPyConnection,
    targets: Sequence[Target],
    *,
    to_load_id: int,
    new_load_id: int,
    dry_run: bool = False,
) -> list[Restored]:
    """Return, per table, what bringing it back to the state after a load changed.

    Rows, columns and the cursor are as they were then, in the caller's one transaction; what is
    undone stays in history, so that a rollback to a later load goes forward again.

    Args:
        connection: Of a transaction; for `dry_run` one that only reads will do.
        targets: The tables, all of one dataflow.
        to_load_id: As `resolve_target` returns it.
        new_load_id: The load this rollback is recorded as.
        dry_run: Count only.

    Raises:
        ConfigError: There is no such state, or its history is gone.
    """
    if targets:
        resolve_target(connection, targets[0].schema, to_load_id)
    return [_restore(connection, t, to_load_id, new_load_id=new_load_id, dry_run=dry_run) for t in targets]


def _restore(
    connection: duckdb.DuckDBPyConnection, target: Target, to: int, *, new_load_id: int, dry_run: bool
) -> Restored:
    among = spans(connection, target, to)
    cursor = _cursor_after(connection, target, among)
    has_current, has_history = map(bool, columns_of(connection, target))
    if not has_history:
        return Restored(target.name)
    if not has_current:
        if dry_run:
            return Restored(target.name, inserted=_versions(connection, target, among))
        make_again(connection, target)
    _plan(connection, target, among)
    done = _counted(connection, target, dropped=has_current and cursor is None)
    if dry_run:
        return done
    _exchange(connection, target, among, new_load_id=new_load_id)
    if cursor is None:
        connection.execute(f"drop table {target.current}")
    _record(connection, target, done, to=to, new_load_id=new_load_id, cursor=cursor)
    connection.execute(
        f"delete from {registry_sql('partitions')} where dataflow = ? and table_name = ? "
        f"and not {within_sql('load_id', among)}",
        [target.schema, target.table.name],
    )
    return done


def _cursor_after(connection: duckdb.DuckDBPyConnection, target: Target, among: list[Span]) -> tuple[str | None] | None:
    """Return the cursor the table had in a state, or None where none of the state's loads had loaded it yet."""
    return connection.execute(
        f"select cursor_after from {registry_sql('loads')} where dataflow = ? and destination = ? "
        f"and {within_sql('load_id', among)} and mode <> 'rollback' and not removed order by load_id desc limit 1",
        [target.schema, target.name],
    ).fetchone()


def _plan(connection: duckdb.DuckDBPyConnection, target: Target, among: list[Span]) -> None:
    """Fill `leaving` with the current rows that are no part of the state, `coming` with those missing.

    A version is told from the others of its object by the load that wrote it.
    """
    same = _same_version_sql(target)
    connection.execute(
        f"create or replace temp table leaving as select rowid as row_id from {target.current} c "
        f"where not {within_sql('_load_id', among)} union select c.rowid from {target.current} c "
        f"semi join {target.history} h on {same} and {within_sql('h._replaced_by', among)}"
    )
    connection.execute(
        f"create or replace temp table coming as select row_id from ({_versions_sql(target, among)}) h "
        f"anti join {target.current} c on {same}"
    )


def _versions_sql(target: Target, among: list[Span]) -> str:
    """Return the query of the state's versions that history holds, each once."""
    key = names_sql(target.table.key)
    return (
        f"select min(rowid) as row_id, {key}, _load_id from {target.history} "
        f"where {within_sql('_load_id', among)} group by {key}, _load_id "
        f"having not bool_or({within_sql('_replaced_by', among)})"
    )


def _versions(connection: duckdb.DuckDBPyConnection, target: Target, among: list[Span]) -> int:
    row = connection.execute(f"select count(*) from ({_versions_sql(target, among)})").fetchone()
    return row[0] if row else 0


def _same_version_sql(target: Target) -> str:
    return f"{target.key_match_sql('c', 'h')} and c._load_id = h._load_id"


def _counted(connection: duckdb.DuckDBPyConnection, target: Target, *, dropped: bool) -> Restored:
    row = connection.execute(
        f"""with c as (select * from {target.current} where rowid in (select row_id from leaving)),
        h as (select * from {target.history} where rowid in (select row_id from coming))
        select (select count(*) from coming), (select count(*) from leaving),
            (select count(*) from c join h on {target.key_match_sql("c", "h")})"""
    ).fetchone()
    coming, leaving, both = row or (0, 0, 0)
    return Restored(target.name, coming - both, both, leaving - both, dropped)


def _exchange(connection: duckdb.DuckDBPyConnection, target: Target, among: list[Span], *, new_load_id: int) -> None:
    """Carry out the plan: leaving rows to history, coming ones back, columns as they were."""
    back, gone = _columns_then(connection, target, among)
    names = names_sql(shared_columns(connection, target))
    connection.execute(
        f"insert into {target.history} ({names}, _replaced_by) select {names}, ? from {target.current} "
        f"where rowid in (select row_id from leaving except select c.rowid from {target.current} c "
        f"semi join {target.history} h on {_same_version_sql(target)})",
        [new_load_id],
    )
    connection.execute(f"delete from {target.current} where rowid in (select row_id from leaving)")
    add_columns(connection, target.current, back)
    comment_columns(connection, target, back)
    names = names_sql(shared_columns(connection, target))
    connection.execute(
        f"insert into {target.current} ({names}) select {names} from {target.history} "
        "where rowid in (select row_id from coming)"
    )
    for name in gone:
        connection.execute(f"alter table {target.current} drop column {quote(name)}")


def _columns_then(
    connection: duckdb.DuckDBPyConnection, target: Target, among: list[Span]
) -> tuple[list[Column], list[str]]:
    """Return the columns the state has and the table lacks, and the names it has too many."""
    within = within_sql("load_id", among)
    # Without a type: that load took the column out. What the state's own loads did last counts; where they
    # did nothing, the column was there from the beginning if the first thing that befell it was to be taken out.
    rows = connection.execute(
        f"select column_name, coalesce(arg_max(coalesce(type, '') <> '', load_id) filter ({within}), "
        f"arg_min(coalesce(type, '') = '', load_id)) from {registry_sql('added_columns')} "
        "where dataflow = ? and destination = ? group by column_name order by min(load_id)",
        [target.schema, target.name],
    ).fetchall()
    present = column_names(connection, target.schema, target.name)
    types = history_types(connection, target)
    back = [
        Column(name, types[name], nullable=True, source="value")
        for name, was_there in rows
        if was_there and name not in present
    ]
    return back, [name for name, was_there in rows if not was_there and name in present]


def _record(
    connection: duckdb.DuckDBPyConnection,
    target: Target,
    done: Restored,
    *,
    to: int,
    new_load_id: int,
    cursor: tuple[str | None] | None,
) -> None:
    """Set the cursor back, so that the next run fetches what was undone, and note the rollback."""
    before = get_cursor(connection, target.schema, target.table.name)
    after = cursor[0] if cursor else None
    set_cursor(connection, target.schema, target.table.name, cursor=after)
    connection.execute(
        f"""insert into {registry_sql("loads")} (dataflow, load_id, table_name, destination, mode,
            rows_read, inserted, updated, deleted, unchanged, requests, retries, bytes, seconds,
            cursor_before, cursor_after, started, ended, restored, expired, removed)
        values (?, ?, ?, ?, 'rollback', 0, ?, ?, ?, 0, 0, 0, 0, 0, ?, ?, now(), now(), ?, false, false)""",
        [
            target.schema,
            new_load_id,
            target.table.name,
            target.name,
            done.inserted,
            done.updated,
            done.deleted,
            before,
            after,
            to,
        ],
    )

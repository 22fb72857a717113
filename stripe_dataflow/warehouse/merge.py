"""Bring staged rows into a table: set-based, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from stripe_dataflow.warehouse.scope import Counts, Scope
from stripe_dataflow.warehouse.seen import spared_sql
from stripe_dataflow.warehouse.staging import is_staged
from stripe_dataflow.warehouse.tables import ensure_tables, keep_versions
from stripe_dataflow.warehouse.target import Target, names_sql, quote


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did, and up to which staged row it read: those may go once it is committed."""

    counts: Counts
    last_staged: int = -1


def merge(connection: duckdb.DuckDBPyConnection, target: Target, *, load_id: int, scope: Scope) -> Merged:
    """Return what changed in the table once the staged rows of the scope are in it.

    Unchanged rows are left alone; a changed or vanished row's old version goes to history. Old
    never beats new: an answer older than the row's `_loaded_at` changes nothing.
    """
    filled = ensure_tables(connection, target, load_id=load_id)
    read, last, earliest, latest = _pick(connection, target, scope)
    _decide(connection, target)
    if scope.complete and target.table.deletable:
        _find_absent(connection, target, scope, earliest=earliest)
    done = dict(connection.execute("select action, count(*) from moves group by action").fetchall())
    if done:
        # By Stripe's clock also where nothing was left to list: this machine's may be wrong.
        gone_at = max((at for at in (latest, scope.started) if at is not None), default=None)
        _apply(connection, target, load_id=load_id, gone_at=gone_at)
    picked = _scalar(connection, "select count(*) from picked")
    tombstones = done.get("tombstone", 0)
    inserted, updated = done.get("insert", 0), done.get("update", 0)
    counts = Counts(
        read=read,
        inserted=inserted,
        updated=updated + filled,
        deleted=tombstones + done.get("absent", 0),
        unchanged=picked - inserted - updated - tombstones,
        filled=filled,
    )
    return Merged(counts, last)


def _scalar(connection: duckdb.DuckDBPyConnection, sql: str, values: Sequence[object] = ()) -> int:
    row = connection.execute(sql, list(values)).fetchone()
    return row[0] if row else 0


def _pick(
    connection: duckdb.DuckDBPyConnection, target: Target, scope: Scope
) -> tuple[int, int, int | None, int | None]:
    """Fill `picked`: of each staged object its newest row, beside the row the table has of it.

    Only row ids and a few narrow columns, so that millions of rows fit in memory.
    Returns the rows read, the last one's id, and the earliest and latest answer, microseconds.
    """
    connection.execute(
        "create or replace temp table picked (staged bigint, live bigint, tombstone boolean, "
        "fetched timestamptz, loaded timestamptz, deleted timestamptz)"
    )
    if not is_staged(connection, target):
        return 0, -1, None, None
    condition, values = scope.condition(target)
    key = names_sql(target.table.key)
    read, last, earliest, latest = connection.execute(
        f"select count(*), coalesce(max(rowid), -1), min(_fetched_at), max(_fetched_at) "
        f"from {target.staged} where {condition}",
        values,
    ).fetchone() or (0, -1, None, None)
    if read:
        connection.execute(
            f"insert into picked with newest as (select rowid as staged, {key}, "
            f"coalesce(_deleted, false) as tombstone, make_timestamptz(_fetched_at) as fetched "
            f"from {target.staged} where {condition} qualify row_number() over "
            f"(partition by {key} order by _fetched_at desc nulls last, rowid desc) = 1) "
            f"select n.staged, l.rowid, n.tombstone, coalesce(n.fetched, now()), "
            f"l._loaded_at, l._deleted_at from newest n "
            f"left join {target.current} l on {target.key_match_sql('n', 'l')}",
            values,
        )
    return read, last, earliest, latest


def _decide(connection: duckdb.DuckDBPyConnection, target: Target) -> None:
    """Fill `moves` with what is to be done for each picked row, nothing where nothing changes."""
    differs = " or ".join(f"s.{quote(name)} is distinct from l.{quote(name)}" for name in target.compared)
    connection.execute(
        "create or replace temp table moves as select staged, live, case "
        "when live is null then 'insert' when tombstone then 'tombstone' when deleted is not null "
        "then 'update' else 'compare' end as action from picked "
        "where case when live is null then not tombstone "
        "when fetched < greatest(loaded, coalesce(deleted, loaded)) then false "
        "when tombstone then deleted is null else true end"
    )
    if _scalar(connection, "select count(*) from moves where action = 'compare'"):
        connection.execute(
            f"insert into moves select m.staged, m.live, 'update' from moves m "
            f"join {target.staged} s on s.rowid = m.staged join {target.current} l on l.rowid = m.live "
            f"where m.action = 'compare' and ({differs})"
        )
        connection.execute("delete from moves where action = 'compare'")


def _find_absent(connection: duckdb.DuckDBPyConnection, target: Target, scope: Scope, *, earliest: int | None) -> None:
    """Add to `moves` the live rows of the scope that Stripe no longer lists."""
    condition, values = scope.condition(target)
    since = scope.started if scope.started is not None else earliest
    connection.execute(
        f"insert into moves select null, rowid, 'absent' from {target.current} "
        f"where {condition} and _deleted_at is null "
        "and _loaded_at < coalesce(make_timestamptz(?::bigint), now()) "
        f"and rowid not in (select live from picked where live is not null) and {spared_sql(connection, target)}",
        [*values, since],
    )


def _apply(connection: duckdb.DuckDBPyConnection, target: Target, *, load_id: int, gone_at: int | None) -> None:
    """Carry out `moves`: old versions to history, new ones in, `_deleted_at` on what is gone."""
    keep_versions(connection, target, "select live from moves where live is not null", load_id=load_id)
    connection.execute(
        f"update {target.current} as t set _load_id = ?, "
        "_deleted_at = coalesce(p.fetched, make_timestamptz(?::bigint), now()) "
        "from moves m left join picked p on p.staged = m.staged "
        "where m.live = t.rowid and m.action in ('tombstone', 'absent')",
        [load_id, gone_at],
    )
    connection.execute(f"delete from {target.current} where rowid in (select live from moves where action = 'update')")
    if _scalar(connection, "select count(*) from moves where action in ('insert', 'update')"):
        data = names_sql(target.compared)
        connection.execute(
            f"insert into {target.current} ({data}, _load_id, _loaded_at) "
            f"select {data}, ?, coalesce(make_timestamptz(_fetched_at), now()) from {target.staged} "
            "where rowid in (select staged from moves where action in ('insert', 'update'))",
            [load_id],
        )

"""What each load did to each table, and which partitions it committed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb

from stripe_dataflow.warehouse.cursors import get_cursor
from stripe_dataflow.warehouse.registry import registry_sql
from stripe_dataflow.warehouse.scope import Counts
from stripe_dataflow.warehouse.target import Target

Window = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStats:
    """What one merge of a load adds to the record of its table.

    Attributes:
        mode: How the table was read, such as `full`, `window` or `changes`.
        counts: What the merge did.
        window: Creation times read, half open, Unix seconds.
        requests, retries, bytes, seconds: What reading it took.
        cursor_before, cursor_after: The table's cursor; where not given, as it stands now.
    """

    mode: str
    counts: Counts = field(default_factory=Counts)
    window: Window | None = None
    requests: int = 0
    retries: int = 0
    bytes: int = 0
    seconds: float = 0.0
    cursor_before: str | None = None
    cursor_after: str | None = None


@dataclass(frozen=True, slots=True)
class LoadRow:
    """One load's record of one table; `reachable` tells whether a rollback can go there."""

    dataflow: str
    load_id: int
    kind: str
    status: str
    table_name: str
    destination: str
    mode: str
    window: Window | None
    counts: Counts
    requests: int
    retries: int
    bytes: int
    seconds: float
    cursor_before: str | None
    cursor_after: str | None
    started: datetime
    ended: datetime
    restored: int | None
    reachable: bool


def record_load(connection: duckdb.DuckDBPyConnection, target: Target, load_id: int, *, stats: LoadStats) -> None:
    """Add what a merge did to the load's one row for the table.

    Call it after `set_cursor`, in the transaction of the merge.
    """
    gte, lt = stats.window or (None, None)
    counts = stats.counts
    figures = [counts.read, counts.inserted, counts.updated, counts.deleted, counts.unchanged]
    spent = [stats.requests, stats.retries, stats.bytes, stats.seconds]
    here = [target.schema, load_id, target.table.name]
    after = stats.cursor_after or get_cursor(connection, target.schema, target.table.name)
    known = connection.execute(
        f"""update {registry_sql("loads")} set mode = ?,
            window_gte = least(window_gte, ?), window_lt = greatest(window_lt, ?),
            rows_read = rows_read + ?, inserted = inserted + ?, updated = updated + ?,
            deleted = deleted + ?, unchanged = unchanged + ?, requests = requests + ?,
            retries = retries + ?, bytes = bytes + ?, seconds = seconds + ?, cursor_after = ?, ended = now()
        where dataflow = ? and load_id = ? and table_name = ? returning load_id""",
        [stats.mode, gte, lt, *figures, *spent, after, *here],
    ).fetchone()
    if known:
        return
    connection.execute(
        f"""insert into {registry_sql("loads")} (dataflow, load_id, table_name, destination, mode,
            window_gte, window_lt, rows_read, inserted, updated, deleted, unchanged, requests, retries,
            bytes, seconds, cursor_before, cursor_after, started, ended, expired, removed)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
            now() - to_seconds(?), now(), false, false)""",
        [
            *here,
            target.name,
            stats.mode,
            gte,
            lt,
            *figures,
            *spent,
            stats.cursor_before,
            after,
            stats.seconds,
        ],
    )


def list_loads(
    connection: duckdb.DuckDBPyConnection, dataflow: str | None = None, *, limit: int = 1000
) -> list[LoadRow]:
    """Return the latest loads x tables, newest first, of one dataflow or of all."""
    rows = connection.execute(
        f"""select l.dataflow, l.load_id, coalesce(r.kind, 'run'), coalesce(r.status, 'Failed'),
            l.table_name, l.destination, l.mode, l.window_gte, l.window_lt,
            l.rows_read, l.inserted, l.updated, l.deleted, l.unchanged,
            l.requests, l.retries, l.bytes, l.seconds, l.cursor_before, l.cursor_after,
            l.started, l.ended, l.restored, not (l.expired or l.removed)
                and (l.mode = 'rollback' or coalesce(r.status = 'Completed', false))
        from {registry_sql("loads")} l left join {registry_sql("runs")} r on r.load_id = l.load_id
        where ?::varchar is null or l.dataflow = ? order by l.load_id desc, l.table_name limit ?""",
        [dataflow, dataflow, limit],
    ).fetchall()
    return [_load_row(row) for row in rows]


def _load_row(row: tuple[Any, ...]) -> LoadRow:
    window = None if row[7] is None else (row[7], row[8])
    values: list[Any] = [*row[:7], window, Counts(*row[9:14]), *row[14:]]
    return LoadRow(*values)


def record_partition(
    connection: duckdb.DuckDBPyConnection,
    target: Target,
    load_id: int,
    *,
    window: Window,
    rows: int,
    root_run_id: str,
    cursor: str = "",
) -> None:
    """Note that a partition's rows are committed with this transaction, and the cursor of the run that read them."""
    connection.execute(
        f"insert into {registry_sql('partitions')} values (?, ?, ?, ?, ?, ?, ?, now(), ?)",
        [target.schema, target.table.name, *window, load_id, rows, root_run_id, cursor],
    )


def listed_at(connection: duckdb.DuckDBPyConnection, dataflow: str, table: str) -> dict[int, int]:
    """Return a partition's lower bound -> when it was last read whole; Unix seconds both."""
    rows = connection.execute(
        f"select partition_gte, epoch(max(merged_at))::bigint from {registry_sql('partitions')} "
        "where dataflow = ? and table_name = ? group by all",
        [dataflow, table],
    ).fetchall()
    return dict(rows)


def committed_partitions(
    connection: duckdb.DuckDBPyConnection,
    dataflow: str,
    table: str,
    *,
    root_run_id: str,
    completed: Iterable[str] = (),
) -> dict[Window, str]:
    """Return the partitions that a run's attempts committed since its last `completed` one, and their cursors.

    Empty text where an attempt had no cursor, as it could not read events or was for some partitions only.
    """
    rows = connection.execute(
        f"select partition_gte, partition_lt, coalesce(cursor, '') from {registry_sql('partitions')} "
        "where dataflow = ? and table_name = ? and root_run_id = ? and load_id > coalesce("
        f"(select max(load_id) from {registry_sql('runs')} where dataflow = ? and list_contains(?::varchar[], run_id)"
        "), 0) order by load_id",
        [dataflow, table, root_run_id, dataflow, list(completed)],
    ).fetchall()
    return {(gte, lt): cursor for gte, lt, cursor in rows}

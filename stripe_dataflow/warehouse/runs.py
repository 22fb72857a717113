"""The history of runs: opened, closed, and closed for those that died."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import duckdb

from stripe_dataflow.errors import DataflowBusy
from stripe_dataflow.warehouse.processes import Process
from stripe_dataflow.warehouse.registry import registry_sql, registry_version

Kind = Literal["run", "rollback", "remove"]
Status = Literal["In-Progress", "Completed", "Failed", "Canceled"]

# How the details of a removal of the whole dataflow begin.
REMOVED = "Removed the dataflow"
_MARKED_SINCE = 4
DIED = "Interrupted: its process ended without a result. What it had committed stays; run again."


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run: what it was, what became of it, and the load id all its merges bear."""

    run_id: str
    dataflow: str
    load_id: int
    kind: Kind
    status: Status
    started: datetime
    ended: datetime | None
    details: str
    description: str


def start_run(connection: duckdb.DuckDBPyConnection, run_id: str, *, dataflow: str, kind: Kind) -> int:
    """Return the run's load id, higher than every earlier one; the same again for the same run.

    Runs of the dataflow whose processes are gone without closing them are closed as failed.

    Raises:
        DataflowBusy: Another process loads the dataflow while this is to take it back, or the reverse.
    """
    own = Process.own()
    _close_dead(connection, run_id, dataflow=dataflow)
    _refuse_busy(connection, dataflow, kind=kind, own=own)
    known = connection.execute(
        f"update {registry_sql('runs')} set status = 'In-Progress', ended = null, description = '', "
        "host = ?, pid = ?, process_mark = ? where run_id = ? and dataflow = ? returning load_id",
        [own.host, own.pid, own.mark, run_id, dataflow],
    ).fetchone()
    if known:
        return known[0]
    row = connection.execute(
        f"insert into {registry_sql('runs')} (run_id, dataflow, load_id, kind, status, started, details, "
        "description, host, pid, process_mark) select ?, ?, coalesce(max(load_id), 0) + 1, ?, 'In-Progress', now(), "
        f"'', '', ?, ?, ? from {registry_sql('runs')} returning load_id",
        [run_id, dataflow, kind, own.host, own.pid, own.mark],
    ).fetchone()
    return row[0] if row else 0


def end_run(
    connection: duckdb.DuckDBPyConnection,
    run_id: str,
    *,
    dataflow: str,
    status: Status,
    details: str = "",
    description: str = "",
) -> None:
    """Close a run: `details` say what it did, `description` what went wrong."""
    connection.execute(
        f"update {registry_sql('runs')} set status = ?, ended = now(), details = ?, description = ? "
        "where run_id = ? and dataflow = ?",
        [status, details, description, run_id, dataflow],
    )


def list_runs(connection: duckdb.DuckDBPyConnection, dataflow: str | None = None, *, limit: int = 100) -> list[RunRow]:
    """Return the latest runs, newest first, of one dataflow or of all."""
    rows = connection.execute(
        "select run_id, dataflow, load_id, kind, status, started, ended, details, description "
        f"from {registry_sql('runs')} where ?::varchar is null or dataflow = ? "
        "order by load_id desc limit ?",
        [dataflow, dataflow, limit],
    ).fetchall()
    return [RunRow(*row) for row in rows]


def _close_dead(connection: duckdb.DuckDBPyConnection, run_id: str, *, dataflow: str) -> None:
    """Close what died; a run of another machine too: one pool lets one run write at a time."""
    rows = connection.execute(
        f"select run_id, {_process_sql(connection)} from {registry_sql('runs')} "
        "where dataflow = ? and status = 'In-Progress' and run_id <> ?",
        [dataflow, run_id],
    ).fetchall()
    for dead, *of in rows:
        process = Process(*of)
        if not (process.is_here and process.is_alive):
            end_run(connection, dead, dataflow=dataflow, status="Failed", description=DIED)


def dead_runs(connection: duckdb.DuckDBPyConnection, unfinished: Sequence[str]) -> list[RunRow]:
    """Return this machine's runs whose processes are gone: the open ones, and those of `unfinished` closed so.

    A run of another machine is left alone, as its processes cannot be seen from here.
    """
    rows = connection.execute(
        f"select {_process_sql(connection)}, run_id, dataflow, load_id, kind, status, started, ended, details, "
        f"description from {registry_sql('runs')} "
        "where status = 'In-Progress' or (description = ? and list_contains(?::varchar[], run_id))",
        [DIED, list(unfinished)],
    ).fetchall()
    found = [(Process(host, pid, mark), RunRow(*row)) for host, pid, mark, *row in rows]
    return [row for process, row in found if process.is_here and not process.is_alive]


def _process_sql(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the columns of a `Process`; what earlier releases wrote has no mark, and is read as it is."""
    return "host, pid, coalesce(process_mark, '')" if registry_version(connection) >= _MARKED_SINCE else "host, pid, ''"


def _refuse_busy(connection: duckdb.DuckDBPyConnection, dataflow: str, *, kind: Kind, own: Process) -> None:
    """Dagster's pool keeps them apart, but not those started in two terminals; two loads may overlap."""
    other = connection.execute(
        f"select kind, pid from {registry_sql('runs')} where dataflow = ? and status = 'In-Progress' "
        "and (kind = 'run') <> (? = 'run') and pid <> ? order by load_id limit 1",
        [dataflow, kind, own.pid],
    ).fetchone()
    if other:
        what = {"run": "loaded", "rollback": "rolled back", "remove": "removed"}[other[0]]
        raise DataflowBusy(
            f"{dataflow} is being {what} by process {other[1]}. Run again once that has ended. Nothing was changed."
        )


def was_removed(connection: duckdb.DuckDBPyConnection, dataflow: str) -> bool:
    """Tell whether the last thing that was done to a dataflow was to remove it."""
    row = connection.execute(
        f"select kind, details from {registry_sql('runs')} where dataflow = ? and status = 'Completed' "
        "order by load_id desc limit 1",
        [dataflow],
    ).fetchone()
    return row is not None and row[0] == "remove" and row[1].startswith(REMOVED)

"""The commands that read the registry: which dataflows there are, their runs and their loads."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from stripe_dataflow.cli.loading import dataflows
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.run_session import staging_root
from stripe_dataflow.warehouse import Warehouse, landed_rows, list_dataflows, list_loads, list_runs, list_tables


@dataclass(frozen=True, slots=True)
class Line:
    """One dataflow in the list; times are None for what never was."""

    name: str
    display_name: str
    type: str
    status: str
    stale: bool
    tables: int
    created: datetime | None
    updated: datetime | None
    last_refresh: datetime | None
    last_attempt: datetime | None


def lines() -> list[Line]:
    """Return every dataflow of the project, New where its database does not know it yet."""
    return [_line(dataflow) for dataflow in dataflows()]


def _line(dataflow: Dataflow) -> Line:
    known = None
    with registry(dataflow) as connection:
        if connection is not None:
            known = next((d for d in list_dataflows(connection) if d.name == dataflow.name), None)
    if known is None:
        return Line(dataflow.name, dataflow.title, "stripe", "New", False, len(dataflow.tables), None, None, None, None)
    stale = known.fingerprint != dataflow.fingerprint
    return Line(
        dataflow.name, dataflow.title, known.type, known.status, stale, len(dataflow.tables), known.created,
        known.updated, known.last_refresh, known.last_attempt,
    )  # fmt: skip


@contextmanager
def registry(dataflow: Dataflow) -> Iterator[duckdb.DuckDBPyConnection | None]:
    """Yield a connection that reads the dataflow's database, None while there is none."""
    if not dataflow.database.exists():
        yield None
        return
    with (
        Warehouse(dataflow.database, stage_dir=staging_root(dataflow.database), wait_s=10) as warehouse,
        warehouse.reading() as connection,
    ):
        yield connection


HISTORY = ("load", "kind", "status", "started", "ended", "details", "description")
VERSIONS = ("load", "kind", "status", "tables", "inserted", "updated", "deleted", "rollback to it")


def history(dataflow: Dataflow, *, failed: bool, limit: int) -> list[Sequence[object]]:
    """Return the runs of a dataflow, newest first, in the columns of HISTORY."""
    with registry(dataflow) as connection:
        runs = list_runs(connection, dataflow.name, limit=100_000) if connection else []
    wanted = [run for run in runs if run.status == "Failed" or not failed]
    return [
        (run.load_id, run.kind, run.status, run.started, run.ended, run.details, run.description)
        for run in wanted[:limit]
    ]


def versions(dataflow: Dataflow) -> list[Sequence[object]]:
    """Return the loads of a dataflow, newest first, in the columns of VERSIONS."""
    with registry(dataflow) as connection:
        loads = list_loads(connection, dataflow.name, limit=100_000) if connection else []
    found: list[Sequence[object]] = []
    for load_id in dict.fromkeys(load.load_id for load in loads):
        rows = [load for load in loads if load.load_id == load_id]
        sums = [sum(getattr(row.counts, what) for row in rows) for what in ("inserted", "updated", "deleted")]
        reachable = "yes" if any(row.reachable for row in rows) else "no"
        found.append((load_id, rows[0].kind, rows[0].status, len(rows), *sums, reachable))
    return found


def plan(dataflow: Dataflow) -> list[str]:
    """Return a line for each table whose next run differs from its last, and what will be done."""
    with registry(dataflow) as connection:
        known = {row.name: row for row in list_tables(connection, dataflow.name)} if connection else {}
        filled = set(landed_rows(connection, dataflow.name)) if connection else set()
    found = []
    for name, chosen in dataflow.tables.items():
        row = known.get(name)
        if row is None or not row.active:
            found.append(f"{name}: new, will be loaded in full")
        elif row.destination != chosen.target.name:
            found.append(
                f"{name}: lands in {chosen.target.name} from now on, in full; {row.destination} is kept as it is"
            )
        if chosen.purpose == "privacy_metadata" and name in filled:
            found.append(f"{name}: is now for privacy_metadata but holds rows; runs refuse it until they are removed")
    gone = [row for name, row in known.items() if row.active and name not in dataflow.tables]
    found += [f"{row.name}: no longer chosen; its rows are kept, and not brought up to date" for row in gone]
    return found or ["Nothing differs from the last run: each table is brought up to date."]


def shown(value: object, timezone: str) -> str:
    """Return a value as a cell: a time in the dataflow's zone, to the second."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(ZoneInfo(timezone)).isoformat(sep=" ", timespec="seconds")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def write_csv(path: Path, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write rows to a file; times as ISO in UTC."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(headings)
        writer.writerows([[shown(value, "UTC") for value in row] for row in rows])


def as_json(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as a JSON list of objects; times as ISO text."""
    return json.dumps([dict(zip(headings, row, strict=True)) for row in rows], default=str, indent=2)

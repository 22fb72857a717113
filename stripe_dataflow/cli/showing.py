"""What the registry knows of one dataflow, as rows to print: its runs, its loads, and what a run would do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from stripe_dataflow.errors import ConfigError
from stripe_dataflow.orchestration.connecting import account_connection
from stripe_dataflow.orchestration.dataflow import ChosenTable, Dataflow
from stripe_dataflow.orchestration.dataflow_list import registry
from stripe_dataflow.orchestration.same_account import account_of, other_account
from stripe_dataflow.sync import begin
from stripe_dataflow.warehouse import (
    AccountSeen,
    LoadRow,
    TableRow,
    known_account,
    landed_rows,
    list_loads,
    list_runs,
    list_tables,
)

HISTORY = ("load", "kind", "status", "started", "ended", "details", "description", "run_id")
VERSIONS = ("load", "ended", "kind", "status", "tables", "difference", "rollback_to_it")
_ALL = 1_000_000
_SHOWN = 8  # tables of one load, where people read

Row = Sequence[object]


def history_rows(dataflow: Dataflow, *, failed: bool, limit: int) -> list[Row]:
    """Return the runs of a dataflow, newest first, in the columns of HISTORY; none before its first run."""
    with registry(dataflow) as connection:
        runs = list_runs(connection, dataflow.name, limit=_ALL) if connection else []
    wanted = [run for run in runs if run.status == "Failed" or not failed]
    return [
        (run.load_id, run.kind, run.status, run.started, run.ended, run.details, run.description, run.run_id)
        for run in wanted[:limit]
    ]


def version_rows(dataflow: Dataflow) -> list[Row]:
    """Return the loads of a dataflow, newest first, in the columns of VERSIONS."""
    with registry(dataflow) as connection:
        loads = list_loads(connection, dataflow.name, limit=_ALL) if connection else []
    return [_version(list(rows)) for _, rows in groupby(loads, key=lambda load: load.load_id)]


def _version(rows: Sequence[LoadRow]) -> Row:
    first = rows[0]
    kind = first.kind if first.restored is None else f"{first.kind} to {first.restored}"
    # The largest first, as only some are shown.
    largest = sorted(rows, key=lambda row: -(row.counts.inserted + row.counts.updated + row.counts.deleted))
    changes = [text for text in map(_difference, largest) if text]
    reachable = any(row.reachable for row in rows)
    return (
        first.load_id, max(row.ended for row in rows), kind, first.status, len(rows), ", ".join(changes) or "none",
        reachable,
    )  # fmt: skip


def _difference(load: LoadRow) -> str:
    """Return `customers +3 ~1 -2`: rows new, changed, deleted; empty where nothing changed."""
    counts = load.counts
    figures = [("+", counts.inserted), ("~", counts.updated), ("-", counts.deleted)]
    changed = " ".join(f"{mark}{rows:,}" for mark, rows in figures if rows)
    return f"{load.destination} {changed}" if changed else ""


def shortened(difference: str) -> str:
    """Return the difference of a load's first tables, and how many more changed."""
    texts = difference.split(", ")
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f", and {more} more tables" if more > 0 else "")


def plan_lines(dataflow: Dataflow) -> list[str]:
    """Return a line for each table whose next run differs from its last, and what will be done."""
    with registry(dataflow) as connection:
        known = {row.name: row for row in list_tables(connection, dataflow.name)} if connection else {}
        filled = set(landed_rows(connection, dataflow.name)) if connection else set()
        account = known_account(connection, dataflow.name) if connection else None
    lines = _account_lines(dataflow, account)
    for name, chosen in dataflow.tables.items():
        lines += _changes(dataflow, chosen, known.get(name), holds_rows=name in filled)
    for name, row in known.items():
        if row.active and name not in dataflow.tables:
            lines.append(f"{name}: no longer chosen; its rows stay in {row.destination}, marked inactive")
    return lines or ["Nothing differs from the last run: it will bring each table up to date."]


def _account_lines(dataflow: Dataflow, known: AccountSeen | None) -> list[str]:
    """Return what the next run will refuse because of the key; asks Stripe, if the key is there."""
    if known is None:
        return []
    try:
        with account_connection(dataflow) as connection:
            seen = account_of(dataflow, connection, begin(connection).account)
    except ConfigError as error:
        return [f"Not checked whether the key is of {known}: {error}"]
    refusal = other_account(dataflow, known, seen)
    return [f"Every run will be refused: {refusal}"] if refusal else []


def _changes(dataflow: Dataflow, chosen: ChosenTable, row: TableRow | None, *, holds_rows: bool) -> list[str]:
    name, destination, purpose = chosen.table.name, chosen.target.name, chosen.purpose
    found = []
    if row is None:
        found.append(f"{name}: new, will be loaded in full into {destination}")
    elif not row.active:
        found.append(f"{name}: chosen again, {destination} will be brought up to date")
    if row and row.destination != destination:
        found.append(f"{name}: will be loaded in full into {destination}; {row.destination} stays as it is")
    if purpose == "privacy_metadata" and holds_rows:
        found.append(
            f"{name}: is now for privacy_metadata, but holds rows: every run refuses it until "
            f"{dataflow.name}__remove has removed them (tables: [{name}])"
        )
    elif row and row.purpose != purpose:
        found.append(f"{name}: purpose changes from {row.purpose} to {purpose}")
    return found

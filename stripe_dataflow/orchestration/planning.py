"""What a Dagster run asks for, as a plan: which partitions of which tables, in full or by their changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import dagster as dg
import duckdb

from stripe_dataflow.catalog import TABLES, Table
from stripe_dataflow.catalog.descriptions import descriptions
from stripe_dataflow.errors import ConfigError
from stripe_dataflow.orchestration.dataflow import ChosenTable, Dataflow
from stripe_dataflow.orchestration.partitions import (
    PARTITION_TAG,
    RANGE_TAGS,
    keys_of_run,
    partitions_of,
    windows_by_key,
)
from stripe_dataflow.stripe_api import Window
from stripe_dataflow.sync import Cursor, Plan, TablePlan, recheck
from stripe_dataflow.warehouse import (
    Target,
    committed_partitions,
    get_cursors,
    has_columns,
    listed_at,
    rows_by_day,
    schema_columns,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is for.

    Attributes:
        windows: Its partitions by key, oldest first, the last one cut off where the run began.
        everything: They are all the partitions there are.
        by_key: It was launched for a partition or a range, so each is made equal to Stripe's list.
        span: From the first partition to the beginning of the run.
    """

    windows: Mapping[str, Window]
    everything: bool
    by_key: bool
    span: Window


def asked_of(dataflow: Dataflow, tags: Mapping[str, str], *, now_s: int) -> Asked:
    """Return what a run with these tags is for, as of now.

    Raises:
        ConfigError: It was launched for partitions the dataflow does not have.
    """
    now = now_s + 1
    windows = windows_by_key(partitions_of(dataflow.attributes), now)
    keys = [key for key in keys_of_run(tags, list(windows)) if key in windows]
    span = Window(min(window.gte for window in windows.values()), now)
    by_key = any(tag in tags for tag in (PARTITION_TAG, *RANGE_TAGS))
    if by_key and not keys:
        raise ConfigError(
            f"{dataflow.name} has no such partition now: they go from {next(iter(windows))} to {list(windows)[-1]}."
        )
    return Asked({key: windows[key] for key in keys}, len(keys) == len(windows), by_key, span)


@dataclass(frozen=True, slots=True)
class Known:
    """What the registry and the catalog of the database say of a dataflow: cursors, and columns by table."""

    cursors: Mapping[str, str]
    columns: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes the plan of one run; reads cursors and committed partitions from the registry.

    `newest` is when the newest event happened (Unix seconds), None where events cannot be read; `completed` are the
    earlier attempts of a re-execution that completed.
    """

    dataflow: Dataflow
    run: dg.DagsterRun
    mode: str
    newest: int | None
    completed: Sequence[str] = ()

    def plan(self, connection: duckdb.DuckDBPyConnection, asked: Asked) -> Plan:
        """Return what to load of every table of the dataflow."""
        name = self.dataflow.name
        known = Known(get_cursors(connection, name), schema_columns(connection, name))
        tables = [self._table(connection, asked, chosen, known) for chosen in self.dataflow.tables.values()]
        return Plan(asked.span, tuple(tables))

    def _table(
        self, connection: duckdb.DuckDBPyConnection, asked: Asked, chosen: ChosenTable, known: Known
    ) -> TablePlan:
        table, span = chosen.table, asked.span
        plan = TablePlan(
            self._target(chosen),
            metadata_only=chosen.purpose == "privacy_metadata",
            hashed=chosen.hashed,
            hash_key=self.dataflow.hash_key(),
            parent=parent.target if table.parent and (parent := self.dataflow.tables.get(table.parent)) else None,
            start=span.gte,
        )
        done = self._committed(connection, asked, plan)
        windows = asked.windows.values() if table.created_filter else ()
        plan = replace(plan, windows=tuple(window for window in windows if window not in done))
        if not asked.everything or plan.metadata_only:
            return plan
        begun = Cursor.begin(self.newest, now=span.lt, start=span.gte, landing=plan.landing)
        last = Cursor.parse(known.cursors.get(table.name))
        there = plan.target.name.lower() in known.columns
        plan = replace(plan, cursor=str(begun or ""), outdated=there and (last is None or last.landing != plan.landing))
        cheap = self.mode != "list" and not asked.by_key and begun is not None and _tells_changes(table)
        # What landed in another way is read whole, and what lacks a column that is new to the catalog.
        cheap = cheap and not plan.outdated and has_columns(known.columns, plan.target)
        if not cheap or last is None or not last.covers(span.gte, span.lt):
            if begun and last and _hides(table) and last.reaches(span.lt):
                begun = begun.reading_from(last)
            return replace(plan, cursor=_first_cursor(begun, done.values()))
        plan = replace(plan, changes_only=True, since=last.event, checked=last.checked)
        if self.mode == "reconcile":
            return self._reconciling(connection, asked, plan, known)
        days = rows_by_day(connection, plan.target) if table.events and table.created_filter else {}
        return replace(plan, rows_by_day=days)

    def _target(self, chosen: ChosenTable) -> Target:
        """Return where a table lands, with its comments and where else its objects are seen."""
        tables = self.dataflow.tables
        seen_in = tuple(
            (tables[name].target, column)
            for name, column in chosen.table.seen_in
            if name in tables and column not in (*tables[name].target.excluded, *tables[name].hashed)
        )
        return replace(chosen.target, seen_in=seen_in, comments=descriptions(chosen.table))

    def _reconciling(
        self, connection: duckdb.DuckDBPyConnection, asked: Asked, plan: TablePlan, known: Known
    ) -> TablePlan:
        """Return the plan that also looks at what no event told of; where that is the whole list, the plan of that."""
        table = plan.table
        whole = replace(plan, changes_only=False)
        if table.parent:  # comes along with its parents, if those are reconciled by their partitions
            parent = self.dataflow.tables.get(table.parent)
            above = self._table(connection, asked, parent, known) if parent else None
            return plan if above and above.changes_only else whole
        if not table.created_filter:
            return whole
        days, at = rows_by_day(connection, plan.target), listed_at(connection, self.dataflow.name, table.name)
        again = recheck(table, plan.windows, now=asked.span.lt, rows_by_day=days, listed_at=at)
        return replace(plan, recheck=again, rows_by_day=days if table.events else {})

    def _committed(
        self, connection: duckdb.DuckDBPyConnection, asked: Asked, plan: TablePlan
    ) -> dict[Window, Cursor | None]:
        """Return the partitions that a re-execution goes on after, and the cursors of the attempts that read them.

        Rows that landed in another way than they would now are read again.
        """
        root = self.run.root_run_id
        if not root or not plan.table.created_filter:
            return {}
        found = committed_partitions(
            connection, self.dataflow.name, plan.table.name, root_run_id=root, completed=self.completed
        )
        read = {Window(gte, lt): Cursor.parse(text) for (gte, lt), text in found.items()}
        asked_for = set(asked.windows.values())
        return {
            window: cursor
            for window, cursor in read.items()
            if window in asked_for and (cursor is None or cursor.landing == plan.landing)
        }


def completed_attempts(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """Return the run ids of the earlier attempts of a re-execution that completed: they left nothing to go on with."""
    root = run.root_run_id
    if not root:
        return []
    first = instance.get_run_record_by_id(root)
    since = first.create_timestamp - timedelta(seconds=1) if first else None
    # Not by the tag of the root: only runs that were launched, from the UI or by the daemon, have it.
    done = dg.RunsFilter(job_name=run.job_name, statuses=[dg.DagsterRunStatus.SUCCESS], created_after=since)
    return [other.run_id for other in instance.get_runs(done) if root in {other.run_id, other.root_run_id}]


def _first_cursor(begun: Cursor | None, attempts: Iterable[Cursor | None]) -> str:
    """Return the cursor to leave after a list: of the first attempt whose partitions are not read again.

    What changed in these since then is for the next run to read; without such a cursor it lists them. It says
    no more than every attempt read: from the latest of their start dates on.
    """
    cursors = [begun, *attempts]
    read = [cursor for cursor in cursors if cursor]
    if None in cursors:
        return ""
    first = min(read, key=lambda cursor: cursor.event)
    return str(replace(first, start=max(cursor.start for cursor in read)))


def _hides(table: Table) -> bool:
    """Tell whether the list does not show some objects of whose change events tell, such as reviews that are closed.

    Then a whole list is no reason to skip the events before it.
    """
    return bool(table.events) and _tells_changes(table) and not table.deletable


def _tells_changes(table: Table) -> bool:
    """Tell whether the cheap way finds what changed: not where the own or the parents' list is read whole."""
    if table.parent:
        return table.keep_current in {"parents", "events"} and TABLES[table.parent].keep_current == "events"
    return table.keep_current in {"events", "look_back"}

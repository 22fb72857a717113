"""What a Dagster run asks for, as a plan: which partitions of which tables, in full or by their changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
    attempt_cursors,
    committed_partitions,
    get_cursors,
    has_columns,
    last_destinations,
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
    """What the registry and the catalog of the database say of a dataflow: cursors, and columns by table.

    `cursors` are by catalog table, and each is of the destination that the table was last loaded into.
    """

    cursors: Mapping[str, str]
    destinations: Mapping[str, str]
    columns: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes the plan of one run; reads cursors and committed partitions from the registry.

    `newest` is when the newest event happened (Unix seconds), None where events cannot be read.
    """

    dataflow: Dataflow
    run: dg.DagsterRun
    mode: str
    newest: int | None

    def plan(self, connection: duckdb.DuckDBPyConnection, asked: Asked) -> Plan:
        """Return what to load of every table of the dataflow."""
        name = self.dataflow.name
        known = Known(
            get_cursors(connection, name), last_destinations(connection, name), schema_columns(connection, name)
        )
        tables = [self._table(connection, asked, chosen, known) for chosen in self.dataflow.tables.values()]
        return Plan(asked.span, tuple(tables))

    def _table(
        self, connection: duckdb.DuckDBPyConnection, asked: Asked, chosen: ChosenTable, known: Known
    ) -> TablePlan:
        table, span = chosen.table, asked.span
        plan = TablePlan(
            self._target(chosen),
            self._uncommitted(connection, asked, chosen),
            metadata_only=chosen.purpose == "privacy_metadata",
            hashed=chosen.hashed,
            hash_key=self.dataflow.hash_key(),
            parent=parent.target if table.parent and (parent := self.dataflow.tables.get(table.parent)) else None,
        )
        if not asked.everything or plan.metadata_only:
            return plan
        begun = Cursor.begin(self.newest, now=span.lt, start=span.gte)
        plan = replace(plan, cursor=str(begun or ""))
        last = Cursor.parse(known.cursors.get(table.name))
        cheap = self.mode != "list" and not asked.by_key and begun is not None and _tells_changes(table)
        # A renamed table, or one with other columns than it is to have, is read whole: its old rows lack values.
        cheap = cheap and has_columns(known.columns, plan.target)
        # So is one that got a former name back: what changed meanwhile went to the other.
        cheap = cheap and known.destinations.get(table.name, "").lower() == plan.target.name.lower()
        if not cheap or last is None or not last.covers(span.gte, span.lt):
            return replace(plan, cursor=self._first_cursor(connection, plan))
        plan = replace(plan, changes_only=True, since=last.event, checked=last.checked)
        if self.mode == "reconcile":
            return self._reconciling(connection, asked, plan, known)
        days = rows_by_day(connection, plan.target) if table.events and table.created_filter else {}
        return replace(plan, rows_by_day=days)

    def _first_cursor(self, connection: duckdb.DuckDBPyConnection, plan: TablePlan) -> str:
        """Return the cursor to leave after a list: of the first attempt whose partitions are not read again.

        What changed in these since then is for the next run to read; without such a cursor it lists them. It says
        no more than every attempt read: from the latest of their start dates on.
        """
        root, name = self.run.root_run_id, self.dataflow.name
        known = attempt_cursors(connection, name, plan.table.name, root_run_id=root) if root else set()
        cursors = [Cursor.parse(text) for text in (*known, plan.cursor)]
        read = [cursor for cursor in cursors if cursor]
        if not read or None in cursors:
            return ""
        first = min(read, key=lambda cursor: cursor.event)
        return str(replace(first, start=max(cursor.start for cursor in read)))

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

    def _uncommitted(
        self, connection: duckdb.DuckDBPyConnection, asked: Asked, chosen: ChosenTable
    ) -> tuple[Window, ...]:
        """Return the partitions to read: a re-execution goes on after those its earlier attempts committed."""
        if not chosen.table.created_filter:
            return ()
        root = self.run.root_run_id
        if not root:
            return tuple(asked.windows.values())
        done = committed_partitions(connection, self.dataflow.name, chosen.table.name, root_run_id=root)
        return tuple(window for window in asked.windows.values() if (window.gte, window.lt) not in done)


def _tells_changes(table: Table) -> bool:
    """Tell whether the cheap way finds what changed: not where the own or the parents' list is read whole."""
    if table.parent:
        return table.keep_current in {"parents", "events"} and TABLES[table.parent].keep_current == "events"
    return table.keep_current in {"events", "look_back"}

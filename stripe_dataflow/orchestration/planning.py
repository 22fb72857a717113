"""What a Dagster run asks for, as a plan: which partitions of which tables, in full or by their changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import dagster as dg
import duckdb

from stripe_dataflow.catalog import TABLES, Table
from stripe_dataflow.catalog.descriptions import descriptions
from stripe_dataflow.orchestration.dataflow import ChosenTable, Dataflow
from stripe_dataflow.orchestration.partitions import (
    PARTITION_TAG,
    RANGE_TAGS,
    keys_of_run,
    partitions_of,
    windows_by_key,
)
from stripe_dataflow.stripe_api import Window
from stripe_dataflow.sync import Cursor, Plan, TablePlan
from stripe_dataflow.warehouse import committed_partitions, get_cursor, has_columns, rows_by_day


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
    """Return what a run with these tags is for, as of now."""
    now = now_s + 1
    windows = windows_by_key(partitions_of(dataflow.attributes), now)
    keys = [key for key in keys_of_run(tags, list(windows)) if key in windows]
    span = Window(min(window.gte for window in windows.values()), now)
    by_key = PARTITION_TAG in tags or RANGE_TAGS[0] in tags
    return Asked({key: windows[key] for key in keys}, len(keys) == len(windows), by_key, span)


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
        tables = [self._table(connection, asked, chosen) for chosen in self.dataflow.tables.values()]
        return Plan(asked.span, tuple(tables))

    def _table(self, connection: duckdb.DuckDBPyConnection, asked: Asked, chosen: ChosenTable) -> TablePlan:
        table, span = chosen.table, asked.span
        plan = TablePlan(
            chosen.target.commented(descriptions(table)),
            self._uncommitted(connection, asked, chosen),
            metadata_only=chosen.purpose == "privacy_metadata",
            hashed=chosen.hashed,
            hash_key=self.dataflow.hash_key(),
        )
        if not asked.everything or plan.metadata_only:
            return plan
        begun = Cursor.begin(self.newest, now=span.lt, start=span.gte)
        plan = replace(plan, cursor=str(begun or ""))
        last = Cursor.parse(get_cursor(connection, self.dataflow.name, table.name))
        cheap = self.mode == "auto" and not asked.by_key and begun is not None and _tells_changes(table)
        # A renamed table, or one with a column that was excluded, is read whole: its old rows lack values.
        cheap = cheap and has_columns(connection, plan.target)
        if not cheap or last is None or not last.covers(span.gte, span.lt):
            return plan
        days = rows_by_day(connection, plan.target) if table.events and table.created_filter else {}
        return replace(plan, changes_only=True, since=last.event, rows_by_day=days)

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
        return table.keep_current == "parents" and TABLES[table.parent].keep_current == "events"
    return table.keep_current in {"events", "look_back"}

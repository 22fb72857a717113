"""One Dagster run of one dataflow: what it opens when its first table asks, and closes at its end."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import dagster as dg
import duckdb

from stripe_dataflow.errors import ConfigError, DataflowError, Removed, refused_by_machine
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.planning import Asked, Planner, asked_of, completed_attempts
from stripe_dataflow.orchestration.run_tags import tag_failure
from stripe_dataflow.orchestration.same_account import account_of, refuse_other_account
from stripe_dataflow.stripe_api import Connection
from stripe_dataflow.sync import Loaded, RunOfLoad, Session, begin
from stripe_dataflow.warehouse import (
    Counts,
    DataflowRow,
    Status,
    TableFacts,
    TableRow,
    Target,
    Warehouse,
    compact,
    end_run,
    is_mostly_free,
    known_account,
    note_account,
    own_name,
    prune,
    register_dataflow,
    start_run,
    table_facts,
    was_removed,
)  # fmt: skip

Log = Callable[[str], None]
_SIZES = {"S": 30, "M": 20, "L": 10, "XL": 0}


def asset_key(dataflow: Dataflow, table: str) -> dg.AssetKey:
    """Return the asset of one table."""
    return dg.AssetKey([dataflow.name, table])


def step_priority(dataflow: Dataflow, table: str) -> int:
    """Return the order of a table's step, higher first: small tables early, so that most commit early."""
    chosen = dataflow.tables[table].table
    if chosen.seen_in:
        return -1  # after the tables it is seen in
    return _SIZES[chosen.size] + (0 if chosen.parents else 5)


@dataclass(slots=True)
class _Open:
    """What a run holds open, and what it is for."""

    warehouse: Warehouse
    session: Session
    asked: Asked


@dataclass(slots=True)
class RunSession:
    """The session that all steps of one run share; nothing is opened before the first table asks.

    `mode` is `auto`, `list` or `reconcile`, as the run's configuration says. `at_end` is told of the session
    and the warehouse after the run is recorded; `checked`: the run's own step has judged the tables already.
    """

    dataflow: Dataflow
    run: dg.DagsterRun
    instance: dg.DagsterInstance
    mode: str
    at_end: Callable[[RunSession, Warehouse], None] | None = None
    checked: bool = False
    _stack: ExitStack = field(default_factory=ExitStack)
    _warehouse: Warehouse | None = None
    _opened: _Open | None = None
    _failed: dict[str, str] = field(default_factory=dict)
    _loaded: dict[str, Loaded] = field(default_factory=dict)

    def load(self, name: str, *, together: bool, log: Log) -> Loaded:
        """Load one table; `together` reads all tables of the run along with it.

        Raises:
            DataflowError: Its text tells what failed and what to do.
        """
        self._stop_if_canceled()
        try:
            opened = self._opened = self._opened or self._begin()
            self._refuse_narrowed(name)
            if together:
                opened.session.read(self._selected())
            loaded = opened.session.load(name, log=log)
        except (DataflowError, OSError) as error:
            told = error if isinstance(error, DataflowError) else refused_by_machine(error)
            self._failed[name] = told.with_state
            raise told from None
        self._failed.pop(name, None)
        self._loaded[name] = loaded
        return loaded

    def _stop_if_canceled(self) -> None:
        """End a run that was canceled: the signal is lost on Python when it comes in the midst of a query of DuckDB."""
        now = self.instance.get_run_by_id(self.run.run_id)
        if now and now.status is dg.DagsterRunStatus.CANCELING:
            raise KeyboardInterrupt

    def _look(self, connection: duckdb.DuckDBPyConnection, target: Target, *, asked: Asked) -> TableFacts:
        """Return what a table holds now, counted by the partitions of the run."""
        windows = asked.windows if target.table.created_filter else {}
        spans = {key: (window.gte, window.lt) for key, window in windows.items()}
        columns = [column.name for column in target.data_columns]
        return table_facts(connection, target, windows=spans, columns=columns)

    def close(self) -> None:
        """Close everything, and write how the run ended into the run history."""
        with self._stack:
            if self._warehouse:
                self._record_end(self._warehouse)
                if self.at_end:
                    self.at_end(self, self._warehouse)

    @property
    def loaded(self) -> Mapping[str, Loaded]:
        """Return catalog table -> what loading it came to, for the tables that this run loaded."""
        return self._loaded

    @property
    def may_have_changed(self) -> bool:
        """Tell whether rows or columns can be others than before: a first load never reads changes only."""
        return bool(self.changed) or any(not load.plan.changes_only for load in self._loaded.values())

    @property
    def changed(self) -> set[str]:
        """Return the tables whose rows the run changed."""
        counts = {name: load.counts for name, load in self._loaded.items()}
        return {name for name, c in counts.items() if c.inserted or c.updated or c.deleted}

    @property
    def listed_by_request(self) -> bool:
        """Tell whether the run was launched to list, by its partitions or its configuration."""
        return self.mode == "list" or (self._opened is not None and self._opened.asked.by_key)

    def database(self, *, write: bool) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """Return a transaction, or a connection that only reads; a run that loads nothing leaves no trace by it."""
        if self._warehouse:
            return self._warehouse.transaction() if write else self._warehouse.reading()
        warehouse = Warehouse(self.dataflow.database, stage_dir=staging_root(self.dataflow.database))
        return self._stack.enter_context(warehouse).reading()

    def _refuse_removed(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Refuse to let a schedule bring back what a person removed; a person may."""
        if "dagster/schedule_name" in self.run.tags and was_removed(connection, self.dataflow.name):
            raise Removed(
                f"{self.dataflow.name} was removed, so its schedule loads nothing: run it by hand to load it "
                "again, or delete its folder. There is nothing of it in the database."
            )

    def _refuse_narrowed(self, name: str) -> None:
        """Refuse to keep rows of a table that is for metadata only: they must be removed first."""
        chosen = self.dataflow.tables[name]
        if chosen.purpose != "privacy_metadata" or self._warehouse is None:
            return
        with self._warehouse.reading() as connection:
            facts = table_facts(connection, chosen.target, windows={}, columns=chosen.target.table.key)
        if facts.rows_ever:
            raise ConfigError(
                f"{name} is now for privacy_metadata, but {self.dataflow.name}.{chosen.target.name} holds rows. "
                f"Run {self.dataflow.name}__remove for this table first; until then nothing is read of it."
            )

    def _selected(self) -> list[str]:
        """Return the tables of this dataflow the run is for, in the order of their steps."""
        selection, steps = self.run.asset_selection, self.run.step_keys_to_execute
        names = [n for n in self.dataflow.tables if not selection or asset_key(self.dataflow, n) in selection]
        if steps:  # a re-execution from failure keeps the selection and names the failed steps
            names = [n for n in names if asset_key(self.dataflow, n).to_python_identifier() in steps]
        return sorted(names, key=lambda name: -step_priority(self.dataflow, name))

    def _begin(self) -> _Open:
        """Open the warehouse, note the run, and make ready to read; the key is read here."""
        if self._warehouse is None:
            folder = staging_root(self.dataflow.database)
            wait_s = self.dataflow.patience.database_wait_s
            self._warehouse = self._stack.enter_context(
                Warehouse(self.dataflow.database, stage_dir=folder, wait_s=wait_s)
            )
        load_id = self._warehouse.start(self._start)
        stripe = self._connection()
        beginning = begin(stripe)  # its answers set the clock
        asked = asked_of(self.dataflow, self.run.tags, now_s=stripe.clock.now_s())
        completed = completed_attempts(self.instance, self.run)
        planner = Planner(self.dataflow, self.run, self.mode, beginning.newest, completed)
        seen = account_of(self.dataflow, stripe, beginning.account)
        with self._warehouse.reading() as connection:
            known = known_account(connection, self.dataflow.name)
            refuse_other_account(self.dataflow, known, seen)
            plan = planner.plan(connection, asked)
        if known is None or (seen.account and not known.account):
            with self._warehouse.transaction() as connection:
                note_account(connection, self.dataflow.name, seen)
        root = self.run.root_run_id or self.run.run_id
        look = partial(self._look, asked=asked)
        run = RunOfLoad(self.dataflow.name, self.run.run_id, root, load_id, look)
        session = Session(stripe, plan, warehouse=self._warehouse, run=run, folder=self._lines())
        return _Open(self._warehouse, self._stack.enter_context(session), asked)

    def _start(self, connection: duckdb.DuckDBPyConnection) -> int:
        self._refuse_removed(connection)
        register_dataflow(connection, self._row())
        return start_run(connection, self.run.run_id, dataflow=self.dataflow.name, kind="run")

    def _connection(self) -> Connection:
        """Return how to reach the account, with the sandbox started where that is the account."""
        if not self.dataflow.simulated:
            return self.dataflow.connection()
        from stripe_dataflow.sandbox import Account, Sandbox  # noqa: PLC0415 a live run needs none of it

        size = self.dataflow.attributes.sandbox
        sandbox = self._stack.enter_context(Sandbox(Account(customers=size.customers, seed=size.seed)))
        return self.dataflow.connection(sandbox.url)

    def _lines(self) -> Path:
        """Return a new folder for lines on their way; the sweep at the next start knows its name."""
        folder = staging_root(self.dataflow.database) / f"{own_name()}.lines"
        folder.mkdir(mode=0o700, parents=True)
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _row(self) -> DataflowRow:
        attributes = self.dataflow.attributes
        tables = tuple(
            TableRow(c.table.name, c.target.name, c.purpose, c.table.created_filter)
            for c in self.dataflow.tables.values()
        )
        return DataflowRow(
            self.dataflow.name,
            self.dataflow.fingerprint,
            self.dataflow.title,
            attributes.description,
            tables=tables,
        )

    def _record_end(self, warehouse: Warehouse) -> None:
        status, description = self._status()
        if status == "Failed":
            tag_failure(self.instance, self.run.run_id, description)
        counts = sum((loaded.counts for loaded in self._loaded.values()), start=Counts())
        details = (
            f"{len(self._loaded)} tables, {counts.read:,} rows read, {counts.inserted:,} new, "
            f"{counts.updated:,} changed, {counts.deleted:,} deleted"
        )
        with warehouse.transaction() as connection:
            end_run(
                connection, self.run.run_id, dataflow=self.dataflow.name, status=status, details=details,
                description=description,
            )  # fmt: skip
            prune(connection, self.dataflow.name, keep_loads=self.dataflow.attributes.keep_loads)
            mostly_free = is_mostly_free(connection)
        if mostly_free:
            with suppress(DataflowError):  # someone reads, or the disk has no room: the next run tries again
                compact(self.dataflow.database)

    def _status(self) -> tuple[Status, str]:
        """Return how the run ended, and what went wrong, table by table."""
        if self._failed:
            causes: dict[str, list[str]] = {}
            for name, text in self._failed.items():
                causes.setdefault(text, []).append(name)
            return "Failed", " ".join(f"{', '.join(names)}: {text}" for text, names in causes.items())
        left = [name for name in self._selected() if name not in self._loaded]
        if not left:
            return "Completed", ""
        now = self.instance.get_run_by_id(self.run.run_id)
        if now and now.status in {dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED}:
            return "Canceled", f"Canceled before {', '.join(left)}."
        return "Failed", f"Ended before {', '.join(left)}."


def staging_root(database: Path) -> Path:
    """Return the folder beside the database where rows wait to be merged; empty between runs."""
    return database.with_name(f"{database.name}.staging")

"""What loading one table begins with, holds on the way, and comes to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import duckdb

from stripe_dataflow.stripe_api import Traffic, Window
from stripe_dataflow.sync.plan import TablePlan
from stripe_dataflow.warehouse import Counts, TableFacts, Target


@dataclass(frozen=True, slots=True)
class RunOfLoad:
    """Whose rows they are: the dataflow, the run and the first run it re-executes, the load's id.

    `look` says what a table holds; it is asked in the table's last transaction, as opening the file
    once more would cost as much as the merge of a few rows.
    """

    dataflow: str
    run_id: str
    root_run_id: str
    load_id: int
    look: Callable[[duckdb.DuckDBPyConnection, Target], TableFacts]


@dataclass(slots=True)
class Loading:
    """One table being loaded: what was merged so far."""

    plan: TablePlan
    counts: Counts = field(default_factory=Counts)
    merged: list[Window] = field(default_factory=list)
    facts: TableFacts | None = None
    missed: Sequence[str] = ()
    merged_at: float = field(default_factory=time.monotonic)
    recorded: Traffic = field(default_factory=Traffic)
    recorded_at: float = field(default_factory=time.monotonic)
    done: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading one table came to; seconds from asking for it to its last commit.

    `missed` are ids that reconciling found changed and no event had told of.
    """

    plan: TablePlan
    load_id: int
    counts: Counts
    requests: int
    retries: int
    bytes: int
    seconds: float
    unknown_fields: Sequence[str]
    how: str
    facts: TableFacts
    missed: Sequence[str]

    @property
    def changed(self) -> int:
        """Return how many rows are new, changed or deleted."""
        return self.counts.inserted + self.counts.updated + self.counts.deleted

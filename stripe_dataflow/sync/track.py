"""One table while it is read: its rows on their way, its traffic, how far it is."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from stripe_dataflow.stripe_api import Clock, Object, RowWriter, Traffic, Window, check_times
from stripe_dataflow.sync.feed import Feed
from stripe_dataflow.sync.plan import TablePlan


@dataclass(slots=True)
class Track:
    """One table while it is read.

    `fraction` is the share of the time span that was read, 0 to 1; None where no one can tell.
    Of a table whose changes alone are read, `windows` were listed whole; of a child, the lists of
    `parents` were, and `listed` are the windows whose parents were listed whole.
    `told` are the ids that events told of, and `usual` the windows that are read even if nothing is reconciled.
    `how` says in words how it was read.
    """

    plan: TablePlan
    feed: Feed
    clock: Clock = field(default_factory=Clock)
    traffic: Traffic = field(default_factory=Traffic)
    fraction: float | None = None
    how: str = "listed whole"
    windows: list[Window] = field(default_factory=list)
    parents: set[str] = field(default_factory=set)
    listed: list[Window] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    usual: list[Window] = field(default_factory=list)
    _started_s: float = field(default_factory=time.monotonic)
    writer: RowWriter = field(init=False)

    def __post_init__(self) -> None:
        plan = self.plan
        self.writer = RowWriter(plan.table, excluded=plan.target.excluded, hashed=plan.hashed, key=plan.hash_key)
        self.feed.publish(self.plan.windows)
        if plan.outdated:
            self.how = "listed whole, as rows landed in another way before"

    @property
    def unchanged(self) -> bool:
        """Tell whether the table was read to its end by its changes, and there were none."""
        feed = self.feed
        read = self.plan.changes_only and feed.done and not feed.error
        return read and not (
            feed.rows or self.windows or self.parents or self.listed or self.plan.recheck or self.plan.target.seen_in
        )

    @property
    def started_us(self) -> int:
        """Return when reading began, microseconds since 1970; ask once an answer came, which sets the clock."""
        return self.clock.at_us(self._started_s)

    def write(self, objects: list[Object], asked_at_us: int, parent_id: str | None = None) -> None:
        """Write the objects that lie in the plan's windows."""
        table, windows = self.plan.table, self.plan.windows
        if table.created_filter:
            check_times(objects, table.name, table.created)
        if table.created_filter and not self.plan.changes_only:
            if not windows:
                return
            low, high = windows[0].gte, windows[-1].lt
            objects = [item for item in objects if low <= item[table.created] < high]
        elif table.created_filter:
            objects = [item for item in objects if item[table.created] >= self.plan.start]
        line = self.writer.line
        self.feed.write([line(item, asked_at_us=asked_at_us, parent_id=parent_id) for item in objects])

    def write_tombstones(self, ids: Iterable[str]) -> None:
        """Write that some objects are gone, as of now."""
        self.feed.write([self.writer.tombstone(object_id, asked_at_us=self.clock.now_us()) for object_id in ids])

"""How far each table of a run is: for the run's log, and for a progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from stripe_dataflow.sync.track import Track

LOG_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Progress:
    """One table's progress: objects and requests so far, objects a second, share done (0 to 1) if known."""

    table: str
    rows: int
    requests: int
    per_second: float
    fraction: float | None
    done: bool

    def __str__(self) -> str:
        """Return one line for a log."""
        share = f", {self.fraction:.0%} of the window" if self.fraction is not None else ""
        return f"{self.table}: {self.rows:,} rows, {self.requests:,} pages, {self.per_second:,.0f} rows/s{share}"


Listener = Callable[[Sequence[Progress]], None]
# A command that loads in its own process sets this to draw a bar; the run's log needs no listener.
listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@dataclass(slots=True)
class Reporter:
    """Tells the listener often, and the log every few seconds, of the tables that move."""

    tracks: dict[str, Track]
    started: float = field(default_factory=time.monotonic)
    _logged_at: float = field(default_factory=time.monotonic)
    _logged_rows: dict[str, int] = field(default_factory=dict)

    def snapshot(self) -> list[Progress]:
        """Return every table's progress, in the order of loading."""
        elapsed = max(time.monotonic() - self.started, 0.001)
        return [
            Progress(
                name,
                track.feed.rows,
                track.traffic.requests,
                track.feed.rows / elapsed,
                track.fraction,
                track.feed.done,
            )
            for name, track in self.tracks.items()
        ]

    def tick(self, log: Callable[[str], None]) -> None:
        """Tell whoever listens; log a line for each table that moved since its last line."""
        now = listener.get()
        if now:
            now(self.snapshot())
        if time.monotonic() - self._logged_at < LOG_EVERY_S:
            return
        self._logged_at = time.monotonic()
        for progress in self.snapshot():
            if not progress.done and self._logged_rows.get(progress.table) != progress.rows:
                self._logged_rows[progress.table] = progress.rows
                log(str(progress))

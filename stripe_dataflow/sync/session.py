"""One run's work: all its tables read at once in one event loop, loaded one by one by the caller's thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from stripe_dataflow.errors import DataflowError, refused_by_machine
from stripe_dataflow.stripe_api import Connection, Transport, Window, live_mode
from stripe_dataflow.sync.changes import ChangeReader
from stripe_dataflow.sync.clocks import Clocks
from stripe_dataflow.sync.extraction import Extraction
from stripe_dataflow.sync.feed import FEED_BYTES, Budget, Feed
from stripe_dataflow.sync.loaded import Loaded, Loading, RunOfLoad
from stripe_dataflow.sync.merging import Merger
from stripe_dataflow.sync.plan import Plan, readings
from stripe_dataflow.sync.progress import Reporter
from stripe_dataflow.sync.track import Track
from stripe_dataflow.warehouse import Warehouse

_TICK_S = 0.2

Log = Callable[[str], None]


@dataclass(slots=True)
class _Loop:
    """An event loop in a thread of its own, with the one transport of the run."""

    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    transport: Transport
    budget: Budget


class Session:
    """Reads a run's tables all at once, and loads each when asked to; a context manager.

    `load` is called by one thread, table after table. While it waits for its own table it also
    takes the rows of others that hold too much, so that none waits for ever.
    """

    def __init__(
        self, connection: Connection, plan: Plan, *, warehouse: Warehouse, run: RunOfLoad, folder: Path
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._plans = {table.table.name: table for table in plan.tables}
        self._merger = Merger(warehouse, run)
        self._folder = folder
        self._tracks: dict[str, Track] = {}
        self._attempts: dict[str, int] = {}
        self._settled: dict[str, Loading] = {}
        self._loaded: dict[str, Loaded] = {}
        self._merged: dict[str, set[Window]] = {}
        self._reporter = Reporter(self._tracks)
        self._running: _Loop | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._running:
            running = self._running
            asyncio.run_coroutine_threadsafe(_stop(running), running.loop).result()
            running.loop.call_soon_threadsafe(running.loop.stop)
            running.thread.join()
            running.loop.close()

    def read(self, names: Sequence[str]) -> None:
        """Begin to read some tables, all at once; one that was begun before is left alone."""
        new = [name for name in names if name not in self._attempts]
        if new:
            self._start(new)

    def _start(self, new: Sequence[str]) -> None:
        running = self._running = self._running or _start(self._connection)
        begun = {}
        for name in new:
            self._attempts[name] = self._attempts.get(name, 0) + 1
            feed = Feed(self._folder, f"{name}.{self._attempts[name]}", running.budget, running.loop)
            begun[name] = Track(self._plans[name], feed, self._connection.clock)
        self._tracks |= begun
        asyncio.run_coroutine_threadsafe(self._extract(running, begun), running.loop)

    def load(self, name: str, *, log: Log) -> Loaded:
        """Wait for a table's rows and merge them, each partition as it is complete.

        Raises:
            DataflowError: Reading or merging failed; partitions merged before stay merged.
        """
        if name in self._loaded:  # the step is tried again, for what failed after its rows were committed
            return self._loaded[name]
        if name not in self._tracks:
            self._start([name])
        track, started = self._tracks[name], time.monotonic()
        loading = self._merger.begin(track)
        try:
            while not loading.done:
                track.feed.wait(_TICK_S)
                self._relieve(name)
                self._reporter.tick(log)
                if track.unchanged:
                    loading = self._settle(name)
                else:
                    self._merger.take(loading, track)
            self._loaded[name] = self._merger.finish(loading, track, seconds=time.monotonic() - started)
        except BaseException as raised:  # noqa: BLE001 raised again below
            self._merger.abandon(loading)
            error = refused_by_machine(raised) if isinstance(raised, OSError) else raised
            merged = self._merged.setdefault(name, set())
            merged.update(loading.merged)  # a step that is tried again begins a new loading
            if isinstance(error, DataflowError):
                error.partitions_merged = len(merged)
            # A retry of the step reads the table again, from the start.
            self._tracks.pop(name, None)
            self._settled.pop(name, None)
            track.feed.finish(error if isinstance(error, Exception) else None)
            raise error from None
        return self._loaded[name]

    def _settle(self, name: str) -> Loading:
        """Return the load of a table in which nothing changed, recorded along with all others like it."""
        if name not in self._settled:
            quiet = [n for n, track in self._tracks.items() if track.unchanged and n not in self._settled]
            loads = self._merger.settle([self._tracks[n] for n in quiet])
            self._settled |= dict(zip(quiet, loads, strict=True))
        return self._settled[name]

    def _relieve(self, name: str) -> None:
        """Take the rows of other tables whose reading waits, or soon will."""
        full = self._running is not None and self._running.budget.full
        for other, track in self._tracks.items():
            if other != name and track.feed.held > (0 if full else FEED_BYTES // 2):
                self._merger.stage(track)

    async def _extract(self, running: _Loop, tracks: Mapping[str, Track]) -> None:
        """Read some tables into their tracks, which stay theirs: a step that fails gives its table a new one."""
        span, plans = self._plan.span, [track.plan for track in tracks.values()]
        clocks = Clocks(live=live_mode(self._connection.key))
        extraction = Extraction(running.transport, span, tracks, clocks)
        listing = [plan for plan in plans if not plan.changes_only]
        changing = [plan for plan in plans if plan.changes_only]
        jobs = [extraction.read(reading) for reading in readings(span, listing)]
        if changing:
            jobs.append(ChangeReader(running.transport, span, tracks, clocks).read(changing))
        await asyncio.gather(*jobs)


def _start(connection: Connection) -> _Loop:
    """Return a running event loop with an open transport."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="stripe", daemon=True)
    thread.start()
    return asyncio.run_coroutine_threadsafe(_open(connection, thread), loop).result()


async def _open(connection: Connection, thread: threading.Thread) -> _Loop:
    transport = Transport(connection)
    await transport.__aenter__()
    return _Loop(asyncio.get_running_loop(), thread, transport, Budget())


async def _stop(running: _Loop) -> None:
    """Cancel what still reads, and close the connections."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await running.transport.__aexit__(None, None, None)

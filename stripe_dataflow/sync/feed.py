"""A table's rows on their way from the event loop to DuckDB: files of lines, never too many of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from stripe_dataflow.stripe_api import Window

CHUNK_BYTES = 16 << 20
FEED_BYTES = 64 << 20  # of one table, on disk, before its reading waits
TOTAL_BYTES = 512 << 20  # of all tables together


@dataclass(frozen=True, slots=True)
class Batch:
    """What a feed held: its files, what of the table is still to come, and how it ended, if it did."""

    paths: Sequence[Path]
    rows: int
    bytes: int
    remaining: Sequence[Window]
    done: bool
    error: Exception | None


class Budget:
    """How much all feeds of a run hold on disk; extraction waits while it is too much."""

    def __init__(self) -> None:
        self.held = 0
        self.changed = asyncio.Event()

    @property
    def full(self) -> bool:
        """Tell whether the feeds together hold more than they may."""
        return self.held > TOTAL_BYTES


@dataclass(slots=True, eq=False)
class Feed:
    """One table's feed. The event loop writes and finishes it, the loading thread takes from it."""

    folder: Path
    name: str
    budget: Budget
    loop: asyncio.AbstractEventLoop
    held: int = 0
    rows: int = 0
    done: bool = False
    error: Exception | None = None
    remaining: tuple[Window, ...] = ()
    _lock: threading.Condition = field(default_factory=threading.Condition)
    _file: BinaryIO | None = None
    _size: int = 0
    _closed: list[Path] = field(default_factory=list)
    _made: int = 0
    _taken: int = 0

    def write(self, lines: Sequence[bytes]) -> None:
        """Append lines; called from the event loop, takes well under a millisecond a page."""
        if not lines or self.done:
            return
        data = b"".join(lines)
        with self._lock:
            if self._file is None:
                self._made += 1
                self._file = (self.folder / f"{self.name}.{self._made}.ndjson").open("wb", buffering=0)
            self._append(data)
            self._size += len(data)
            self.held += len(data)
            self.budget.held += len(data)
            self.rows += len(lines)
            if self._size >= CHUNK_BYTES:
                self._close_file()
                self._lock.notify_all()

    def publish(self, remaining: Iterable[Window]) -> None:
        """Say what is still to come; all else is written, as pages are written before this is called."""
        with self._lock:
            self.remaining = tuple(remaining)

    def finish(self, error: Exception | None = None) -> None:
        """Say that nothing more comes, and why if that is a failure."""
        with self._lock:
            self.done, self.error = True, self.error or error
            self._lock.notify_all()

    async def room(self) -> None:
        """Wait while this feed, or all feeds together, hold too much."""
        while (self.held > FEED_BYTES or (self.budget.full and self.held)) and not self.done:
            self.budget.changed.clear()
            with self._lock:
                self._lock.notify_all()
            await self.budget.changed.wait()

    def wait(self, seconds: float) -> None:
        """Wait for a full file or the end, at most so long; called from the loading thread."""
        with self._lock:
            if not self.done and not self._closed:
                self._lock.wait(seconds)

    def take(self) -> Batch:
        """Return all that was written and not yet taken."""
        with self._lock:
            self._close_file()
            paths, self._closed = self._closed, []
            whole = self.done and not self.error
            rows, self._taken = self.rows - self._taken, self.rows
            return Batch(paths, rows, self.held, () if whole else self.remaining, self.done, self.error)

    def release(self, batch: Batch) -> None:
        """Delete a batch's files, now that DuckDB holds their rows."""
        for path in batch.paths:
            path.unlink()
        with self._lock:
            self.held -= batch.bytes
        self.loop.call_soon_threadsafe(self._freed, batch.bytes)

    def _freed(self, size: int) -> None:
        self.budget.held -= size
        self.budget.changed.set()

    def _append(self, data: bytes) -> None:
        """Write all of it, or leave the file as it was: of what does not fit the disk, a part is written unasked."""
        assert self._file is not None, "no file is open"  # noqa: S101 a bug of ours
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            self._file.truncate(self._size)
            raise

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._closed.append(Path(self._file.name))
            self._file, self._size = None, 0

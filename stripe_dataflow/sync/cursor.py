"""A table's cursor: from which event on its changes are not known yet, and of which rows that is said."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Self

import orjson

from stripe_dataflow.sync.events import OVERLAP_S, RETENTION_S


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next run continues; all times are Unix seconds.

    Attributes:
        event: When the newest event known before the load happened.
        checked: When the load began.
        start: From when on the table is complete.
        landing: A digest of how its rows landed; empty where they did in several ways, or no one knows.
    """

    event: int
    checked: int
    start: int
    landing: str = ""

    def __str__(self) -> str:
        """Return the cursor as the registry keeps it."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Return the cursor of a text, None where there is none."""
        return cls(**orjson.loads(text)) if text else None

    @classmethod
    def begin(cls, newest: int | None, *, now: int, start: int, landing: str) -> Self | None:
        """Return the cursor for a load that begins now; None where events cannot be read."""
        return None if newest is None else cls(newest or now - OVERLAP_S, now, start, landing)

    def covers(self, start: int, now: int) -> bool:
        """Tell whether the changes since the cursor bring a table from `start` on up to date.

        Not if the table was never read from there, nor if events have aged out since.
        """
        return self.start <= start and self.reaches(now)

    def reaches(self, now: int) -> bool:
        """Tell whether all events since the cursor are still kept."""
        return now - self.checked < RETENTION_S

    def reading_from(self, earlier: Self) -> Self:
        """Return this cursor with the events to read that an earlier one has."""
        return replace(self, event=min(self.event, earlier.event), checked=min(self.checked, earlier.checked))

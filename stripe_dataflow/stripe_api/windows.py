"""Work stealing over time: spans of `created` that several workers read at once, newest first.

A worker reads its span from the newest object down. An idle worker takes the older half of the
span with the most left to read; its former owner's lower bound moves up. No density has to be
known beforehand, and a split costs at most one page that is not full.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

PAGE = 100  # Stripe's largest page, in objects.
DAY_S = 86_400  # seconds of a day (UTC)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open span of `created`: Unix seconds, UTC."""

    gte: int
    lt: int

    def __contains__(self, created: int) -> bool:
        return self.gte <= created < self.lt

    @property
    def seconds(self) -> int:
        """Return the window's length."""
        return self.lt - self.gte


def union(windows: Iterable[Window]) -> list[Window]:
    """Return the same span of time in as few windows as it takes, oldest first."""
    merged: list[Window] = []
    for window in sorted(windows):
        if merged and window.gte <= merged[-1].lt:
            merged[-1] = Window(merged[-1].gte, max(merged[-1].lt, window.lt))
        else:
            merged.append(window)
    return merged


@dataclass(slots=True, eq=False)
class Span:
    """What one worker has left to read: `created` in [gte, below), and how dense it was so far."""

    gte: int
    below: int
    claimed_below: int
    rows: int = 0

    @property
    def rows_left(self) -> float:
        """Estimate the objects left from those read so far; 0 while nothing was read."""
        read_s = max(self.claimed_below - self.below, 1)
        return self.rows / read_s * (self.below - self.gte)


class Windows:
    """The windows of one list that are still to be read, shared by its workers."""

    def __init__(self, windows: Iterable[Window]) -> None:
        self.total = union(windows)
        self._waiting = list(self.total)
        self._claimed: list[Span] = []

    def claim(self) -> Span | None:
        """Return a span to read: a window nobody reads yet, or half of the fullest one; else None."""
        if self._waiting:
            window = self._waiting.pop()
            span = Span(window.gte, window.lt, window.lt)
        else:
            victim = max(self._claimed, key=lambda span: span.rows_left, default=None)
            # Under two pages left, a split would cost a request and save none.
            if victim is None or victim.rows_left < 2 * PAGE or victim.below - victim.gte <= 1:
                return None
            middle = (victim.gte + victim.below) // 2
            span = Span(victim.gte, middle, middle)
            victim.gte = middle
        self._claimed.append(span)
        return span

    def advance(self, span: Span, *, to: int, rows: int) -> None:
        """Note that a page was read down to `created == to`, which may hold more of that second."""
        span.rows += rows
        span.below = min(span.below, max(to + 1, span.gte))

    def finish(self, span: Span) -> None:
        """Note that nothing of the span is left."""
        self._claimed.remove(span)

    def remaining(self) -> list[Window]:
        """Return what is still to be read, oldest first."""
        spans = (Window(span.gte, span.below) for span in self._claimed if span.below > span.gte)
        return sorted([*self._waiting, *spans])

    @property
    def done(self) -> bool:
        """Tell whether everything was read."""
        return not self._waiting and not self._claimed

    @property
    def fraction(self) -> float:
        """Return the share of the time span that was read, 0 to 1."""
        total = sum(window.seconds for window in self.total)
        return 1 - sum(window.seconds for window in self.remaining()) / total if total else 1.0

    @property
    def pages_left(self) -> float:
        """Estimate the pages left, over all spans."""
        return sum(max(span.rows_left / PAGE, 1) for span in self._claimed) + len(self._waiting)


def split(window: Window, borders: Iterable[int]) -> list[Window]:
    """Return the window cut at those of the borders that lie inside it, oldest first."""
    inside = sorted({border for border in borders if window.gte < border < window.lt})
    return [Window(a, b) for a, b in pairwise([window.gte, *inside, window.lt])]

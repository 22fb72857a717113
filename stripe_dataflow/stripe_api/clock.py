"""What time it is for Stripe, whatever this machine's clock says or does.

Rows are compared by when Stripe answered with them, over runs and machines: a clock that was ahead
during one run would let no later answer change its rows, one that is behind would not see the newest objects.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

# The header has whole seconds: a clock that is right is more exact, and keeps the order within a second.
_RIGHT_WITHIN_S = 5.0


class Clock:
    """Time by the first answer's `Date` header, carried on by the machine's count of seconds since it started."""

    def __init__(self) -> None:
        self._ahead_s = time.time() - time.monotonic()
        self._heard = False

    def hear(self, headers: Mapping[str, str]) -> None:
        """Set the clock by an answer that just came, if it is the first one that says what time it is."""
        if self._heard:
            return
        try:
            date = parsedate_to_datetime(headers.get("Date", "")).timestamp()
        except ValueError:
            return
        self._heard = True
        if abs(date - self.at_us(time.monotonic()) / 1e6) > _RIGHT_WITHIN_S:
            self._ahead_s = date - time.monotonic()

    def at_us(self, monotonic_s: float) -> int:
        """Return a moment of the machine's monotonic clock as microseconds since 1970."""
        return int((monotonic_s + self._ahead_s) * 1_000_000)

    def now_us(self) -> int:
        """Return the time, microseconds since 1970."""
        return self.at_us(time.monotonic())

    def now_s(self) -> int:
        """Return the time, whole Unix seconds."""
        return self.now_us() // 1_000_000

"""How fast requests may go: one bucket for the account, one per endpoint, one count in flight.

Requests leave evenly spaced, so a full pipe draws no 429; a late wake-up is made up for within
`_CATCH_UP_S`. Of the endpoints that may go next, the one with the most pages left goes first, so
that the longest chain of pages does not finish last and alone. A 429 slows the bucket it names:
it recovers fast at first, then slowly around the rate that was refused, then fast again, as whoever
else asked of the account may be done. Or it lowers the number in flight, once for all that were in
flight together, which then grows by one a second.
Source: https://docs.stripe.com/rate-limits
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_CATCH_UP_S = 0.1
_SLOW_DOWN = 0.7
_RECOVERY_PER_S = 0.05  # of the ceiling, for each second without a 429
_NEAR = 0.85  # of the rate that was refused: from here on recovery is careful
_CAREFUL_S = 60.0  # after so long without a 429 it is not


@dataclass(slots=True)
class Bucket:
    """Evenly spaced slots, `rate` a second, never above `ceiling`; `refused` is the rate that last drew a 429."""

    ceiling: float
    rate: float = field(init=False)
    next_at: float = 0.0
    slowed_at: float = 0.0
    refused: float = math.inf

    def __post_init__(self) -> None:
        self.rate = self.ceiling

    def take(self, now: float) -> None:
        """Use the next slot."""
        if self.rate < self.ceiling:
            step = self.ceiling * _RECOVERY_PER_S / self.rate
            if self.rate > self.refused * _NEAR:
                step *= min(1.0, (now - self.slowed_at) / _CAREFUL_S)
            self.rate = min(self.ceiling, self.rate + step)
        self.next_at = max(self.next_at, now - _CATCH_UP_S) + 1 / self.rate

    def slow_down(self, now: float, pause_s: float) -> None:
        """Lower the rate, once for all the refusals of one second, and let no one go for a while."""
        if now - self.slowed_at > 1:
            self.refused, self.slowed_at = self.rate, now + pause_s
            self.rate = max(self.rate * _SLOW_DOWN, min(0.5, self.ceiling))
        self.next_at = max(self.next_at, now + pause_s)


@dataclass(slots=True)
class Endpoint:
    """One named operation of Stripe's: its bucket, those who wait, and how much is left to do."""

    bucket: Bucket
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    pages_left: float = 1.0

    @property
    def idle(self) -> bool:
        """Tell whether a further worker would find a free slot."""
        return not self.waiting


class Limits:
    """Hands out slots to requests; one per run, used in one event loop."""

    def __init__(self, *, per_second: float, per_endpoint: float, in_flight: int = 64) -> None:
        self._account = Bucket(per_second)
        self._per_endpoint = per_endpoint
        self._endpoints: dict[str, Endpoint] = {}
        self._ceiling = in_flight
        self._allowed = float(in_flight)
        self._lowered_at = self._grown_at = 0.0
        self._flying = 0
        self._wake = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None

    def endpoint(self, name: str) -> Endpoint:
        """Return the endpoint of that name; all requests for one catalog path share it."""
        if name not in self._endpoints:
            self._endpoints[name] = Endpoint(Bucket(self._per_endpoint))
        return self._endpoints[name]

    @asynccontextmanager
    async def slot(self, name: str) -> AsyncIterator[float]:
        """Wait for a slot, and hold a place in flight until the block ends; yields the loop's time of leaving."""
        future = asyncio.get_running_loop().create_future()
        self.endpoint(name).waiting.append(future)
        self._wake.set()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._hand_out())
            self._pump.add_done_callback(self._tell_waiting)
        try:
            await future
            yield asyncio.get_running_loop().time()
        finally:
            if future.done() and not future.cancelled() and not future.exception():
                self._land()

    def _land(self) -> None:
        """Give back a place in flight; for each second since one last came down, one more may fly."""
        now = asyncio.get_running_loop().time()
        self._flying -= 1
        self._allowed = min(self._ceiling, self._allowed + now - max(self._grown_at, self._lowered_at))
        self._grown_at = now
        self._wake.set()

    def refused(self, name: str, reason: str, pause_s: float, *, left_at: float) -> None:
        """Take note of a 429: Stripe's reason says which bucket is too fast, or that too many fly.

        Args:
            name: The endpoint.
            reason: Of the header `Stripe-Rate-Limited-Reason`.
            pause_s: How long Stripe wants no request.
            left_at: When the request left, as its slot told.
        """
        now = asyncio.get_running_loop().time()
        if reason.endswith("-concurrency"):
            if left_at > self._lowered_at:  # else it flew along with one that was refused before
                self._allowed, self._lowered_at = max(1.0, min(self._allowed, self._flying + 1) * _SLOW_DOWN), now
        elif reason.startswith("global"):
            self._account.slow_down(now, pause_s)
        else:
            self.endpoint(name).bucket.slow_down(now, pause_s)

    async def _hand_out(self) -> None:
        """Give each slot to the endpoint with the most left to do, for as long as anyone waits."""
        clock = asyncio.get_running_loop().time
        while True:
            self._wake.clear()
            waiting = [e for e in self._endpoints.values() if e.waiting]
            if not waiting:
                return
            if self._flying >= int(self._allowed):
                await self._wake.wait()
                continue
            now = clock()
            at = max(self._account.next_at, min(e.bucket.next_at for e in waiting))
            if at > now:
                await self._sleep(at - now)
                continue
            ready = [e for e in waiting if e.bucket.next_at <= now]
            self._release(max(ready, key=lambda e: e.pages_left), now)

    def _tell_waiting(self, pump: asyncio.Task[None]) -> None:
        """Let no request wait for slots that nobody hands out any more."""
        error = None if pump.cancelled() else pump.exception()
        for endpoint in self._endpoints.values() if error else ():
            while endpoint.waiting:
                future = endpoint.waiting.popleft()
                if error and not future.done():
                    future.set_exception(error)

    def _release(self, endpoint: Endpoint, now: float) -> None:
        future = endpoint.waiting.popleft()
        if not future.done():  # else its task was cancelled while it waited
            self._account.take(now)
            endpoint.bucket.take(now)
            self._flying += 1
            future.set_result(None)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, or less when a new request comes in that may go earlier."""
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return

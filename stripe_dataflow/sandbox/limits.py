"""Stripe's rate limits: token buckets and counts of what is under way."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from stripe_dataflow.sandbox.refusals import rate_limited


@dataclass(frozen=True, slots=True)
class Limits:
    """What an account may ask; None is no limit. Stripe's own: 100 requests/s, 25 an endpoint.

    Attributes:
        global_rps: Requests a second over all endpoints, and how many at once after a pause.
        endpoint_rps: The same for one endpoint: all `GET /v1/charges/{id}` share one.
        global_concurrency: Requests under way at once.
        endpoint_concurrency: Requests under way at once on one endpoint.
    """

    global_rps: float | None = None
    endpoint_rps: float | None = None
    global_concurrency: int | None = None
    endpoint_concurrency: int | None = None


@dataclass(slots=True)
class _Bucket:
    rate: float
    level: float
    at: float

    def wait(self, now: float) -> float:
        """Return the seconds until a token is there, 0 if one is."""
        self.level = min(max(self.rate, 1.0), self.level + (now - self.at) * self.rate)
        self.at = now
        return 0.0 if self.level >= 1 else (1 - self.level) / self.rate


@dataclass(slots=True)
class Gate:
    """Lets requests in by the limits, each named by its endpoint."""

    limits: Limits
    _buckets: dict[str, _Bucket] = field(default_factory=dict)
    _under_way: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def enter(self, endpoint: str, now: float) -> Iterator[None]:
        """Take a request in until the block ends.

        Raises:
            Refusal: A limit is reached; it says which.
        """
        limits = self.limits
        self._check_count("global-concurrency", "", limits.global_concurrency)
        self._check_count("endpoint-concurrency", endpoint, limits.endpoint_concurrency)
        wanted = [("global-rate", "", limits.global_rps), ("endpoint-rate", endpoint, limits.endpoint_rps)]
        buckets = [(why, self._bucket(name, rate, now)) for why, name, rate in wanted if rate]
        for why, bucket in buckets:
            if (wait := bucket.wait(now)) > 0:
                raise rate_limited(why, math.ceil(wait))
        for _, bucket in buckets:
            bucket.level -= 1
        self._under_way.update(("", endpoint))
        try:
            yield
        finally:
            self._under_way.subtract(("", endpoint))

    def _check_count(self, why: str, name: str, most: int | None) -> None:
        if most is not None and self._under_way[name] >= most:
            raise rate_limited(why, 1)

    def _bucket(self, name: str, rate: float, now: float) -> _Bucket:
        return self._buckets.setdefault(name, _Bucket(rate, max(rate, 1.0), now))

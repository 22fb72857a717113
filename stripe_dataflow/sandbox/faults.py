"""What can go wrong: switches, changeable while the server runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal, get_args

Fault = Literal[
    "500", "502", "503", "409", "429", "reset", "truncated", "malformed", "html", "html_403", "html_404", "text",
    "hang", "repeated_page", "empty_page", "no_has_more", "empty_children",
]  # fmt: skip
"""500, 502, 503, 409, 429: that status with Stripe's error body. reset: the connection breaks unanswered.
truncated: half of the body. malformed: broken JSON. html, html_403, html_404: a proxy's page, with status 200
or the one named. text: the right body, called `text/plain`. hang: no answer until the server stops.
repeated_page: a list's first page again. empty_page: a list without objects, `has_more` true. no_has_more: a
list without objects, and not a word on whether there are more. empty_children: each list embedded in an object
without objects, `has_more` true."""


@dataclass(slots=True)
class Faults:
    """Faults and refusals of the server; any of them can be set while it runs.

    Attributes:
        latency_s: Seconds before each answer.
        rates: Fault -> share of the requests it hits, 1.0 for all.
        path: Regular expression; only requests whose path and query it is found in are hit.
        times: How many requests are hit at most; None is no bound. It counts down.
        should_retry: Sent as `Stripe-Should-Retry` with every error that is a fault or a 429, unless None.
        retry_after: Sent as `Retry-After` with those, unless None.
        seed: Which requests are hit: the same seed hits the same ones in their order.
        keys: Key -> how paths with their queries begin that it may not read, as regular expressions; None accepts
            every key that looks like one.
        not_enabled: Path prefixes of products the account is not set up for.
        late_events: Ids of events that the feed does not show yet.
        clock_s: Seconds that the clock of the answers' `Date` is ahead of this machine's.
        hits: How many requests each fault hit so far.
    """

    latency_s: float = 0.0
    rates: Mapping[Fault, float] = field(default_factory=dict)
    path: str = ""
    times: int | None = None
    should_retry: bool | None = None
    retry_after: str | None = None
    seed: int = 1
    keys: Mapping[str, frozenset[str]] | None = None
    not_enabled: frozenset[str] = frozenset()
    late_events: frozenset[str] = frozenset()
    clock_s: int = 0
    hits: Counter[Fault] = field(default_factory=Counter)
    _random: Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the names of the faults.

        Raises:
            ValueError: There is no such fault.
        """
        if unknown := set(self.rates) - set(get_args(Fault)):
            raise ValueError(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(get_args(Fault))}")
        self._random = Random(self.seed)

    def draw(self, path_with_query: str) -> Fault | None:
        """Return what goes wrong with this request, if anything does."""
        if not self.rates or self.times == 0 or not re.search(self.path, path_with_query):
            return None
        lot = self._random.random()
        for fault, rate in self.rates.items():
            if lot < rate:
                self.times = None if self.times is None else self.times - 1
                self.hits[fault] += 1
                return fault
            lot -= rate
        return None

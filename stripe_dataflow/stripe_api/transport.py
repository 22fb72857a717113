"""One request to Stripe: bytes in, a list page or an object out, or an error that says what to do.

The SDK gives the transport and the pinned version; its retries are not used, as they neither
retry a 429 nor read `Retry-After`, and its objects are not made, as one page of them costs 190 ms.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import quote, urlencode

import aiohttp
from stripe import AIOHTTPClient, APIConnectionError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from stripe_dataflow import errors
from stripe_dataflow.catalog import api_version
from stripe_dataflow.errors import Request, StripeError
from stripe_dataflow.patience import Patience
from stripe_dataflow.stripe_api.answers import parsed
from stripe_dataflow.stripe_api.clock import Clock
from stripe_dataflow.stripe_api.limits import Limits
from stripe_dataflow.stripe_api.refusals import refusal

_ATTEMPTS_UNREACHED = 4  # for an address that never answered, which is more likely wrong than down
_UNREACHED_PAUSES_S = (10.0, 60.0)  # the first is over when a step is retried, the second is not
# A page is some 2,000 dicts and lists, free of cycles and soon gone. Python's collector would walk
# through each of them, at twice the cost of parsing; so it starts at this many more than were freed.
_COLLECT_AT = 100_000

Query = Mapping[str, str | int | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the account is and how fast it may be asked; the key stays in memory and out of repr.

    `clock` tells the account's time to all who share the connection, right from the first answer on.
    """

    api_base: str
    key: str = field(repr=False)
    account: str = ""
    per_second: float = 20.0
    per_endpoint: float = 20.0
    patience: Patience = field(default_factory=Patience)
    clock: Clock = field(default_factory=Clock, repr=False, compare=False)


@dataclass(slots=True)
class Traffic:
    """What one table's requests came to: for its load record and its progress line."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A parsed body, and when it was asked for: microseconds since 1970, so no row seems newer than it is."""

    body: dict[str, Any]
    asked_at_us: int


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: whose traffic it is, which endpoint's limit it counts on, and what it asks for.

    `object_id` is the id that the answer must bear, empty where it is not known.
    """

    right: str
    endpoint: str
    path: str
    query: Query = field(default_factory=dict)
    is_list: bool = True
    object_id: str = ""

    @property
    def url(self) -> str:
        """Return path and query as Stripe's SDK writes them: brackets stay as they are."""
        text = urlencode(self.query, doseq=True, quote_via=quote, safe="[]:") if self.query else ""
        return f"{self.path}?{text}" if text else self.path


class Transport:
    """Asks Stripe, within the limits, as often as it takes; an async context manager."""

    def __init__(self, connection: Connection) -> None:
        self.limits = Limits(per_second=connection.per_second, per_endpoint=connection.per_endpoint)
        self._connection = connection
        self._base = connection.api_base.rstrip("/")
        self._headers = {
            "Authorization": f"Bearer {connection.key}",
            "Stripe-Version": api_version(),
            "User-Agent": "stripe_dataflow",
            "Accept-Encoding": "gzip, deflate",
        }
        if connection.account:
            self._headers["Stripe-Account"] = connection.account
        self._client: AIOHTTPClient | None = None
        self._collect_at = gc.get_threshold()
        self._reached = False
        self._closed_by: StripeError = errors.StripeError("not closed", Request(""))
        self._closed_until = 0.0

    async def __aenter__(self) -> Self:
        self._collect_at = gc.get_threshold()
        if self._collect_at[0]:  # 0 is off
            gc.set_threshold(max(self._collect_at[0], _COLLECT_AT), *self._collect_at[1:])
        patience = self._connection.patience
        self._client = AIOHTTPClient(
            timeout=aiohttp.ClientTimeout(total=patience.timeout_s, sock_connect=patience.connect_timeout_s)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        gc.set_threshold(*self._collect_at)
        if self._client is not None:
            await self._client.close_async()

    async def get(self, ask: Ask, traffic: Traffic) -> Answer:
        """Return a list's page or an object.

        Raises:
            StripeError: The subclass says whether the key, the right, the product, the request,
                the limit or the network is at fault; a passing fault only after the last retry.
        """
        if time.monotonic() < self._closed_until:
            raise self._closed_by from None
        attempts = 0
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._attempts_allowed()),
            wait=self._wait,
            retry=retry_if_exception(_passing),
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    attempts = attempt.retry_state.attempt_number
                    return await self._once(ask, traffic, first=attempts == 1)
        except StripeError as error:
            failure = _after(error, attempts) if error.retryable and attempts > 1 else error
            self._close_if_hopeless(failure)
            raise failure from None
        raise AssertionError  # retrying returns or raises; this tells the type checker so

    def _attempts_allowed(self) -> int:
        """Return fewer attempts for an address that never answered, and one once it was given up."""
        if self._reached:
            return self._connection.patience.attempts
        return 1 if self._closed_until else min(_ATTEMPTS_UNREACHED, self._connection.patience.attempts)

    def _wait(self, state: RetryCallState) -> float:
        """Return the seconds to wait: what Stripe asks for, or longer each time; both with jitter."""
        first_s, longest_s = self._connection.patience.first_wait_s, self._connection.patience.longest_wait_s
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, StripeError) and error.retry_after_s is not None:
            return error.retry_after_s + random.uniform(0, first_s)  # noqa: S311 jitter
        return wait_exponential_jitter(multiplier=first_s, max=longest_s, jitter=first_s)(state)

    def _close_if_hopeless(self, error: StripeError) -> None:
        """Let every further request fail at once: with a wrong key for good, unreached for a moment."""
        if isinstance(error, errors.KeyRejected):
            self._closed_by, self._closed_until = error, float("inf")
        elif not self._reached:
            pause_s = _UNREACHED_PAUSES_S[1 if self._closed_until else 0]
            self._closed_by, self._closed_until = error, time.monotonic() + pause_s

    async def _once(self, ask: Ask, traffic: Traffic, *, first: bool) -> Answer:
        async with self.limits.slot(ask.endpoint) as left_at:
            traffic.requests += 1
            traffic.retries += not first
            asked_at = time.monotonic()
            body, status, headers = await self._send(ask)
        self._reached = True
        clock = self._connection.clock
        clock.hear(headers)
        traffic.bytes += len(body)
        if status == HTTPStatus.OK:
            return Answer(
                parsed(ask.url, body, headers, is_list=ask.is_list, object_id=ask.object_id), clock.at_us(asked_at)
            )
        error = refusal(ask.right, url=ask.url, status=status, headers=headers, body=body)
        should_retry = headers.get("Stripe-Should-Retry")
        if should_retry is not None:
            error.retryable = should_retry == "true"
        if isinstance(error, errors.RateLimited):
            self.limits.refused(ask.endpoint, error.reason, error.retry_after_s or 1.0, left_at=left_at)
        raise error

    async def _send(self, ask: Ask) -> tuple[bytes, int, Mapping[str, str]]:
        """Return body, status and headers; the key is in neither the error nor its cause."""
        assert self._client is not None, "used outside its async with"  # noqa: S101 a bug of ours
        try:
            return await self._client.request_async("GET", self._base + ask.url, self._headers)
        except (APIConnectionError, aiohttp.ClientError, TimeoutError, OSError) as error:
            cause = type(error.__cause__ or error).__name__
            text = (
                f"{Request(ask.url)}: no connection to {self._base} ({cause}). "
                "Check api_base and the network, then run again."
            )
            raise errors.Unreachable(text, Request(ask.url)) from None


def _passing(error: BaseException) -> bool:
    """Tell whether the same request may succeed a little later."""
    return isinstance(error, StripeError) and error.retryable


def _after(error: StripeError, attempts: int) -> StripeError:
    """Return the same error, saying how often it was tried."""
    request = Request(error.request.url, error.request.status, error.request.code, error.request.request_id, attempts)
    text = str(error).replace(str(error.request), str(request), 1)
    return type(error)(text, request, retry_after_s=error.retry_after_s, reason=error.reason)


def live_mode(key: str) -> bool:
    """Tell whether a key is for live data; `sk_test_` and `rk_test_` are for test data."""
    return "_live_" in key

"""Reading a Stripe list: one page after another, or several windows of `created` at once.

Source: https://docs.stripe.com/api/pagination
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stripe_dataflow import errors
from stripe_dataflow.errors import Request
from stripe_dataflow.stripe_api.answers import check_times
from stripe_dataflow.stripe_api.transport import Answer, Ask, Traffic, Transport
from stripe_dataflow.stripe_api.windows import PAGE, Span, Windows

WORKERS = 12  # for one list: 25 requests a second at half a second each

Object = dict[str, Any]
Deliver = Callable[[list[Object], int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: the transport, and whose traffic it is."""

    transport: Transport
    traffic: Traffic

    async def get(self, ask: Ask) -> Answer:
        """Return one answer."""
        return await self.transport.get(ask, self.traffic)


async def list_pages(
    reader: Reader, ask: Ask, *, after: Sequence[str] = (), paged: bool = True
) -> AsyncIterator[Answer]:
    """Yield each page of a list, newest object first.

    Args:
        reader: Who asks.
        ask: The list with its filters.
        after: Ids of the objects to continue behind, in the list's order.
        paged: The list takes `limit` and `starting_after`; else it is one page.
    Yields:
        Pages of 1 to 100 objects; an empty list yields nothing.
    Raises:
        StripeError: The list cannot be read to its end.
    """
    behind = list(after)
    while True:
        answer = await _page(reader, ask, behind, paged=paged)
        objects = answer.body["data"]
        if objects:
            yield answer
        if not answer.body["has_more"]:
            return
        ids = [str(item["id"]) for item in objects]
        _forbid_repeat(ask, behind, ids)
        behind = ids


async def _page(reader: Reader, ask: Ask, behind: list[str], *, paged: bool) -> Answer:
    """Return the page behind the last of some objects; behind the one before if that was deleted, the first if all."""
    query = {**ask.query, "limit": PAGE} if paged else dict(ask.query)
    if not behind:
        return await reader.get(replace(ask, query=query))
    *others, first = behind
    try:
        return await reader.get(replace(ask, query={**query, "starting_after": first}))
    except errors.CursorGone:  # what is read twice is merged once
        pass
    return await _page(reader, ask, others, paged=paged)


def _forbid_repeat(ask: Ask, behind: list[str], ids: list[str]) -> None:
    """Stop when a page ends where the page before it ended: paging would never end.

    Raises:
        UnexpectedAnswer: The cursor repeats.
    """
    if behind and behind[-1] == ids[-1]:
        request = Request(ask.url, 200)
        raise errors.UnexpectedAnswer(f"{request} with a page that repeats the page before it.", request)


async def read_windows(reader: Reader, ask: Ask, windows: Windows, *, created: str, deliver: Deliver) -> None:
    """Read a list with a `created` filter, every window of it, by as many workers as find work.

    Args:
        reader: Who asks.
        ask: The list with its other filters.
        windows: What to read; shared, so that a look at it tells what is left.
        created: The object's field that the filter filters.
        deliver: Takes each page's objects, and when they were asked for; may make the worker wait.
    Raises:
        StripeError: The first failure of any worker; the others are stopped.
    """
    try:
        await _employ_workers(reader, ask, windows, created=created, deliver=deliver)
    except ExceptionGroup as group:  # how a task group tells of its first failure
        raise _first(group) from None


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


async def _employ_workers(reader: Reader, ask: Ask, windows: Windows, *, created: str, deliver: Deliver) -> None:
    endpoint = reader.transport.limits.endpoint(ask.endpoint)
    async with asyncio.TaskGroup() as workers:
        running: set[asyncio.Task[None]] = set()

        def employ() -> None:
            """Start one more worker if there is a span for it and a slot it would not wait for."""
            endpoint.pages_left = windows.pages_left
            if len(running) < WORKERS and (not running or endpoint.idle):
                span = windows.claim()
                if span:
                    task = workers.create_task(work(span))
                    running.add(task)
                    task.add_done_callback(running.discard)

        async def work(span: Span | None) -> None:
            while span:
                await _read_span(reader, ask, windows, span=span, created=created, deliver=deliver, employ=employ)
                span = windows.claim()

        employ()


async def _read_span(
    reader: Reader,
    ask: Ask,
    windows: Windows,
    *,
    span: Span,
    created: str,
    deliver: Deliver,
    employ: Callable[[], None],
) -> None:
    """Read one span from its newest object down; its lower bound may move up meanwhile."""
    below, cursor = span.below, ""
    while span.gte < span.below:
        query = {**ask.query, "limit": PAGE, "created[gte]": span.gte, "created[lt]": below}
        try:
            answer = await reader.get(replace(ask, query={**query, "starting_after": cursor} if cursor else query))
        except errors.CursorGone:
            below, cursor = span.below, ""  # read that second again; merging drops the doubles
            continue
        objects = answer.body["data"]
        check_times(objects, ask.right, created)
        # The older half may have been given away while this page was on its way.
        mine = [item for item in objects if item[created] >= span.gte]
        await deliver(mine, answer.asked_at_us)
        if not answer.body["has_more"] or len(mine) < len(objects):
            break
        ids = [str(item["id"]) for item in objects]
        _forbid_repeat(ask, [cursor], ids)
        cursor = ids[-1]
        windows.advance(span, to=objects[-1][created], rows=len(mine))
        employ()
    windows.finish(span)

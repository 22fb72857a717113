"""Objects on a test clock: in no ordinary list of a test account, but in one for each clock.

Source: https://docs.stripe.com/api/customers/list, parameter `test_clock`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from stripe_dataflow import errors
from stripe_dataflow.catalog import TEST_CLOCKS
from stripe_dataflow.stripe_api import Ask, Object, Reader, Window, list_pages

Deliver = Callable[[list[Object], int], Awaitable[None]]


class Clocks:
    """The test clocks of the account, read once; a live account has none."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._once = asyncio.Lock()
        self._ids: list[str] | None = None

    async def ids(self, reader: Reader) -> list[str]:
        """Return the ids of the clocks; none where the key may not know them."""
        if self._live:
            return []
        async with self._once:
            if self._ids is None:
                self._ids = await _read(reader)
        return self._ids

    async def read(self, reader: Reader, ask: Ask, windows: Sequence[Window], *, deliver: Deliver) -> None:
        """Deliver what a list holds for each clock, in some windows of `created` or, without any, all of it."""
        filters = [{"created[gte]": w.gte, "created[lt]": w.lt} for w in windows] or [{}]
        for clock_id in await self.ids(reader):
            for span in filters:
                asked = replace(ask, query={**ask.query, **span, "test_clock": clock_id})
                async for page in list_pages(reader, asked):
                    await deliver(page.body["data"], page.asked_at_us)


async def _read(reader: Reader) -> list[str]:
    ask = Ask("test clocks", TEST_CLOCKS, TEST_CLOCKS)
    try:
        return [str(clock["id"]) async for page in list_pages(reader, ask) for clock in page.body["data"]]
    except (errors.NotEnabled, errors.PermissionDenied, errors.RequestRefused):
        return []

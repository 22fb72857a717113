"""What to look at again although no event told of it: recent partitions by their list, older ones by their count.

Source of the counts: https://docs.stripe.com/api/charges/search. `total_count` is exact up to 10,000.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stripe_dataflow import errors
from stripe_dataflow.catalog import Table
from stripe_dataflow.stripe_api import DAY_S, Ask, Reader, Window

RECENT_S = 35 * DAY_S  # what Stripe's customers still change: as long as events are kept, and some days more
EXACT_UP_TO = 10_000


@dataclass(frozen=True, slots=True)
class Recheck:
    """What a reconciling run looks at besides the changes it is told of.

    Attributes:
        listed: Windows to list again.
        counted: Window -> live rows of ours; it is listed again if Stripe counts another number.
    """

    listed: tuple[Window, ...] = ()
    counted: Mapping[Window, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.listed or self.counted)


def recheck(
    table: Table, windows: Sequence[Window], *, now: int, rows_by_day: Mapping[int, int], listed_at: Mapping[int, int]
) -> Recheck:
    """Return what to look at again of a table's partitions.

    Of the older partitions the one listed longest ago has its turn, as a count shows no edit; the others are counted,
    where Stripe can.

    Args:
        table: The table.
        windows: Its partitions, oldest first; they begin and end with a day (UTC).
        now: Unix seconds.
        rows_by_day: Day since 1970 -> live rows.
        listed_at: A partition's lower bound -> when it was last listed whole, Unix seconds.
    """
    recent = [window for window in windows if window.lt > now - RECENT_S]
    older = sorted(windows[: len(windows) - len(recent)], key=lambda window: listed_at.get(window.gte, 0))
    counted: dict[Window, int] = {}
    for window in older[1:] if table.counted else ():
        counted |= _countable(window, rows_by_day)
    return Recheck((*older[:1], *recent), counted)


def _countable(window: Window, rows_by_day: Mapping[int, int]) -> dict[Window, int]:
    """Return the partition in spans of days few enough for an exact count; none where one day holds too many."""
    spans: dict[Window, int] = {}
    begin, held = window.gte, 0
    for day in range(window.gte // DAY_S, window.lt // DAY_S):
        rows = rows_by_day.get(day, 0)
        if rows >= EXACT_UP_TO:
            return {}
        if held + rows >= EXACT_UP_TO:
            spans[Window(begin, day * DAY_S)] = held
            begin, held = day * DAY_S, 0
        held += rows
    return {**spans, Window(begin, window.lt): held}


async def differing(reader: Reader, table: Table, counted: Mapping[Window, int]) -> list[Window]:
    """Return the windows in which Stripe counts another number of objects, or will not count.

    Raises:
        StripeError: Stripe cannot be asked at all.
    """
    answers = await asyncio.gather(*(_count(reader, table, window) for window in counted))
    return [window for (window, rows), found in zip(counted.items(), answers, strict=True) if found != rows]


async def _count(reader: Reader, table: Table, window: Window) -> int | None:
    """Return how many objects were created in a window, None where the account or the key has no search."""
    asked = f"created>={window.gte} AND created<{window.lt}"
    path = f"{table.path}/search"
    query = {"query": asked, "limit": 1, "expand[]": ["total_count"]}
    try:
        answer = await reader.get(Ask(table.right, path, path, query, is_list=False))
    except (errors.NotEnabled, errors.PermissionDenied, errors.RequestRefused):
        return None
    return answer.body.get("total_count")

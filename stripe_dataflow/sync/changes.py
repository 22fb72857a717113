"""The cheap way to be current: what the event feed says changed, and what is new since the cursor.

A changed object is asked for by its id; where many of one day changed, the day is listed again if
that takes fewer requests. Children are read along with their changed parents, or as their own events tell.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from stripe_dataflow import errors
from stripe_dataflow.catalog import TABLES, Table
from stripe_dataflow.stripe_api import (
    DAY_S,
    Answer,
    Ask,
    Object,
    Query,
    Reader,
    Traffic,
    Transport,
    Window,
    Windows,
    read_windows,
    union,
)
from stripe_dataflow.stripe_api.windows import PAGE
from stripe_dataflow.sync.children import ChildReader
from stripe_dataflow.sync.clocks import Clocks
from stripe_dataflow.sync.events import OVERLAP_S, Change, EventRouter, read_events
from stripe_dataflow.sync.plan import TablePlan
from stripe_dataflow.sync.reconcile import Recheck, differing
from stripe_dataflow.sync.track import Track

_WORKERS = 8


@dataclass(slots=True)
class _Root:
    """One top-level table to bring up to date, for its own sake, its children's, or both."""

    table: Table
    own: Track | None
    children: list[ChildReader]
    traffic: Traffic
    since: int
    rows_by_day: Mapping[int, int] = field(default_factory=dict)
    recheck: Recheck = field(default_factory=Recheck)
    embeds: bool = True  # until Stripe refuses to show children's lists within their parents

    def expand(self, children: Iterable[ChildReader], prefix: str) -> dict[str, list[str]]:
        """Return the query that makes children's lists come along with their parents."""
        fields = sorted({child.table.embedded for child in children if child.table.expanded})
        return {"expand[]": [f"{prefix}{name}" for name in fields]} if fields and self.embeds else {}

    @property
    def tracks(self) -> list[Track]:
        """Return every track this table's changes go to."""
        return [*([self.own] if self.own else []), *(child.track for child in self.children)]


class ChangeReader:
    """Brings the tables of a run up to date that have a cursor; lives in one event loop."""

    def __init__(self, transport: Transport, span: Window, tracks: Mapping[str, Track], clocks: Clocks) -> None:
        self._transport = transport
        self._span = span
        self._tracks = tracks
        self._clocks = clocks

    async def read(self, plans: Sequence[TablePlan]) -> None:
        """Read what changed of some tables; a failure is told to the tables it concerns, not raised."""
        roots = self._roots(plans)
        tables = [root.table for root in roots] + [plan.table for plan in plans if plan.table.parents]
        router = EventRouter(tables)
        try:
            if any(table.events for table in tables):
                reader = Reader(self._transport, roots[0].traffic)
                await read_events(reader, router, since=min(plan.since for plan in plans))
        except Exception as error:  # noqa: BLE001 told to each table's step, which raises it
            self._fail([track for root in roots for track in root.tracks], error)
            return
        await asyncio.gather(*(self._read_root(root, router) for root in roots))

    def _roots(self, plans: Sequence[TablePlan]) -> list[_Root]:
        """Return each top-level table once, whether it is wanted itself or leads to a wanted child."""
        names = dict.fromkeys(plan.table.parent or plan.table.name for plan in plans)
        found = []
        for name in names:
            own = next((self._tracks[p.table.name] for p in plans if p.table.name == name), None)
            below = [self._tracks[p.table.name] for p in plans if p.table.parent == name]
            children = [ChildReader(self._transport, self._span, track) for track in below]
            first = own or below[0]
            since = min(track.plan.since for track in (*([own] if own else []), *below))
            found.append(
                _Root(TABLES[name], own, children, first.traffic, since, first.plan.rows_by_day, first.plan.recheck)
            )
        return found

    async def _read_root(self, root: _Root, router: EventRouter) -> None:
        changed = router.changed[root.table.name].objects
        try:
            again = await self._again(root)
            usual, windows, ids, gone = _choose(root, changed, self._span, again=again)
            if root.own:
                root.own.windows, root.own.usual, root.own.told = windows, usual, set(changed)
                root.own.how = (
                    f"changes since the cursor: {len(changed)} objects, {len(gone)} of them gone; "
                    f"{len(ids)} asked for by id, {len(usual)} windows listed again"
                )
                if root.recheck:
                    root.own.how += f"; reconciled: {len(root.recheck.counted)} partitions counted, {len(again)} listed"
                root.own.write_tombstones(gone)
            held = await self._held_parents(root, router, changed, gone=gone)
            for child in root.children:
                child.track.how = (
                    "as their own events tell" if _told_itself(child.table) else "along with its parents that changed"
                )
                child.track.listed = windows
                child.parents_gone(gone)
                await child.ask_again(router.changed[child.table.name].parents & held)
            await self._read_windows(root, windows)
            await self._read_objects(root, ids)
        except Exception as error:  # noqa: BLE001 told to each table's step, which raises it
            self._fail(root.tracks, error)
        for child in root.children:
            await child.finish()
        if root.own:
            root.own.feed.finish()

    async def _again(self, root: _Root) -> list[Window]:
        """Return the windows to list again for a reconciling run."""
        reader = Reader(self._transport, root.traffic)
        return [*root.recheck.listed, *await differing(reader, root.table, root.recheck.counted)]

    async def _read_windows(self, root: _Root, windows: list[Window]) -> None:
        """List the windows again, children along with their parents."""
        if not windows:
            return
        table, left, expand = root.table, Windows(windows), root.expand(root.children, "data.")
        query = {**dict(table.params), **expand}
        ask = Ask(table.right, table.path, table.path, query)

        async def deliver(objects: list[Object], asked_at_us: int) -> None:
            await _deliver(root.own, root.children, objects, asked_at_us)

        reader = Reader(self._transport, root.traffic)
        try:
            if table.clocked:
                await self._clocks.read(reader, ask, windows, deliver=deliver)
            await read_windows(reader, ask, left, created=table.created, deliver=deliver)
        except (errors.PermissionDenied, errors.RequestRefused):
            if not expand:
                raise
            root.embeds = False  # each child asks for itself, and fails by itself
            await self._read_windows(root, windows)

    async def _read_objects(self, root: _Root, ids: list[str]) -> None:
        """Ask for changed objects one by one, several at once."""
        waiting = iter(ids)

        async def work() -> None:
            for object_id in waiting:
                await self._read_object(root, object_id)

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(_WORKERS, len(ids))):
                workers.create_task(work())

    async def _held_parents(
        self, root: _Root, router: EventRouter, changed: Mapping[str, Change], *, gone: Iterable[str]
    ) -> set[str]:
        """Return the objects whose children events tell of and that the run is for: an older one's do not land."""
        named = set().union(*(router.changed[child.table.name].parents for child in root.children)).difference(gone)

        async def lands(object_id: str) -> bool:
            created = changed[object_id].created if object_id in changed else 0
            if created or not root.table.created_filter:
                return _lands(root.table, created, self._span)
            answer = await self._object(root, object_id, {})
            return answer is not None and _lands(root.table, answer.body.get(root.table.created, 0), self._span)

        return set(itertools.compress(named, await asyncio.gather(*map(lands, named))))

    async def _object(self, root: _Root, object_id: str, expand: Query) -> Answer | None:
        """Return an object, without the lists of its children where the key may not see those; None if it is gone."""
        table = root.table
        path = table.path if table.snapshot else f"{table.path}/{quote(object_id, safe='')}"
        ask = Ask(table.right, f"{table.path}/{{id}}", path, expand, is_list=False, object_id=object_id)
        try:
            answer = await Reader(self._transport, root.traffic).get(ask)
        except (errors.PermissionDenied, errors.RequestRefused) as refused:
            if refused.request.code == "resource_missing":
                return None
            if not expand:
                raise
            root.embeds = False
            return await self._object(root, object_id, {})
        return None if answer.body.get("deleted") is True else answer

    async def _read_object(self, root: _Root, object_id: str) -> None:
        children = [child for child in root.children if not _told_itself(child.table)]
        answer = await self._object(root, object_id, root.expand(children, ""))
        if answer is None:
            if root.own:
                root.own.write_tombstones([object_id])
            for child in root.children:
                child.parents_gone([object_id])
        elif _lands(root.table, answer.body.get(root.table.created, 0), self._span):
            await _deliver(root.own, children, [answer.body], answer.asked_at_us)

    @staticmethod
    def _fail(tracks: Iterable[Track], error: Exception) -> None:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        for track in tracks:
            track.feed.finish(error)


async def _deliver(own: Track | None, children: list[ChildReader], objects: list[Object], asked_at_us: int) -> None:
    for child in children:
        await child.accept(objects, asked_at_us)
    if own:
        await own.feed.room()
        own.write(objects, asked_at_us)


def _lands(table: Table, created: int, span: Window) -> bool:
    """Tell whether an object is none from before the run's span, which its list would leave out."""
    return not table.created_filter or created >= span.gte


def _told_itself(child: Table) -> bool:
    """Tell whether a child's own events say all: a changed parent is no reason to list its children."""
    return child.keep_current == "events"


def _choose(
    root: _Root, changed: Mapping[str, Change], span: Window, *, again: Sequence[Window]
) -> tuple[list[Window], list[Window], list[str], list[str]]:
    """Return the windows to list for what changed, all windows to list, the ids to ask for, and those that are gone.

    A window costs a request for each hundred objects created in it, an id costs one; either costs besides a
    request for each list of children that does not come with its parent. How many objects a day holds is known only
    of a table that lands.
    """
    table = root.table
    apart = [child.table for child in root.children if not child.table.embedded]
    apart_of_id = sum(not _told_itself(child) for child in apart)
    gone = [object_id for object_id, change in changed.items() if change.gone]
    wanted = root.own or not all(_told_itself(child.table) for child in root.children)
    alive = {object_id: change for object_id, change in changed.items() if wanted and not change.gone}
    windows = []
    if table.created_filter and (table.look_back_days or not table.events):
        windows = [Window(max(root.since - OVERLAP_S - table.look_back_days * DAY_S, span.gte), span.lt)]
    by_day: dict[int, int] = {}
    for change in alive.values() if root.own else ():
        if table.created_filter and change.created in span:
            by_day[change.created // DAY_S] = by_day.get(change.created // DAY_S, 0) + 1
    for day, count in by_day.items():
        rows = root.rows_by_day.get(day, 0) + count
        if rows / PAGE + 1 + rows * len(apart) < count * (1 + apart_of_id):
            windows.append(Window(max(day * DAY_S, span.gte), min((day + 1) * DAY_S, span.lt)))
    usual = union(windows)
    windows = union([*windows, *again])
    # A list that hides objects which still are, such as closed reviews, does not tell of those.
    hides = not table.deletable
    ids = [i for i, c in alive.items() if hides or not any(c.created in window for window in windows)]
    ids = [i for i in ids if not changed[i].created or _lands(table, changed[i].created, span)]
    return usual, windows, ids, gone

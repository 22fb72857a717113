"""Child lists: the page that comes embedded in the parent, what lies behind it, or a list per parent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from stripe_dataflow.catalog import TABLES, Table
from stripe_dataflow.errors import DataflowError, Request, RequestRefused, StripeError
from stripe_dataflow.stripe_api import DAY_S, Ask, Object, Reader, Transport, Window, check_objects, list_pages
from stripe_dataflow.sync.track import Track

_WORKERS = 8
_QUEUE = 1000  # parents waiting; a full queue makes the parents' list wait


@dataclass(frozen=True, slots=True)
class _Job:
    """One list to read: all of a parent's, or what lies behind its embedded page."""

    parent_id: str
    path: str
    query: dict[str, str | int]
    after: Sequence[str] = ()


class ChildReader:
    """Reads one child table along with its parents' list."""

    def __init__(self, transport: Transport, span: Window, track: Track) -> None:
        self.table: Table = track.plan.table
        self.track = track
        self._span = span
        self._reader = Reader(transport, track.traffic)
        self._jobs: asyncio.Queue[_Job | None] = asyncio.Queue(_QUEUE)
        self._workers: list[asyncio.Task[None]] = []
        self._outer: list[str] | None = None

    async def accept(self, parents: list[Object], asked_at_us: int) -> None:
        """Take the children that come with some parents, and queue the lists of those that do not.

        An embedded list that was asked for only for the children's sake leaves the parent's object.
        """
        if self.track.feed.done:
            return
        await self.track.feed.room()
        try:
            for parent in parents:
                await self._accept(parent, asked_at_us)
        except DataflowError as error:  # of a child, or the outer parents' list; the parents' own table goes on
            self.track.feed.finish(error)

    async def _accept(self, parent: Object, asked_at_us: int) -> None:
        field = self.table.embedded
        embedded = parent.pop(field, None) if self.table.expanded else parent.get(field)
        if isinstance(embedded, dict) and isinstance(embedded.get("data"), list):
            await self._take_embedded(str(parent["id"]), embedded, asked_at_us)
        else:
            for job in await self._jobs_of(str(parent["id"])):
                await self._queue(job)

    async def ask_again(self, parent_ids: Iterable[str]) -> None:
        """Queue the lists of some parents, of which only the ids are known."""
        try:
            for parent_id in sorted(parent_ids):
                for job in await self._jobs_of(parent_id):
                    await self._queue(job)
        except StripeError as error:  # of the outer parents' list
            self.track.feed.finish(error)

    def parents_gone(self, parent_ids: Iterable[str]) -> None:
        """Note parents that no longer exist, and so have no children."""
        self.track.parents.update(parent_ids)

    async def finish(self) -> None:
        """Read what is queued to its end, and finish the feed."""
        for _ in self._workers:
            await self._jobs.put(None)
        await asyncio.gather(*self._workers)
        self.track.fraction = 1.0
        self.track.feed.finish()

    async def _take_embedded(self, parent_id: str, embedded: dict[str, Any], asked_at_us: int) -> None:
        self.track.parents.add(parent_id)
        check_objects(Request(f"{self.table.path} (in {parent_id})", 200), embedded["data"])
        objects = [dict(item) for item in embedded["data"]]
        shown = [str(item["id"]) for item in objects]
        self.track.write(objects, asked_at_us, parent_id)
        if embedded.get("has_more"):  # with no object shown as well: none shown is not none there
            url = urlsplit(str(embedded.get("url", "")))
            await self._queue(_Job(parent_id, url.path, dict(parse_qsl(url.query)), after=shown))

    async def _jobs_of(self, parent_id: str) -> list[_Job]:
        """Return the lists that hold a parent's children: one, or one for each outer parent."""
        *outer, inner = self.table.parents
        if not outer:
            return [self._job(parent_id, {inner.param: parent_id})]
        outer_ids = await self._outer_ids(outer[0].table)
        return [self._job(parent_id, {outer[0].param: one, inner.param: parent_id}) for one in outer_ids]

    def _job(self, parent_id: str, ids: dict[str, str]) -> _Job:
        """Return the list of some parents' ids, which stand in the path or else in the query."""
        path, query = self.table.path, self._filters()
        for param, value in ids.items():
            if f"{{{param}}}" in path:
                path = path.replace(f"{{{param}}}", quote(value, safe=""))
            else:
                query[param] = value
        return _Job(parent_id, path, query)

    def _filters(self) -> dict[str, str | int]:
        query: dict[str, str | int] = dict(self.table.params)
        if self.table.per_parent_window:
            query["start_time"] = self._span.gte // DAY_S * DAY_S
            query["end_time"] = -(-self._span.lt // DAY_S) * DAY_S
        windows = self.track.plan.windows
        if windows and self.table.created_filter and not self.track.plan.changes_only:
            query |= {"created[gte]": windows[0].gte, "created[lt]": windows[-1].lt}
        return query

    async def _outer_ids(self, name: str) -> list[str]:
        """Return the ids of the outer parents, read once."""
        if self._outer is None:
            table = TABLES[name]
            ask = Ask(table.right, table.path, table.path, dict(table.params))
            self._outer = [str(o["id"]) async for page in list_pages(self._reader, ask) for o in page.body["data"]]
        return self._outer

    async def _queue(self, job: _Job) -> None:
        if len(self._workers) < _WORKERS:
            self._workers.append(asyncio.create_task(self._work()))
        await self._jobs.put(job)
        self._reader.transport.limits.endpoint(self.table.path).pages_left = self._jobs.qsize()

    async def _work(self) -> None:
        """Read queued lists; after a failure only take them off the queue, so that no parent waits."""
        while (job := await self._jobs.get()) is not None:
            if self.track.feed.done:
                continue
            self.track.parents.add(job.parent_id)
            try:
                await self._read(job)
            except RequestRefused as refused:
                # A parent that was deleted a moment ago has no children any more.
                if refused.request.code != "resource_missing":
                    self.track.feed.finish(refused)
            except Exception as error:  # noqa: BLE001 told to the table's step, which raises it
                self.track.feed.finish(error)

    async def _read(self, job: _Job) -> None:
        ask = Ask(self.table.right, self.table.path, job.path, job.query)
        async for page in list_pages(self._reader, ask, after=job.after, paged=self.table.paged):
            await self.track.feed.room()
            self.track.write(page.body["data"], page.asked_at_us, job.parent_id)

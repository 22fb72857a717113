"""Reading lists into feeds: every list of a run at once, each object's children along with it."""

from __future__ import annotations

from collections.abc import Mapping

from stripe_dataflow import errors
from stripe_dataflow.stripe_api import (
    Ask,
    Object,
    Query,
    Reader,
    Transport,
    Window,
    Windows,
    list_pages,
    read_windows,
)
from stripe_dataflow.sync.children import ChildReader
from stripe_dataflow.sync.clocks import Clocks
from stripe_dataflow.sync.plan import Reading
from stripe_dataflow.sync.track import Track


class Extraction:
    """Reads some lists into the tracks of their tables; lives in one event loop."""

    def __init__(self, transport: Transport, span: Window, tracks: Mapping[str, Track], clocks: Clocks) -> None:
        self._transport = transport
        self._span = span
        self._tracks = tracks
        self._clocks = clocks

    async def read(self, reading: Reading) -> None:
        """Read one list to its end; a failure is told to the tables it concerns, not raised."""
        own = self._tracks[reading.own.table.name] if reading.own else None
        traffic = own.traffic if own else self._tracks[reading.children[0].table.name].traffic
        reader = Reader(self._transport, traffic)
        children = [
            ChildReader(self._transport, self._span, self._tracks[plan.table.name]) for plan in reading.children
        ]
        try:
            await self._read_root(reader, reading, own=own, children=children)
        except Exception as error:  # noqa: BLE001 told to each table's step, which raises it
            self._fail(reading, error)
        else:
            if own:
                own.fraction = 1.0
                own.feed.finish()
        for child in children:
            await child.finish()

    async def _read_root(
        self, reader: Reader, reading: Reading, *, own: Track | None, children: list[ChildReader]
    ) -> None:
        """Read the list with its children's embedded lists, or without where the key may not see those."""
        expand = [child for child in children if child.table.expanded]
        try:
            await self._read_list(reader, reading, own=own, children=children, expand=bool(expand))
        except (errors.PermissionDenied, errors.RequestRefused):
            if not expand:
                raise
            await self._read_list(reader, reading, own=own, children=children, expand=False)

    async def _read_list(
        self,
        reader: Reader,
        reading: Reading,
        *,
        own: Track | None,
        children: list[ChildReader],
        expand: bool,
    ) -> None:
        root = reading.root
        windows = Windows(reading.windows)
        ask = Ask(root.right, root.path, root.path, _query(reading, expand=expand), is_list=not root.snapshot)

        async def deliver(objects: list[Object], asked_at_us: int) -> None:
            if own and own.feed.error and not children:
                raise own.feed.error  # loading it failed, so no one waits for the rest
            for child in children:
                await child.accept(objects, asked_at_us)
            if own:
                await own.feed.room()
                own.write(objects, asked_at_us)
                own.feed.publish(windows.remaining() if reading.windows else ())
            self._note_progress(reading, windows.fraction if reading.windows else None)

        if root.clocked:  # first, as a window is complete once the list itself is read
            await self._clocks.read(reader, ask, reading.windows, deliver=deliver)
        if root.snapshot:
            answer = await reader.get(ask)
            await deliver([answer.body], answer.asked_at_us)
        elif root.created_filter:
            await read_windows(reader, ask, windows, created=root.created, deliver=deliver)
        else:
            async for answer in list_pages(reader, ask, paged=root.paged):
                await deliver(answer.body["data"], answer.asked_at_us)

    def _note_progress(self, reading: Reading, fraction: float | None) -> None:
        for plan in reading.plans:
            self._tracks[plan.table.name].fraction = fraction

    def _fail(self, reading: Reading, error: Exception) -> None:
        for plan in reading.plans:
            self._tracks[plan.table.name].feed.finish(error)


def _query(reading: Reading, *, expand: bool) -> Query:
    fields = {plan.table.embedded for plan in reading.children if plan.table.expanded}
    more = {"expand[]": [f"data.{name}" for name in sorted(fields)]} if expand else {}
    return {**dict(reading.root.params), **more}

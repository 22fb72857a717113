"""The account's state: every object, the clock, what is due to happen, and the events of what did."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from stripe_dataflow.catalog import TABLES, Table, api_version
from stripe_dataflow.sandbox.dice import Dice, Ids
from stripe_dataflow.sandbox.naming import CLOCKS, DAY, EVENT_RETENTION_S, HIDDEN, PREFIXES
from stripe_dataflow.sandbox.shapes import event_types, object_name, shape
from stripe_dataflow.sandbox.shelf import Entry, Shelf
from stripe_dataflow.sandbox.views import Views

Happening = Callable[..., object]


class State:
    """Objects by table, a clock in Unix seconds, and a queue of what happens next.

    Attributes:
        horizon: Until when the clock is about to run; events nobody can list any more are not made.
        memo: What the simulated people remember: names of things -> ids or objects.
    """

    def __init__(self, seed: int, start: int, horizon: int, *, event_version: str | None = None) -> None:
        self.now = start
        self.horizon = horizon
        self.dice = Dice(seed)
        self.ids = Ids(seed)
        self.shelves = {name: Shelf(table, HIDDEN.get(name)) for name, table in TABLES.items()}
        self.shelves[CLOCKS.name] = Shelf(CLOCKS)
        self.views = Views(self.shelves)
        self.memo: defaultdict[str, list[Any]] = defaultdict(list)
        self.event_version = event_version or api_version()
        self._queue: list[tuple[int, int, Happening, tuple[Any, ...]]] = []
        self._turn = 0

    def at(self, when: int, happening: Happening, *args: Any) -> None:
        """Let something happen at that second: it is called with this state and the arguments."""
        self._turn += 1
        heapq.heappush(self._queue, (when, self._turn, happening, args))

    def run(self, until: int) -> None:
        """Let everything happen that is due up to that second, in order."""
        while self._queue and self._queue[0][0] <= until:
            when, _, happening, args = heapq.heappop(self._queue)
            self.now = max(self.now, when)
            happening(self, *args)
        self.now = max(self.now, until)

    def get(self, table: str, object_id: str) -> dict[str, Any]:
        """Return a copy of an object, without its embedded lists."""
        return self.shelves[table].get(object_id)

    def add(
        self, table: str, /, *, parents: tuple[str, ...] = (), event: str = "", kind: str = "", **fields: Any
    ) -> dict[str, Any]:
        """Return a new object with every field of its class, on its shelf.

        Args:
            table: The catalog table.
            parents: Ids of the catalog's parents, outermost first.
            event: Type of the event that tells of it, if one does.
            kind: The class below `stripe`, where the table has several.
            fields: What is known of it; an `id` and a time are given to it unless they are here.
        """
        row = TABLES[table]
        sdk_class = kind or row.classes[0]
        known = shape(sdk_class)
        if "id" in known.fields and "id" not in fields:
            prefix, length = PREFIXES[object_name(sdk_class)]
            fields["id"] = self.ids.next(prefix, length)
        if row.created in known.fields and row.created not in fields:
            fields[row.created] = self.now
        made = known.fill(fields)
        self._put(row, made, parents)
        if event:
            self.emit(event, table, made["id"])
        return made

    def change(
        self, table: str, object_id: str, /, *, event: str = "", handle: str = "", **fields: Any
    ) -> dict[str, Any]:
        """Return an object after changing these fields; an `.updated` event tells the former values."""
        shelf = self.shelves[table]
        entry = shelf.entries[handle or object_id]
        made = shelf.get(handle or object_id)
        before = {name: made[name] for name, value in fields.items() if made[name] != value}
        made |= fields
        shelf.put(made, entry.key, entry.parents)
        self._forget_parent(shelf.table, entry)
        if event:
            self.emit(event, table, object_id, before=before)
        return made

    def remove(self, table: str, object_id: str, /, *, event: str = "") -> None:
        """Take an object out of its list, with all that hangs on it; a stub stays at its id."""
        shelf = self.shelves[table]
        entry = shelf.entries[object_id]
        made = self.views.view(table, object_id)
        for child in TABLES.values():
            if child.parent == table and not child.snapshot:
                self._remove_children(child, object_id)
        shelf.drop(object_id, {"id": made["id"], "object": made["object"], "deleted": True})
        self._forget_parent(shelf.table, entry)
        if event:
            self._event(event, made, None)

    def emit(self, kind: str, table: str, object_id: str, before: dict[str, Any] | None = None) -> None:
        """Add an event of that type, holding the object as it is now."""
        if self.now >= self.horizon - EVENT_RETENTION_S - 2 * DAY:
            previous = before if kind.endswith(".updated") else None
            self._event(kind, self.views.view(table, object_id), previous)

    def report(self, kind: str, made: dict[str, Any], before: dict[str, Any] | None = None) -> None:
        """Add an event that holds an object no table has; `before` are the former values of an update."""
        self._event(kind, made, before)

    def _event(self, kind: str, made: dict[str, Any], before: dict[str, Any] | None) -> None:
        if kind not in event_types():
            message = f"the SDK has no event type {kind}"
            raise ValueError(message)
        if self.now < self.horizon - EVENT_RETENTION_S - 2 * DAY:
            return
        data = {"object": made} if before is None else {"object": made, "previous_attributes": before}
        self.add(
            "events",
            api_version=self.event_version,
            data=data,
            pending_webhooks=self.dice.between(0, 1),
            request={"id": self.ids.next("req", 14), "idempotency_key": None},
            type=kind,
        )

    def _put(self, row: Table, made: dict[str, Any], parents: tuple[str, ...]) -> None:
        when = made.get("start_time" if row.per_parent_window else row.created) or self.now
        handle = self.views.handle(row, made["id"], parents)
        shelf = self.shelves[row.name]
        shelf.put(made, (when, handle), parents)
        self._forget_parent(row, shelf.entries[handle])

    def _forget_parent(self, row: Table, entry: Entry) -> None:
        """Forget how the parent looks where its object shows these ones."""
        if row.embedded and entry.parents and row.parent:
            parent = self.shelves[row.parent].entries.get(entry.parents[-1])
            if parent is not None:
                parent.rendered = {}

    def _remove_children(self, child: Table, parent_id: str) -> None:
        shelf = self.shelves[child.name]
        for parents in [key for key in shelf.by_parent if key[-1] == parent_id]:
            for _, handle in list(shelf.by_parent[parents]):
                shelf.drop(handle)
            del shelf.by_parent[parents]

"""One read of the event feed for all tables of a run: which objects changed, which are gone.

Source: https://docs.stripe.com/api/events. Events are kept 30 days, appear late and out of order,
and their payload is rendered in the account's version: so they only say what to ask for again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from stripe_dataflow.catalog import Table, object_names
from stripe_dataflow.errors import RowRefused
from stripe_dataflow.stripe_api import DAY_S, Ask, Object, Reader, list_pages

PATH = "/v1/events"
OVERLAP_S = 60  # an event can show up after a later one was seen
RETENTION_S = 29 * DAY_S  # a day less than Stripe's, for the time a run takes


@dataclass(slots=True)
class Change:
    """What the feed says of one object: when it last changed and was created, and whether it is gone.

    `created` is 0 where the payload does not say; times are Unix seconds.
    """

    at: int
    created: int
    gone: bool


@dataclass(slots=True)
class Changed:
    """What changed of one table: its objects by id, and the parents whose children are to be read again."""

    objects: dict[str, Change] = field(default_factory=dict)
    parents: set[str] = field(default_factory=set)


class EventRouter:
    """Sorts events to the tables they concern, by the type of their payload, not by their name."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self.changed: dict[str, Changed] = {}
        self._routes: dict[str, list[Table]] = {}
        self._named: dict[str, list[tuple[Table, str]]] = {}
        for table in tables:
            self.changed[table.name] = Changed()
            for name in table.event_objects or object_names(table):
                self._routes.setdefault(name, []).append(table)
            for name, named_in in table.named_by:
                self._named.setdefault(name, []).append((table, named_in))

    def accept(self, events: list[Object]) -> None:
        """Take some events, newest first.

        Raises:
            RowRefused: One is no event of Stripe's.
        """
        for event in events:
            payload = _payload(event)
            kind = str(payload.get("object"))
            for table, named_in in self._named.get(kind, ()):
                if named := _id(payload.get(named_in)):
                    known = self.changed[table.name].objects
                    known.setdefault(named, Change(int(event["created"]), 0, gone=False))
            for table in self._routes.get(kind, ()):
                if any(event["type"].startswith(f"{prefix}.") for prefix in table.events):
                    self._note(table, event, payload)

    def _note(self, table: Table, event: Object, payload: dict[str, Any]) -> None:
        changed = self.changed[table.name]
        if table.parents:
            if parent_id := _id(payload.get(table.parents[-1].id_field)):
                changed.parents.add(parent_id)
            return
        if not payload.get("id"):  # an upcoming invoice is no object yet
            return
        at, gone = int(event["created"]), event["type"] in table.deleted_events
        known = changed.objects.get(str(payload["id"]))
        if known is None:
            created = payload.get(table.created)
            changed.objects[str(payload["id"])] = Change(at, created if type(created) is int else 0, gone)
        elif known.at == at and known.gone != gone:
            known.gone = False  # within one second the order is not known, so the object is asked for


def _id(reference: Any) -> str:
    """Return the id of a reference, which may hold the whole object; empty where there is none."""
    return str((reference.get("id") if isinstance(reference, dict) else reference) or "")


def _payload(event: Object) -> dict[str, Any]:
    """Return the object an event tells of, after checking the little that is asked of an event."""
    data = event.get("data")
    payload = data.get("object") if isinstance(data, dict) else None
    if not isinstance(payload, dict) or type(event.get("type")) is not str or type(event.get("created")) is not int:
        object_id = str(event.get("id", ""))
        raise RowRefused(
            f"The event {object_id} lacks its type, time or object. Report it with its id.", object_id=object_id
        )
    return payload


async def read_events(reader: Reader, router: EventRouter, *, since: int) -> None:
    """Read the feed from some seconds before `since` (Unix seconds) into the router."""
    ask = Ask("events", PATH, PATH, {"created[gte]": max(since - OVERLAP_S, 0)})
    async for page in list_pages(reader, ask):
        router.accept(page.body["data"])

"""A simulated Stripe account: what it holds, and the clock that makes it grow."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from threading import RLock
from typing import Any

from stripe_dataflow.catalog import TABLES, Table
from stripe_dataflow.sandbox.bulk import BulkCharges
from stripe_dataflow.sandbox.life import customers, entitlements, platform, rounds, shop, subscriptions
from stripe_dataflow.sandbox.life.ledger import enter, ledger, pay_out
from stripe_dataflow.sandbox.naming import (
    CLOCKS,
    CREATED_EVENTS,
    DAY,
    ENDINGS,
    EVENT_RETENTION_S,
    UPDATED_EVENTS,
)  # fmt: skip
from stripe_dataflow.sandbox.shapes import event_types, shape
from stripe_dataflow.sandbox.shelf import Keys
from stripe_dataflow.sandbox.state import State

HISTORY_S = 548 * DAY  # eighteen months
RETAINED = {"events": EVENT_RETENTION_S}

# What else follows when an object of these tables comes or goes.
_ENTERED = {"balance_transactions": enter, "active_entitlements": entitlements.tell}
_ENDED = {
    "active_entitlements": entitlements.withdraw,
    "customers": customers.leave,
    "subscriptions": subscriptions.cancel,
}

Object = dict[str, Any]


class Account:
    """A simulated account, the same for the same arguments on every machine.

    Args:
        customers: How many people came in the eighteen months before `now`.
        seed: Which of the possible accounts.
        now: The account's clock, Unix seconds; None is the start of the current UTC day.
        charges: How many charges there are; None leaves it to the customers, who make about six each.
        event_version: API version the events are rendered in; None is the pinned one.

    Raises:
        ValueError: Fewer charges than the account cannot do without.
    """

    def __init__(
        self,
        customers: int = 1000,
        seed: int = 1,
        now: int | None = None,
        *,
        charges: int | None = None,
        event_version: str | None = None,
    ) -> None:
        until = int(time.time()) // DAY * DAY if now is None else now
        if charges is not None and charges < 50:  # noqa: PLR2004
            raise ValueError("an account has at least 50 charges")
        self.lock = RLock()
        self.state = State(seed, until - HISTORY_S, until, event_version=event_version)
        if charges is not None:
            self.state.memo["charges"].append(charges)
        _live(self.state, customers, until)
        if charges is not None:
            BulkCharges.fill(self.state, charges)

    @property
    def now(self) -> int:
        """Return the account's clock, Unix seconds."""
        return self.state.now

    def advance(self, to: int) -> None:
        """Move the clock forward; people come, buy, change their mind and go meanwhile."""
        with self.lock:
            self.state.horizon = max(self.state.horizon, to)
            self.state.run(to)
            ledger(self.state).mature(self.state)

    def listed(self, table: str) -> list[Object]:
        """Return every object Stripe would list now, newest first, over all parents."""
        with self.lock:
            if TABLES[table].snapshot:
                return [self.snapshot(table)]
            return [self.state.views.view(table, handle) for _, handle in reversed(self.keys(table))]

    def parent_ids(self, table: str) -> list[str]:
        """Return the id of the last parent of each object of `listed(table)`, in its order."""
        with self.lock:
            entries = self.state.shelves[table].entries
            return [entries[handle].parents[-1] for _, handle in reversed(self.keys(table))]

    def snapshot(self, table: str) -> Object:
        """Return the one object of a table that is no list."""
        if table in self.state.shelves and len(self.state.shelves[table]):
            shelf = self.state.shelves[table]
            return self.state.views.view(table, shelf.every[-1][1])
        return ledger(self.state).balance(self.state)

    def keys(self, table: str) -> Keys:
        """Return the keys of what the list shows with the catalog's parameters, oldest first."""
        shelf = self.state.shelves[table]
        unfiltered = "all" in dict(TABLES[table].params).values() or shelf.concealed
        keys = shelf.every if unfiltered else shelf.shown
        if (retention := RETAINED.get(table)) is not None:
            return Keys(keys[bisect_left(keys, (self.now - retention, "")) :])
        return keys

    def create(self, table: str, **fields: Any) -> Object:
        """Return a new object like the newest of its table, but for these fields; with Stripe's event.

        A child's parent is the field that names it, or `_parent_id`, or the newest parent's.
        """
        row = TABLES[table]
        with self.lock:
            parents = self._parents(row, fields)
            shelf = self.state.shelves[table]
            newest = shelf.get(shelf.every[-1][1]) if shelf.every else {}
            sdk_class = self.state.views.class_of(table, newest or {"object": ""})
            own = {"id", row.created, "balance_transaction", *shape(sdk_class).lists}
            like = {name: value for name, value in newest.items() if name not in own}
            like |= {
                parent.id_field: at for parent, at in zip(row.parents, parents, strict=True) if parent.id_field in like
            }
            made = self.state.add(table, parents=parents, kind=sdk_class, **{**like, **fields})
            _ENTERED.get(table, _nothing)(self.state, made["id"])
            if kind := CREATED_EVENTS.get(table) or _event_type(row, "created"):
                self.state.emit(kind, table, made["id"])
            return self.state.views.view(table, self.state.views.handle(row, made["id"], parents))

    def update(self, table: str, object_id: str, **fields: Any) -> Object:
        """Return the object after changing these fields; with Stripe's event, if it has one for that."""
        with self.lock:
            self.state.change(table, object_id, event=self.updated_event(table), **fields)
            return self.state.views.view(table, object_id)

    @staticmethod
    def updated_event(table: str) -> str:
        """Return the type of the event that tells of a change, or nothing where Stripe has none."""
        return UPDATED_EVENTS.get(table) or _event_type(TABLES[table], "updated")

    def delete(self, table: str, object_id: str) -> None:
        """Delete an object, or do what Stripe does instead: cancel, detach; with Stripe's event."""
        row = TABLES[table]
        with self.lock:
            if (end := _ENDED.get(table)) is not None:
                end(self.state, object_id)
            elif table in ENDINGS:
                fields, kind = ENDINGS[table]
                self.state.change(table, object_id, event=kind, **fields)
            else:
                event = next(iter(row.deleted_events), "") or _event_type(row, "deleted")
                self.state.remove(table, object_id, event=event)
                for known in self.state.memo.values():  # whom people's lives would have to do with again
                    if object_id in known:
                        known.remove(object_id)

    def start_clock(self) -> str:
        """Return the id of a new test clock."""
        with self.lock:
            clock_id = self.state.ids.next("clock", 24)
            clock = {"id": clock_id, "object": "test_helpers.test_clock", "created": self.now, "status": "ready"}
            self.state.shelves[CLOCKS.name].put(clock, (self.now, clock_id))
        return clock_id

    def conceal(self, table: str, object_id: str, **fields: Any) -> None:
        """Leave an object out of its list, as Stripe does with what hangs on a `test_clock` and with inline prices."""
        with self.lock:
            self.state.shelves[table].conceal(object_id)
            self.state.change(table, object_id, **fields)

    def _parents(self, row: Table, fields: dict[str, Any]) -> tuple[str, ...]:
        """Take the parents' ids from the fields; those not given are the newest objects there are."""
        given = fields.pop("_parent_id", None)
        found: list[str] = []
        for parent in row.parents:
            names = (parent.param, parent.table.split("_")[-1].removesuffix("s"))
            named = next((fields[name] for name in names if isinstance(fields.get(name), str) and name != "id"), None)
            newest = self.state.shelves[parent.table].every
            last = parent is row.parents[-1]
            found.append((given if last and given else named) or newest[-1][1])
        return tuple(found)


def _nothing(_state: State, _object_id: str) -> None:
    """Do nothing: most objects stand alone."""


def _event_type(row: Table, ending: str) -> str:
    """Return the type of the event that tells of it, or nothing where Stripe has none."""
    names = (f"{prefix}.{ending}" for prefix in row.events)
    return next((name for name in names if name in event_types()), "")


def _live(state: State, people: int, until: int) -> None:
    """Let the account's whole history happen."""
    start = state.now
    state.add("account", metadata={}, **platform.account_fields(state, "Sandbox Shop"))
    state.memo["own_bank"].append(platform.payout_bank(state))
    shop.open_shop(state)
    state.at(start + DAY, rounds.crowd)
    state.at(start + 3 * DAY, pay_out)
    for number in range(people - 1):  # growing: as many in the last quarter of the time as in the first half
        share = math.sqrt((number + state.dice.share()) / people)
        state.at(start + 2 * DAY + int(share * (HISTORY_S - 2 * DAY)), customers.arrive)
    turns = 24 + people // 20
    for number in range(turns):
        state.at(start + 5 * DAY + number * (HISTORY_S - 6 * DAY) // turns, rounds.go_round)
    state.at(until + 1800, rounds.keep_going)
    gap = max(60, min(DAY // 2, HISTORY_S // (2 * max(people, 1))))
    state.at(until + 600, customers.keep_arriving, gap)
    state.run(until)
    ledger(state).mature(state)

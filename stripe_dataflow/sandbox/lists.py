"""A page of a list: which objects, and their JSON joined."""

from __future__ import annotations

from bisect import bisect_left
from fnmatch import fnmatchcase
from typing import Any

from stripe_dataflow.catalog import Table
from stripe_dataflow.sandbox.account import RETAINED, Account
from stripe_dataflow.sandbox.dice import Ids
from stripe_dataflow.sandbox.faults import Faults
from stripe_dataflow.sandbox.naming import HIDDEN
from stripe_dataflow.sandbox.query import Query, Values, expanded, read_query
from stripe_dataflow.sandbox.refusals import Refusal, no_such, unknown_parameter
from stripe_dataflow.sandbox.shapes import object_name
from stripe_dataflow.sandbox.shelf import Key, Keys, Shelf
from stripe_dataflow.sandbox.views import CannotExpand, pretty

_LAST = "\x7f"  # sorts after every id


class Lists:
    """The account's lists and objects, as bytes."""

    def __init__(self, account: Account, faults: Faults) -> None:
        self._account = account
        self._faults = faults
        self._shelves = account.state.shelves
        self._views = account.state.views

    def page(self, table: Table, ids: tuple[str, ...], path: str, values: Values) -> bytes:
        """Return one page of a list.

        Raises:
            Refusal: The request is wrong.
        """
        query = read_query(table, values)
        with self._account.lock:
            self._check_expand(table, query.expand)
            parents = self._parents(table, ids, query)
            if query.window is not None and not query.grouped:
                summed = self._summed(table, parents, query.window)
                return join(path, [pretty(each, depth=2) for each in summed], has_more=False)
            keys = self._keys(table, parents, query)
            handles, more = self._slice(table, keys, query, parents)
            rendered = [self._views.rendered(table.name, handle, query.expand) for handle in handles]
        return join(path, rendered, has_more=more)

    def retrieve(self, table: Table, ids: tuple[str, ...], values: Values) -> bytes:
        """Return one object; of a deleted one the stub that Stripe keeps.

        Raises:
            Refusal: There is none, or a parameter is unknown.
        """
        for name in values:
            if name != "expand":
                raise unknown_parameter(name)
        expand = expanded(values.get("expand", []), "")
        *parents, object_id = ids
        with self._account.lock:
            shelf = self._shelves[table.name]
            self._check_expand(table, expand)
            if object_id in shelf.stubs:
                return pretty(shelf.stubs[object_id])
            handle = self._views.handle(table, object_id, tuple(parents))
            if handle not in shelf or self._aged(shelf, handle) or not self._below(shelf, handle, parents):
                own = self._account.snapshot("account")
                if object_id == own["id"] and own["object"] == object_name(table.classes[0]):
                    return pretty(own)
                raise no_such(object_name(table.classes[0]), object_id, param="id")
            return pretty(self._views.expanded(table.name, handle, expand))

    def snapshot(self, table: Table, values: Values) -> bytes:
        """Return the one object of a path that is no list."""
        for name in values:
            if name != "expand":
                raise unknown_parameter(name)
        with self._account.lock:
            return pretty(self._account.snapshot(table.name))

    def _check_expand(self, table: Table, expand: tuple[str, ...]) -> None:
        try:
            self._views.check(table.name, expand)
        except CannotExpand as error:
            message = f"This property cannot be expanded because it doesn't exist ({error})."
            raise Refusal(400, message, param="expand") from None

    def _parents(self, table: Table, ids: tuple[str, ...], query: Query) -> tuple[str, ...]:
        """Return the parents' ids, outermost first."""
        in_path, found = list(ids), []
        for parent in table.parents:
            asked = f"{{{parent.param}}}" not in table.path
            parent_id = query.parents[parent.param] if asked else in_path.pop(0)
            if parent_id not in self._shelves[parent.table].entries:
                kind = object_name(self._shelves[parent.table].table.classes[0])
                raise no_such(kind, parent_id, param=parent.param, status=400 if asked else 404)
            found.append(parent_id)
        return tuple(found)

    def _keys(self, table: Table, parents: tuple[str, ...], query: Query) -> Keys:
        """Return the keys of the objects the list is of, oldest first."""
        shelf = self._shelves[table.name]
        if parents:
            return shelf.by_parent.get(parents, Keys())
        keys = shelf.every if "test_clock" in query.filters else shelf.shown
        for name, values in query.filters.items():
            keys = self._filtered(shelf, keys, name, values)
        if (late := self._faults.late_events) and table.name == "events":
            keys = Keys(key for key in keys if key[1] not in late)
        return keys

    def _filtered(self, shelf: Shelf, keys: Keys, name: str, values: list[str]) -> Keys:
        hidden = HIDDEN.get(shelf.table.name, ("", ()))
        if name == hidden[0] and values == ["all"]:
            return Keys(key for key in shelf.every if key[1] not in shelf.concealed) if keys is shelf.shown else keys
        wanted = list(hidden[1]) if name == hidden[0] and values == ["ended"] else self._wanted(shelf, name, values)
        found = [shelf.where(name.removesuffix("s") if name == "types" else name, value) for value in wanted]
        merged = found[0] if len(found) == 1 else Keys(sorted(key for each in found for key in each))
        if keys is shelf.shown or keys is shelf.every:
            return merged
        chosen = set(merged)
        return Keys(key for key in keys if key in chosen)

    @staticmethod
    def _wanted(shelf: Shelf, name: str, values: list[str]) -> list[Any]:
        """Return the values to look up: a pattern such as `invoice.*` stands for all it fits."""
        if any("*" in value for value in values):
            field = "type" if name == "types" else name
            return [known for known in shelf.known(field) if any(fnmatchcase(str(known), v) for v in values)]
        return [{"true": True, "false": False}.get(value, value) for value in values]

    def _slice(self, table: Table, keys: Keys, query: Query, parents: tuple[str, ...]) -> tuple[list[str], bool]:
        """Return the handles of the page, newest first, and whether there are more beyond it."""
        shelf = self._shelves[table.name]
        since, until = query.window or (query.since, query.until)
        low = 0 if since is None else bisect_left(keys, (since, ""))
        high = len(keys) if until is None else bisect_left(keys, (until, "" if query.window else _LAST))
        if (retention := RETAINED.get(table.name)) is not None:
            low = max(low, bisect_left(keys, (self._account.now - retention, "")))
        if query.before:
            low = max(low, bisect_left(keys, _above(self._cursor(shelf, query.before, "ending_before", parents))))
            page = keys[low : max(low, min(high, low + query.limit))]
            return [handle for _, handle in reversed(page)], high > low + query.limit
        if query.after:
            high = min(high, bisect_left(keys, self._cursor(shelf, query.after, "starting_after", parents)))
        first = max(low, high - query.limit)
        page = keys[first:high] if high > first else []
        return [handle for _, handle in reversed(page)], first > low

    def _cursor(self, shelf: Shelf, object_id: str, param: str, parents: tuple[str, ...]) -> Key:
        handle = self._views.handle(shelf.table, object_id, parents)
        key = shelf.key(handle)
        if key is None or not self._below(shelf, handle, list(parents)):
            raise no_such(object_name(shelf.table.classes[0]), object_id, param=param, status=400)
        if self._aged(shelf, handle):
            message = f"The object '{object_id}' has aged out of our retention policy and can't be used as a cursor."
            raise Refusal(400, message, code="resource_missing", param=param)
        return key

    def _aged(self, shelf: Shelf, handle: str) -> bool:
        retention = RETAINED.get(shelf.table.name)
        key = shelf.key(handle)
        return retention is not None and key is not None and key[0] < self._account.now - retention

    @staticmethod
    def _below(shelf: Shelf, handle: str, parents: list[str]) -> bool:
        entry = shelf.entries.get(handle)
        return not parents or (entry is not None and entry.parents[-len(parents) :] == tuple(parents))

    def _summed(self, table: Table, parents: tuple[str, ...], window: tuple[int, int]) -> list[dict[str, Any]]:
        """Return the usage in the window as one object, or none where there was no usage."""
        shelf = self._shelves[table.name]
        days = [shelf.get(handle) for _, handle in shelf.by_parent.get(parents, Keys())]
        inside = [d for d in days if window[0] <= d["start_time"] and d["end_time"] <= window[1]]
        if not inside:
            return []
        total = sum(day["aggregated_value"] for day in inside)
        name = f"mtrusg_{Ids(0).letters(*parents, *window)}"
        return [inside[0] | {"id": name, "aggregated_value": total, "start_time": window[0], "end_time": window[1]}]


def join(path: str, rendered: list[bytes], *, has_more: bool) -> bytes:
    """Return a list object's JSON from its objects' JSON."""
    more = b"true" if has_more else b"false"
    head = b'{\n  "object": "list",\n  "url": "%s",\n  "has_more": %s,\n  "data": [' % (path.encode(), more)
    if not rendered:
        return head + b"]\n}\n"
    return b"".join((head, b"\n    ", b",\n    ".join(rendered), b"\n  ]\n}\n"))


def _above(key: Key) -> Key:
    return (key[0], key[1] + "\0")

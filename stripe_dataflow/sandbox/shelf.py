"""The objects of one table, in Stripe's order."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Any, Protocol

import orjson

from stripe_dataflow.catalog import Table

Key = tuple[int, str]  # (created, id): Stripe lists the largest first


class Keys(list[Key]):
    """Keys in ascending order, so that a page is a slice from its end."""

    __slots__ = ()

    def put(self, key: Key) -> None:
        """Insert a key where it belongs; nearly always at the end."""
        if not self or key > self[-1]:
            self.append(key)
        else:
            insort(self, key)

    def drop(self, key: Key) -> None:
        """Remove a key, if it is there."""
        at = bisect_left(self, key)
        if at < len(self) and self[at] == key:
            del self[at]


class Entry:
    """One object: its JSON without embedded lists, its place in the order, and its rendered forms."""

    __slots__ = ("data", "key", "parents", "rendered")

    def __init__(self, data: bytes, key: Key, parents: tuple[str, ...]) -> None:
        self.data = data
        self.key = key
        self.parents = parents
        self.rendered: dict[tuple[str, ...], bytes] = {}


class Bulk(Protocol):
    """Objects that are computed from their id instead of being kept."""

    def __contains__(self, object_id: str) -> bool: ...
    def key(self, object_id: str) -> Key:
        """Return the object's place in the order."""
        ...

    def data(self, object_id: str) -> bytes:
        """Return the object's compact JSON."""
        ...

    def rendered(self, object_id: str) -> bytes:
        """Return the object's JSON as a list shows it."""
        ...


class Shelf:
    """All objects of one table: by id, in order, and by parent.

    `hidden` is a field and the values with which an object is left out of the list unless asked for;
    `concealed` are ids that are left out for another reason.
    """

    def __init__(self, table: Table, hidden: tuple[str, tuple[Any, ...]] | None = None) -> None:
        self.table = table
        self.entries: dict[str, Entry] = {}
        self.every = Keys()
        self.shown = Keys() if hidden else self.every
        self.by_parent: dict[tuple[str, ...], Keys] = {}
        self.stubs: dict[str, dict[str, Any]] = {}
        self.bulk: Bulk | None = None
        self.concealed: set[str] = set()
        self._hidden = hidden
        self._indexes: dict[str, dict[Any, Keys]] = {}

    def __len__(self) -> int:
        return len(self.every)

    def __contains__(self, object_id: str) -> bool:
        return object_id in self.entries or (self.bulk is not None and object_id in self.bulk)

    def put(self, data: dict[str, Any], key: Key, parents: tuple[str, ...] = ()) -> None:
        """Add an object, or replace the one with its id."""
        known = self.entries.get(key[1])
        text = memoryview(orjson.dumps(data)).tobytes()  # a copy: orjson's own bytes keep a buffer ten times as large
        if known is None:
            self.entries[key[1]] = Entry(text, key, parents)
            self.every.put(key)
            if parents:
                self.by_parent.setdefault(parents, Keys()).put(key)
        else:
            known.data = text
            known.rendered = {}
        if self.shown is not self.every:
            self.shown.drop(key)
            if key[1] not in self.concealed and not (self._hidden and data[self._hidden[0]] in self._hidden[1]):
                self.shown.put(key)
        self._indexes.clear()

    def conceal(self, object_id: str) -> None:
        """Leave an object out of the list from now on."""
        self.concealed.add(object_id)
        if self.shown is self.every:
            self.shown = Keys(self.every)
        self.shown.drop(self.entries[object_id].key)

    def drop(self, object_id: str, stub: dict[str, Any] | None = None) -> None:
        """Remove an object; `stub` is what a request for its id answers from then on."""
        entry = self.entries.pop(object_id)
        self.every.drop(entry.key)
        self.shown.drop(entry.key)
        if entry.parents:
            self.by_parent[entry.parents].drop(entry.key)
        if stub is not None:
            self.stubs[object_id] = stub
        self._indexes.clear()

    def key(self, object_id: str) -> Key | None:
        """Return an object's place in the order, or None where there is no such object."""
        if (entry := self.entries.get(object_id)) is not None:
            return entry.key
        return self.bulk.key(object_id) if self.bulk is not None and object_id in self.bulk else None

    def get(self, object_id: str) -> dict[str, Any]:
        """Return a fresh copy of an object, without its embedded lists.

        Raises:
            KeyError: There is no such object.
        """
        if (entry := self.entries.get(object_id)) is not None:
            return orjson.loads(entry.data)
        if self.bulk is not None and object_id in self.bulk:
            return orjson.loads(self.bulk.data(object_id))
        raise KeyError(object_id)

    def where(self, field: str, value: Any) -> Keys:
        """Return the keys of the objects whose field has the value, by an index kept until a change."""
        index = self._indexes.get(field)
        if index is None:
            index = self._indexes[field] = self._index(field)
        return index.get(value, Keys())

    def known(self, field: str) -> list[Any]:
        """Return every value of a field."""
        self.where(field, None)
        return list(self._indexes[field])

    def _index(self, field: str) -> dict[Any, Keys]:
        index: dict[Any, Keys] = {}
        for key, entry in self._stored():
            value = orjson.loads(entry.data).get(field)
            if value is None or isinstance(value, str | int | float):
                index.setdefault(value, Keys()).append(key)
        return index

    def _stored(self) -> Iterator[tuple[Key, Entry]]:
        for key in self.every:
            if (entry := self.entries.get(key[1])) is not None:
                yield key, entry

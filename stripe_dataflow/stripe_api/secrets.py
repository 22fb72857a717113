"""Taking Stripe's secrets out of an object, before anything of it is written; what they are, the catalog names.

A row's own secrets are looked for where the catalog says they stand, which costs next to nothing. Searched whole is
only what can hold anything: an object inside another, an event's payload, a field the pinned version does not know.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stripe_dataflow.catalog import ANYWHERE, TABLES, UNLISTED, Table, object_names, object_places


@dataclass(frozen=True, slots=True)
class _Tree:
    """What to take out below an object: fields, what lies below some, and below each field whatever its name.

    A tree that is None means that the value is searched whole.
    """

    drop: tuple[str, ...]
    below: tuple[tuple[str, _Tree | None], ...]
    each: _Tree | None


class Secrets:
    """Where the secrets of one table's rows lie below the top level."""

    def __init__(self, table: Table) -> None:
        self._below = _tree(table.secrets_in, search=object_places(table))
        self._payload = table.payload

    def drop(self, row: dict[str, Any]) -> None:
        """Take them out of a row; `row` itself is changed."""
        _follow(row, self._below)
        if self._payload:
            _search_payload(row.get(self._payload))


def search(value: Any) -> None:
    """Take the secrets out of a value of any shape, those of whole objects in it and below them; it is changed."""
    found = [value]
    for here in found:  # which grows by what lies inside
        if type(here) is dict:
            kind = here.get("object")
            if type(kind) is str and kind in _KINDS:
                _follow(here, _KINDS[kind])
            if not ANYWHERE.isdisjoint(here):
                for name in ANYWHERE & here.keys():
                    _drop(here, name)
            own = here.get("metadata")  # what an account writes there is its own, whatever it calls it
            nested = [item for item in here.values() if type(item) is dict or type(item) is list]
            found += [item for item in nested if item is not own]
        elif type(here) is list:
            found += [item for item in here if type(item) is dict or type(item) is list]


def _search_payload(payload: Any) -> None:
    """Take the secrets out of an event's `data`: the object, and its old values, which do not say what they are of."""
    subject = payload.get("object") if type(payload) is dict else None
    kind = subject.get("object") if type(subject) is dict else None
    if type(kind) is str and kind in _KINDS:
        _follow_all([payload.get("previous_attributes")], _KINDS[kind])
    search(payload)


def _follow(here: dict[str, Any], tree: _Tree) -> None:
    """Take out what lies at a tree's paths, which go through arrays as if they were not there."""
    for name, then in tree.below:
        item = here.get(name)
        if item is None:
            continue
        if type(item) is dict:
            search(item) if then is None else _follow(item, then)
        elif type(item) is list and item:
            _follow_all(item, then)
    for name in tree.drop:
        _drop(here, name)
    if tree.each:
        _follow_all(here.values(), tree.each)


def _follow_all(items: Iterable[Any], tree: _Tree | None) -> None:
    """Do it for each of some values, and of arrays among them, which may nest deeper than Python calls."""
    found = list(items)
    for item in found:
        if type(item) is dict:
            search(item) if tree is None else _follow(item, tree)
        elif type(item) is list:
            found += item


def _drop(here: dict[str, Any], name: str) -> None:
    """Take a field out; a null says nothing, and stays as Stripe sends it."""
    if here.get(name) is not None:
        del here[name]


def _tree(drop: Iterable[str], *, search: Iterable[str] = ()) -> _Tree:
    """Return the tree of some dotted paths: to what is dropped, and to what is searched."""
    return _planted([(path.split("."), "drop") for path in drop] + [(path.split("."), "search") for path in search])


def _planted(paths: list[tuple[list[str], str]]) -> _Tree:
    inside: dict[str, list[tuple[list[str], str]]] = {}
    for (name, *rest), what in paths:
        inside.setdefault(name, []).append((rest, what))
    each = inside.pop("*", None)
    drop = tuple(name for name, then in inside.items() if ([], "drop") in then)
    below = tuple(
        (name, None if ([], "search") in then else _planted(then)) for name, then in inside.items() if name not in drop
    )
    return _Tree(drop, below, _planted(each) if each else None)


def _kinds() -> dict[str, _Tree]:
    """Return what to take out of a whole object, by its `object`."""
    paths: dict[str, set[str]] = {kind: set(below) for kind, below in UNLISTED.items()}
    for table in TABLES.values():
        for kind in object_names(table):
            paths.setdefault(kind, set()).update(table.secrets, table.secrets_in)
    return {kind: _tree(sorted(below)) for kind, below in paths.items() if below}


_KINDS = _kinds()

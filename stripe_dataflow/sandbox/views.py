"""How Stripe shows an object: with its embedded lists, and with what `expand` asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from stripe_dataflow.catalog import TABLES, Table
from stripe_dataflow.sandbox.shapes import Shape, class_named, shape
from stripe_dataflow.sandbox.shelf import Keys, Shelf

EMBEDDED = 10  # objects in an embedded list; Stripe sends the others from the list's `url`

Shown = dict[str, Any]


class CannotExpand(Exception):
    """The object has no such reference or list; the argument is the path that was asked for."""


class Views:
    """Objects as Stripe shows them."""

    def __init__(self, shelves: dict[str, Shelf]) -> None:
        self._shelves = shelves
        self._embedded: dict[str, list[Table]] = {}
        self._tables_of: dict[str, list[str]] = {}
        for row in TABLES.values():
            if row.embedded and row.parent:
                self._embedded.setdefault(row.parent, []).append(row)
            for name in row.classes:
                self._tables_of.setdefault(name, []).append(row.name)

    @staticmethod
    def handle(table: Table, object_id: str, parents: tuple[str, ...]) -> str:
        """Return what tells an object from the others of its table: its id, if need be with its parent's."""
        return f"{parents[-1]}/{object_id}" if "id" in table.key[1:] else object_id

    def view(self, table: str, handle: str) -> Shown:
        """Return an object with the embedded lists that are always in it."""
        made = self._shelves[table].get(handle)
        for child in self._embedded.get(table, ()):
            if not child.expanded:
                made[child.embedded] = self.embedded_list(child, made["id"])
        return made

    def embedded_list(self, child: Table, parent_id: str) -> Shown:
        """Return a list object with the first page of a parent's children."""
        keys = self._shelves[child.name].by_parent.get((parent_id,), Keys())
        return self._list(child.name, keys, child_url(child, (parent_id,)))

    def _list(self, table: str, keys: Keys, url: str) -> Shown:
        first = keys[: -EMBEDDED - 1 : -1]
        return {
            "object": "list",
            "data": [self.view(table, handle) for _, handle in first],
            "has_more": len(keys) > EMBEDDED,
            "url": url,
        }

    def rendered(self, table: str, handle: str, expand: tuple[str, ...] = ()) -> bytes:
        """Return an object's JSON as it lies in a list's `data`, from the cache where nothing changed.

        Raises:
            CannotExpand: The class has no such field.
        """
        shelf = self._shelves[table]
        entry = shelf.entries.get(handle)
        if entry is None and shelf.bulk is not None and not expand:
            return shelf.bulk.rendered(handle)
        if entry is not None and expand in entry.rendered:
            return entry.rendered[expand]
        made = self.expanded(table, handle, expand)
        text = pretty(made, depth=2)
        if entry is not None and self._cachable(table, expand):
            entry.rendered[expand] = text
        return text

    def _cachable(self, table: str, expand: tuple[str, ...]) -> bool:
        """Tell whether a change of what is shown inside reaches this object's cache."""
        lists = {child.embedded for child in self._embedded.get(table, ()) if child.expanded}
        return lists.issuperset(expand)

    def expanded(self, table: str, handle: str, expand: Sequence[str]) -> Shown:
        """Return an object with these paths turned into objects."""
        made = self.view(table, handle)
        for path in expand:
            self._expand(made, self.class_of(table, made), path.split("."))
        return made

    def class_of(self, table: str, made: Shown) -> str:
        """Return the SDK class of an object: of a table with several, the one of its `object`."""
        classes = TABLES[table].classes
        return next((c for c in classes if shape(c).defaults["object"] == made["object"]), classes[0])

    def check(self, table: str, expand: Sequence[str]) -> None:
        """Check that these paths can be expanded, whether or not there is an object to do it on."""
        for path in expand:
            if not any(self._possible(shape(c), c, path.split(".")) for c in TABLES[table].classes):
                raise CannotExpand(path)

    def _possible(self, here: Shape, sdk_class: str, path: list[str]) -> bool:
        name, rest = path[0], path[1:]
        if name in here.lists:
            rest = rest[1:] if rest[:1] == ["data"] else rest
            return not rest or self._any(here.lists[name], sdk_class, rest)
        if name in here.references:
            return not rest or self._any(here.references[name], sdk_class, rest)
        if name in here.objects and rest:
            return self._any([here.objects[name]], sdk_class, rest)
        return name in here.inner and bool(rest) and self._possible(here.inner[name], sdk_class, rest)

    def _any(self, names: Sequence[str], sdk_class: str, path: list[str]) -> bool:
        classes = [found for name in names if (found := class_named(name, sdk_class))]
        return any(self._possible(shape(found), found, path) for found in classes)

    def _expand(self, made: Shown, sdk_class: str, path: list[str], inner: Shape | None = None) -> None:
        here, name, rest = inner or shape(sdk_class), path[0], path[1:]
        if name in here.lists and name not in made:
            made[name] = self._missing_list(made, sdk_class, name)
        value = made.get(name)
        if name in here.references:
            value = made[name] = self._replaced(value)
        if not rest or value is None:
            return
        if name in here.lists:
            value, rest = value["data"], rest[1:] if rest[:1] == ["data"] else rest
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict) and rest:
                if name in here.inner:
                    self._expand(each, sdk_class, rest, here.inner[name])
                elif (found := self._class_of_object(each)) is not None:
                    self._expand(each, found, rest)

    def _class_of_object(self, made: Shown) -> str | None:
        names = self._tables_of
        return next((name for name in names if shape(name).defaults["object"] == made.get("object")), None)

    def _replaced(self, value: Any) -> Any:
        """Return the object an id stands for; an id nobody knows stays as it is."""
        if isinstance(value, list):
            return [self._replaced(each) for each in value]
        if isinstance(value, str) and (table := self.table_of(value)) is not None:
            shelf = self._shelves[table]
            return shelf.stubs[value] if value in shelf.stubs else self.view(table, value)
        return value

    def table_of(self, object_id: str) -> str | None:
        """Return the table that has, or had, an object with that id."""
        for name, shelf in self._shelves.items():
            if object_id in shelf or object_id in shelf.stubs:
                return name
        return None

    def _missing_list(self, made: Shown, sdk_class: str, name: str) -> Shown:
        """Return a list that is only shown when asked for: of the catalog's, or of objects that name this one."""
        for parent in self._tables_of[sdk_class]:
            for child in self._embedded.get(parent, ()):
                if child.embedded == name:
                    return self.embedded_list(child, made["id"])
        wanted = class_named(shape(sdk_class).lists[name][0], sdk_class)
        table = next(iter(self._tables_of.get(wanted or "", ())), "")
        keys = self._shelves[table].where(made["object"], made["id"]) if table else Keys()
        return self._list(table, keys, f"{TABLES[table].path}?{made['object']}={made['id']}" if table else "")


def child_url(child: Table, parents: tuple[str, ...]) -> str:
    """Return the path, with its query where the path has no place for it, that lists a parent's children."""
    path, query = child.path, ""
    for parent, parent_id in zip(child.parents, parents, strict=True):
        if f"{{{parent.param}}}" in path:
            path = path.replace(f"{{{parent.param}}}", parent_id)
        else:
            query = f"{query}&{parent.param}={parent_id}"
    return f"{path}?{query[1:]}" if query else path


def pretty(made: Any, depth: int = 0) -> bytes:
    """Return JSON indented by two spaces, as Stripe's, standing `depth` levels deep."""
    text = orjson.dumps(made, option=orjson.OPT_INDENT_2)
    return text.replace(b"\n", b"\n" + b"  " * depth) if depth else text

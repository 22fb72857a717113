"""The shape of Stripe's objects: every field of the SDK's annotated class, with a value that fits it.

Read from the installed `stripe` package by AST, which takes a fifth of a second for all classes, and
cached by SDK version in the user's cache folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from platformdirs import user_cache_path

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.catalog.sdk import SDK_VERSION, Field, SdkClass, read_class
from stripe_dataflow.sandbox.naming import CLOCKS

_CACHE_FORMAT = 2
_SPARSE_FROM = 12  # of so many alternatives, such as kinds of payment method, Stripe sends the one that is
_SCALARS: dict[str, Any] = {"int": 0, "float": 0.0, "bool": False, "str": "", "Decimal": "0"}

_LEFT_OUT = frozenset({"previous_attributes", "bank_account", "fpx"})  # nested fields Stripe omits instead of null

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """One class: what its objects hold when nothing is known of them.

    Attributes:
        fields: All field names, also those left out by default.
        defaults: Field -> the value that fits it: null where the SDK allows null.
        inner: Field -> the shape of the object, or of the objects, it holds.
        references: Field -> names of the classes whose id it holds, and which `expand` turns into objects.
        lists: Field -> names of the classes whose objects its list holds.
        objects: Field -> name of the class whose whole object it holds.
    """

    fields: frozenset[str]
    defaults: dict[str, Any]
    inner: dict[str, Shape]
    references: dict[str, list[str]]
    lists: dict[str, list[str]]
    objects: dict[str, str]

    def fill(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the object with the given fields, nested ones included, and defaults for the others.

        Raises:
            KeyError: The class has no such field.
        """
        if unknown := given.keys() - self.fields:
            message = f"the SDK has no field {', '.join(sorted(unknown))}"
            raise KeyError(message)
        made = {**self.defaults, **given}
        for name in self.inner.keys() & given.keys():
            made[name] = _fill_inner(self.inner[name], given[name])
        return made


def _fill_inner(shape: Shape, value: Any) -> Any:
    if isinstance(value, dict):
        return shape.fill(value)
    if isinstance(value, list):
        return [_fill_inner(shape, each) for each in value]
    return value


@cache
def shape(dotted: str) -> Shape:
    """Return the shape of a class by its dotted name below `stripe`, such as `checkout.Session`."""
    return _shape(_nodes()[dotted])


@cache
def event_types() -> frozenset[str]:
    """Return every event type the SDK knows."""
    return frozenset(_nodes()["Event"]["types"])


@cache
def object_name(dotted: str) -> str:
    """Return the `object` of a class's objects, such as `checkout.session`."""
    return shape(dotted).defaults["object"]


@cache
def class_named(name: str, beside: str = "") -> str | None:
    """Return the dotted name of a class named in an annotation of the class `beside`, if it is a table's.

    The SDK renames some where two classes have one name: `CardResource` is `Card`.
    """
    folder = beside.rpartition(".")[0]
    for bare in (name, name.removesuffix("Resource")):
        for dotted in (f"{folder}.{bare}" if folder else bare, bare):
            if dotted in _nodes():
                return dotted
    return next((dotted for dotted in _nodes() if dotted.rpartition(".")[2] == name), None)


def _shape(node: Node) -> Shape:
    return Shape(
        fields=frozenset(node["fields"]),
        defaults=node["defaults"],
        inner={name: _shape(inner) for name, inner in node["inner"].items()},
        references=node["references"],
        lists=node["lists"],
        objects=node["objects"],
    )


@cache
def _nodes() -> dict[str, Node]:
    """Return every class of the catalog, from the cache or from the package."""
    path = user_cache_path("stripe_dataflow") / f"shapes-{SDK_VERSION}-{_CACHE_FORMAT}.json"
    try:
        nodes: dict[str, Node] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        nodes = {}
    classes = {name for table in (*TABLES.values(), CLOCKS) for name in table.classes}
    if classes <= nodes.keys():
        return nodes
    nodes = {name: _node(read_class(name), top=True) for name in sorted(classes)}
    nodes["Event"]["types"] = _literals(_field(read_class("Event"), "type").annotation)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(nodes), encoding="utf-8")
        partial.replace(path)
    except OSError:
        pass  # A cache that cannot be written costs time, not truth.
    return nodes


def _field(sdk_class: SdkClass, name: str) -> Field:
    return next(field for field in sdk_class.fields if field.name == name)


def _node(sdk_class: SdkClass, *, top: bool = False) -> Node:
    node: Node = {"fields": [], "defaults": {}, "inner": {}, "references": {}, "lists": {}, "objects": {}}
    kept = [f for f in sdk_class.fields if f.name != "deleted" and not f.annotation.startswith("Type[")]
    kinds = [f for f in kept if f.annotation.removeprefix("Optional[").removesuffix("]") in sdk_class.inner]
    sparse = not top and len(kinds) > _SPARSE_FROM
    for field in kept:
        name = field.name.rstrip("_")  # `in_` is a Python word in the SDK, `in` in Stripe's JSON
        node["fields"].append(name)
        classes = re.findall(r"'([A-Z]\w+)'", field.annotation)
        inner = next((c for c in re.findall(r"\w+", field.annotation) if c in sdk_class.inner), None)
        if "ListObject[" in field.annotation:
            node["lists"][name] = classes
        elif "ExpandableField[" in field.annotation:
            node["references"][name] = classes
        elif inner and "StripeObject[" not in field.annotation:
            node["inner"][name] = _node(sdk_class.inner[inner])
        elif len(classes) == 1 and "Literal[" not in field.annotation:
            node["objects"][name] = classes[0]
        optional = field.annotation.startswith("Optional[")
        if not (optional and (name in node["lists"] or (sparse and field in kinds) or (not top and name in _LEFT_OUT))):
            node["defaults"][name] = None if optional else _default(field.annotation, node["inner"].get(name))
    return node


def _default(annotation: str, inner: Node | None) -> Any:
    if annotation.startswith("List["):
        return []
    if inner is not None:
        return inner["defaults"]
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if "Literal[" in annotation:
        return _literals(annotation)[0]
    return {} if annotation.startswith("UntypedStripeObject[") else ""


def _literals(annotation: str) -> list[str]:
    return re.findall(r"'([^']+)'", annotation)

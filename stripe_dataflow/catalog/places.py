"""Where another whole object can stand below a table's objects, as the `stripe` package's annotations say.

Only places of objects that hold a secret, or can hold one that does: there, and nowhere else below the top level,
someone else's secrets can come along. Stripe puts a payment intent into an error, and `expand` turns an id into an
object anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from stripe_dataflow.catalog import TABLES, UNLISTED
from stripe_dataflow.catalog.sdk import SdkClass, classes_named_in, read_class
from stripe_dataflow.catalog.table import Table


def places(table: Table, *, references: frozenset[str]) -> list[str]:
    """Return the paths, dotted, arrays left out; `references` are the columns that land as an id alone."""
    found = {path for name in table.classes for path in _places(name, "", ())}
    found = {path for path in found if path not in references}
    return sorted(path for path in found if not any(path.startswith(f"{other}.") for other in found))


def _places(name: str, above: str, chain: tuple[str, ...]) -> Iterator[str]:
    """Yield the places below one class; of objects that always come whole, those inside them instead of their own."""
    for path, annotation, other in _others(name):
        if not _leads_to_a_secret(other):
            continue
        whole = re.fullmatch(r"(ListObject\[|List\[)?'\w+'\]?", annotation)
        if whole and not _has_secrets(other) and other not in chain:
            inside = ".data" if annotation.startswith("ListObject[") else ""
            yield from _places(other, f"{above}{path}{inside}.", (*chain, name))
        else:
            yield above + path


@cache
def _others(name: str) -> tuple[tuple[str, str, str], ...]:
    """Return (path, annotation, class) of every object that one class names."""
    return tuple(_below(read_class(name), "", classes_named_in(name)))


def _below(sdk_class: SdkClass, above: str, named: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for field in sdk_class.fields:
        for word in dict.fromkeys(re.findall(r"\w+", field.annotation)):
            if word in sdk_class.inner:
                yield from _below(sdk_class.inner[word], f"{above}{field.name}.", named)
            elif word in named and _is_object(named[word]):
                yield f"{above}{field.name}", field.annotation, named[word]


@cache
def _is_object(name: str) -> bool:
    try:
        return bool(read_class(name).object_name)
    except LookupError:  # a helper of the package's
        return False


@cache
def _has_secrets(name: str) -> bool:
    """Tell whether the objects of a class have a secret of their own."""
    fields = {field.name for field in read_class(name).fields}
    paths = [path for table in TABLES.values() if name in table.classes for path in (*table.secrets, *table.secrets_in)]
    return read_class(name).object_name in UNLISTED or any(path.split(".")[0] in fields for path in paths)


@cache
def _leads_to_a_secret(name: str) -> bool:
    seen: set[str] = set()
    to_see = [name]
    while to_see:
        here = to_see.pop()
        if _has_secrets(here):
            return True
        if here not in seen:
            seen.add(here)
            to_see += [other for _, _, other in _others(here)]
    return False

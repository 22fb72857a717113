"""Stripe's own sentences about its objects, read from the installed package and cached by version.

They are Stripe's text, so they are not part of this project: each machine reads them from the
package it installed, once, into the user's cache folder.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from platformdirs import user_cache_path

from stripe_dataflow.catalog.sdk import SDK_VERSION, read_class
from stripe_dataflow.catalog.table import Table


def cache_file(table: Table) -> Path:
    """Return where a table's sentences are cached; an upgrade of the package makes new files."""
    return user_cache_path("stripe_dataflow") / f"descriptions-{SDK_VERSION}" / f"{table.name}.json"


@cache
def descriptions(table: Table) -> dict[str, str]:
    """Return column -> Stripe's sentence; the object's own sentence stands under the empty name."""
    path = cache_file(table)
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        found = _read(table)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(found), encoding="utf-8")
        partial.replace(path)
    except OSError:
        pass  # A cache that cannot be written costs time, not truth.
    return found


def _read(table: Table) -> dict[str, str]:
    found: dict[str, str] = {}
    for sdk_class in map(read_class, reversed(table.classes)):
        found |= {field.name: field.description for field in sdk_class.fields if field.description}
        found[""] = " ".join(sdk_class.description.split())
    return found

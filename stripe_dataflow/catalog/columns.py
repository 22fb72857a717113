"""The columns of each table: from the committed data file, not from the installed package."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from stripe_dataflow.catalog.table import Table

DATA_FILE = Path(__file__).with_name("columns.json")

Source = Literal["value", "epoch_s", "epoch_ms", "id"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: name, DuckDB type, nullability, and how its value lies in Stripe's JSON.

    `source`: `value` as it is; `epoch_s`, `epoch_ms` a time since 1970; `id` an object or its id.
    """

    name: str
    type: str
    nullable: bool
    source: Source


@cache
def _data() -> dict[str, Any]:
    return json.loads(DATA_FILE.read_bytes())


def api_version() -> str:
    """Return the API version the columns were generated for; every request is pinned to it."""
    return _data()["api_version"]


@cache
def stripe_columns(table: Table) -> tuple[Column, ...]:
    """Return a table's columns in Stripe's order, without the ones this project adds."""
    return tuple(Column(*row) for row in _data()["tables"][table.name])


@cache
def object_names(table: Table) -> tuple[str, ...]:
    """Return what the `object` field of a table's objects can say, such as `checkout.session`."""
    return tuple(_data()["objects"][table.name])


@cache
def referred_tables(table: Table) -> dict[str, str]:
    """Return column -> the table whose ids it holds, as the SDK's annotations say."""
    return _data()["references"].get(table.name, {})


@cache
def object_places(table: Table) -> tuple[str, ...]:
    """Return the paths below a table's objects where another object that holds secrets can stand (places.py)."""
    return tuple(_data()["places"].get(table.name, ()))

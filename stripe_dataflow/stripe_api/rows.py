"""From one of Stripe's objects to the line that DuckDB reads: references to ids, the unknown kept apart."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any

import orjson

from stripe_dataflow.catalog import Table, stripe_columns
from stripe_dataflow.errors import RowRefused
from stripe_dataflow.stripe_api.secrets import Secrets, search

_LINE = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME
MAX_LINE_BYTES = 8 * 1024 * 1024  # what the warehouse reads as one object; Stripe's largest are below 1 MB


class RowWriter:
    """Turns the objects of one table into lines of newline-delimited JSON.

    A line has the columns the pinned version knows, as Stripe sends them; an expandable reference
    becomes its id; fields the version does not know go to `_extra`; secrets, at whatever depth, and
    excluded columns are dropped, hashed columns replaced by a keyed hash, before anything is written.

    Attributes:
        unknown_fields: Names that went to `_extra` so far.
    """

    def __init__(
        self, table: Table, *, excluded: Iterable[str] = (), hashed: Iterable[str] = (), key: bytes = b""
    ) -> None:
        columns = stripe_columns(table)
        self._name = table.name
        self._keys = tuple(name for name in table.key if not name.startswith("_"))
        self._known = frozenset(column.name for column in columns)
        self._references = tuple(column.name for column in columns if column.source == "id")
        self._dropped = frozenset({*table.secrets, *excluded, "deleted"})
        self._drop_known = tuple(self._dropped & self._known)
        self._hashed = frozenset(hashed)
        self._key = key
        self._secrets = Secrets(table)
        self.unknown_fields: set[str] = set()

    def line(self, row: dict[str, Any], *, asked_at_us: int, parent_id: str | None = None) -> bytes:
        """Return the object as one line; `row` itself is changed.

        Raises:
            RowRefused: It lacks its key, or is larger or nested deeper than a line may be.
        """
        for name in self._references:
            value = row.get(name)
            if type(value) is dict:
                row[name] = value.get("id", value)
                if type(row[name]) is not str:  # no id, so it stays whole
                    search(row[name])
        for name in self._keys:
            if row.get(name) is None:
                raise self._refused(row, f"has no {name}", column=name)
        self._set_apart(row)
        for name in self._drop_known:
            row.pop(name, None)
        self._secrets.drop(row)
        for name in self._hashed & row.keys():
            row[name] = self._hash(row[name])
        row["_fetched_at"] = asked_at_us
        if parent_id is not None:
            row["_parent_id"] = parent_id
        return self._written(row)

    def _set_apart(self, row: dict[str, Any]) -> None:
        """Move the fields that the version does not know to `_extra`."""
        unknown = row.keys() - self._known
        if unknown:
            extra = {name: row.pop(name) for name in unknown}
            extra = {name: value for name, value in extra.items() if name not in self._dropped}
            search(extra)
            if extra:
                row["_extra"] = extra
                self.unknown_fields |= extra.keys()

    def _written(self, row: dict[str, Any]) -> bytes:
        try:
            line = orjson.dumps(row, option=_LINE)
        except orjson.JSONEncodeError:
            raise self._refused(row, "nests too deep to be kept", column=_deepest(row)) from None
        if len(line) > MAX_LINE_BYTES:
            raise self._refused(row, f"is larger than {MAX_LINE_BYTES >> 20} MB")
        return line

    def _refused(self, row: dict[str, Any], what: str, *, column: str = "") -> RowRefused:
        object_id = str(row.get("id") or "without id")
        where = f"{self._name}.{column}" if column else self._name
        text = f"{where} does not fit: the object {object_id} {what}. Change it in Stripe, or report it with its id."
        return RowRefused(text, object_id=object_id, column=column)

    @staticmethod
    def tombstone(object_id: str, *, asked_at_us: int) -> bytes:
        """Return the line that says an object is gone."""
        row = {"id": object_id, "_deleted": True, "_fetched_at": asked_at_us}
        return orjson.dumps(row, option=_LINE)

    def _hash(self, value: Any) -> str | None:
        """Return the keyed hash of a value: equal for equal values, in whatever table they stand."""
        if value is None:
            return None
        text = value.encode() if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()


def _deepest(row: dict[str, Any]) -> str:
    """Return the column whose value cannot be written."""
    for name, value in row.items():
        try:
            orjson.dumps({name: value})
        except orjson.JSONEncodeError:
            return name
    return ""

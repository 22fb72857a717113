"""From one of Stripe's objects to the line that DuckDB reads: references to ids, the unknown kept apart."""

from __future__ import annotations

from typing import Any

import orjson

from stripe_dataflow.catalog import TABLES, Table, object_names, stripe_columns

_LINE = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME
_SECRETS = {
    name: frozenset(table.secrets)
    for table in TABLES.values()
    if table.secrets
    for name in object_names(table)
}


class RowWriter:
    """Turns the objects of one table into lines of newline-delimited JSON.

    A line has the columns the pinned version knows, as Stripe sends them; an expandable reference
    becomes its id; fields the version does not know go to `_extra`; secrets are dropped.
    """

    def __init__(self, table: Table) -> None:
        columns = stripe_columns(table)
        self._known = frozenset(column.name for column in columns)
        self._references = tuple(column.name for column in columns if column.source == "id")
        self._secrets = frozenset(table.secrets)
        self._payload = table.payload

    def line(self, row: dict[str, Any], *, asked_at_us: int, parent_id: str | None = None) -> bytes:
        """Return the object as one line; `row` itself is changed."""
        for name in self._references:
            value = row.get(name)
            if type(value) is dict:
                row[name] = value.get("id")
        unknown = row.keys() - self._known
        if unknown:
            extra = {name: row.pop(name) for name in unknown}
            extra.pop("deleted", None)
            for name in self._secrets & unknown:
                del extra[name]
            if extra:
                row["_extra"] = extra
        if self._payload:
            row[self._payload] = _without_secrets(row[self._payload])
        row["_fetched_at"] = asked_at_us
        if parent_id is not None:
            row["_parent_id"] = parent_id
        return orjson.dumps(row, option=_LINE)


def _without_secrets(payload: dict[str, Any]) -> dict[str, Any]:
    """Return an event's `data` with the secrets of its object taken out, old values included."""
    subject = payload.get("object")
    secrets = _SECRETS.get(subject.get("object", "")) if isinstance(subject, dict) else None
    if not secrets:
        return payload
    return {
        part: {name: v for name, v in value.items() if name not in secrets}
        if isinstance(value, dict)
        else value
        for part, value in payload.items()
    }

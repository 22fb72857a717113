"""How rows land was changed: what is to land no more leaves the rows, those too that no list brings again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import duckdb

from stripe_dataflow.warehouse.tables import keep_versions
from stripe_dataflow.warehouse.target import Target, quote

_BLOCK_BYTES = 64  # of SHA-256
_INNER, _OUTER = 0x36, 0x5C  # of HMAC, RFC 2104


def take_back(
    connection: duckdb.DuckDBPyConnection, target: Target, *, hashed: Iterable[str], key: bytes, load_id: int
) -> int:
    """Return how many rows lost a value that is to land no more; call it once the whole list is merged.

    The list brought all other rows anew: these are of objects that are gone, or that Stripe hides. A hashed column
    gets the hash of what it held, unless that is one already, by whatever key. The old versions go to history.
    """
    types = {column.name: column.type for column in target.data_columns if column.name in set(hashed)}
    texts = {name: _text_sql(name, type_) for name, type_ in types.items()}
    conditions = {name: f"not regexp_full_match({text}, '[0-9a-f]{{64}}')" for name, text in texts.items()}
    if not conditions:
        return 0
    connection.execute(
        f"create or replace temp table concerned as select rowid as row_id from {target.current} "
        f"where {' or '.join(conditions.values())}"
    )
    concerned = "select row_id from concerned"
    keep_versions(connection, target, concerned, load_id=load_id)
    changes = "".join(
        f", {quote(name)} = if({conditions[name]}, {_hash_sql(text, types[name])}, {quote(name)})"
        for name, text in texts.items()
    )
    row = connection.execute(
        f"update {target.current} set _load_id = $load_id{changes} where rowid in ({concerned})",
        {"load_id": load_id, "inner_pad": _pad(key, _INNER), "outer_pad": _pad(key, _OUTER)},
    ).fetchone()
    return row[0] if row else 0


def _hash_sql(text: str, type_: str) -> str:
    """Return the keyed hash of a text, as HMAC puts it together from two of SHA-256."""
    value = f"sha256($outer_pad || unhex(sha256($inner_pad || encode({text}))))"
    return f"to_json({value})" if type_ == "JSON" else value


def _text_sql(name: str, type_: str) -> str:
    """Return what of a column is hashed: a text as it is, other JSON as it stands there."""
    column = quote(name)
    return f"if(json_type({column}) = 'VARCHAR', {column}->>'$', {column}::varchar)" if type_ == "JSON" else column


def _pad(key: bytes, by: int) -> bytes:
    """Return the key as HMAC puts it before a text."""
    block = (hashlib.sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(_BLOCK_BYTES, b"\0")
    return bytes(byte ^ by for byte in block)

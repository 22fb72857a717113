"""Remove a dataflow's tables, and copy the file so that what was removed is gone from the disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from stripe_dataflow.warehouse import opening
from stripe_dataflow.warehouse.accounts import forget_account
from stripe_dataflow.warehouse.money import refresh_money
from stripe_dataflow.warehouse.registry import registry_sql
from stripe_dataflow.warehouse.tables import column_names
from stripe_dataflow.warehouse.target import WAREHOUSE, literal, quote, table_sql

_FRESH = "fresh"
_WORTH_BYTES = 16 << 20  # DuckDB fills free blocks again, so little is not worth the copy


@dataclass(frozen=True, slots=True)
class Removed:
    """One removed table: its rows, and the old versions its history held."""

    destination: str
    rows: int
    versions: int


def remove_dataflow(
    connection: duckdb.DuckDBPyConnection,
    schema: str,
    *,
    tables: Sequence[str] | None = None,
    dry_run: bool = False,
) -> list[Removed]:
    """Return what was removed of a dataflow: all its tables, or the named destination tables.

    Their history, cursors and column metadata go too, and no rollback brings them back. Runs and
    load records stay. Freed bytes stay in the file until `compact`.

    Args:
        connection: Of a transaction; for `dry_run` one that only reads will do.
        schema: The dataflow.
        tables: Destination tables; None for all the registry knows of this dataflow.
        dry_run: Count only.
    """
    known = dict(
        connection.execute(
            f"select destination, table_name from {registry_sql('loads')} where dataflow = ? union "
            f"select destination, table_name from {registry_sql('tables')} where dataflow = ?",
            [schema, schema],
        ).fetchall()
    )
    names = sorted(known if tables is None else set(tables) & set(known))
    removed = [_count(connection, schema, name) for name in names]
    if not dry_run:
        for name in names:
            _forget(connection, schema, name, table=known[name])
        refresh_money(connection, schema)
        for place in (schema, f"{schema}_history"):
            _drop_if_empty(connection, place)
        if tables is None:
            forget_account(connection, schema)
    return removed


def _count(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> Removed:
    found: list[int] = []
    for place in (schema, f"{schema}_history"):
        exists = bool(column_names(connection, place, name))
        row = exists and connection.execute(f"select count(*) from {table_sql(place, name)}").fetchone()
        found.append(row[0] if row else 0)
    return Removed(name, *found)


def _forget(connection: duckdb.DuckDBPyConnection, schema: str, name: str, *, table: str) -> None:
    for place in (schema, f"{schema}_history"):
        connection.execute(f"drop table if exists {table_sql(place, name)}")
    for registry in ("tables", "cursors", "columns", "partitions", "unlisted"):
        connection.execute(
            f"delete from {registry_sql(registry)} where dataflow = ? and table_name = ?", [schema, table]
        )
    connection.execute(
        f"delete from {registry_sql('added_columns')} where dataflow = ? and destination = ?", [schema, name]
    )
    connection.execute(
        f"update {registry_sql('loads')} set removed = true where dataflow = ? and destination = ?",
        [schema, name],
    )


def _drop_if_empty(connection: duckdb.DuckDBPyConnection, schema: str) -> None:
    """Drop a schema that holds nothing more; a user's own views and tables in it keep it."""
    found = connection.execute(
        "select count(*) from (select schema_name from duckdb_tables() where database_name = ? union all "
        "select schema_name from duckdb_views() where database_name = ?) where schema_name = ?",
        [WAREHOUSE, WAREHOUSE, schema],
    ).fetchone()
    if found and not found[0]:
        connection.execute(f"drop schema if exists {WAREHOUSE}.{quote(schema)}")


def compact(database: Path, *, wait_s: float = 0, memory_mb: int = 256, threads: int = 2) -> int:
    """Return the bytes saved by copying the database to a fresh file that replaces it.

    DuckDB keeps the bytes of dropped rows in the file; the copy has none of them.

    Raises:
        DatabaseLocked: Another process has the file open; it is as it was.
        WarehouseError: There is no file, or no room for the copy; it is as it was.
    """
    fresh, spill_dir = opening.copy_of(database)
    before = database.stat().st_size if database.exists() else 0
    with opening.connect(memory_mb=memory_mb, threads=threads, spill_dir=spill_dir) as connection:
        # Opened to write first: that waits for readers too, and empties the write-ahead log.
        with opening.attached(connection, database, must_exist=True, wait_s=wait_s):
            connection.execute(f"checkpoint {WAREHOUSE}")
        # Then to read: that keeps writers out, and leaves no file behind when it is let go.
        with opening.attached(connection, database, read_only=True, wait_s=wait_s):
            try:
                _copy(connection, fresh)
                fresh.replace(database)
            except (duckdb.Error, OSError) as error:
                raise opening.explained(error, database) from error
            finally:
                opening.remove_copy(database)
    return before - database.stat().st_size


def is_mostly_free(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether more than half of the file, and not little, holds nothing: then a `compact` pays."""
    free, total = connection.execute(
        "select free_blocks * block_size, total_blocks * block_size from pragma_database_size() "
        "where database_name = ?",
        [WAREHOUSE],
    ).fetchone() or (0, 0)
    return free > _WORTH_BYTES and free * 2 > total


def _copy(connection: duckdb.DuckDBPyConnection, fresh: Path) -> None:
    opening.remove_database(fresh)
    connection.execute(f"attach {literal(str(fresh))} as {_FRESH} ({opening.NEW_FILE})")
    try:
        fresh.chmod(opening.OWNER_ONLY)
        connection.execute(f"copy from database {WAREHOUSE} to {_FRESH}")
        connection.execute(f"checkpoint {_FRESH}")
    finally:
        connection.execute(f"detach {_FRESH}")

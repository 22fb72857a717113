"""Attach a database file, wait for it, and say in plain words why DuckDB refused.

The only module that knows that the warehouse is a local file.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from stripe_dataflow.errors import DatabaseLocked, DatabaseRefused, DatabaseTooNew, NotTakenIn, WarehouseError
from stripe_dataflow.privacy import owner_only_files
from stripe_dataflow.warehouse.target import WAREHOUSE, literal
from stripe_dataflow.warehouse.undisturbed import undisturbed

# The oldest format that has all we use: analysts' other tools lag behind DuckDB's releases.
# Most tables are small and have many columns: DuckDB's default of 256 KB makes the file twice as large.
BLOCK_BYTES = 32_768
# Rows go to disk, compressed, a row group at a time, instead of waiting in memory uncompressed: DuckDB's
# default of 122,880 wide rows does not fit the memory limit, and spills each small block to a file of its own.
ROW_GROUP = 10_240
STORAGE_VERSION = "v1.2.0"
FILE = f"storage_version '{STORAGE_VERSION}', row_group_size {ROW_GROUP}"
NEW_FILE = f"{FILE}, block_size {BLOCK_BYTES}"  # a file keeps the block size it was made with
OWNER_ONLY = 0o600
OWNER_ONLY_FOLDER = 0o700
# Errors whose text holds no row's values, so that it may be shown and logged.
_SAFE_TO_SHOW = (
    duckdb.IOException,
    duckdb.OutOfMemoryException,
    duckdb.CatalogException,
    duckdb.BinderException,
    duckdb.ParserException,
    duckdb.TransactionException,
)
_REASONS = (
    ("not a valid DuckDB database", "it is no DuckDB database", "Name another file as `database`"),
    ("Is a directory", "it is a folder", "Name a file as `database`"),
    ("No space left", "the disk is full", "Free some space and run again"),
    ("File too large", "it may not grow further", "Raise the limit on the size of files and run again"),
    ("Too many open files", "this process has too many files open", "Raise the limit on open files and run again"),
    ("Read-only file system", "its disk is read-only", "Name a file elsewhere as `database`"),
    ("Permission denied", "this user may not open it", "Give this user the right to read and write it"),
)


def connect(*, memory_mb: int, threads: int, spill_dir: Path) -> duckdb.DuckDBPyConnection:
    """Return an in-memory connection that never loads anything from the network.

    All files of the process are its owner's alone: DuckDB writes logs and spills under names of its own, at times of
    its own, and they hold rows.
    """
    owner_only_files()
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mb}MB",
        "threads": threads,
        "write_buffer_row_group_count": 1,
        "temp_directory": str(spill_dir),
        "autoinstall_known_extensions": False,
        "allow_community_extensions": False,
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("set TimeZone = 'UTC'")
    return connection


@contextmanager
def attached(
    connection: duckdb.DuckDBPyConnection,
    database: Path,
    *,
    wait_s: float,
    read_only: bool = False,
    must_exist: bool = False,
) -> Iterator[None]:
    """Attach the file as `warehouse`, and always detach it; one to be written is created if missing.

    Raises:
        DatabaseLocked: Another process still holds the file after `wait_s` seconds.
        DatabaseTooNew: A newer DuckDB wrote it.
        WarehouseError: It cannot be opened, written or read.
    """
    if (read_only or must_exist) and not database.exists():
        raise WarehouseError(f"There is no database {database} yet: it is created by the first run of a dataflow.")
    try:
        _attach(connection, database, read_only=read_only, wait_s=wait_s)
    except (duckdb.Error, OSError) as error:
        raise explained(error, database, wait_s=wait_s) from error
    with undisturbed():
        try:
            if not read_only:  # who may write knows that nobody copies: a copy that is there is a killed process's
                remove_copy(database)
            yield
        finally:
            connection.execute(f"detach {WAREHOUSE}")


def _attach(connection: duckdb.DuckDBPyConnection, database: Path, *, read_only: bool, wait_s: float) -> None:
    database.parent.mkdir(mode=OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
    is_new = not database.exists()
    mode = "read_only"
    if not read_only:
        mode = NEW_FILE if is_new else FILE
    statement = f"attach {literal(str(database))} as {WAREHOUSE} ({mode})"
    for attempt in Retrying(
        retry=retry_if_exception(_is_held),
        stop=stop_after_delay(wait_s),
        wait=wait_random_exponential(multiplier=0.05, max=1.0),
        reraise=True,
    ):
        with attempt, undisturbed():
            connection.execute(statement)
    if is_new:
        database.chmod(OWNER_ONLY)


def _is_held(error: BaseException) -> bool:
    """Tell whether another process, or another warehouse in this one, holds the file."""
    return isinstance(error, duckdb.ResourceInUseException) or (
        isinstance(error, duckdb.IOException) and "Could not set lock" in str(error)
    )


def explained(error: Exception, database: Path, *, wait_s: float = 0) -> WarehouseError:
    """Return DuckDB's refusal as one of our errors; a row's values are left out."""
    text = str(error)
    if _is_held(error):
        found = re.search(r"\(PID (\d+)\)", text)
        holder = f"process {found[1]}" if found else f"this process ({os.getpid()})"
        return DatabaseLocked(
            f"{database} is held by {holder}, still after {wait_s:g} s. DuckDB lets one process write at a "
            "time: wait for it to end, or close the tool that has the file open. Nothing was changed."
        )
    if "version number" in text or "newer version" in text:
        return DatabaseTooNew(
            f"{database} was written by a newer DuckDB. Upgrade the duckdb package. Nothing was changed."
        )
    if "CHECKPOINT during DETACH failed" in text:
        return NotTakenIn(
            f"{database} could not take in what was committed; most likely the disk is full. Free some space and run "
            f"again. What was committed is kept in {database.name}.wal."
        )
    for sign, reason, advice in _REASONS:
        if sign in text:
            return DatabaseRefused(f"{database} cannot be used: {reason}. {advice}. Nothing was changed.")
    shown = text.splitlines()[0] if text and isinstance(error, (*_SAFE_TO_SHOW, OSError)) else ""
    what = f"{type(error).__name__}{f': {shown}' if shown else ''}"
    refused = DatabaseRefused(f"DuckDB refused while working on {database} ({what}). Nothing was changed.")
    # How much memory a merge takes depends on what else is under way.
    refused.retryable = isinstance(error, duckdb.OutOfMemoryException)
    return refused


def private_folder(path: Path) -> Path:
    """Return the folder, created for its owner alone where it is missing."""
    path.mkdir(mode=OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
    return path


def copy_of(database: Path) -> tuple[Path, Path]:
    """Return where a compacted copy of the database is made, and where making it may spill."""
    return database.with_name(f"{database.name}.compacting"), database.with_name(f"{database.name}.spill")


def remove_copy(database: Path) -> None:
    """Delete a compacted copy that did not take the database's place, present or not."""
    copy, spill_dir = copy_of(database)
    remove_database(copy)
    shutil.rmtree(spill_dir, ignore_errors=True)


def remove_database(path: Path) -> None:
    """Delete a database file and its write-ahead log, present or not."""
    for file in (path, path.with_name(path.name + ".wal")):
        with suppress(FileNotFoundError):
            file.unlink()

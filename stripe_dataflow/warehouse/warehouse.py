"""The warehouse: one in-memory DuckDB, a staging file of its own, and the database file when needed."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import duckdb
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from stripe_dataflow.errors import DataflowBusy, DataflowError, WarehouseError, refused_by_machine
from stripe_dataflow.warehouse import merge as merging
from stripe_dataflow.warehouse import opening, staging
from stripe_dataflow.warehouse.processes import has_left, own_name
from stripe_dataflow.warehouse.registry import ensure_registry, registry_version
from stripe_dataflow.warehouse.scope import Counts, Scope
from stripe_dataflow.warehouse.seen import seen_elsewhere
from stripe_dataflow.warehouse.target import STAGE, Target, literal
from stripe_dataflow.warehouse.undisturbed import undisturbed

_MANY_ROWS = 20_000
_MERGE_FACTOR = 1.5
_TIGHT_FACTOR = 4
_BRIEFLY_S = 1.0
_STAGE_ROW_GROUP = 4096  # each thread fills one of its own; staged files hold about twice as many rows


class Warehouse:
    """Staging and merging into one database file, which is open only inside `transaction`.

    Threads may share it: staging goes on while another thread merges; merges wait for each other.

    Attributes:
        database: The database file.

    Raises:
        WarehouseError: The staging folder, or a file in it, cannot be made.
    """

    def __init__(
        self,
        database: Path,
        *,
        stage_dir: Path,
        wait_s: float = 60,
        memory_mb: int = 192,
        threads: int = 2,
    ) -> None:
        self.database = Path(database)
        self._wait_s = wait_s
        self._memory_mb = memory_mb
        try:
            self._connection = self._staging_in(Path(stage_dir), threads=threads)
        except OSError as error:
            raise refused_by_machine(error) from None
        self._turn = threading.RLock()
        self._staging = threading.Lock()
        self._merged: list[tuple[Target, Scope, int]] | None = None
        # Else each of a run's tables would wait as long for a file that is held for good.
        self._waited_in_vain = False

    def _staging_in(self, stage_dir: Path, *, threads: int) -> duckdb.DuckDBPyConnection:
        """Return the connection, with a new staging file in the folder attached."""
        folder = opening.private_folder(stage_dir)
        _sweep(folder)
        name = own_name()
        self._stage_file = folder / f"{name}.duckdb"
        self._spill_dir = folder / f"{name}.spill"
        try:
            connection = opening.connect(memory_mb=self._memory_mb, threads=threads, spill_dir=self._spill_dir)
            # What is staged is fetched again after a crash: no log of it is written.
            connection.execute(
                f"attach {literal(str(self._stage_file))} as {STAGE} "
                f"(recovery_mode 'no_wal_writes', row_group_size {_STAGE_ROW_GROUP})"
            )
        except duckdb.Error as error:
            raise opening.explained(error, self._stage_file) from error
        self._stage_file.chmod(opening.OWNER_ONLY)
        return connection

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the connection and delete what is staged; closing twice is fine."""
        self._connection.close()
        opening.remove_database(self._stage_file)
        shutil.rmtree(self._spill_dir, ignore_errors=True)

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection in a transaction on the file, attached as `warehouse`.

        It commits when the block ends and rolls back when the block raises; either way the file is
        let go, so that other processes read between merges. The file is created if missing.

        Raises:
            DatabaseLocked: Another process holds the file.
            WarehouseError: DuckDB refused; nothing of the block was kept.
        """
        with self._open(read_only=False) as connection:
            self._merged = []
            connection.execute("begin")
            try:
                ensure_registry(connection)
                yield connection
                connection.execute("commit")
            except BaseException:
                with suppress(duckdb.Error):
                    connection.execute("rollback")
                raise
            for target, scope, last in self._merged:
                self._drop_merged(target, scope, last)

    def start(self, begin: Callable[[duckdb.DuckDBPyConnection], int]) -> int:
        """Return what `begin` returns, a load id, in a transaction of its own.

        Raises:
            DataflowBusy: The dataflow is still loaded, or taken back, by another process after the wait.
        """
        for attempt in Retrying(
            retry=retry_if_exception_type(DataflowBusy),
            stop=stop_after_delay(self._wait_s),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            reraise=True,
        ):
            with attempt, self.transaction() as connection:
                return begin(connection)
        raise AssertionError  # retrying returns or raises; this tells the type checker so

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection on which the file, attached as `warehouse`, can only be read.

        Raises:
            DatabaseLocked: Another process writes to the file.
            WarehouseError: The file does not exist, or DuckDB refused.
        """
        with self._open(read_only=True) as connection:
            registry_version(connection)
            yield connection

    def stage(self, target: Target, paths: Sequence[Path]) -> int:
        """Return how many objects of newline-delimited JSON files were staged; the file stays untouched.

        Raises:
            RowRefused: A value does not fit its column; nothing of these files is staged.
        """
        with self._staging, self._connection.cursor() as connection, self._explained(), undisturbed():
            try:
                return staging.stage(connection, target, paths)
            except duckdb.OutOfMemoryException:  # how much a file takes depends on how its rows compress
                with self._more_memory(connection, _TIGHT_FACTOR):
                    return staging.stage(connection, target, paths)

    def seen_elsewhere(self, target: Target, *, created_gte: int, known: bool) -> list[tuple[str, int]]:
        """Return the JSON of the objects that other tables hold and this one lacks, and when each was loaded.

        Objects created before `created_gte`, Unix seconds, are left out; `known`: with those this one has.
        """
        with self._open(read_only=True) as connection:
            return seen_elsewhere(connection, target, created_gte=created_gte, known=known)

    def staged_rows(self, target: Target, windows: Sequence[tuple[int, int]]) -> list[int]:
        """Return how many objects are staged of each window of `created`, [gte, lt) in Unix seconds."""
        with self._staging, self._connection.cursor() as connection, self._explained(), undisturbed():
            return staging.rows_in(connection, target, windows)

    def discard(self, target: Target) -> None:
        """Drop what is staged for a target."""
        with self._staging, self._connection.cursor() as connection, self._explained(), undisturbed():
            connection.execute(f"drop table if exists {target.staged}")

    def merge(self, connection: duckdb.DuckDBPyConnection, target: Target, *, load_id: int, scope: Scope) -> Counts:
        """Return what the staged rows of a scope changed in the target's tables.

        The staged rows go once the transaction is committed, and stay if it is not.

        Args:
            connection: Of the enclosing `transaction`.
            target: Where the rows land.
            load_id: The load the new versions belong to.
            scope: What the staged rows are the complete truth of.
        """
        with self._room_for(connection, target):
            merged = merging.merge(connection, target, load_id=load_id, scope=scope)
        if self._merged is not None and merged.last_staged >= 0:
            self._merged.append((target, scope, merged.last_staged))
        return merged.counts

    @contextmanager
    def _room_for(self, connection: duckdb.DuckDBPyConnection, target: Target) -> Iterator[None]:
        """Allow a merge of many rows more memory than staging needs, and take it back afterwards."""
        if not staging.holds_more_than(connection, target, _MANY_ROWS):
            yield
            return
        with self._more_memory(connection, _MERGE_FACTOR):
            yield

    @contextmanager
    def _more_memory(self, connection: duckdb.DuckDBPyConnection, factor: float) -> Iterator[None]:
        connection.execute(f"set memory_limit = '{self._memory_mb * factor:.0f}MB'")
        try:
            yield
        finally:
            with suppress(duckdb.Error):  # what a failed merge still holds goes with its transaction
                connection.execute(f"set memory_limit = '{self._memory_mb}MB'")

    @contextmanager
    def _open(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._turn, self._explained(), self._connection.cursor() as connection:
            if self._merged is not None:
                raise WarehouseError("The database is open already: transactions do not nest.")
            wait_s = min(self._wait_s, _BRIEFLY_S) if self._waited_in_vain else self._wait_s
            self._waited_in_vain = True
            with opening.attached(connection, self.database, read_only=read_only, wait_s=wait_s):
                self._waited_in_vain = False
                try:
                    yield connection
                finally:
                    self._merged = None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DataflowError:
            raise
        except duckdb.Error as error:
            # Not chained where DuckDB's text may repeat a row's value.
            raise opening.explained(error, self.database) from None

    def _drop_merged(self, target: Target, scope: Scope, last: int) -> None:
        condition, values = scope.condition(target)
        with self._staging, self._connection.cursor() as connection, undisturbed():
            # Of several scopes in one transaction, an earlier one may have dropped the last row already.
            if not staging.is_staged(connection, target):
                return
            connection.execute(f"delete from {target.staged} where rowid <= ? and ({condition})", [last, *values])
            if not connection.execute(f"select 1 from {target.staged} limit 1").fetchone():
                connection.execute(f"drop table {target.staged}")


def _sweep(folder: Path) -> None:
    """Delete what processes that are gone left staged: it may hold personal data."""
    for path in folder.glob("stage-*-*.*"):
        if has_left(path):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else opening.remove_database(path)

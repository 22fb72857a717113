"""Landed Stripe tables for downstream assets: as a pandas DataFrame, or as a DuckDB relation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import dagster as dg
import duckdb

from stripe_dataflow.errors import ConfigError, DataflowError
from stripe_dataflow.orchestration.attributes import nearest
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.run_session import staging_root
from stripe_dataflow.warehouse import Target, Warehouse, quote

if TYPE_CHECKING:
    import pandas as pd  # costs a second, which a run that hands out no frame need not take

_WAIT_S = 300  # for merges that are being written
_MEMORY_MB = 1024


class StripeTables(dg.IOManager):
    """Reads the tables of one dataflow; the database is only held open while a table is copied out of it.

    It is the IO manager of the dataflow's assets, so an input of a downstream asset is loaded by it, and
    it is the resource `<name>__tables` for code that reads tables by name.
    """

    def __init__(self, dataflow: Dataflow) -> None:
        self.dataflow = dataflow

    def frame(
        self, table: str, columns: Sequence[str] = (), *, created: dg.TimeWindow | None = None
    ) -> pd.DataFrame:  # fmt: skip
        """Return the live rows of a table, in no order; times are in UTC, JSON is text.

        Args:
            table: Its name in Stripe's catalog, as in the asset's key.
            columns: Those to read; none named: all.
            created: Only objects created in this half-open span.

        Raises:
            ConfigError: There is no such table or column, or nothing landed of it yet.
            DatabaseLocked: Another process still writes to the file after five minutes.
        """
        target = self._target(table)
        known = [column.name for column in target.columns]
        for name in columns:
            if name not in known:
                raise ConfigError(f"{self.dataflow.name}.{target.name} has no column {name!r}{nearest(name, known)}")
        sql = f"select {', '.join(map(quote, columns)) or '*'} from {target.current} where _deleted_at is null"
        span: Sequence[object] = ()
        if created:
            at = quote(target.table.created)
            sql, span = f"{sql} and {at} >= ? and {at} < ?", [created.start, created.end]
        return self._read(target, sql, span)

    def load_input(self, context: dg.InputContext) -> pd.DataFrame | duckdb.DuckDBPyRelation:
        """Return an upstream table for an asset's input, as the input's annotation says.

        Of a partitioned table those partitions come that the asset's partitions depend on; the input's
        metadata may name the `columns`.
        """
        window = context.asset_partitions_time_window if context.has_asset_partitions else None
        columns = (context.definition_metadata or {}).get("columns", ())
        try:
            frame = self.frame(context.asset_key.path[-1], columns, created=window)
        except DataflowError as error:
            raise dg.Failure(str(error), allow_retries=error.retryable) from None
        if context.dagster_type.typing_type is duckdb.DuckDBPyRelation:
            return duckdb.connect().from_df(frame)
        return frame

    def handle_output(self, context: dg.OutputContext, obj: object) -> NoReturn:
        """Refuse: only the dataflow itself writes its tables.

        Raises:
            dg.Failure: Always.
        """
        raise dg.Failure(
            f"{context.asset_key.to_user_string()}: the IO manager of {self.dataflow.name} only reads Stripe's "
            f"tables, it cannot store what the asset returns ({type(obj).__name__}). Give the asset another "
            "io_manager_key.",
            allow_retries=False,
        )

    def _target(self, table: str) -> Target:
        chosen = self.dataflow.tables.get(table)
        if chosen is None:
            raise ConfigError(f"{self.dataflow.name} has no table {table!r}{nearest(table, self.dataflow.tables)}")
        if chosen.purpose == "privacy_metadata":
            raise ConfigError(f"{table} of {self.dataflow.name} is for privacy_metadata: none of its rows land.")
        return chosen.target

    def _read(self, target: Target, sql: str, values: Sequence[object]) -> pd.DataFrame:
        import pandas as pd  # noqa: PLC0415 see above

        database = self.dataflow.database
        with (
            Warehouse(database, stage_dir=staging_root(database), wait_s=_WAIT_S, memory_mb=_MEMORY_MB) as warehouse,
            warehouse.reading() as connection,
        ):
            try:
                found = connection.execute(sql, values)
            except duckdb.CatalogException:
                raise ConfigError(
                    f"Nothing landed in {target.schema}.{target.name} yet: materialise {target.table.name} first."
                ) from None
            with warnings.catch_warnings():
                # DuckDB calls pandas in a way that pandas is about to change; the lock file holds both.
                warnings.simplefilter("ignore", pd.errors.PandasDeprecationWarning)
                return found.df()


def tables_key(dataflow: Dataflow) -> str:
    """Return the resource that hands out a dataflow's tables."""
    return f"{dataflow.name}__tables"

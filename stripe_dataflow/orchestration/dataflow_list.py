"""The list of the project's dataflows, for the shell and, as an asset, for Dagster's UI."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import dagster as dg
import duckdb

from stripe_dataflow.errors import DataflowError
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.run_session import staging_root
from stripe_dataflow.warehouse import DataflowState, Warehouse, has_registry, list_dataflows

KEY = dg.AssetKey(["_dataflow", "dataflows"])
GROUP = "stripe_dataflow"
_WAIT_S = 10  # for a merge that is being written; merges are short


@dataclass(frozen=True, slots=True)
class Line:
    """One dataflow in the list; times are None for what never was.

    Attributes:
        stale: The configuration changed since the last completed load.
        tables: How many tables are selected now.
        updated: When a run first saw the configuration that the last run had.
        last_refresh: The end of the last completed load.
        last_attempt: The start of the last load, whatever became of it.
    """

    name: str
    display_name: str
    type: str
    status: str
    stale: bool
    tables: int
    created: datetime | None = None
    updated: datetime | None = None
    last_refresh: datetime | None = None
    last_attempt: datetime | None = None


def list_lines(dataflows: Sequence[Dataflow]) -> list[Line]:
    """Return a line for each dataflow, by name; New where no run has registered it yet.

    Raises:
        DatabaseLocked: Another process writes to one of the databases.
    """
    return sorted((_line(dataflow) for dataflow in dataflows), key=lambda line: line.name.lower())


@contextmanager
def registry(dataflow: Dataflow) -> Iterator[duckdb.DuckDBPyConnection | None]:
    """Yield a connection that reads the registry of a dataflow's database, None while there is none."""
    if not dataflow.database.exists():
        yield None
        return
    folder = staging_root(dataflow.database)
    with Warehouse(dataflow.database, stage_dir=folder, wait_s=_WAIT_S) as warehouse, warehouse.reading() as connection:
        yield connection if has_registry(connection) else None


def _line(dataflow: Dataflow) -> Line:
    known: DataflowState | None = None
    with registry(dataflow) as connection:
        if connection is not None:
            known = next((state for state in list_dataflows(connection) if state.name == dataflow.name), None)
    if known is None:
        return Line(dataflow.name, dataflow.title, "stripe", "New", stale=False, tables=len(dataflow.tables))
    times = (known.created, known.updated, known.last_refresh, known.last_attempt)
    return Line(
        dataflow.name, dataflow.title, known.type, known.status, _stale(dataflow, known), len(dataflow.tables), *times
    )  # fmt: skip


def _stale(dataflow: Dataflow, known: DataflowState) -> bool:
    """Tell whether the configuration changed since the last completed load, if there was one."""
    if known.last_refresh is None:
        return False
    return known.fingerprint != dataflow.fingerprint or known.updated > known.last_refresh


def dataflow_list_definitions(dataflows: Sequence[Dataflow]) -> dg.Definitions:
    """Return the one asset that shows all dataflows; materialise it to see how they stand."""

    @dg.asset(
        key=KEY,
        group_name=GROUP,
        kinds={"duckdb"},
        description="All dataflows of this project: status, tables, when each was created, changed and refreshed.",
    )
    def list_of_dataflows(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        try:
            lines = list_lines(dataflows)
        except DataflowError as error:
            raise dg.Failure(str(error), allow_retries=error.retryable) from None
        context.log.info("\n".join(f"{line.name}: {line.status}" for line in lines))
        return dg.MaterializeResult(metadata=_metadata(lines))

    return dg.Definitions(assets=[list_of_dataflows])


_COLUMNS = [
    dg.TableColumn("name", "string", description="Schema, asset group and job prefix."),
    dg.TableColumn("display_name", "string"),
    dg.TableColumn("type", "string", description="The kind of source."),
    dg.TableColumn("status", "string", description="New, In-Progress, Completed, Failed or Canceled."),
    dg.TableColumn("stale", "bool", description="The configuration changed since the last completed load."),
    dg.TableColumn("tables", "int", description="How many are selected."),
    dg.TableColumn("created", "string", description="When a run first saw it (UTC)."),
    dg.TableColumn("updated", "string", description="When its configuration changed (UTC)."),
    dg.TableColumn("last_refresh", "string", description="The end of the last completed load (UTC)."),
    dg.TableColumn("last_attempt", "string", description="The start of the last load (UTC)."),
]


def _metadata(lines: Sequence[Line]) -> dict[str, dg.MetadataValue | int]:
    records = [
        dg.TableRecord({str(column.name): _cell(getattr(line, column.name)) for column in _COLUMNS}) for line in lines
    ]
    names = [column.name for column in _COLUMNS]
    rows = [" | ".join(str(record.data[name]).replace("|", "\\|") for name in names) for record in records]
    markdown = "\n".join(f"| {row} |" for row in [" | ".join(names), " | ".join("---" for _ in names), *rows])
    return {
        "dagster/row_count": len(lines),
        "dataflows": dg.MetadataValue.table(records, dg.TableSchema(_COLUMNS)),
        "as text": dg.MetadataValue.md(markdown),
    }


def _cell(value: datetime | str | int | None) -> str | int:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "" if value is None else value

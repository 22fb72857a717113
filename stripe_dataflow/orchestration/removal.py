"""The job `<name>__remove`: a dataflow's tables, history and cursors, gone from the file as well."""

import dagster as dg

from stripe_dataflow.errors import ConfigError, DataflowError
from stripe_dataflow.orchestration.dataflow import ChosenTable, Dataflow
from stripe_dataflow.orchestration.maintenance import Maintenance, chosen_tables, maintenance_job
from stripe_dataflow.orchestration.run_session import asset_key
from stripe_dataflow.warehouse import REMOVED, compact, remove_dataflow

_WAIT_S = 60  # for readers to close the file

CONFIG = {
    "confirm": dg.Field(
        str, default_value="", is_required=False, description="The dataflow's name, typed to confirm the removal."
    ),
    "dry_run": dg.Field(bool, default_value=True, is_required=False, description="Only tell what would go."),
    "tables": dg.Field([str], default_value=[], is_required=False, description="Some tables; none named: all."),
}


def remove_job(dataflow: Dataflow) -> dg.JobDefinition:
    """Return the job: op `remove`, with the configuration above."""

    def remove(context: dg.OpExecutionContext) -> None:
        dry_run = context.op_config["dry_run"]
        with Maintenance(dataflow, context, kind="remove", dry_run=dry_run) as maintenance:
            chosen = remove_tables(maintenance, context.op_config)
        if not dry_run:
            context.instance.wipe_assets([asset_key(dataflow, c.table.name) for c in chosen])
            erase_bytes(dataflow)

    text = f"Remove the tables of {dataflow.title} with their history; a dry run unless told otherwise."
    return maintenance_job(dataflow, remove, config=CONFIG, description=text)


def remove_tables(maintenance: Maintenance, config: dict[str, object]) -> list[ChosenTable]:
    """Return the tables that were removed; the run history stays, and what lies in other dataflows.

    Raises:
        ConfigError: The name typed to confirm is another, or there is no such table; nothing was changed.
    """
    dataflow = maintenance.dataflow
    tables = config["tables"]
    names = tables if isinstance(tables, list) else []
    chosen = chosen_tables(dataflow, names)
    if not config["dry_run"] and config["confirm"] != dataflow.name:
        raise ConfigError(
            f"To remove {dataflow.name}, `confirm` must be exactly {dataflow.name!r}. Nothing was changed."
        )
    only = [c.target.name for c in chosen] if names else None
    with maintenance.connection() as connection:
        gone = remove_dataflow(connection, dataflow.name, tables=only, dry_run=bool(config["dry_run"]))
        rows = sum(row.rows for row in gone)
        what = "some tables" if names else REMOVED
        maintenance.completed(connection, f"{what}: {len(gone)} tables, {rows:,} rows.")
    maintenance.tell([f"{row.destination}: {row.rows:,} rows, {row.versions:,} old versions" for row in gone])
    return chosen


def erase_bytes(dataflow: Dataflow) -> None:
    """Copy the database to a fresh file, as DuckDB keeps the bytes of dropped rows.

    Raises:
        dg.Failure: The file cannot be copied now; the removal itself is done and recorded.
    """
    try:
        compact(dataflow.database, wait_s=_WAIT_S)
    except DataflowError as error:
        text = f"The tables are removed, but their bytes are still in the file: {error} Run the removal again."
        raise dg.Failure(text, allow_retries=False) from None

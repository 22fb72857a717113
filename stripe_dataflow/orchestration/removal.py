"""The job `<name>__remove`: a dataflow's tables, history and cursors, gone from the file as well."""

import dagster as dg

from stripe_dataflow.errors import ConfigError
from stripe_dataflow.orchestration.dataflow import ChosenTable, Dataflow
from stripe_dataflow.orchestration.maintenance import Maintenance, chosen_tables, maintenance_job
from stripe_dataflow.orchestration.run_session import asset_key
from stripe_dataflow.warehouse import REMOVED, compact, remove_dataflow

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

    text = f"Remove the tables of {dataflow.title} with their history; a dry run unless told otherwise."
    return maintenance_job(dataflow, remove, config=CONFIG, description=text)


def remove_tables(maintenance: Maintenance, config: dict[str, object]) -> list[ChosenTable]:
    """Return the tables that were removed; the run history stays, and what lies in other dataflows.

    Raises:
        ConfigError: The name typed to confirm is another, or there is no such table; nothing was changed.
        DatabaseLocked: Another process holds the file; the tables are gone, their bytes not yet.
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
    if not config["dry_run"]:
        compact(dataflow.database, wait_s=60)
    return chosen

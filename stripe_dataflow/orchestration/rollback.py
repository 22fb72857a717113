"""The job `<name>__rollback`: a dataflow's tables as they were after an earlier load."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from stripe_dataflow.catalog.descriptions import descriptions
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.maintenance import Maintenance, chosen_tables, maintenance_job
from stripe_dataflow.orchestration.run_session import asset_key
from stripe_dataflow.warehouse import Restored, landed_rows, refresh_money, resolve_target, restore

CONFIG = {
    "to": dg.Field(
        dg.Any,
        default_value="previous",
        is_required=False,
        description="`previous`, a load id, or an ISO time such as 2026-11-01T12:00 (UTC without a zone).",
    ),
    "tables": dg.Field([str], default_value=[], is_required=False, description="Some tables; none named: all."),
    "dry_run": dg.Field(bool, default_value=False, is_required=False, description="Only tell the difference."),
    "reason": dg.Field(str, default_value="", is_required=False, description="Kept in the run history."),
}


def rollback_job(dataflow: Dataflow) -> dg.JobDefinition:
    """Return the job: op `rollback`, with the configuration above."""

    def rollback(context: dg.OpExecutionContext) -> None:
        config = context.op_config
        with Maintenance(dataflow, context, kind="rollback", dry_run=config["dry_run"]) as maintenance:
            to, done, rows = roll_back(maintenance, config)
            maintenance.tell([f"{row.destination}: {_difference(row)}" for row in done])
        if not config["dry_run"]:
            _log_materializations(context, dataflow, done, to=to, rows=rows)

    text = f"Bring the tables of {dataflow.title} back to the state after an earlier load; the next run fetches again."
    return maintenance_job(dataflow, rollback, config=CONFIG, description=text)


def roll_back(maintenance: Maintenance, config: Mapping[str, Any]) -> tuple[int, list[Restored], dict[str, int]]:
    """Return the load gone back to, the difference per table, and the rows each then has; one transaction for all.

    Raises:
        ConfigError: There is no such state or table; nothing was changed.
    """
    dataflow = maintenance.dataflow
    chosen = chosen_tables(dataflow, config["tables"])
    # `previous` is about the tables that go back: none that left the dataflow, and of itself none without rows.
    names = tuple(c.target.name for c in chosen if config["tables"] or c.purpose != "privacy_metadata")
    with maintenance.connection() as connection:
        to = resolve_target(connection, dataflow.name, config["to"], tables=names)
        targets = [c.target.commented(descriptions(c.table)) for c in chosen]
        done = restore(
            connection, targets, to_load_id=to, new_load_id=maintenance.load_id, dry_run=config["dry_run"]
        )  # fmt: skip
        if not config["dry_run"]:
            refresh_money(connection, dataflow.name)  # a table or a column may be gone
        reason = f" Reason: {config['reason']}" if config["reason"] else ""
        changed = sum(row.inserted + row.updated + row.deleted for row in done)
        maintenance.completed(connection, f"Rolled back to load {to}: {len(done)} tables, {changed:,} rows.{reason}")
        rows = {name: live for name, (live, _) in landed_rows(connection, dataflow.name).items()}
    return to, done, rows


def _difference(row: Restored) -> str:
    gone = "; the table was not there yet" if row.dropped else ""
    return f"{row.inserted:,} rows come back, {row.updated:,} change, {row.deleted:,} go{gone}"


def _log_materializations(
    context: dg.OpExecutionContext,
    dataflow: Dataflow,
    done: Sequence[Restored],
    *,
    to: int,
    rows: Mapping[str, int],
) -> None:
    """Log each table that changed, so that what lies downstream shows as stale."""
    tables = {c.target.name: name for name, c in dataflow.tables.items()}
    for row in done:
        if row.inserted or row.updated or row.deleted or row.dropped:
            metadata = {
                "rolled_back_to": to,
                "dagster/row_count": rows.get(tables[row.destination], 0),
                "rows inserted": row.inserted,
                "rows updated": row.updated,
                "rows deleted": row.deleted,
            }
            key = asset_key(dataflow, tables[row.destination])
            context.log_event(dg.AssetMaterialization(key, description=f"Rolled back to load {to}.", metadata=metadata))

"""All of one dataflow's definitions: its assets, jobs, schedule, and the session its steps share."""

import warnings
from collections.abc import Iterator
from contextlib import suppress

import dagster as dg

from stripe_dataflow.errors import ConfigError, DatabaseLocked
from stripe_dataflow.orchestration.assets import session_key, table_asset
from stripe_dataflow.orchestration.connect_job import account_asset, account_checks, connect_job
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.reading import StripeTables, tables_key
from stripe_dataflow.orchestration.removal import remove_job
from stripe_dataflow.orchestration.rollback import rollback_job
from stripe_dataflow.orchestration.run_session import RunSession
from stripe_dataflow.orchestration.sweeping import sweep


def dataflow_definitions(dataflow: Dataflow) -> dg.Definitions:
    """Return a dataflow's definitions; making them needs no network, key or database file."""
    job = dg.define_asset_job(
        f"{dataflow.name}__run",
        selection=dg.AssetSelection.groups(dataflow.name),
        description=f"Bring every table of {dataflow.title} up to date.",
        executor_def=dg.in_process_executor,
        tags={"dataflow": dataflow.name},
    )
    schedule = run_schedule(dataflow)
    with warnings.catch_warnings():
        # Of backfill_policy, which is what makes one run of a whole range of partitions.
        warnings.simplefilter("ignore", dg.BetaWarning)
        assets = [table_asset(dataflow, chosen) for chosen in dataflow.tables.values()]
    return dg.Definitions(
        assets=[*assets, account_asset(dataflow)],
        asset_checks=[account_checks(dataflow)],
        jobs=[job, connect_job(dataflow), rollback_job(dataflow), remove_job(dataflow)],
        schedules=[schedule] if schedule else [],
        resources={session_key(dataflow): session_resource(dataflow), tables_key(dataflow): StripeTables(dataflow)},
    )


def run_schedule(dataflow: Dataflow) -> dg.ScheduleDefinition | None:
    """Return the schedule `<name>__schedule`, which launches the job `<name>__run` without a partition."""
    schedule = dataflow.attributes.schedule
    if schedule is None:
        return None
    status = dg.DefaultScheduleStatus.RUNNING if schedule.enabled else dg.DefaultScheduleStatus.STOPPED
    return dg.ScheduleDefinition(
        name=f"{dataflow.name}__schedule",
        job_name=f"{dataflow.name}__run",
        cron_schedule=schedule.cron,
        execution_timezone=schedule.timezone,
        default_status=status,
    )


def session_resource(dataflow: Dataflow) -> dg.ResourceDefinition:
    """Return the session of a run: opened when its first table asks, closed when the run ends."""

    @dg.resource(
        config_schema={
            "mode": dg.Field(
                dg.Enum("Mode", [dg.EnumValue("auto"), dg.EnumValue("list")]),
                default_value="auto",
                is_required=False,
                description="auto: the cheapest way that is exact. list: read every list again.",
            )
        },
        description=f"What all steps of one run of {dataflow.title} share.",
    )
    def session(context: dg.InitResourceContext) -> Iterator[RunSession]:
        if context.run is None or context.instance is None:
            raise ConfigError("The session of a dataflow lives in a run.")
        with suppress(DatabaseLocked):  # another run is at work: it is no time to look for dead ones
            sweep(context.instance, [dataflow], own=context.run.run_id)
        shared = RunSession(dataflow, context.run, context.instance, context.resource_config["mode"])
        try:
            yield shared
        finally:
            shared.close()

    return session

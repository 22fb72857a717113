"""All of one dataflow's definitions: its assets, jobs, schedule, and the session its steps share."""

import warnings
from collections.abc import Iterator
from contextlib import suppress

import dagster as dg

from stripe_dataflow.errors import ConfigError, DataflowError
from stripe_dataflow.orchestration.assets import session_key, table_asset
from stripe_dataflow.orchestration.checks import check_definitions, freshness_of, report_checks
from stripe_dataflow.orchestration.connect_job import account_asset, account_checks, connect_job
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.reading import StripeTables, tables_key
from stripe_dataflow.orchestration.removal import remove_job
from stripe_dataflow.orchestration.rollback import rollback_job
from stripe_dataflow.orchestration.run_session import RunSession
from stripe_dataflow.orchestration.sweeping import sweep

MODE_TAG = "mode"


def dataflow_definitions(dataflow: Dataflow) -> dg.Definitions:
    """Return a dataflow's definitions; making them needs no network, key or database file."""
    job = dg.define_asset_job(
        f"{dataflow.name}__run",
        selection=dg.AssetSelection.groups(dataflow.name).without_checks(),
        description=f"Bring every table of {dataflow.title} up to date.",
        executor_def=dg.in_process_executor,
        tags={"dataflow": dataflow.name},
    )
    reconcile = dg.define_asset_job(
        f"{dataflow.name}__reconcile",
        selection=dg.AssetSelection.groups(dataflow.name).without_checks(),
        description=(
            f"Bring {dataflow.title} up to date and find what Stripe told no event of: recent partitions are listed "
            "again, older ones counted by Stripe or listed in turn. For every night; the schedule is off at first."
        ),
        executor_def=dg.in_process_executor,
        tags={"dataflow": dataflow.name, MODE_TAG: "reconcile"},
    )
    with warnings.catch_warnings():
        # Of backfill_policy, which is what makes one run of a whole range of partitions.
        warnings.simplefilter("ignore", dg.BetaWarning)
        freshness = freshness_of(dataflow)
        assets = [table_asset(dataflow, chosen, freshness=freshness) for chosen in dataflow.tables.values()]
    return dg.Definitions(
        assets=[*assets, account_asset(dataflow)],
        jobs=[job, reconcile, connect_job(dataflow), rollback_job(dataflow), remove_job(dataflow)],
        schedules=[schedule for schedule in (run_schedule(dataflow), nightly_schedule(dataflow)) if schedule],
        asset_checks=[*check_definitions(dataflow), account_checks(dataflow)],
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


def nightly_schedule(dataflow: Dataflow) -> dg.ScheduleDefinition:
    """Return the schedule `<name>__reconcile_nightly`, off until someone turns it on in the UI."""
    schedule = dataflow.attributes.schedule
    return dg.ScheduleDefinition(
        name=f"{dataflow.name}__reconcile_nightly",
        job_name=f"{dataflow.name}__reconcile",
        cron_schedule="30 3 * * *",
        execution_timezone=schedule.timezone if schedule else "UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )


def session_resource(dataflow: Dataflow) -> dg.ResourceDefinition:
    """Return the session of a run: opened when its first table asks, closed when the run ends."""

    @dg.resource(
        config_schema={
            "mode": dg.Field(
                dg.Enum("Mode", [dg.EnumValue(mode) for mode in ("auto", "list", "reconcile")]),
                default_value="auto",
                is_required=False,
                description=(
                    "auto: what events tell of. list: read every list again. reconcile: what events tell of, "
                    "and what they do not: recent partitions by their list, older ones by their count."
                ),
            )
        },
        description=f"What all steps of one run of {dataflow.title} share.",
    )
    def session(context: dg.InitResourceContext) -> Iterator[RunSession]:
        if context.run is None or context.instance is None:
            raise ConfigError("The session of a dataflow lives in a run.")
        with suppress(DataflowError, OSError):  # what is wrong with the database, the first step says in a sentence
            sweep(context.instance, [dataflow], own=context.run.run_id)
        # A job says it by its tag: a default configuration is lost where a job has partitions.
        mode = context.run.tags.get(MODE_TAG, context.resource_config["mode"])
        shared = RunSession(dataflow, context.run, context.instance, mode, report_checks)
        try:
            yield shared
        finally:
            shared.close()

    return session

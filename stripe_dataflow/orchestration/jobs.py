"""A dataflow's jobs and its schedule."""

from __future__ import annotations

import dagster as dg

from stripe_dataflow.orchestration.dataflow import Dataflow


def run_job(dataflow: Dataflow) -> dg.UnresolvedAssetJobDefinition:
    """Return the job `<name>__run`: every table of the dataflow, in one process."""
    return dg.define_asset_job(
        f"{dataflow.name}__run",
        selection=dg.AssetSelection.groups(dataflow.name),
        description=f"Bring every table of {dataflow.title} up to date.",
        executor_def=dg.in_process_executor,
        tags={"dataflow": dataflow.name},
    )


def run_schedule(dataflow: Dataflow, job: dg.UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition | None:
    """Return the schedule `<name>__schedule`, which launches the job without a partition."""
    schedule = dataflow.attributes.schedule
    if schedule is None:
        return None
    status = dg.DefaultScheduleStatus.RUNNING if schedule.enabled else dg.DefaultScheduleStatus.STOPPED
    return dg.ScheduleDefinition(
        name=f"{dataflow.name}__schedule",
        job=job,
        cron_schedule=schedule.cron,
        execution_timezone=schedule.timezone,
        default_status=status,
    )

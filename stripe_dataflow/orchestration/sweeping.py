"""Runs that died: closed as failed here and in Dagster, which leaves them started after a power cut.

The sensor that looks for them also makes the pools known that runs wait for.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from stripe_dataflow.errors import DatabaseLocked, DataflowError
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.run_session import staging_root
from stripe_dataflow.orchestration.run_tags import tag_failure
from stripe_dataflow.warehouse import DIED, RunRow, Warehouse, dead_runs, end_run, has_registry

_INTERVAL_S = 30
_WAIT_S = 2  # a run that is at work holds the file; the next tick looks again
_UNFINISHED = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_ENDED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def sweep_sensor(dataflows: Sequence[Dataflow]) -> dg.SensorDefinition:
    """Return the sensor that closes interrupted runs and makes pools known.

    It opens a database only where a run may have died.
    """

    @dg.sensor(
        minimum_interval_seconds=_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports runs whose process is gone, as after a power cut, as failed, so that others can start; "
        "makes the pool of each database known to Dagster.",
    )
    def interrupted_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        _limit_pools(context.instance, dataflows)
        now, since = datetime.now(UTC).isoformat(), context.cursor
        if since and not _may_have_died(context.instance, datetime.fromisoformat(since)):
            context.update_cursor(now)
            return dg.SkipReason("No run is unfinished, and none ended badly since the last look.")
        try:
            swept = sweep(context.instance, dataflows)
        except DatabaseLocked:
            return dg.SkipReason("A run is writing; the next look tells more.")
        except DataflowError as error:  # such as a file that may not be opened; the runs that want it say so too
            return dg.SkipReason(str(error))
        context.update_cursor(now)
        return dg.SkipReason(f"Closed as interrupted: {', '.join(swept)}." if swept else "No run was interrupted.")

    return interrupted_runs


def sweep(instance: dg.DagsterInstance, dataflows: Iterable[Dataflow], *, own: str = "") -> list[str]:
    """Close the dataflows' runs whose process is gone, and return their ids; the run `own` is let be.

    Raises:
        DatabaseLocked: A run is writing to one of the databases.
    """
    unfinished = {run.run_id: run for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED))}
    databases = {dataflow.database for dataflow in dataflows if dataflow.database.exists()}
    unfinished.pop(own, None)
    dead = [row for path in sorted(databases) for row in _close_dead(path, list(unfinished), own=own)]
    for row in dead:
        if run := unfinished.get(row.run_id):
            tag_failure(instance, row.run_id, DIED)
            instance.report_run_failed(run, DIED)
        instance.event_log_storage.free_concurrency_slots_for_run(row.run_id)
    return [row.run_id for row in dead]


def _limit_pools(instance: dg.DagsterInstance, dataflows: Iterable[Dataflow]) -> None:
    """Make the pools known: of one it has not met, Dagster lets all runs start that wait at its first look."""
    storage = instance.event_log_storage
    if storage.supports_global_concurrency_limits and instance.global_op_concurrency_default_limit is not None:
        known = {pool.name for pool in storage.get_pool_limits()}  # a limit that a person set stays
        for pool in {dataflow.pool for dataflow in dataflows} - known:
            storage.initialize_concurrency_limit_to_default(pool)


def _may_have_died(instance: dg.DagsterInstance, since: datetime) -> bool:
    """Tell whether a run is unfinished, or ended badly since: Dagster sees a killed one, our history does not."""
    ended = dg.RunsFilter(statuses=_ENDED, updated_after=since)
    return bool(
        instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED), limit=1) or instance.get_runs(ended, limit=1)
    )  # fmt: skip


def _close_dead(database: Path, unfinished: Sequence[str], *, own: str) -> list[RunRow]:
    """Return the runs of a database that died, after closing them in its history."""
    with Warehouse(database, stage_dir=staging_root(database), wait_s=_WAIT_S) as warehouse:
        with warehouse.reading() as connection:
            found = dead_runs(connection, unfinished) if has_registry(connection) else []
        dead = [row for row in found if row.run_id != own]
        if any(row.status == "In-Progress" for row in dead):
            with warehouse.transaction() as connection:
                for row in dead:
                    end_run(connection, row.run_id, dataflow=row.dataflow, status="Failed", description=DIED)
    return dead

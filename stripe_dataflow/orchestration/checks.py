"""Asset checks: judged at the end of a run for what it changed, and whenever a person executes them.

A check that is a step's output costs Dagster five times the time of its query, in every run. So the job
`<name>__run` leaves them out, and a run reports, when it ends, those that can have come out differently.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import dagster as dg

from stripe_dataflow.errors import DataflowError
from stripe_dataflow.orchestration.assets import session_key
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.judging import Check, Outcome, checks_of, look_at, note_unlisted_ids
from stripe_dataflow.orchestration.run_session import RunSession, asset_key
from stripe_dataflow.warehouse import Warehouse, first_loads, refresh_money

_TICK = "%Y-%m-%d %H:%M"


def check_definitions(dataflow: Dataflow) -> list[dg.AssetChecksDefinition]:
    """Return all checks of a dataflow as one op, of which any can be executed by itself."""
    checks = {_key(dataflow, check): check for check in checks_of(dataflow)}
    if not checks:
        return []

    @dg.multi_asset_check(
        name=f"{dataflow.name}__checks",
        specs=[
            dg.AssetCheckSpec(key.name, asset=key.asset_key, description=c.description) for key, c in checks.items()
        ],
        can_subset=True,
        required_resource_keys={session_key(dataflow)},
    )
    def judge(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        session: RunSession = getattr(context.resources, session_key(dataflow))
        keys = context.selected_asset_check_keys
        outcomes = _judge(session, [check for key, check in checks.items() if key in keys])
        for check, outcome in outcomes:
            key = _key(dataflow, check)
            yield dg.AssetCheckResult(
                passed=outcome.passed, asset_key=key.asset_key, check_name=key.name, severity=_severity(check),
                description=outcome.text, metadata=dict(outcome.facts),
            )  # fmt: skip

    return [judge]


def report_checks(session: RunSession, warehouse: Warehouse) -> None:
    """Judge what the run can have changed, in one look at the database, and report it to Dagster."""
    loaded = session.loaded
    if session.checked or not session.may_have_changed:
        return
    with warehouse.transaction() as connection:
        refresh_money(connection, session.dataflow.name)
        first = first_loads(connection, session.dataflow.name, next(iter(loaded.values())).load_id)
        look = look_at(connection, session.dataflow, loaded)
        note_unlisted_ids(look, session.dataflow)
        outcomes = [(check, check.judge(look)) for check in _due(session, first)]
    for check, outcome in outcomes:
        # Where only a table that it refers to changed, that all still resolves is no news: a report costs 10 ms.
        own = check.table in session.changed | first or session.listed_by_request
        if outcome.passed and not own and not _failed_before(session, check):
            continue
        session.instance.report_runless_asset_event(_evaluation(session, check, outcome))


def _due(session: RunSession, first: set[str]) -> list[Check]:
    """Return the checks that can come out differently now, and those of tables that the run was to list."""
    changed = (set(session.loaded) if session.listed_by_request else session.changed) | first
    replaced = {name for name, load in session.loaded.items() if load.counts.updated or load.counts.deleted}
    return [c for c in checks_of(session.dataflow) if c.tables & (replaced if c.by_history else changed)]


def _failed_before(session: RunSession, check: Check) -> bool:
    """Tell whether Dagster shows a check as failed."""
    record = session.instance.get_latest_asset_check_evaluation_record(_key(session.dataflow, check))
    found = record and record.event and record.event.asset_check_evaluation
    return bool(found and not found.passed)


def _evaluation(session: RunSession, check: Check, outcome: Outcome) -> dg.AssetCheckEvaluation:
    key = _key(session.dataflow, check)
    facts = {**outcome.facts, "run": dg.MetadataValue.dagster_run(session.run.run_id)}
    return dg.AssetCheckEvaluation(
        asset_key=key.asset_key, check_name=key.name, passed=outcome.passed, severity=_severity(check),
        description=outcome.text, metadata=facts,
    )  # fmt: skip


def _judge(session: RunSession, checks: list[Check]) -> list[tuple[Check, Outcome]]:
    """Return what checks come to now.

    Raises:
        dg.Failure: The database cannot be read.
    """
    try:
        with session.database(write=bool(session.loaded)) as connection:
            look = look_at(connection, session.dataflow, session.loaded)
            if session.loaded:
                note_unlisted_ids(look, session.dataflow)
            outcomes = [(check, check.judge(look)) for check in checks]
    except DataflowError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    session.checked = True
    return outcomes


def _key(dataflow: Dataflow, check: Check) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(asset_key(dataflow, check.table), check.name)


def _severity(check: Check) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if check.severe else dg.AssetCheckSeverity.WARN


def freshness_of(dataflow: Dataflow) -> dg.FreshnessPolicy | None:
    """Return how old a table may become: two of the schedule's longest waits; None without an enabled schedule."""
    schedule = dataflow.attributes.schedule
    if schedule is None or not schedule.enabled:
        return None
    longest = _longest_wait(schedule.cron, schedule.timezone)
    return dg.FreshnessPolicy.time_window(warn_window=1.5 * longest, fail_window=2 * longest)


def _longest_wait(cron: str, zone: str) -> timedelta:
    """Return the longest time between two ticks of a schedule, in two weeks, or in years where it ticks seldom."""
    start = datetime(2024, 1, 1)  # noqa: DTZ001 in the schedule's own zone; a Monday
    for days in (15, 1500):
        ticks = dg.TimeWindowPartitionsDefinition(start=start, fmt=_TICK, cron_schedule=cron, timezone=zone)
        keys = ticks.get_partition_keys(current_time=(start + timedelta(days=days)).replace(tzinfo=UTC))
        times = [datetime.strptime(key, _TICK) for key in keys]  # noqa: DTZ007 all in one zone
        if len(times) > 2:  # noqa: PLR2004 a pair may be near, and the next far
            return max(later - earlier for earlier, later in pairwise(times))
    return timedelta(days=366)

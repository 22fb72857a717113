"""A run that is killed at any stage leaves each table as it was or as it is, and the next run completes."""

import signal

import pytest

from stripe_dataflow_tests.faults.child import Job, Moment, start
from stripe_dataflow_tests.faults.shops import HASTY, KEY, KEY_ENV

WAREHOUSE = "stripe_dataflow.warehouse"
DIED = "Interrupted: its process ended without a result. What it had committed stays; run again."

RUNS = {
    "extract": Moment("stripe_dataflow.sync.feed:write", count=3),
    "stage": Moment(f"{WAREHOUSE}.staging:stage", count=2),
    "merge": Moment(f"{WAREHOUSE}.merge:_apply", count=2),
    "commit, before": Moment(f"{WAREHOUSE}.loads:record_load", count=3),
    "commit, within": Moment("stripe_dataflow.orchestration.run_session:_look", count=2, soon=True),
    "commit, after": Moment(f"{WAREHOUSE}.warehouse:_drop_merged", "call", count=2),
    "the end": Moment(f"{WAREHOUSE}.runs:end_run"),
}


def run(shop, tmp_path, op="run", **options):
    """Return a process that ran a job, and what it printed."""
    job = Job(shop.attributes, HASTY, {KEY_ENV: KEY}, op, options.pop("config", None))
    process = start(job, tmp_path / "output", **options)
    process.join(60)
    text = (tmp_path / "output").read_text(encoding="utf-8")
    assert KEY not in text
    return process, text


@pytest.mark.parametrize("mode", ["auto", "list"])
@pytest.mark.parametrize("stage", RUNS)
def test_a_run_killed_at_any_stage_leaves_one_state_or_the_other(changed, trial, tmp_path, stage, mode):
    begun = trial(changed)
    process, text = run(changed, tmp_path, moment=RUNS[stage], config={"mode": mode})
    assert process.exitcode == -signal.SIGKILL, text
    begun.holds(swept=False)
    begun.settles(f"kill -9: {stage} ({mode})", 1, "the next run completes")
    assert changed.history()[1] == ("run", "Failed", DIED)


BACK = {
    "rollback, before its commit": Moment(f"{WAREHOUSE}.rollback:restore"),
    "rollback, within its commit": Moment("stripe_dataflow.orchestration.maintenance:completed", soon=True),
}


@pytest.mark.parametrize("stage", BACK)
def test_a_rollback_killed_at_any_stage_leaves_one_state_or_the_other(changed, trial, tmp_path, stage):
    earlier = changed.rows()
    assert changed.failures(changed.run()) == {}
    later, begun = changed.rows(), trial(changed)
    process, text = run(changed, tmp_path, "rollback", moment=BACK[stage], config={"reason": "too many"})
    assert process.exitcode == -signal.SIGKILL, text
    assert changed.rows() in (earlier, later)
    begun.settles(f"kill -9: {stage}", 1, "the next run completes")


AWAY = {
    "remove, before its commit": Moment(f"{WAREHOUSE}.remove:_forget", count=2),
    "remove, before the file is copied": Moment(f"{WAREHOUSE}.remove:compact", "call"),
    "remove, while the file is copied": Moment(f"{WAREHOUSE}.remove:_copy", "call", soon=True),
    "remove, before the copy takes the file's place": Moment(f"{WAREHOUSE}.remove:_copy"),
}


@pytest.mark.parametrize("stage", AWAY)
def test_a_removal_killed_at_any_stage_leaves_all_tables_or_none(changed, trial, tmp_path, stage):
    begun, before = trial(changed), changed.rows()
    config = {"confirm": "Shop", "dry_run": False}
    process, text = run(changed, tmp_path, "remove", moment=AWAY[stage], config=config)
    assert process.exitcode == -signal.SIGKILL, text
    assert changed.rows() in (before, {})
    begun.settles(f"kill -9: {stage}", 1, "the next run completes")


def test_a_run_that_is_told_to_end_says_so_and_leaves_one_state_or_the_other(changed, trial, tmp_path):
    begun = trial(changed)
    moment = Moment("stripe_dataflow.sync.merging:take", count=2, signal=signal.SIGTERM, soon=True)
    process, _ = run(changed, tmp_path, moment=moment)
    begun.holds(swept=False)
    begun.settles("SIGTERM", 1, "the next run completes")
    kind, status, _ = changed.history()[1]
    # Dagster tries an interrupted step again, as its retry policy says, so the run may still complete.
    assert (kind, status) == ("run", "Failed" if process.exitcode else "Completed")

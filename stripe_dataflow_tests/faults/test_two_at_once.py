"""Two at once: they wait for each other, none is lost, and nobody meets the other half way."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from stripe_dataflow_tests.faults.child import Job, Moment, start
from stripe_dataflow_tests.faults.shops import HASTY, KEY, KEY_ENV

PATIENT = replace(HASTY, database_wait_s=60)
# Between the merges of two tables, when the database is free.
BETWEEN = Moment("stripe_dataflow.sync.merging:begin", "call", count=4, signal=signal.SIGSTOP)


def job(shop, op="run", *, config=None, **changes):
    return Job({**shop.attributes, **changes}, PATIENT, {KEY_ENV: KEY}, op, config)


def stopped(process):
    """Wait until a process stands still."""
    while Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "T":
        assert process.is_alive()
        time.sleep(0.01)


def go_on(process):
    os.kill(process.pid, signal.SIGCONT)


def end(process, output):
    process.join(60)
    assert process.exitcode == 0, output.read_text(encoding="utf-8")


@pytest.mark.parametrize("mode", ["auto", "list"])
def test_two_runs_of_one_dataflow_both_complete(changed, trial, tmp_path, mode):
    begun = trial(changed)
    outputs = [tmp_path / "one", tmp_path / "two"]
    processes = [start(job(changed, config={"mode": mode}), output) for output in outputs]
    for process, output in zip(processes, outputs, strict=True):
        end(process, output)
    assert changed.held() == changed.truth()
    assert [run[:2] for run in changed.history()[:2]] == [("run", "Completed")] * 2
    begun.settles(f"two runs of one dataflow at once ({mode})", 1, "both complete")


def test_two_dataflows_of_one_database_both_complete(changed, trial, tmp_path):
    begun = trial(changed)
    ours, other = tmp_path / "ours", tmp_path / "other"
    processes = [start(job(changed), ours), start(job(changed, name="Other"), other)]
    end(processes[0], ours)
    end(processes[1], other)
    assert changed.held() == changed.truth()
    changed.attributes["name"] = "Other"
    theirs = (changed.held(), changed.history()[0][:2])
    changed.attributes["name"] = "Shop"
    assert theirs == (changed.truth(), ("run", "Completed"))
    begun.settles("two dataflows of one database at once", 1, "both complete")


def test_a_rollback_waits_for_the_run_that_is_under_way(changed, trial, tmp_path):
    begun, before = trial(changed), changed.rows()
    run, back = tmp_path / "run", tmp_path / "back"
    running = start(job(changed), run, moment=BETWEEN)
    stopped(running)
    refused = changed.operate("rollback")
    [event] = refused.get_step_failure_events()
    text = event.step_failure_data.user_failure_data.description
    assert f"Shop is being loaded by process {running.pid}" in text
    going_back = start(job(changed, "rollback", config={"reason": "too many"}), back)
    while not any(f"stage-{going_back.pid}-" in name for name in changed.staged()):
        time.sleep(0.01)
    go_on(running)
    end(running, run)
    end(going_back, back)
    assert changed.rows() == before
    begun.settles("a rollback during a run", 1, "it waits, then undoes all of it")


def test_a_run_waits_for_the_rollback_that_is_under_way(changed, trial, tmp_path):
    assert changed.failures(changed.run()) == {}
    begun = trial(changed)
    changed.churn()
    back, run = tmp_path / "back", tmp_path / "run"
    moment = Moment("stripe_dataflow.orchestration.rollback:roll_back", "call", signal=signal.SIGSTOP)
    going_back = start(job(changed, "rollback", config={"reason": "too many"}), back, moment=moment)
    stopped(going_back)
    running = start(job(changed), run)
    while not any(f"stage-{running.pid}-" in name for name in changed.staged()):
        time.sleep(0.01)
    go_on(going_back)
    end(going_back, back)
    end(running, run)
    assert [each[:2] for each in changed.history()[:2]] == [("run", "Completed"), ("rollback", "Completed")]
    assert changed.held() == changed.truth()
    begun.settles("a run during a rollback", 1, "it waits, then loads again")

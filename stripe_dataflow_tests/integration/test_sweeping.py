"""A run whose process is gone is closed as failed, in our history and in Dagster; others are let be."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import dagster as dg
import duckdb
import pytest

from stripe_dataflow.orchestration.jobs import dataflow_definitions
from stripe_dataflow.orchestration.sweeping import sweep_sensor
from stripe_dataflow.warehouse import DIED, Warehouse, start_run
from stripe_dataflow.warehouse.processes import mark_of

HOST = socket.gethostname()
RUNS = """
import json, sys
import dagster as dg
from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.jobs import dataflow_definitions
job = dataflow_definitions(Dataflow(Attributes(**json.loads(sys.argv[2])))).resolve_job_def("Shop__run")
with dg.DagsterInstance.local_temp(sys.argv[1], {"telemetry": {"enabled": False}}) as instance:
    job.execute_in_process(instance=instance, raise_on_error=False)
"""


@pytest.fixture
def shop(make_shop, tmp_path):
    """Return a shop whose instance other processes can open too."""
    shop = make_shop(tables=["customers", "charges"], customers=10)
    with dg.DagsterInstance.local_temp(str(tmp_path), {"telemetry": {"enabled": False}}) as shop.instance:
        shop.instance.event_log_storage.set_concurrency_slots(shop.dataflow().pool, 1)
        yield shop


def killed_run(shop) -> str:
    """Return the id of a run that was killed with all there was of it, as by a power cut, while it read."""
    shop.faults.latency_s = 60
    attributes = json.dumps(shop.attributes)
    with subprocess.Popen(
        [sys.executable, "-c", RUNS, shop.instance.root_directory, attributes], stderr=subprocess.DEVNULL
    ) as child:
        wait_until(lambda: is_registered(shop))
        child.send_signal(signal.SIGKILL)
    shop.faults.latency_s = 0
    [run] = shop.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    return run.run_id


def left_started(shop, host=HOST, pid=None, mark=None) -> str:
    """Return the id of a run as a process that ended leaves it: started in Dagster, open in the history."""
    if pid is None:
        with subprocess.Popen([sys.executable, "-c", ""]) as ended:
            pid = ended.pid
    job = dataflow_definitions(shop.dataflow()).resolve_job_def("Shop__run")
    run = shop.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    with Warehouse(shop.database, stage_dir=shop.database.parent) as warehouse, warehouse.transaction() as connection:
        start_run(connection, run.run_id, dataflow="Shop", kind="run")
        connection.execute(
            "update warehouse._dataflow.runs set host = ?, pid = ?, process_mark = coalesce(?, process_mark)",
            [host, pid, mark],
        )
    return run.run_id


def is_registered(shop):
    """Tell whether the history knows an open run; the file is locked, or not there, while it is written."""
    with suppress(duckdb.Error):
        return shop.query("select * from _dataflow.runs where status = 'In-Progress'")


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def tick(shop, cursor=None):
    """Return what the sensor says, and its next cursor."""
    context = dg.build_sensor_context(instance=shop.instance, cursor=cursor)
    data = sweep_sensor([shop.dataflow()]).evaluate_tick(context)
    return data.skip_message, data.cursor


def slots(shop):
    """Return how many slots of the database's pool are taken."""
    return shop.instance.event_log_storage.get_concurrency_info(shop.dataflow().pool).active_slot_count


def test_a_run_that_was_killed_is_failed_its_slot_free_and_its_history_closed(shop):
    run_id = killed_run(shop)
    assert shop.instance.get_run_by_id(run_id).status is dg.DagsterRunStatus.STARTED
    assert slots(shop) == 1
    assert tick(shop)[0] == f"Closed as interrupted: {run_id}."
    run = shop.instance.get_run_by_id(run_id)
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert run.tags["why"] == DIED
    assert slots(shop) == 0
    assert shop.query("select status, description, ended is not null from _dataflow.runs") == [("Failed", DIED, True)]
    assert shop.run().success
    assert shop.keys("charges") == shop.true_keys("charges")
    assert tick(shop)[0] == "No run was interrupted."


def test_the_next_run_closes_it_in_dagster_as_well(shop):
    run_id = left_started(shop)
    assert shop.run().success
    assert shop.instance.get_run_by_id(run_id).status is dg.DagsterRunStatus.FAILURE
    assert shop.query("select status, description from _dataflow.runs order by load_id") == [
        ("Failed", DIED), ("Completed", ""),
    ]  # fmt: skip


def test_one_that_the_next_run_closed_in_our_history_alone_is_closed_in_dagster(shop):
    run_id = left_started(shop)
    with Warehouse(shop.database, stage_dir=shop.database.parent) as warehouse, warehouse.transaction() as connection:
        start_run(connection, "next", dataflow="Shop", kind="run")
    assert tick(shop)[0] == f"Closed as interrupted: {run_id}."
    assert shop.instance.get_run_by_id(run_id).status is dg.DagsterRunStatus.FAILURE


@pytest.mark.parametrize(
    ("host", "pid"),
    [pytest.param("another", None, id="on another machine"), pytest.param(HOST, os.getpid(), id="at work")],
)
def test_a_run_that_may_be_alive_is_let_be(shop, host, pid):
    run_id = left_started(shop, host, pid)
    assert tick(shop)[0] == "No run was interrupted."
    assert shop.instance.get_run_by_id(run_id).status is dg.DagsterRunStatus.STARTED
    assert shop.query("select status from _dataflow.runs") == [("In-Progress",)]


@pytest.mark.parametrize("began", ["before the machine started", "before a process that has ended"])
def test_a_process_id_that_was_given_again_does_not_keep_a_run_alive(shop, began):
    with subprocess.Popen(["sleep", "60"]) as other:
        mark = mark_of(other.pid) if began == "before a process that has ended" else "00000000x1"
        run_id = left_started(shop, HOST, os.getpid(), mark)
        other.kill()
    assert tick(shop)[0] == f"Closed as interrupted: {run_id}."


def test_a_process_that_ended_and_that_no_one_waits_for_does_not_keep_a_run_alive(shop):
    with subprocess.Popen(["sleep", "60"]) as ended:
        run_id = left_started(shop, HOST, ended.pid, mark_of(ended.pid))
        assert tick(shop)[0] == "No run was interrupted."
        ended.kill()
        wait_until(lambda: os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT))
        assert tick(shop)[0] == f"Closed as interrupted: {run_id}."


def test_a_file_that_cannot_be_opened_is_told_by_the_sensor(shop):
    left_started(shop)
    shop.database.write_text("not a database")
    said, cursor = tick(shop)
    assert "it is no DuckDB database" in (said or "")
    assert cursor is None


def test_a_run_that_dagster_saw_die_is_closed_in_our_history(shop):
    cursor = tick(shop)[1]
    assert tick(shop, cursor)[0] == "No run is unfinished, and none ended badly since the last look."
    run_id = left_started(shop)
    shop.instance.report_run_failed(shop.instance.get_run_by_id(run_id))
    assert tick(shop, cursor)[0] == f"Closed as interrupted: {run_id}."
    assert shop.query("select status, description from _dataflow.runs") == [("Failed", DIED)]


def test_the_list_of_runs_says_why_a_run_failed(shop):
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/charges"})}
    failed = shop.run()
    why = shop.instance.get_run_by_id(failed.run_id).tags["why"]
    assert why.startswith("charges: this API key may not read charges (right rak_charge_read)")
    assert len(why) <= 250
    refused = shop.operate("remove", dry_run=False, confirm="shop")
    assert shop.instance.get_run_by_id(refused.run_id).tags["why"].startswith("To remove Shop, `confirm` must be")


def test_a_pool_is_limited_from_the_first_look_on_and_a_limit_a_person_set_stays(make_shop, tmp_path):
    shop = make_shop(tables=["customers"], customers=2)
    settings = {"telemetry": {"enabled": False}, "concurrency": {"pools": {"default_limit": 1}}}
    with dg.DagsterInstance.local_temp(str(tmp_path), settings) as shop.instance:
        storage, pool = shop.instance.event_log_storage, shop.dataflow().pool
        tick(shop)
        assert [(limit.name, limit.limit) for limit in storage.get_pool_limits()] == [(pool, 1)]
        storage.set_concurrency_slots(pool, 3)
        tick(shop)
        assert [(limit.name, limit.limit) for limit in storage.get_pool_limits()] == [(pool, 3)]

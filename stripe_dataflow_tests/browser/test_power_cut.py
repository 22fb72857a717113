"""All processes killed at once, as by a power cut: Dagster alone would leave the run started and its pool taken."""

import os
import signal
from contextlib import suppress

import duckdb

from stripe_dataflow.sandbox import Account, Faults, Sandbox

KEY = "rk_test_power_cut"


def pid_of_run(database):
    """Return the process of the run at work, None before it began; the file is locked while it is written."""
    with suppress(duckdb.Error), duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute("select pid from _dataflow.runs where status = 'In-Progress'").fetchone()


def test_after_a_power_cut_the_run_is_failed_as_interrupted_and_the_next_one_starts(project, dagster_ui):
    faults, database = Faults(latency_s=120), project.folder / "warehouse.duckdb"
    with Sandbox(Account(customers=10, seed=1), faults=faults) as sandbox:
        project.add("shop", name="Shop", api_base=sandbox.url, start_date="2025-01-01", tables=["customers"])
        ui = dagster_ui(project, STRIPE_API_KEY=KEY)
        ui.launch()
        [pid] = ui.wait_for(lambda: pid_of_run(database))
        os.killpg(ui.process.pid, signal.SIGKILL)
        ui.process.wait()
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        faults.latency_s = 0
        ui = dagster_ui(project, STRIPE_API_KEY=KEY)
        ui.launch()
        second, first = ui.wait_for(lambda: len(ui.runs()) > 1 and ui.runs())
    assert (first["status"], second["status"]) == ("FAILURE", "SUCCESS")
    tags = {tag["key"]: tag["value"] for tag in first["tags"]}
    assert tags["why"].startswith("Interrupted: its process ended")
    with duckdb.connect(str(database), read_only=True) as connection:
        ends = connection.execute("select status from _dataflow.runs order by load_id").fetchall()
    assert ends == [("Failed",), ("Completed",)]

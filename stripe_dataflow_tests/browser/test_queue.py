"""Many backfills at once: the database's pool lets one run after another, and the UI shows what the others wait for."""

import os
import time
from itertools import pairwise

import duckdb
import pytest

from stripe_dataflow.sandbox import Account
from stripe_dataflow_tests.faults.matrix import Outcome

# Each run's process takes some six seconds of two cores: BACKFILLS=20 launches twenty of them.
BACKFILLS = int(os.environ.get("BACKFILLS", "6"))
MONTHS = [f"{2024 + number // 12}-{number % 12 + 1:02}-01" for number in range(24 - BACKFILLS, 24)]
BACKFILL = """mutation { launchPartitionBackfill(backfillParams: {
    assetSelection: [{path: ["Shop", "charges"]}], partitionNames: ["%s"]}) { __typename } }"""
RUNS = "{ runsOrError { ... on Runs { results { runId status startTime endTime allPools } } } }"
POOLS = "{ instance { concurrencyLimits { concurrencyKey limit } } }"
AT_WORK = {"STARTING", "STARTED"}


@pytest.fixture
def shop(project):
    """Return a project whose dataflow has one table."""
    project.add(
        "shop", name="Shop", api_base="sandbox", sandbox={"customers": 15}, start_date="2024-01-01", tables=["charges"]
    )
    return project


def launched(ui):
    """Return the runs of the backfills that the daemon has launched by now."""
    return ui.ask(RUNS)["runsOrError"]["results"]


def together(ui):
    """Return the runs, once one of them is at work while another one waits."""
    found = launched(ui)
    states = {run["status"] for run in found}
    return found if "QUEUED" in states and states & AT_WORK else None


def ended(ui):
    """Return the runs once all of them ended; at no look are two of them at work."""
    found = launched(ui)
    assert sum(run["status"] in AT_WORK for run in found) <= 1
    return found if len(found) == BACKFILLS and not {run["status"] for run in found} & {"QUEUED", *AT_WORK} else None


def month_of(charge):
    return time.strftime("%Y-%m-01", time.gmtime(charge["created"]))


def test_backfills_launched_together_run_one_after_another_and_none_is_lost(shop, dagster_ui, clicks, matrix):
    ui = dagster_ui(shop)
    ui.wait_for(lambda: ui.ask(POOLS)["instance"]["concurrencyLimits"])
    for month in MONTHS:
        answer = ui.ask(BACKFILL % month)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
    waiting = next(run for run in ui.wait_for(lambda: together(ui)) if run["status"] == "QUEUED")
    clicks.page.goto(f"{ui.url}/runs?view=runs")
    clicks.page.get_by_text("View queue criteria").last.click()
    clicks.see("Run queue criteria")
    [pool] = waiting["allPools"]
    assert pool.startswith("duckdb_warehouse_")
    clicks.see(pool)
    runs = ui.wait_for(lambda: ended(ui), seconds=30 * BACKFILLS)
    assert [run["status"] for run in runs] == ["SUCCESS"] * BACKFILLS
    spans = sorted((run["startTime"], run["endTime"]) for run in runs)
    assert [early for early, late in pairwise(spans) if early[1] > late[0]] == []
    with duckdb.connect(str(shop.folder / "warehouse.duckdb"), read_only=True) as connection:
        found = connection.execute("select id from Shop.charges where _deleted_at is null").fetchall()
        ends = connection.execute("select status from _dataflow.runs").fetchall()
    charges = Account(customers=15, seed=1).listed("charges")
    true = [(charge["id"],) for charge in charges if month_of(charge) in MONTHS]
    assert true
    lost, doubled = len(set(true) - set(found)), len(found) - len(set(found))
    matrix.append(Outcome("backfills launched together", BACKFILLS, lost, doubled, "all complete"))
    assert sorted(found) == sorted(true)
    assert ends == [("Completed",)] * BACKFILLS

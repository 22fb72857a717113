"""A run that is interrupted from outside: by a click on Terminate, by Dagster's servers that stop, by a power cut."""

import os
import signal
from contextlib import suppress

import duckdb
import pytest

from stripe_dataflow_tests.browser.conftest import WAIT_MS
from stripe_dataflow_tests.faults.shops import calm, opened
from stripe_dataflow_tests.faults.test_kills import DIED

CHOSEN = ["charges", "customers", "invoices"]
LIST = {"resources": {"Shop__session": {"config": {"mode": "list"}}}}


@pytest.fixture
def shop(project):
    """Return a small shop that was loaded once, whose dataflow is a project's."""
    with opened(project.folder, customers=15, tables=CHOSEN) as shop:
        project.add("shop", **shop.attributes)
        assert shop.failures(shop.run()) == {}
        yield shop


def rows(found, *tables):
    """Return what is held, or true, of some tables."""
    return {part: rows for part, rows in found.items() if part[0] in tables}


def seen(look):
    """Return what a look at the database finds, None while a merge holds the file."""
    with suppress(duckdb.IOException):
        return look()


def half_way(ui, shop, fault="hang"):
    """Launch a run that gets charges and customers merged and no invoices, and return its id."""
    shop.churn()
    shop.faults.rates, shop.faults.path = {fault: 1.0}, r"/v1/invoices\?"
    run_id, new = ui.launch(config=LIST), rows(shop.truth(), "charges", "customers")
    ui.wait_for(lambda: seen(lambda: rows(shop.held(), "charges", "customers")) == new)
    return run_id


def ended(ui, run_id):
    """Return a run once it has ended."""
    return ui.wait_for(lambda: next((run for run in ui.runs() if run["runId"] == run_id), None))


def settle(ui, begun, fault, outcome="the next run completes"):
    """Run without a fault, and check that nothing is lost, doubled, left over or leaked."""
    calm(begun.shop.faults)
    assert ended(ui, ui.launch())["status"] == "SUCCESS"
    begun.exact(fault, 1, outcome)


def test_a_run_terminated_by_a_click_is_canceled_and_the_next_one_completes(project, shop, dagster_ui, clicks, trial):
    ui, page, before, begun = dagster_ui(project), clicks.page, rows(shop.held(), "invoices"), trial(shop)
    page.goto(f"{ui.url}/runs/{half_way(ui, shop)}")
    clicks.click("button", "Terminate")
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click(timeout=WAIT_MS)
    run, steps = ui.next_run(0)
    assert (run["status"], steps["charges"], steps["customers"]) == ("CANCELED", "SUCCESS", "SUCCESS")
    clicks.see("Canceled")
    ui.wait_for(lambda: seen(lambda: shop.history()[0][1] != "In-Progress"))
    assert shop.history()[0] == ("run", "Canceled", "Canceled before invoices.")
    assert rows(shop.held(), "charges", "customers") == rows(shop.truth(), "charges", "customers")
    assert rows(shop.held(), "invoices") == before
    begun.holds()
    settle(ui, begun, "canceled by a click")


def test_a_run_goes_on_to_its_end_while_webserver_and_daemon_are_stopped_and_started_again(
    project, shop, dagster_ui, trial
):
    ui, begun = dagster_ui(project), trial(shop)
    # Tried again and again, so that it is under way as long as this test wants.
    shop.faults.retry_after = "3"
    run_id = half_way(ui, shop, "503")
    ui.stop()
    ui = dagster_ui(project)
    assert ui.runs() == []
    assert [status for _, status, _ in shop.history()] == ["In-Progress", "Completed"]
    calm(shop.faults)
    run, steps = ui.next_run(0)
    assert (run["runId"], run["status"]) == (run_id, "SUCCESS")
    assert steps == dict.fromkeys(CHOSEN, "SUCCESS")
    assert shop.held() == shop.truth()
    settle(ui, begun, "webserver and daemon stopped and started", "completes")
    assert len(shop.history()) == 3


def test_after_ctrl_c_in_a_terminal_the_run_is_closed_and_the_next_one_completes(project, shop, dagster_ui, trial):
    ui, begun = dagster_ui(project), trial(shop)
    shop.faults.retry_after = "3"
    run_id = half_way(ui, shop, "503")
    ui.press_ctrl_c()
    calm(shop.faults)
    ui = dagster_ui(project)
    run, steps = ui.next_run(0)
    # The interrupted step fails; where the interrupt ends but its wait, Dagster tries it again and it succeeds.
    assert (run["runId"], run["status"]) in {(run_id, "FAILURE"), (run_id, "SUCCESS")}
    assert (steps["charges"], steps["customers"]) == ("SUCCESS", "SUCCESS")
    _, status, description = shop.history()[0]
    assert (status, description) in {("Failed", "Ended before invoices."), ("Completed", "")}
    begun.holds()
    settle(ui, begun, "Ctrl-C in the terminal of `dagster dev`")


def test_after_a_power_cut_the_run_is_failed_as_interrupted_and_the_next_one_completes(
    project, shop, dagster_ui, trial
):
    ui, begun = dagster_ui(project), trial(shop)
    run_id = half_way(ui, shop)
    [(pid,)] = shop.query("select pid from _dataflow.runs where status = 'In-Progress'")
    os.killpg(ui.process.pid, signal.SIGKILL)
    ui.process.wait()
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    begun.holds(swept=False)
    # Dagster alone would leave the run started and its pool taken: the next run would wait for ever.
    ui = dagster_ui(project)
    settle(ui, begun, "all processes killed at once, as by a power cut")
    run = ended(ui, run_id)
    assert run["status"] == "FAILURE"
    assert {tag["key"]: tag["value"] for tag in run["tags"]}["why"] == DIED
    assert shop.history()[1] == ("run", "Failed", DIED)

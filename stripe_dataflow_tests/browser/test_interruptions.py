"""A run that is interrupted from outside: by a click on Terminate, or by Dagster's own servers that stop."""

from contextlib import suppress

import duckdb
import pytest

from stripe_dataflow_tests.browser.conftest import WAIT_MS
from stripe_dataflow_tests.faults.shops import calm, opened

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


def run_to_the_exact_truth(ui, shop):
    """Run without a fault, and check that nothing is lost, doubled, left over or leaked."""
    calm(shop.faults)
    known = len(ui.runs())
    ui.launch()
    assert ui.next_run(known)[0]["status"] == "SUCCESS"
    assert shop.held() == shop.truth()
    assert [shop.keys(table) for table in CHOSEN] == [shop.true_keys(table) for table in CHOSEN]
    assert shop.history()[0][:2] == ("run", "Completed")
    assert shop.staged() == []
    assert shop.leaks() == []


def test_a_run_terminated_by_a_click_is_canceled_and_the_next_one_completes(project, shop, dagster_ui, clicks):
    ui, page, before = dagster_ui(project), clicks.page, rows(shop.held(), "invoices")
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
    assert shop.staged() == []
    run_to_the_exact_truth(ui, shop)


def test_a_run_goes_on_to_its_end_while_webserver_and_daemon_are_stopped_and_started_again(project, shop, dagster_ui):
    ui = dagster_ui(project)
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
    run_to_the_exact_truth(ui, shop)
    assert len(shop.history()) == 3


def test_after_ctrl_c_in_a_terminal_the_run_is_closed_and_the_next_one_completes(project, shop, dagster_ui):
    ui, before = dagster_ui(project), shop.held()
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
    assert rows(shop.held(), "invoices") in (rows(before, "invoices"), rows(shop.truth(), "invoices"))
    assert shop.staged() == []
    run_to_the_exact_truth(ui, shop)

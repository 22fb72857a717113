"""Dagster's own UI, in a real browser: see the dataflow, materialise it, read what it did."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from stripe_dataflow.sandbox import Account

WAIT_MS = 60_000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(url, query):
    """Return the data of a GraphQL query."""
    request = urllib.request.Request(
        f"{url}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())["data"]


def wait_for(condition, seconds=120):
    """Return the condition's first true value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = condition()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.5)
    raise TimeoutError(f"waited {seconds} s in vain")


@pytest.fixture
def ui(project):
    """Return the URL of `dagster dev` on a project with one small dataflow."""
    project.add(
        "shop", name="Shop", display_name="My shop", api_base="sandbox", sandbox={"customers": 15},
        start_date="2025-01-01", tables=["customers", "charges", "products"],
    )  # fmt: skip
    port = free_port()
    command = [str(Path(sys.executable).with_name("dagster")), "dev", "-w", "workspace.yaml", "-p", str(port)]
    with (project.folder / "dev.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=project.folder, env=project.environment(), stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: urllib.request.urlopen(f"{url}/server_info", timeout=5).status == 200)
        yield url
        server.send_signal(signal.SIGINT)
        server.wait(60)


@pytest.fixture
def page():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"],
        )
        yield browser.new_page(viewport={"width": 1500, "height": 900})
        browser.close()


def launch_all_partitions(page):
    """In the dialog, choose every partition, those before the last 90 days included, and launch."""
    page.get_by_text("Show all partitions").click(timeout=WAIT_MS)
    page.get_by_text("All", exact=True).first.click(timeout=WAIT_MS)
    page.get_by_role("button", name="Launch").last.click(timeout=WAIT_MS)


def test_a_backfill_is_launched_by_clicks_and_the_assets_page_tells_what_landed(ui, page: Page, project):
    page.goto(f"{ui}/locations/stripe_dataflow/asset-groups/Shop/lineage")
    expect(page.get_by_text("charges", exact=True).first).to_be_visible(timeout=WAIT_MS)
    page.goto(f"{ui}/assets/Shop/charges")
    page.get_by_role("button", name="Materialize").first.click()
    launch_all_partitions(page)
    runs = "{ runsOrError { ... on Runs { results { status } } } }"
    done = wait_for(
        lambda: [r["status"] for r in ask(ui, runs)["runsOrError"]["results"] if r["status"] in {"SUCCESS", "FAILURE"}]
    )
    assert done == ["SUCCESS"]
    rows = len(Account(customers=15, seed=1).listed("charges"))
    page.goto(f"{ui}/assets/Shop/charges")
    expect(page.get_by_text(f"{rows:,}", exact=True).first).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text("Attempts to move money from a payment method").first).to_be_visible(timeout=WAIT_MS)
    with duckdb.connect(str(project.folder / "warehouse.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*) from Shop.charges").fetchone() == (rows,)


def test_the_run_job_is_launched_from_its_launchpad_and_every_table_has_its_bar(ui, page: Page):
    page.goto(f"{ui}/locations/stripe_dataflow/jobs/Shop__run")
    page.get_by_role("button", name="Materialize all").first.click(timeout=WAIT_MS)
    launch_all_partitions(page)
    runs = "{ runsOrError { ... on Runs { results { status runId stepStats { stepKey status } } } } }"

    def finished():
        return [r for r in ask(ui, runs)["runsOrError"]["results"] if r["status"] in {"SUCCESS", "FAILURE"}]

    [run] = wait_for(finished)
    assert run["status"] == "SUCCESS"
    assert {s["stepKey"] for s in run["stepStats"]} == {"Shop__customers", "Shop__charges", "Shop__products"}
    page.goto(f"{ui}/runs/{run['runId']}")
    for table in ("customers", "charges", "products"):
        expect(page.get_by_text(f"Shop__{table}").first).to_be_visible(timeout=WAIT_MS)

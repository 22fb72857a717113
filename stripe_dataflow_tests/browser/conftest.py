"""What the browser tests share: `dagster dev` on a project, a page in Chromium, and what both are asked."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

WAIT_MS = 60_000
RUNS = "{ runsOrError { ... on Runs { results { status runId jobName tags { key value } stepStats { stepKey status }"
RUNS += " } } } }"

LAUNCH = """mutation { launchPipelineExecution(executionParams: {runConfigData: %s, mode: "default", selector: {
    repositoryLocationName: "stripe_dataflow", repositoryName: "__repository__", pipelineName: "%s"}})
    { __typename ... on LaunchRunSuccess { run { runId } } } }"""


class DagsterUI:
    """Dagster's webserver and daemon on a project, in processes of their own."""

    def __init__(self, project, environment):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [str(Path(sys.executable).with_name("dagster")), "dev", "-w", "workspace.yaml", "-p", str(port)]
        self.url = f"http://127.0.0.1:{port}"
        with (project.folder / "dev.log").open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=project.folder, env=project.environment(**environment), stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.wait_for(lambda: urllib.request.urlopen(f"{self.url}/server_info", timeout=5).status == 200)

    def stop(self):
        """Stop webserver and daemon; a run under way is left alone."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def press_ctrl_c(self):
        """Do what a terminal does at Ctrl-C: interrupt all processes, of runs too."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(60)

    def ask(self, query):
        """Return the data of a GraphQL query."""
        request = urllib.request.Request(
            f"{self.url}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())["data"]

    def launch(self, job="Shop__run", config=None):
        """Launch a job, as a button of the UI does, and return the run's id."""
        answer = self.ask(LAUNCH % (json.dumps(json.dumps(config or {})), job))["launchPipelineExecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def runs(self):
        """Return the runs that ended, newest first."""
        found = self.ask(RUNS)["runsOrError"]["results"]
        return [run for run in found if run["status"] in {"SUCCESS", "FAILURE", "CANCELED"}]

    def next_run(self, known):
        """Return the run that ends after `known` runs did: its status, and step -> status."""
        [run, *_] = self.wait_for(lambda: len(self.runs()) > known and self.runs())
        return run, {step["stepKey"].removeprefix("Shop__"): step["status"] for step in run["stepStats"]}

    def wait_for_backfills(self):
        """Wait until the daemon has seen that every backfill's runs ended."""
        query = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { status } } } }"
        self.wait_for(
            lambda: all(
                backfill["status"].startswith(("COMPLETED", "FAILED"))
                for backfill in self.ask(query)["partitionBackfillsOrError"]["results"]
            )
        )

    def wait_for(self, condition, seconds=120):
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
def dagster_ui():
    """Return a maker of `dagster dev` on a project; all are stopped at the end."""
    started = []

    def start(project, **environment):
        started.append(DagsterUI(project, environment))
        return started[-1]

    yield start
    for ui in started:
        if ui.process.poll() is None:
            ui.stop()


class Clicks:
    """What a person does in Dagster's UI, on one page of a browser."""

    def __init__(self, page):
        self.page = page

    def click(self, role, name, *, last=False):
        found = self.page.get_by_role(role, name=name)
        (found.last if last else found.first).click(timeout=WAIT_MS)

    def see(self, text):
        """Wait until a text is on the page."""
        self.page.get_by_text(text).first.wait_for(timeout=WAIT_MS)

    def launch_partitions(self, partitions="All"):
        """In the dialog, choose all partitions, those before the last 90 days included, or some; and launch."""
        self.page.get_by_text("Show all partitions").click(timeout=WAIT_MS)
        if partitions == "All":
            self.page.get_by_text("All", exact=True).first.click(timeout=WAIT_MS)
        else:
            box = self.page.get_by_placeholder("ex: ")
            box.fill(partitions)
            box.press("Enter")
        self.click("button", "Launch", last=True)

    def fill_launchpad(self, url, job, config):
        """Open a job's launchpad and type a configuration in the place of the one it proposes."""
        self.page.goto(f"{url}/locations/stripe_dataflow/jobs/{job}/playground")
        editor = self.page.locator(".CodeMirror, .cm-editor").first
        editor.wait_for(timeout=WAIT_MS)
        self.see("dry_run")
        editor.click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(config)
        self.see("No errors")
        expect(self.page.get_by_role("button", name="Launch Run")).to_be_enabled(timeout=WAIT_MS)

    def open_reexecution_menu(self):
        """On a run's page, open the menu beside the button that executes it again."""
        button = self.page.get_by_role("button", name="Re-execute")
        button.wait_for(timeout=WAIT_MS)
        button.locator("xpath=following::button[1]").click()


@contextmanager
def chromium():
    """Yield Debian's Chromium, which fetches nothing by itself."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"],
        )
        yield browser
        browser.close()


@pytest.fixture
def clicks():
    """Return a person at a browser."""
    with chromium() as browser:
        yield Clicks(browser.new_page(viewport={"width": 1300, "height": 720}))

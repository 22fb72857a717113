"""The journey of docs/walkthrough.md, made by clicks and commands; it also writes the page's outputs and pictures.

With STRIPE_DATAFLOW_WRITE_WALKTHROUGH set, what the commands print and the pictures are written into docs/.
Without it, the page's commands, YAML and pictures must be those of the journey.
"""

import os
import re
from pathlib import Path

import pytest

from stripe_dataflow.sandbox import Account, Faults, Sandbox
from stripe_dataflow_tests.conftest import noon

PAGE = Path(__file__).parents[2] / "docs" / "walkthrough.md"
WRITE = "STRIPE_DATAFLOW_WRITE_WALKTHROUGH" in os.environ
KEY = "rk_test_walkthrough"
DAY = 86_400
_PART = re.compile(r"(```\w+\n.*?```|!\[[^\]]*\]\([^)]*\))", flags=re.DOTALL)


class Walkthrough:
    """The page, block by block; every block must be used, in its order."""

    def __init__(self, project):
        self.project = project
        self.parts = _PART.split(PAGE.read_text(encoding="utf-8"))
        self._at = 1

    def _next(self, start):
        part = self.parts[self._at]
        assert part.startswith(start), f"the journey is at {start!r}, the page at {part[:60]!r}"
        self._at += 2
        return self._at - 2, part

    def yaml(self):
        """Return the next YAML block."""
        return self._next("```yaml\n")[1].removeprefix("```yaml\n").removesuffix("```")

    def told(self, line):
        """Check a console block whose command the test stands in for."""
        assert self._next("```console\n")[1].splitlines()[1] == f"$ {line}"

    def command(self, line, *, code=0):
        """Run the next block's command, keep what it prints for the page, and return it."""
        at, part = self._next("```console\n")
        assert part.splitlines()[1] == f"$ .venv/bin/{line}"
        line, errors_too = line.removesuffix(" 2> run.log"), not line.endswith(" 2> run.log")
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', line)]
        done = self.project.run(*words, STRIPE_API_KEY=KEY)
        assert done.returncode == code, done.stdout + done.stderr
        printed = "\n".join(text.rstrip() for text in (done.stdout + done.stderr * errors_too).splitlines())
        printed = printed.replace(f"{self.project.folder}/", "")
        self.parts[at] = "\n".join([*part.splitlines()[:2], *([printed] if printed else []), "```"])
        return printed

    def picture(self, page, name, *, height=720):
        """Take the next picture: the page below the menu on the left, `height` pixels of it."""
        _, part = self._next("![")
        assert part.endswith(f"](walkthrough/{name}.png)")
        if WRITE:
            path = PAGE.parent / "walkthrough" / f"{name}.png"
            path.parent.mkdir(exist_ok=True)
            page.screenshot(path=path, clip={"x": 240, "y": 0, "width": 1060, "height": height})

    def end(self):
        """Check that nothing of the page is left, and write it."""
        assert self._at > len(self.parts) - 1, f"the page goes on with {self.parts[self._at][:60]!r}"
        if WRITE:
            PAGE.write_text("".join(self.parts), encoding="utf-8")


@pytest.fixture
def stripe():
    """Return a simulated Stripe that lags behind the clock, with a key that may not read Issuing."""
    account, faults = Account(customers=40, seed=1, now=noon(9)), Faults()
    faults.keys = {KEY: frozenset({"/v1/issuing"})}
    with Sandbox(account, faults=faults) as sandbox:
        yield sandbox


def write_yaml(project, text, url):
    """Write the page's YAML, with the simulated Stripe's address for the real one."""
    path = project.folder / "stripe_dataflow" / "defs" / "shop" / "defs.yaml"
    path.write_text(text.replace("  name: Shop\n", f"  name: Shop\n  api_base: {url}\n"), encoding="utf-8")


def test_the_walkthrough_is_what_happens(project, stripe, dagster_ui, clicks):
    guide = Walkthrough(project)
    new_and_connect(guide, stripe)
    guide.told("make dev")
    ui = dagster_ui(project, STRIPE_API_KEY=KEY)
    run_all(guide, ui, clicks)
    change(guide, stripe)
    ui.stop()
    guide.told("make dev")
    ui = dagster_ui(project, STRIPE_API_KEY=KEY)
    fail(guide, ui, clicks)
    fix_and_run_again(guide, ui, clicks, stripe)
    roll_back(guide, ui, clicks, stripe)
    remove(guide, ui, clicks)
    guide.end()


def new_and_connect(guide, stripe):
    guide.command(
        'stripe-dataflow new --name Shop --display-name "My shop" --description "" --api-key-env STRIPE_API_KEY'
    )
    write_yaml(guide.project, guide.yaml(), stripe.url)
    guide.told("export STRIPE_API_KEY=rk_test_...")
    printed = guide.command("stripe-dataflow connect Shop")
    assert printed.count("readable") == 3


def run_all(guide, ui, clicks):
    clicks.page.goto(f"{ui.url}/locations/stripe_dataflow/jobs/Shop__run")
    clicks.click("button", "Materialize all")
    clicks.launch_partitions()
    run, steps = ui.next_run(0)
    assert run["status"] == "SUCCESS"
    assert steps == dict.fromkeys(["customers", "charges", "invoices", "checks"], "SUCCESS")
    clicks.page.goto(f"{ui.url}/assets/Shop/charges")
    clicks.see("Attempts to move money")
    clicks.see("Row count")
    guide.picture(clicks.page, "asset", height=420)
    assert "not yet" not in guide.command("stripe-dataflow tables Shop")


def change(guide, stripe):
    write_yaml(guide.project, guide.yaml(), stripe.url)
    assert "issuing_cards" in guide.command("stripe-dataflow plan Shop")


def fail(guide, ui, clicks):
    clicks.page.goto(f"{ui.url}/locations/stripe_dataflow/jobs/Shop__run")
    clicks.click("button", "Materialize all")
    clicks.launch_partitions()
    run, steps = ui.next_run(1)
    assert steps == {"customers": "SUCCESS", "charges": "SUCCESS", "invoices": "SUCCESS", "issuing_cards": "FAILURE"}
    ui.wait_for_backfills()
    clicks.page.goto(f"{ui.url}/runs?view=runs")
    clicks.see("why: issuing_cards: this API key")
    guide.picture(clicks.page, "runs", height=420)
    clicks.page.goto(f"{ui.url}/runs/{run['runId']}")
    clicks.see("this API key may not read issuing cards (right rak_issuing_card_read)")
    clicks.see("The table keeps the rows it had.")
    guide.picture(clicks.page, "failed-run", height=490)
    assert "rak_issuing_card_read" in guide.command("stripe-dataflow history Shop --failed")


def fix_and_run_again(guide, ui, clicks, stripe):
    stripe.faults.keys = {KEY: frozenset()}
    clicks.open_reexecution_menu()
    guide.picture(clicks.page, "from-failure", height=340)
    clicks.click("menuitem", "From failure")
    clicks.click("button", "Confirm")
    run, steps = ui.next_run(2)
    assert (run["status"], steps) == ("SUCCESS", {"issuing_cards": "SUCCESS", "checks": "SUCCESS"})
    assert guide.command("stripe-dataflow history Shop").count("Completed") == 2


def roll_back(guide, ui, clicks, stripe):
    stripe.account.advance(stripe.account.now + 3 * DAY)
    gone = stripe.account.listed("customers")[0]["id"]
    stripe.account.delete("customers", gone)
    guide.command("dagster job execute -m stripe_dataflow.definitions -j Shop__run 2> run.log")
    before = guide.command("stripe-dataflow versions Shop")
    clicks.fill_launchpad(ui.url, "Shop__rollback", "ops: {rollback: {config: {to: previous, reason: a bad import}}}")
    guide.picture(clicks.page, "rollback")
    known = len(ui.runs())
    clicks.click("button", "Launch Run")
    run, _ = ui.next_run(known)
    assert run["status"] == "SUCCESS"
    assert before.count("rollback to 3") == 0
    assert guide.command("stripe-dataflow versions Shop").count("rollback to 3") == 1


def remove(guide, ui, clicks):
    known = len(ui.runs())
    clicks.fill_launchpad(ui.url, "Shop__remove", "ops: {remove: {config: {confirm: shop, dry_run: false}}}")
    clicks.click("button", "Launch Run")
    run, _ = ui.next_run(known)
    assert run["status"] == "FAILURE"
    assert "`confirm` must be exactly 'Shop'. Nothing was changed." in str(run["tags"])
    clicks.fill_launchpad(ui.url, "Shop__remove", "ops: {remove: {config: {confirm: Shop, dry_run: false}}}")
    guide.picture(clicks.page, "remove")
    clicks.click("button", "Launch Run")
    run, _ = ui.next_run(known + 1)
    assert run["status"] == "SUCCESS"
    assert guide.command("stripe-dataflow tables Shop").count("not yet") == 4
    guide.command("stripe-dataflow history Shop")

"""A backfill that failed or was killed, executed again: it asks only for what its earlier attempt had not committed."""

import json
import math
import os
import re
import signal
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pytest

from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.jobs import dataflow_definitions
from stripe_dataflow.orchestration.partitions import RANGE_TAGS, partitions_of
from stripe_dataflow.sandbox import Faults
from stripe_dataflow.stripe_api import Window, union
from stripe_dataflow_tests.faults.child import QUIET, Job, Moment, instance_of, start
from stripe_dataflow_tests.faults.shops import HASTY, KEY, KEY_ENV, calm, opened
from stripe_dataflow_tests.integration.test_loading import content, true_content

ATTRIBUTES = "RESUMED_ATTRIBUTES"
PAGE, HOUR = 100, 3600
COMMITTED = Moment("stripe_dataflow.warehouse.warehouse:_drop_merged", "call")


@dataclass
class LaterFaults(Faults):
    """Faults that begin once so many requests of their kind were answered."""

    sound: int = 0

    def draw(self, path_with_query):
        """Return what goes wrong with this request, if anything does."""
        if self.path in path_with_query and self.sound > 0:
            self.sound -= 1
            return None
        return Faults.draw(self, path_with_query)


def _job():
    dataflow = Dataflow(Attributes(**json.loads(os.environ[ATTRIBUTES])), HASTY)
    return dataflow_definitions(dataflow).resolve_job_def("Shop__run")


def failed_job():
    """Return the job of one test's dataflow; Dagster keeps what a function returns, so each test has its own."""
    return _job()


def killed_job():
    """Return the job of the other test's dataflow."""
    return _job()


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Return a shop with some pages of charges, of which three a second are read: so they are merged bit by bit."""
    slowly = {"tables": ["charges"], "partitions": "weekly", "requests_per_second_per_endpoint": 3}
    folder = tmp_path / "shop"
    folder.mkdir()
    with opened(folder, customers=300, faults=LaterFaults(), **slowly) as made:
        monkeypatch.setenv(ATTRIBUTES, json.dumps(made.attributes))
        yield made


def everything(shop):
    """Return the tags of a run of all partitions."""
    keys = partitions_of(shop.dataflow().attributes).get_partition_keys()
    return {RANGE_TAGS[0]: keys[0], RANGE_TAGS[1]: keys[-1]}


def committed(shop):
    """Return the partitions of charges that are committed, without the newest one, which goes on meanwhile."""
    spans = shop.query("select distinct partition_gte, partition_lt from _dataflow.partitions")
    found = {Window(*span) for span in spans}
    return [window for window in found if window.gte < max(w.gte for w in found)]


def listed(shop, since):
    """Return the spans of `created` of each page of charges asked for after some number of requests."""
    urls = [urlsplit(path) for _, path, _ in list(shop.sandbox.requests)[since:]]
    queries = [parse_qs(url.query) for url in urls if url.path == "/v1/charges"]
    return [Window(int(query["created[gte]"][0]), int(query["created[lt]"][0])) for query in queries]


def executed_again(shop, job, home, run_id):
    """Return the spans listed by a re-execution from failure, as Dagster's UI launches it."""
    calm(shop.faults)
    asked = len(shop.sandbox.requests)
    with instance_of(home) as instance:
        options = dg.ReexecutionOptions.from_failure(run_id, instance)
        again = dg.execute_job(
            dg.reconstructable(job), instance, run_config=QUIET, tags=everything(shop), reexecution_options=options
        )
    assert again.success
    return listed(shop, asked)


def only_the_rest(shop, done, spans):
    """Check that no page of a committed partition was asked for, and no more pages than the others have."""
    assert [(a, b) for a in spans for b in done if a.gte < b.lt and b.gte < a.lt] == []
    times = [charge["created"] for charge in shop.account.listed("charges")]
    rest = [time for time in times if not any(time in window for window in done)]
    assert 0 < len(rest) < len(times)
    most = math.ceil(len(rest) / PAGE) + 2 * len(union(spans))  # a page that is not full at the end of each span
    assert len(spans) <= most < math.ceil(len(times) / PAGE)


def changed_meanwhile(shop, done):
    """Change a charge that is committed already, an hour before the newest event, as it goes at Stripe."""
    account = shop.account
    account.advance(account.now + HOUR)
    charge = next(c for c in account.listed("charges") if any(c["created"] in window for window in done))
    account.update("charges", charge["id"], metadata={"changed": "between the attempts"})
    account.advance(account.now + HOUR)
    account.create("charges")


def current_after_the_next_run(shop):
    """Tell whether a run that reads the changes since the re-execution makes the table exact."""
    assert shop.failures(shop.run()) == {}
    assert shop.query("select mode from _dataflow.loads order by load_id desc limit 1") == [("changes",)]
    return content(shop, "charges") == true_content(shop, "charges")


def test_a_backfill_that_failed_goes_on_after_the_partitions_it_had_committed(shop, tmp_path):
    shop.faults.rates, shop.faults.path, shop.faults.sound = {"500": 1.0}, "/v1/charges", 12
    with instance_of(tmp_path) as instance:
        failed = dg.execute_job(dg.reconstructable(failed_job), instance, run_config=QUIET, tags=everything(shop))
    assert not failed.success
    done = committed(shop)
    told = re.compile(r"\d+ partitions were merged before and stay; a re-execution goes on\.$")
    assert [bool(told.search(text)) for text in shop.failures(failed).values()] == [True]
    changed_meanwhile(shop, done)
    only_the_rest(shop, done, executed_again(shop, failed_job, tmp_path, failed.run_id))
    assert current_after_the_next_run(shop)


def test_a_backfill_that_was_killed_goes_on_after_the_partitions_it_had_committed(shop, tmp_path):
    job = Job(shop.attributes, HASTY, {KEY_ENV: KEY}, tags=everything(shop), home=tmp_path)
    process = start(job, tmp_path / "output", moment=COMMITTED)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, (tmp_path / "output").read_text(encoding="utf-8")
    with instance_of(tmp_path) as instance:  # as Dagster's daemon, or a person in the UI, ends such a run
        [killed] = instance.get_runs()
        instance.report_run_failed(killed)
    done = committed(shop)
    changed_meanwhile(shop, done)
    only_the_rest(shop, done, executed_again(shop, killed_job, tmp_path, killed.run_id))
    assert current_after_the_next_run(shop)

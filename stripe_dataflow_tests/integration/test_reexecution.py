"""A run that is executed again: from its failure with the failed steps alone, or as a whole."""

import json
import os
import re
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.jobs import dataflow_definitions
from stripe_dataflow.orchestration.partitions import RANGE_TAGS, partitions_of
from stripe_dataflow_tests.conftest import QUIET

ATTRIBUTES = "REEXECUTED_ATTRIBUTES"
START = datetime.now(UTC).date() - timedelta(days=80)


def the_job():
    """Return the job of the dataflow that the test describes; Dagster keeps it, so that one test alone can use it."""
    return _job()


def charges_job():
    """Return the job of another test's dataflow."""
    return _job()


def hashing_job():
    """Return the job of a third test's dataflow."""
    return _job()


def other_hashing_job():
    """Return the same job once the dataflow is another."""
    return _job()


def _dataflow():
    return Dataflow(Attributes(**json.loads(os.environ[ATTRIBUTES])))


def _job():
    return dataflow_definitions(_dataflow()).resolve_job_def("Shop__run")


def everything():
    """Return the tags of a run of all partitions."""
    keys = partitions_of(_dataflow().attributes).get_partition_keys()
    return {RANGE_TAGS[0]: keys[0], RANGE_TAGS[1]: keys[-1]}


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path), {"telemetry": {"enabled": False}}) as made:
        yield made


@pytest.fixture
def described(make_shop, monkeypatch):
    """Return a maker of shops whose attributes the jobs of this module read."""

    def make(**attributes):
        shop = make_shop(customers=10, start_date=START.isoformat(), **attributes)
        monkeypatch.setenv(ATTRIBUTES, json.dumps(shop.attributes))
        return shop

    return make


def execute(job, instance, *, again=None):
    """Return the result of a run of all partitions; `again` is the run that it is all steps of once more."""
    options = dg.ReexecutionOptions(parent_run_id=again.run_id) if again else None
    return dg.execute_job(
        dg.reconstructable(job), instance, run_config=QUIET, tags=everything(), reexecution_options=options
    )


def earliest_listed(shop, since):
    """Return the earliest creation time of which charges were asked for after some number of requests."""
    paths = [path for _, path, _ in list(shop.sandbox.requests)[since:] if path.startswith("/v1/charges?")]
    return min(int(found) for path in paths for found in re.findall(r"created(?:\[|%5B)gte(?:\]|%5D)=(\d+)", path))


def test_only_the_failed_table_is_asked_for_and_the_history_calls_it_completed(described, instance):
    shop = described(tables=["customers", "charges", "issuing_cards"])
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/issuing"})}
    failed = execute(the_job, instance)
    shop.faults.keys = None
    asked = len(shop.sandbox.requests)
    options = dg.ReexecutionOptions.from_failure(failed.run_id, instance)
    again = dg.execute_job(
        dg.reconstructable(the_job), instance, run_config=QUIET, tags=everything(), reexecution_options=options
    )
    assert (failed.success, again.success) == (False, True)
    paths = {path.partition("?")[0] for _, path, _ in list(shop.sandbox.requests)[asked:]}
    assert paths - {"/v1/events", "/v1/account"} == {"/v1/issuing/cards"}
    assert shop.query("select status, description <> '' from _dataflow.runs order by load_id") == [
        ("Failed", True), ("Completed", False),
    ]  # fmt: skip
    assert shop.keys("issuing_cards") == shop.true_keys("issuing_cards")
    asked = len(shop.sandbox.requests)  # now that an attempt completed, there is nothing left to go on with
    assert execute(the_job, instance, again=failed).success
    assert earliest_listed(shop, asked) == shop.start


def test_a_run_that_completed_is_read_again_as_a_whole_when_it_is_executed_again(described, instance):
    shop = described(tables=["charges"])
    first = execute(charges_job, instance)
    oldest = min(shop.true_keys("charges"), key=lambda key: shop.account.state.get("charges", key[0])["created"])[0]
    for text in ("one", "two"):
        shop.account.state.change("charges", oldest, description=text)  # Stripe makes no event of it
        assert execute(charges_job, instance, again=first).success
        assert shop.query(f"select description from charges where id = '{oldest}'") == [(text,)]


def test_partitions_that_landed_in_another_way_are_read_again(described, instance, monkeypatch):
    shop = described(tables=["charges", "issuing_cards"])
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/issuing"})}
    first = execute(hashing_job, instance)
    asked = len(shop.sandbox.requests)
    assert not execute(hashing_job, instance, again=first).success
    assert earliest_listed(shop, asked) > shop.start  # what was committed is not read again
    shop.faults.keys = None
    shop.attributes["tables"] = [{"table": "charges", "hash": ["customer"]}, "issuing_cards"]
    monkeypatch.setenv(ATTRIBUTES, json.dumps(shop.attributes))
    monkeypatch.setenv("STRIPE_DATAFLOW_HASH_KEY", "key")
    assert execute(other_hashing_job, instance, again=first).success
    assert shop.query("select count(*) from charges where customer not similar to '[0-9a-f]{64}'") == [(0,)]
    assert shop.query("select count(*) > 0, count(distinct customer) > 1 from charges") == [(True, True)]
    assert shop.failures(shop.run()) == {}
    assert shop.query(
        "select mode from _dataflow.loads where table_name = 'charges' order by load_id desc limit 1"
    ) == [("changes",)]

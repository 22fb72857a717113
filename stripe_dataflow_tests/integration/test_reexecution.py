"""A run that is executed again from its failure, as Dagster's UI does it: with the failed steps alone."""

import json
import os

import dagster as dg

from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.jobs import dataflow_definitions
from stripe_dataflow.orchestration.partitions import RANGE_TAGS

ATTRIBUTES = "REEXECUTED_ATTRIBUTES"


def the_job():
    """Return the job of the dataflow that the test describes; Dagster keeps it, so that one test alone can use it."""
    dataflow = Dataflow(Attributes(**json.loads(os.environ[ATTRIBUTES])))
    return dataflow_definitions(dataflow).resolve_job_def("Shop__run")


def test_only_the_failed_table_is_asked_for_and_the_history_calls_it_completed(make_shop, tmp_path, monkeypatch):
    shop = make_shop(tables=["customers", "charges", "issuing_cards"], customers=10)
    monkeypatch.setenv(ATTRIBUTES, json.dumps(shop.attributes))
    tags = {RANGE_TAGS[0]: "2025-01-01", RANGE_TAGS[1]: "2026-11-01"}
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/issuing"})}
    with dg.DagsterInstance.local_temp(str(tmp_path), {"telemetry": {"enabled": False}}) as instance:
        failed = dg.execute_job(dg.reconstructable(the_job), instance, tags=tags)
        shop.faults.keys = None
        asked = len(shop.sandbox.requests)
        options = dg.ReexecutionOptions.from_failure(failed.run_id, instance)
        again = dg.execute_job(dg.reconstructable(the_job), instance, tags=tags, reexecution_options=options)
    assert (failed.success, again.success) == (False, True)
    paths = {path.partition("?")[0] for _, path, _ in list(shop.sandbox.requests)[asked:]}
    assert paths - {"/v1/events", "/v1/account"} == {"/v1/issuing/cards"}
    assert shop.query("select status, description <> '' from _dataflow.runs order by load_id") == [
        ("Failed", True), ("Completed", False),
    ]  # fmt: skip
    assert shop.keys("issuing_cards") == shop.true_keys("issuing_cards")

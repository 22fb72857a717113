"""Rollbacks through the job: every table of an account, a new column, a kill in the midst of one."""

import json
import random
import signal
import subprocess
import sys

import dagster as dg
import pytest

DAY = 86_400

GOES_BACK_AND_FORTH = """
import json, sys
import dagster as dg
from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.jobs import dataflow_definitions

dataflow = Dataflow(Attributes(**json.loads(sys.argv[1])))
job = dataflow_definitions(dataflow).resolve_job_def("Shop__rollback")
quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
with dg.DagsterInstance.ephemeral() as instance:
    print("begun", flush=True)
    while True:
        for to in (1, 2):
            job.execute_in_process(instance=instance, run_config={**quiet, "ops": {"rollback": {"config": {"to": to}}}})
"""


def churn(shop):
    """Change the account: a day passes, customers come, change and go."""
    shop.account.advance(shop.account.now + DAY)
    first, second = (c["id"] for c in shop.account.listed("customers")[:2])
    shop.account.update("customers", first, email=f"{shop.account.now}@example.com")
    shop.account.delete("customers", second)
    shop.account.create("customers", email="new@example.com")


def data(shop):
    """Return table -> its rows without which load wrote them and when: what loading the same again gives."""
    ours = "exclude (_load_id, _loaded_at, _deleted_at), _deleted_at is null as live"
    with shop.reading():
        return {name: sorted(map(repr, shop.query(f'select * {ours} from "{name}"'))) for name in shop.rows()}


def test_every_table_of_an_account_is_as_it_was_and_then_as_it_is(make_shop):
    shop = make_shop(tables="all", customers=15, days_ago=9)
    assert shop.failures(shop.run()) == {}
    before = shop.rows()
    churn(shop)
    assert shop.failures(shop.run()) == {}
    after, contents = shop.rows(), data(shop)
    assert sum(before[name] != after[name] for name in before) > 20
    assert shop.operate("rollback").success
    assert shop.rows() == before
    assert shop.failures(shop.run()) == {}
    again = data(shop)
    assert [name for name in contents if contents[name] != again[name]] == []
    assert {name: columns for name, (columns, _) in shop.rows().items()} == {
        name: columns for name, (columns, _) in after.items()
    }


def test_a_column_that_a_later_load_brought_goes_and_comes_again(make_shop):
    shop = make_shop(tables=[{"table": "customers", "exclude": ["phone"]}], customers=10, days_ago=9)
    assert shop.failures(shop.run()) == {}
    before = shop.rows()
    churn(shop)
    shop.attributes["tables"] = ["customers"]
    assert shop.failures(shop.run_all_partitions()) == {}
    after = shop.rows()
    columns = [name for name, *_ in after["customers"][0]]
    assert "phone" in columns
    assert "phone" not in [name for name, *_ in before["customers"][0]]
    assert shop.operate("rollback").success
    assert shop.rows() == before
    assert shop.failures(shop.run_all_partitions()) == {}
    assert [name for name, *_ in shop.rows()["customers"][0]] == columns
    phones = {c["id"]: c["phone"] for c in shop.account.listed("customers")}
    assert dict(shop.query("select id, phone from customers where _deleted_at is null")) == phones
    shop.attributes["tables"] = [{"table": "customers", "exclude": ["phone"]}]
    assert shop.failures(shop.run()) == {}
    assert "phone" not in [name for name, *_ in shop.rows()["customers"][0]]
    assert shop.operate("rollback").success
    assert dict(shop.query("select id, phone from customers where _deleted_at is null")) == phones


def test_a_failed_run_is_no_step_of_a_rollback(make_shop):
    shop = make_shop(tables=["customers", "charges"], customers=10, days_ago=9)
    assert shop.failures(shop.run()) == {}
    before = shop.rows()
    churn(shop)
    assert shop.failures(shop.run()) == {}
    churn(shop)
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/charges"})}
    assert not shop.run_all_partitions().success
    shop.faults.keys = None
    assert shop.operate("rollback").success
    assert shop.rows() == before


def test_previous_leads_on_back_though_a_table_lands_no_rows_and_another_left_the_dataflow(make_shop):
    described = {"table": "charges", "purpose": "privacy_metadata"}
    shop = make_shop(tables=["customers", "products", described], customers=10, days_ago=9)
    customers = []
    for tables in (["customers", "products", described],) * 2 + (["customers", described],) * 2:
        shop.attributes["tables"] = tables
        assert shop.failures(shop.run()) == {}
        customers.append(shop.rows()["customers"])
        churn(shop)
    for before in reversed(customers[:-1]):
        assert shop.operate("rollback").success
        assert shop.rows()["customers"] == before
    assert not shop.operate("rollback").success


def test_a_kill_in_the_midst_leaves_one_state_or_the_other_and_the_run_is_closed_as_interrupted(make_shop):
    shop = make_shop(tables=["customers", "charges", "products", "invoices", "events"], customers=60, days_ago=9)
    assert shop.failures(shop.run()) == {}
    one = shop.rows()
    churn(shop)
    assert shop.failures(shop.run()) == {}
    two, lot = shop.rows(), random.Random(5)
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", GOES_BACK_AND_FORTH, json.dumps(shop.attributes)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        with child.stdout:
            child.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(0.5 + lot.random() * 1.5)
            child.send_signal(signal.SIGKILL)
            child.wait()
        assert shop.rows() in (one, two)
    assert shop.operate("rollback", to=1).success
    assert shop.rows() == one
    assert shop.failures(shop.run()) == {}
    assert shop.keys("customers") == shop.true_keys("customers")
    ends = dict(shop.query("select status, any_value(description) from _dataflow.runs group by all"))
    assert ends.keys() <= {"Completed", "Failed"}
    assert ends.get("Failed", "Interrupted").startswith("Interrupted")


def test_the_materialization_of_a_partitioned_table_tells_its_rows_and_the_difference(make_shop):
    shop = make_shop(tables=["charges", "products"], customers=10, days_ago=9)
    assert shop.failures(shop.run()) == {}
    rows = len(shop.keys("charges"))
    churn(shop)
    assert shop.failures(shop.run()) == {}
    more = len(shop.keys("charges")) - rows
    assert more > 0
    assert shop.operate("rollback", reason="too many").success
    event = shop.instance.get_latest_materialization_event(dg.AssetKey(["Shop", "charges"]))
    metadata = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    assert (metadata["rolled_back_to"], metadata["dagster/row_count"], metadata["rows deleted"]) == (1, rows, more)


def test_without_a_database_a_rollback_is_refused_with_one_sentence(make_shop):
    shop = make_shop(tables=["products"], customers=5)
    for config in ({}, {"dry_run": True}):
        result = shop.operate("rollback", **config)
        [event] = result.get_step_failure_events()
        text = event.step_failure_data.user_failure_data.description
        assert "Shop has no completed load" in text or "There is no database" in text


def test_a_load_that_expired_is_refused_and_the_oldest_that_is_left_is_named(make_shop):
    shop = make_shop(tables=["customers"], customers=5, days_ago=9, keep_loads=1)
    for _ in range(4):
        assert shop.failures(shop.run()) == {}
        churn(shop)
    result = shop.operate("rollback", to=1)
    [event] = result.get_step_failure_events()
    text = event.step_failure_data.user_failure_data.description
    assert text.startswith("Shop cannot go there: load 1 expired, as more than keep_loads came after it. The nearest ")
    assert " is load 3 (" in text
    assert shop.operate("rollback").success


def test_a_table_that_gets_its_former_name_back_is_read_whole_again(make_shop):
    shop = make_shop(tables=["customers", "products"], customers=10, days_ago=9)
    assert shop.failures(shop.run()) == {}
    before = shop.rows()["customers"]
    renamed = [{"table": "customers", "name": "people"}, "products"]
    for tables in (renamed, ["customers", "products"]):
        churn(shop)
        shop.attributes["tables"] = tables
        assert shop.failures(shop.run()) == {}
    emails = {customer["id"]: customer["email"] for customer in shop.account.listed("customers")}
    assert dict(shop.query("select id, email from customers where _deleted_at is null")) == emails
    assert shop.operate("rollback", to=1).success
    assert shop.rows()["customers"] == before
    shop.attributes["tables"] = renamed
    assert shop.operate("rollback", to=2).success
    assert "people" in shop.rows()

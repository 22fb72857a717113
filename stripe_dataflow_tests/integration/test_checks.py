"""Each check passes on the simulated account, and fails, naming rows, when the data are broken by hand."""

import shutil
from datetime import timedelta

import dagster as dg
import duckdb
import pytest

from stripe_dataflow.catalog import TABLES, references
from stripe_dataflow.catalog.columns import referred_tables
from stripe_dataflow.catalog.references import OTHER_ACCOUNT, PARTLY_LISTED
from stripe_dataflow.orchestration.jobs import dataflow_definitions
from stripe_dataflow.orchestration.partitions import partitions_of

DAY = 86_400
NAMES = ["customers", "charges", "invoices", "invoice_line_items", "products", "balance_transactions", "balance"]


def check_keys(shop, **changes):
    """Return the keys of all checks of the dataflow."""
    all_checks = dataflow_definitions(shop.dataflow(**changes)).asset_checks or ()
    return sorted(key for checks in all_checks for key in checks.check_keys)


def latest(shop):
    """Return (table, check) -> the evaluation Dagster shows, for the checks that were ever judged."""
    records = {key: shop.instance.get_latest_asset_check_evaluation_record(key) for key in check_keys(shop)}
    return {
        (key.asset_key.path[-1], key.name): record.event.asset_check_evaluation
        for key, record in records.items()
        if record
    }


def failing(shop):
    return {key for key, found in latest(shop).items() if not found.passed}


def execute(shop, *, select=None):
    """Execute checks as a person does in the UI: all of them, or those of one key, with nothing loaded."""
    keys = [key for key in check_keys(shop) if select in {None, (key.asset_key.path[-1], key.name)}]
    selection = dg.AssetSelection.checks(*keys)
    job = dg.define_asset_job("by_hand", selection=selection, executor_def=dg.in_process_executor)
    defs = dg.Definitions.merge(dataflow_definitions(shop.dataflow()), dg.Definitions(jobs=[job]))
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return defs.resolve_job_def("by_hand").execute_in_process(instance=shop.instance, run_config=quiet)


def change(shop, sql):
    with duckdb.connect(str(shop.database)) as connection:
        connection.execute(sql)


@pytest.fixture(scope="module")
def loaded(make_shop, tmp_path_factory):
    """Return a shop with a load that replaced versions behind it, and a copy of its database."""
    shop = make_shop(tables=NAMES, customers=25, days_ago=5)
    assert shop.failures(shop.run()) == {}
    shop.account.advance(shop.account.now + DAY)
    shop.account.update("charges", shop.account.listed("charges")[0]["id"], metadata={"a": "b"})
    assert shop.failures(shop.run()) == {}
    copy = tmp_path_factory.mktemp("copy") / "as_loaded.duckdb"
    shutil.copy(shop.database, copy)
    return shop, copy


@pytest.fixture
def shop(loaded):
    made, copy = loaded
    shutil.copy(copy, made.database)
    return made


def test_every_check_passes_on_the_simulated_account_and_goes_on_to_pass(make_shop):
    shop = make_shop(tables="all", customers=25, days_ago=5)
    assert shop.failures(shop.run()) == {}
    first = latest(shop)
    assert {key for key, found in first.items() if not found.passed} == set()
    assert {table for table, name in first if name == "ids"} == set(TABLES)
    assert first["balance_transactions", "balance"].description == "The ledger's sum is the balance, in every currency."
    assert first["charges", "references"].description.startswith("Resolved: application_fee, balance_transaction, ")
    assert "list held" in first["charges", "row_count"].description
    shop.account.advance(shop.account.now + 2 * DAY)
    shop.account.delete("customers", shop.account.listed("customers")[0]["id"])  # its charges still resolve
    assert shop.failures(shop.run()) == {}
    then = latest(shop)
    assert {key for key, found in then.items() if not found.passed} == set()
    assert ("invoices", "filled_columns") in then.keys() - first.keys()  # there was no history before


BROKEN = [
    pytest.param(
        "insert into Shop.charges from Shop.charges order by id limit 1", ("charges", "ids"),
        "0 rows have no id, and 1 ids are those of several rows: ch_", id="an id twice",
    ),
    pytest.param(
        "update Shop.products set id = null where id = (select min(id) from Shop.products)", ("products", "ids"),
        "1 rows have no id, and 0 ids are those of several rows.", id="an id missing",
    ),
    pytest.param(
        "update Shop.charges set customer = 'cus_nobody' where id = (select min(id) from Shop.charges)",
        ("charges", "references"), "1 rows whose customer is not in customers, such as ch_", id="an orphan",
    ),
    pytest.param(
        "delete from Shop.invoices where id = (select min(_parent_id) from Shop.invoice_line_items)",
        ("invoice_line_items", "references"), "rows whose _parent_id is not in invoices, such as il_",
        id="a parent lost",
    ),
    pytest.param(
        "update Shop.charges set currency = null", ("charges", "filled_columns"),
        "Null in every row now: currency (", id="a column emptied",
    ),
    pytest.param(
        "update Shop.balance_transactions set net = net + 1 where id = (select min(id) from "
        "Shop.balance_transactions where currency = 'usd')",
        ("balance_transactions", "balance"), "usd: the ledger says ", id="a wrong ledger",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "check", "sentence"), BROKEN)
def test_what_is_broken_by_hand_fails_its_check_alone(shop, sql, check, sentence):
    assert execute(shop).success
    assert failing(shop) == set()
    change(shop, sql)
    assert execute(shop, select=check).success
    found = latest(shop)[check]
    assert failing(shop) == {check}
    assert sentence in found.description
    assert found.severity == (dg.AssetCheckSeverity.ERROR if check[1] == "ids" else dg.AssetCheckSeverity.WARN)


def test_a_row_lost_after_a_whole_list_is_counted(make_shop):
    shop = make_shop(tables=["products", "quotes"], customers=25, days_ago=5)
    assert shop.failures(shop.run()) == {}
    for table in ("products", "quotes"):
        assert latest(shop)[table, "row_count"].passed
        change(shop, f"delete from Shop.{table} where id = (select min(id) from Shop.{table})")
    assert execute(shop).success
    assert failing(shop) == {("products", "row_count"), ("quotes", "row_count")}


def test_a_run_reports_an_orphan_that_it_brought_and_links_to_itself(shop):
    charge = shop.account.listed("charges")[0]["id"]
    shop.account.advance(shop.account.now + DAY)
    shop.account.update("charges", charge, customer="cus_nobody")
    assert shop.failures(shop.run()) == {}
    found = latest(shop)["charges", "references"]
    assert found.description == f"1 rows whose customer is not in customers, such as {charge}."
    assert found.metadata["orphans by customer"].value == 1
    assert found.metadata["run"].value == shop.query("select max_by(run_id, load_id) from _dataflow.runs")[0][0]


def test_a_run_that_finds_nothing_new_judges_nothing(make_shop):
    shop = make_shop(tables=["customers", "charges"], customers=25, days_ago=5)
    assert shop.failures(shop.run()) == {}
    before = {key: found.metadata["run"] for key, found in latest(shop).items()}
    assert set(before) == {(t, n) for t in ("customers", "charges") for n in ("ids", "row_count", "references")} - {
        ("customers", "references")
    }
    assert shop.failures(shop.run()) == {}
    assert {key: found.metadata["run"] for key, found in latest(shop).items()} == before
    assert shop.failures(shop.run_all_partitions()) == {}  # to list is to judge
    assert {key for key, found in latest(shop).items() if found.metadata["run"] != before[key]} == set(before)


def test_checks_can_be_part_of_a_run_of_a_partition(make_shop):
    shop = make_shop(tables=["customers", "quotes"], customers=25, days_ago=5)
    job = dataflow_definitions(shop.dataflow()).resolve_implicit_global_asset_job_def()
    month = partitions_of(shop.dataflow().attributes).get_partition_keys()[-1]
    result = job.execute_in_process(instance=shop.instance, partition_key=month)
    assert result.success
    evaluations = [e for e in result.get_asset_check_evaluations() if e.asset_key.path[0] == "Shop"]
    assert {e.check_name for e in evaluations} == {
        "ids", "row_count", "filled_columns", "references",
    }  # fmt: skip
    assert failing(shop) == set()
    text = latest(shop)["quotes", "references"].description
    assert text == "Resolved: none yet. Not judged before all partitions were read: customer."


def test_no_ledger_is_judged_that_may_begin_after_the_account(make_shop):
    shop = make_shop(tables=["balance_transactions", "balance"], customers=25, days_ago=5, start_date="2026-06-01")
    assert shop.failures(shop.run()) == {}
    found = latest(shop)["balance_transactions", "balance"]
    assert found.passed
    assert found.description == (
        "Not judged: the account may have moved money before 2026-06-01, where the ledger begins."
    )


def test_tables_without_rows_or_without_the_columns_have_no_such_check(make_shop):
    tables = [
        {"table": "customers", "purpose": "privacy_metadata"},
        {"table": "charges", "exclude": ["payment_intent"]},
        "payment_intents",
        {"table": "balance_transactions", "exclude": ["net"]},
        "balance",
    ]
    keys = {(key.asset_key.path[-1], key.name) for key in check_keys(make_shop(tables=tables, customers=5))}
    assert {name for table, name in keys if table == "customers"} == set()
    assert ("balance_transactions", "balance") not in keys
    assert ("charges", "references") in keys  # to balance_transactions


def specs_of_tables(shop):
    specs = dataflow_definitions(shop.dataflow()).resolve_all_asset_specs()
    return [spec for spec in specs if spec.key.path[0] == "Shop"]


@pytest.mark.parametrize(
    ("cron", "warn", "fail"),
    [
        pytest.param("0 * * * *", timedelta(minutes=90), timedelta(hours=2), id="hourly"),
        pytest.param("0 9-17 * * 1-5", timedelta(hours=96), timedelta(hours=128), id="office hours"),
        pytest.param("0 3 1 * *", timedelta(days=46.5), timedelta(days=62), id="monthly"),
    ],
)  # fmt: skip
def test_an_enabled_schedule_bounds_how_old_a_table_may_become(make_shop, cron, warn, fail):
    shop = make_shop(tables=["customers"], customers=5, schedule={"cron": cron, "enabled": True})
    [spec] = specs_of_tables(shop)
    assert spec.freshness_policy == dg.FreshnessPolicy.time_window(fail_window=fail, warn_window=warn)


def test_without_an_enabled_schedule_no_table_is_ever_stale(make_shop):
    shop = make_shop(tables=["customers"], customers=5, schedule={"cron": "0 * * * *"})
    assert [spec.freshness_policy for spec in specs_of_tables(shop)] == [None]


def test_every_exception_of_the_references_is_a_column_that_refers():
    assert {key for key in OTHER_ACCOUNT if key[1] not in referred_tables(TABLES[key[0]])} == set()
    assert set(PARTLY_LISTED) <= set(TABLES)
    found = {(table.name, r.column): r.table for table in TABLES.values() for r in references(table)}
    assert found["charges", "customer"] == "customers"
    assert found["invoice_line_items", "_parent_id"] == "invoices"
    assert found["issuing_transactions", "card"] == "issuing_cards"
    assert len(found) > 90

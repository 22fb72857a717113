"""What goes wrong is told in one sentence, fails the run, and leaves the other tables landed."""

import dagster as dg
import pytest

from stripe_dataflow.orchestration import assets
from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.patience import Patience

TABLES = ["customers", "charges", "issuing_cards", "treasury_financial_accounts", "invoices", "invoice_line_items"]
TRUE_TABLES = ("charges", "customers", "invoice_line_items", "invoices")


@pytest.fixture
def shop(make_shop):
    return make_shop(tables=TABLES, customers=12)


def failures(result):
    """Return table -> the sentence its step failed with."""
    return {
        event.step_key.removeprefix("Shop__"): event.step_failure_data.user_failure_data.description
        for event in result.get_step_failure_events()
    }


def status(shop):
    """Return status and description of the latest run in the run history."""
    return shop.query("select status, description from _dataflow.runs order by load_id desc limit 1")[0]


def test_a_missing_key_names_its_variable_and_asks_nothing(shop, monkeypatch):
    monkeypatch.delenv("SHOP_KEY")
    result = shop.run()
    assert not result.success
    sentence = (
        "The environment variable SHOP_KEY is not set: it must hold the Stripe API key of Shop. "
        "Nothing was asked of Stripe. The table keeps the rows it had."
    )
    assert set(failures(result).values()) == {sentence}
    assert len(failures(result)) == len(TABLES)
    assert list(shop.sandbox.requests) == []
    assert status(shop)[0] == "Failed"


def test_a_publishable_key_is_refused_without_being_repeated(shop, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "pk_test_51Secret")
    texts = failures(shop.run())
    assert len(texts) == len(TABLES)
    assert all("SHOP_KEY holds a publishable key" in text for text in texts.values())
    assert "51Secret" not in status(shop)[1] + str(texts)


def test_a_wrong_key_fails_every_table_after_few_requests(shop):
    shop.faults.keys = {"sk_test_right": frozenset()}
    result = shop.run()
    assert sorted(failures(result)) == sorted(TABLES)
    assert all("Stripe rejected the API key" in text for text in failures(result).values())
    assert len(shop.sandbox.requests) <= len(TABLES) + 1
    assert "sk_test_shop" not in str(failures(result)) + status(shop)[1]


def test_a_key_without_one_right_fails_that_table_by_the_rights_name_and_lands_the_others(shop):
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/issuing"})}
    shop.faults.not_enabled = frozenset({"/v1/treasury"})
    result = shop.run()
    assert not result.success
    texts = failures(result)
    assert sorted(texts) == ["issuing_cards", "treasury_financial_accounts"]
    assert "this API key may not read issuing cards (right rak_issuing_card_read)" in texts["issuing_cards"]
    assert texts["issuing_cards"].endswith("The table keeps the rows it had.")
    assert "not set up to use" in texts["treasury_financial_accounts"]
    assert [name for name in TRUE_TABLES if shop.keys(name) != shop.true_keys(name)] == []
    landed = {name for (name,) in shop.query("select table_name from duckdb_tables() where schema_name = 'Shop'")}
    assert landed == set(TRUE_TABLES)
    state, description = status(shop)
    assert state == "Failed"
    for table, text in texts.items():  # the history tells what the step tells
        assert f"{table}: {text}" in description


def test_a_refused_table_keeps_the_rows_it_had(shop):
    shop.run()
    before = shop.keys("issuing_cards")
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/issuing"})}
    assert not shop.run_all_partitions().success
    assert shop.keys("issuing_cards") == before == shop.true_keys("issuing_cards")


def test_an_unreachable_host_is_named_and_nothing_is_half_done(shop):
    result = shop.run(api_base="http://127.0.0.1:9")
    texts = set(failures(result).values())
    assert len(failures(result)) == len(TABLES)
    assert all("no connection to http://127.0.0.1:9 (ClientConnectorError). Check api_base" in text for text in texts)
    assert shop.query("select count(*) from duckdb_tables() where schema_name = 'Shop'") == [(0,)]


def test_a_passing_fault_heals_by_itself(shop):
    shop.faults.rates = {"500": 0.1, "reset": 0.05, "truncated": 0.05, "html": 0.05, "empty_page": 0.05}
    assert shop.run().success
    assert [name for name in TABLES if shop.keys(name) != shop.true_keys(name)] == []
    assert shop.query("select sum(retries) > 0 from _dataflow.loads") == [(True,)]


def test_the_failed_table_alone_is_read_again_when_the_run_is_executed_from_its_failure(shop):
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/issuing"})}
    failed = shop.run()
    shop.faults.keys = None
    asked = len(shop.sandbox.requests)
    keys = [event.step_key.removeprefix("Shop__") for event in failed.get_step_failure_events()]
    assert shop.run(select=keys).success
    paths = {path.partition("?")[0] for _, path, _ in list(shop.sandbox.requests)[asked:]}
    assert paths == {"/v1/account", "/v1/events", "/v1/issuing/cards"}
    assert shop.keys("issuing_cards") == shop.true_keys("issuing_cards")


def test_a_materialization_is_not_reported_for_a_table_that_failed(shop):
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/issuing"})}
    shop.run()
    assert shop.instance.get_latest_materialization_event(dg.AssetKey(["Shop", "issuing_cards"])) is None
    assert shop.instance.get_latest_materialization_event(dg.AssetKey(["Shop", "charges"])) is not None


def test_a_step_tried_again_after_its_rows_were_committed_changes_none_of_them(shop, monkeypatch):
    """What comes after the commit can fail too: the table must not be merged once more, from an empty feed."""
    attributes = Attributes(**{**shop.attributes, "tables": ["charges"]})
    monkeypatch.setattr(shop, "dataflow", lambda **_: Dataflow(attributes, Patience(step_wait_s=0)))
    of_one_day = [shop.account.create("charges")["id"] for _ in range(4)]
    assert shop.failures(shop.run()) == {}
    for charge in of_one_day[:3]:  # so many that the day is listed again
        shop.account.update("charges", charge, metadata={"changed": "once"})
    tell, told = assets.materialization_metadata, []

    def fail_once(*arguments):
        told.append(1)
        if len(told) == 1:
            raise OSError("Dagster's storage is not there for a moment")
        return tell(*arguments)

    monkeypatch.setattr(assets, "materialization_metadata", fail_once)
    assert shop.failures(shop.run()) == {}
    assert len(told) == 2
    assert shop.keys("charges") == shop.true_keys("charges")

"""Connecting asks once per table, and tells which right is missing, in words and by its exit code."""

from collections import Counter

import dagster as dg
import pytest

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.errors import ConfigError, KeyRejected, Unreachable
from stripe_dataflow.orchestration.connecting import connect
from stripe_dataflow.orchestration.jobs import dataflow_definitions

FEW = ["customers", "charges", "issuing_cards", "treasury_financial_accounts", "invoice_line_items"]


@pytest.fixture
def shop(make_shop):
    return make_shop(tables=FEW, customers=12)


def test_every_table_of_the_catalog_is_readable_with_a_full_key_child_lists_too(make_shop):
    shop = make_shop(tables="all", customers=12)
    report = connect(shop.dataflow())
    assert [access.table for access in report.tables] == list(shop.dataflow().tables)
    assert [access for access in report.tables if access.access != "readable"] == []


def test_one_object_is_asked_of_each_selected_table_and_of_no_other(shop):
    connect(shop.dataflow())
    asked = Counter(path.partition("?")[0] for _, path, _ in shop.sandbox.requests)
    own = {TABLES[name].path.partition("/{")[0] for name in FEW}
    assert set(asked.values()) == {1}
    for path in asked:
        assert path in {"/v1/account", "/v1/events"} or any(path.startswith(start) for start in own)
    assert len(asked) == len(FEW) + 2
    limits = [path for _, path, _ in shop.sandbox.requests if "limit=1" in path]
    assert len(limits) == len(FEW) + 1


def test_a_missing_right_and_a_missing_product_are_told_apart_and_named(shop):
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/issuing", "/v1/invoices"})}
    shop.faults.not_enabled = frozenset({"/v1/treasury"})
    report = connect(shop.dataflow())
    found = {access.table: (access.access, access.right) for access in report.tables}
    assert found == {
        "customers": ("readable", ""),
        "charges": ("readable", ""),
        "issuing_cards": ("forbidden", "rak_issuing_card_read"),
        "treasury_financial_accounts": ("not enabled", ""),
        "invoice_line_items": ("forbidden", "rak_line_item_read"),
    }
    assert report.unreadable == ["issuing_cards", "treasury_financial_accounts", "invoice_line_items"]


def test_rights_that_no_selected_table_needs_are_no_failure(shop):
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/account", "/v1/events", "/v1/payouts"})}
    report = connect(shop.dataflow())
    assert report.unreadable == []
    account, *_, note = report.lines()
    assert account.startswith("Account: not known, as the key may not read it")
    assert note == "Note: the key may not read events (right rak_event_read), so every run reads whole lists."


@pytest.mark.parametrize(
    ("key", "live", "warned"),
    [
        pytest.param("sk_test_x", False, True, id="a full test key"),
        pytest.param("rk_test_x", False, False, id="a restricted test key"),
        pytest.param("sk_live_x", True, True, id="a full live key"),
        pytest.param("rk_live_x", True, False, id="a restricted live key"),
    ],
)
def test_mode_and_a_full_key_are_told_and_the_key_is_not_shown(shop, monkeypatch, key, live, warned):
    monkeypatch.setenv("SHOP_KEY", key)
    report = connect(shop.dataflow())
    text = "\n".join(report.lines())
    assert report.live is live
    assert ("live mode" in text) is live
    assert ("full secret key" in text) is warned
    assert key not in text + repr(report)
    assert shop.account.snapshot("account")["id"] in text


def test_a_wrong_key_is_told_once_after_one_request(shop):
    shop.faults.keys = {"sk_test_right": frozenset()}
    with pytest.raises(KeyRejected, match="Stripe rejected the API key") as refused:
        connect(shop.dataflow())
    assert "sk_test_shop" not in str(refused.value)
    assert len(shop.sandbox.requests) == 1


def test_a_missing_key_and_an_address_without_answer_are_refused(shop, monkeypatch):
    with pytest.raises(Unreachable, match="Check api_base"):
        connect(shop.dataflow(api_base="http://127.0.0.1:9"))
    monkeypatch.delenv("SHOP_KEY")
    with pytest.raises(ConfigError, match="SHOP_KEY is not set"):
        connect(shop.dataflow())


def test_the_bundled_account_needs_no_key_and_is_not_warned_of(shop, monkeypatch):
    monkeypatch.delenv("SHOP_KEY")
    report = connect(shop.dataflow(api_base="sandbox", sandbox={"customers": 5}, tables=["customers"]))
    assert (report.unreadable, report.full_key, report.live) == ([], False, False)


def test_the_job_shows_the_same_and_writes_no_database(shop):
    assert shop.operate("connect").success
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/issuing"})}
    result = shop.operate("connect")
    assert not result.success
    [event] = result.get_step_failure_events()
    text = event.step_failure_data.user_failure_data.description
    assert text.startswith("issuing_cards: GET /v1/issuing/cards returned 403")
    assert text.endswith("The next run of Shop would fail these tables; nothing was changed.")
    assert not shop.database.exists()


def access_checks(shop, *names):
    """Return check -> (passed, description, metadata) of executing the account's checks, some or all."""
    definitions = dataflow_definitions(shop.dataflow())
    account = dg.AssetKey(["_dataflow", "accounts", "Shop"])
    keys = [dg.AssetCheckKey(account, name) for name in names or shop.dataflow().tables]
    job = dg.define_asset_job("access", selection=dg.AssetSelection.checks(*keys))
    resolved = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job])).resolve_job_def("access")
    result = resolved.execute_in_process(instance=shop.instance, raise_on_error=False)
    found = {check.check_name: check for check in result.get_asset_check_evaluations()}
    values = {name: {k: v.value for k, v in check.metadata.items()} for name, check in found.items()}
    return result, {name: (check.passed, check.description, values[name]) for name, check in found.items()}


def test_in_the_ui_each_table_has_a_check_that_names_the_missing_right(shop):
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/issuing"})}
    shop.faults.not_enabled = frozenset({"/v1/treasury"})
    result, checks = access_checks(shop)
    assert result.success
    assert {name: (passed, metadata) for name, (passed, _, metadata) in checks.items()} == {
        "customers": (True, {"access": "readable"}),
        "charges": (True, {"access": "readable"}),
        "invoice_line_items": (True, {"access": "readable"}),
        "issuing_cards": (False, {"access": "forbidden", "missing right": "rak_issuing_card_read"}),
        "treasury_financial_accounts": (False, {"access": "not enabled"}),
    }
    assert "this API key may not read issuing cards" in str(checks["issuing_cards"][1])


def test_one_check_asks_for_its_own_table_alone(shop):
    _, checks = access_checks(shop, "charges")
    assert list(checks) == ["charges"]
    assert {path.partition("?")[0] for _, path, _ in shop.sandbox.requests} == {
        "/v1/account", "/v1/charges", "/v1/events",
    }  # fmt: skip


def test_a_run_of_the_dataflow_executes_none_of_these_checks(make_shop):
    shop = make_shop(tables=["customers", "products"], customers=5)
    assert [
        event.check_name for event in shop.run().get_asset_check_evaluations() if "accounts" in event.asset_key.path
    ] == []


def test_a_wrong_key_fails_the_checks_with_its_sentence(shop):
    shop.faults.keys = {"sk_test_another": frozenset()}
    result, checks = access_checks(shop)
    assert checks == {}
    assert [text for text in shop.failures(result).values() if "Stripe rejected the API key" not in text] == []
    assert not result.success

"""Rolling back restores rows, columns and cursors; removing leaves nothing behind."""

import dagster as dg
import pytest

TABLES = ["customers", "customer_tax_ids", "charges", "products", "invoices"]
DAY = 86_400


@pytest.fixture
def shop(make_shop):
    made = make_shop(tables=TABLES, customers=15, days_ago=9)
    assert made.failures(made.run()) == {}
    return made


def churn(shop):
    """Change the account: some objects come, and of those that landed long ago one changes and one goes."""
    shop.account.advance(shop.account.now + DAY)
    first, second = (c["id"] for c in shop.account.listed("customers")[-2:])
    shop.account.update("customers", first, email=f"{shop.account.now}@example.com")
    shop.account.delete("customers", second)


def load(shop):
    """Run after some churn, and return the state that made."""
    churn(shop)
    assert shop.failures(shop.run()) == {}
    return shop.rows()


def test_a_rollback_brings_back_rows_and_columns_and_the_next_run_fetches_again(shop):
    before = shop.rows()
    after = load(shop)
    assert after != before
    assert shop.operate("rollback", to="previous", reason="a test").success
    assert shop.rows() == before
    assert shop.failures(shop.run()) == {}
    assert [name for name in TABLES if shop.keys(name) != shop.true_keys(name)] == []
    kinds = shop.query("select kind, status, details from _dataflow.runs order by load_id")
    assert [kind for kind, _, _ in kinds] == ["run", "run", "rollback", "run"]
    assert kinds[2][1] == "Completed"
    assert kinds[2][2].startswith("Rolled back to load 1: 5 tables, ")
    assert kinds[2][2].endswith(" Reason: a test")


def test_a_second_rollback_goes_one_further_back_and_a_later_load_goes_forward_again(shop):
    one = shop.rows()
    two = load(shop)
    three = load(shop)
    assert shop.operate("rollback").success
    assert shop.rows() == two
    assert shop.operate("rollback").success
    assert shop.rows() == one
    assert shop.operate("rollback", to=3).success
    assert shop.rows() == three


def test_one_table_is_rolled_back_alone(shop):
    before = shop.rows()
    after = load(shop)
    assert shop.operate("rollback", tables=["customers"]).success
    assert shop.rows() == {**after, "customers": before["customers"]}


def test_a_dry_run_tells_the_difference_and_changes_nothing(shop):
    load(shop)
    state, runs = shop.rows(), shop.query("select count(*) from _dataflow.runs")
    assert shop.operate("rollback", dry_run=True).success
    assert (shop.rows(), shop.query("select count(*) from _dataflow.runs")) == (state, runs)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        pytest.param({"to": "previous"}, "first", id="nothing earlier"),
        pytest.param({"to": 77}, "there never was a load 77", id="an unknown load"),
        pytest.param({"to": "yesterday"}, "`previous`, a load id or an ISO time", id="no time"),
        pytest.param({"tables": ["chargs"]}, "Shop has no table 'chargs'; did you mean 'charges'?", id="no such table"),
    ],
)
def test_what_cannot_be_rolled_back_to_is_refused_with_a_sentence_and_recorded(shop, config, sentence):
    state = shop.rows()
    result = shop.operate("rollback", **config)
    assert not result.success
    [event] = [e for e in result.all_events if e.is_step_failure]
    assert sentence in event.step_failure_data.user_failure_data.description
    assert shop.rows() == state
    assert shop.query("select status from _dataflow.runs order by load_id desc limit 1") == [("Failed",)]


def test_each_table_that_changed_has_a_materialization_that_names_the_load(shop):
    load(shop)
    shop.operate("rollback")
    event = shop.instance.get_latest_materialization_event(dg.AssetKey(["Shop", "customers"]))
    assert event.asset_materialization.metadata["rolled_back_to"].value == 1


def test_removing_without_the_typed_name_changes_nothing(shop):
    state = shop.rows()
    for config in ({}, {"confirm": "Shop"}, {"dry_run": False}, {"dry_run": False, "confirm": "shop"}):
        assert shop.operate("remove", **config).success is config.get("dry_run", True)
        assert shop.rows() == state


def test_removing_leaves_no_row_no_byte_and_no_cursor_but_the_history_of_runs(shop):
    load(shop)
    emails = [c["email"] for c in shop.account.listed("customers") if c["email"]]
    assert any(email.encode() in shop.database.read_bytes() for email in emails)
    assert shop.operate("remove", dry_run=False, confirm="Shop").success
    assert shop.rows() == shop.rows("Shop_history") == {}
    assert not [email for email in emails if email.encode() in shop.database.read_bytes()]
    assert shop.query("select count(*) from _dataflow.cursors") == [(0,)]
    assert [kind for (kind,) in shop.query("select kind from _dataflow.runs order by load_id")] == [
        "run",
        "run",
        "remove",
    ]
    assert shop.instance.get_latest_materialization_event(dg.AssetKey(["Shop", "customers"])) is None


def test_a_schedule_does_not_bring_back_what_was_removed_but_a_person_can(shop):
    assert shop.operate("remove", dry_run=False, confirm="Shop").success
    refused = shop.run(tags={"dagster/schedule_name": "Shop__schedule"})
    assert not refused.success
    assert all("was removed, so its schedule loads nothing" in text for text in shop.failures(refused).values())
    assert shop.rows() == {}
    assert shop.failures(shop.run()) == {}
    assert shop.keys("customers") == shop.true_keys("customers")


def test_another_dataflow_in_the_same_file_stays_as_it_is(shop):
    assert shop.failures(shop.run(name="Other", tables=["products"])) == {}
    other = shop.rows("Other")
    load(shop)
    assert shop.operate("rollback").success
    assert shop.operate("remove", dry_run=False, confirm="Shop").success
    assert shop.rows("Other") == other != {}


def test_history_beyond_the_loads_kept_is_pruned_and_refused_by_name(make_shop):
    shop = make_shop(tables=["customers"], customers=15, days_ago=9, keep_loads=2)
    assert shop.failures(shop.run()) == {}
    for _ in range(3):
        load(shop)
    result = shop.operate("rollback", to=1)
    [event] = [e for e in result.all_events if e.is_step_failure]
    assert "load 1 expired" in event.step_failure_data.user_failure_data.description
    assert shop.query("select min(_replaced_by) from Shop_history.customers")[0][0] > 2


@pytest.mark.parametrize(
    ("op", "config"),
    [
        pytest.param("rollback", {"to": 1}, id="a rollback"),
        pytest.param("rollback", {"dry_run": True}, id="a dry run"),
        pytest.param("remove", {"dry_run": False, "confirm": "Shop"}, id="a removal"),
        pytest.param("run", {}, id="a run"),
    ],
)
def test_where_no_staging_folder_can_be_made_an_op_fails_in_a_sentence_and_changes_nothing(shop, op, config):
    before, folder = shop.rows(), shop.database.with_name(f"{shop.database.name}.staging")
    folder.rmdir()
    folder.write_text("a file")
    result = shop.run() if op == "run" else shop.operate(op, **config)
    texts = shop.failures(result).values()
    assert texts
    assert all(text.startswith(f"This machine refused for {folder}: File exists. ") for text in texts), texts
    assert all("\n" not in text for text in texts)
    assert shop.rows() == before
    folder.unlink()
    assert shop.operate("rollback", dry_run=True, to=1).success

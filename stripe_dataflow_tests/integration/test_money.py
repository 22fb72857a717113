"""Amounts in major units and their sums by day: right in every currency, zone, and however the file is opened."""

from decimal import Decimal

import duckdb
import pytest

from stripe_dataflow.catalog import TABLES, THREE_DECIMAL, ZERO_DECIMAL, money_columns, stripe_columns
from stripe_dataflow.catalog.currencies import TWO_DECIMAL_IN_THE_API
from stripe_dataflow.warehouse import Warehouse, refresh_money

DAY = 86_400
VIEWS = "select schema_name, view_name from duckdb_views() where not internal order by all"
BOTH = [("Shop", "amounts"), ("Shop", "daily")]


@pytest.fixture(scope="module")
def shop(make_shop):
    made = make_shop(tables=["charges", "refunds", "credit_notes", "credit_note_line_items"], customers=25, days_ago=5)
    made.account.advance(made.account.now + 60)
    for currency in ("usd", "jpy", "kwd", "isk", "ugx", "huf"):
        made.account.create("charges", currency=currency, amount=51_230, amount_captured=0, amount_refunded=0)
    assert made.failures(made.run()) == {}
    return made


@pytest.mark.parametrize(
    ("currency", "major"),
    [
        pytest.param("usd", "512.300", id="hundredths"),
        pytest.param("jpy", "51230.000", id="no decimals"),
        pytest.param("kwd", "51.230", id="thousandths"),
        pytest.param("isk", "512.300", id="two in the API, none in use"),
        pytest.param("ugx", "512.300", id="the same"),
        pytest.param("huf", "512.300", id="none for payouts alone"),
    ],
)
def test_an_amount_is_in_major_units_of_its_currency(shop, currency, major):
    found = shop.query(
        f"select distinct amount_major from amounts where currency = '{currency}' and amount = 51230 "
        "and table_name = 'charges' and column_name = 'amount'"
    )
    assert found == [(Decimal(major),)]


def test_every_amount_of_a_live_row_is_there_once(shop):
    for table in ("charges", "refunds", "credit_notes"):
        columns = money_columns(TABLES[table])
        assert dict(
            shop.query(f"select column_name, sum(amount) from amounts where table_name = '{table}' group by 1")
        ) == {
            name: total
            for name in columns
            for [total] in shop.query(f"select sum({name}) from {table} where _deleted_at is null")
            if total is not None
        }


def test_a_line_without_a_currency_takes_its_parents(shop):
    found = shop.query(
        "select distinct a.currency = n.currency from amounts a join credit_note_line_items l using (id) "
        "join credit_notes n on n.id = l._parent_id where a.table_name = 'credit_note_line_items'"
    )
    assert found == [(True,)]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Auckland"])
def test_a_day_is_one_of_the_sessions_time_zone(shop, zone):
    with duckdb.connect(str(shop.database), read_only=True) as connection:
        connection.execute(f"set TimeZone = '{zone}'")
        found = connection.execute(
            "select day, time_zone, sum(objects), sum(amount) from Shop.daily "
            "where table_name = 'charges' and column_name = 'amount' group by all order by day"
        ).fetchall()
    true = shop.query(
        f"select (created at time zone '{zone}')::date as day, '{zone}', count(*), sum(amount) from charges "
        "where _deleted_at is null group by all order by day"
    )
    assert found == true != []


@pytest.mark.parametrize("name", ["other", "shop", "warehouse"])
def test_the_views_work_under_whatever_name_the_file_is_attached(shop, name):
    with duckdb.connect() as connection:
        connection.execute(f"attach '{shop.database}' as {name} (read_only)")
        for view in ("amounts", "daily"):
            [(rows,)] = connection.execute(f"select count(*) from {name}.Shop.{view}").fetchall()
            assert rows > 0


def test_a_column_or_table_that_does_not_land_is_not_in_the_views(make_shop):
    tables = [
        {"table": "charges", "name": "sales", "exclude": ["amount_refunded"]},
        {"table": "refunds", "exclude": ["currency"]},
        {"table": "invoices", "purpose": "privacy_metadata"},
        "products",
    ]
    shop = make_shop(tables=tables, customers=15, days_ago=5)
    assert shop.failures(shop.run()) == {}
    assert shop.query("select distinct table_name from amounts") == [("sales",)]
    columns = {name for (name,) in shop.query("select distinct column_name from amounts")}
    assert {"amount"} <= columns <= {"amount", "amount_captured", "application_fee_amount"}


def test_a_run_makes_the_views_anew_only_when_the_tables_are_others(make_shop, tmp_path):
    shop = make_shop(tables=["charges"], customers=15, days_ago=5)
    assert shop.failures(shop.run()) == {}
    with Warehouse(shop.database, stage_dir=tmp_path) as warehouse, warehouse.transaction() as connection:
        assert not refresh_money(connection, "Shop")
    assert shop.failures(shop.run(tables=["charges", "refunds"])) == {}
    assert shop.query("select distinct table_name from amounts order by 1") == [("charges",), ("refunds",)]


def test_a_rollback_leaves_views_that_work(make_shop):
    shop = make_shop(tables=["charges"], customers=15, days_ago=5)
    assert shop.failures(shop.run()) == {}
    before = shop.query("select * from amounts order by all")
    assert shop.failures(shop.run(tables=["charges", "refunds"])) == {}
    shop.attributes["tables"] = ["charges", "refunds"]
    assert shop.operate("rollback", to=1).success  # takes refunds away again
    assert shop.query("select * from amounts order by all") == before


def test_removing_a_dataflow_drops_its_views_and_no_others(make_shop):
    shop = make_shop(tables=["charges"], customers=15, days_ago=5)
    assert shop.failures(shop.run()) == {}
    assert shop.failures(shop.run(name="Other")) == {}
    others = [("Other", view) for _, view in BOTH]
    assert shop.query(VIEWS) == [*others, *BOTH]
    assert shop.operate("remove", dry_run=False, confirm="Shop").success
    assert shop.query(VIEWS) == others
    assert shop.query("select count(*) > 0 from Other.daily") == [(True,)]
    assert shop.query("select 1 from duckdb_schemas() where schema_name = 'Shop'") == []


def test_a_view_of_the_users_own_is_left_alone(make_shop):
    shop = make_shop(tables=["charges", {"table": "refunds", "name": "daily"}], customers=15, days_ago=5)
    assert shop.failures(shop.run()) == {}
    assert shop.query(VIEWS) == []
    with duckdb.connect(str(shop.database)) as connection:
        connection.execute("create view Shop.amounts as select 1 as mine")
    shop.account.advance(shop.account.now + DAY)
    assert shop.failures(shop.run()) == {}
    assert shop.query("select * from amounts") == [(1,)]


def test_the_lists_of_currencies_do_not_overlap():
    assert (len(ZERO_DECIMAL), len(THREE_DECIMAL)) == (15, 5)
    assert not set(TWO_DECIMAL_IN_THE_API) & {*ZERO_DECIMAL, *THREE_DECIMAL}


def test_every_integer_of_a_table_with_a_currency_is_an_amount_or_named_here():
    counts = {
        "quantity", "next_invoice_sequence", "exp_month", "exp_year", "interval_count", "trial_period_days",
        "duration_in_months", "max_redemptions", "times_redeemed", "days_until_due", "attempt_count",
    }  # fmt: skip
    integers = {
        column.name
        for table in TABLES.values()
        if "currency" in {c.name for c in stripe_columns(table)}
        for column in stripe_columns(table)
        if column.type == "BIGINT" and column.name not in money_columns(table)
    }
    assert integers == counts
    assert money_columns(TABLES["issuing_transactions"]) == {
        "amount": "currency",
        "merchant_amount": "merchant_currency",
    }

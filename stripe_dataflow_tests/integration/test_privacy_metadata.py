"""privacy_metadata lands no value anywhere: not in the database, its log, staging, or Dagster's storage and logs."""

import duckdb
import pytest

from stripe_dataflow.catalog import TABLES, stripe_columns
from stripe_dataflow.sandbox import Account

ACCOUNT = Account(customers=40, seed=3)
CUSTOMERS = ACCOUNT.listed("customers")
JOB = ("dagster", "job", "execute", "-m", "stripe_dataflow.definitions", "-j")


@pytest.fixture
def private(project):
    """Return a project after two runs that looked at customers for their metadata, and landed products."""
    project.add(
        "shop", name="Shop", api_base="sandbox", sandbox={"customers": 40, "seed": 3}, start_date="2025-01-01",
        tables=[{"table": "customers", "purpose": "privacy_metadata"}, "products"],
    )  # fmt: skip
    for number in range(2):
        done = project.run(*JOB, "Shop__run")
        assert done.returncode == 0, done.stderr[-2000:]
        (project.folder / f"printed{number}.log").write_text(done.stdout + done.stderr)
    return project


def files_that_hold(folder, texts):
    """Return file -> how many of the texts its bytes hold, for the files that hold any; our own code aside."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and folder / "stripe_dataflow" not in path.parents:
            data = path.read_bytes()
            hits = [text for text in texts if text.encode() in data]
            if hits:
                found[path.name] = len(hits)
    return found


def test_no_value_lands_in_any_file_and_the_columns_are_described(private):
    emails = [customer["email"] for customer in CUSTOMERS if customer["email"]]
    names = [customer["name"] for customer in CUSTOMERS if customer["name"] and len(customer["name"]) > 7]
    ids = [customer["id"] for customer in CUSTOMERS]
    assert min(len(emails), len(names), len(ids)) >= 20
    assert files_that_hold(private.folder, [*emails, *names, *ids]) == {}
    # The search finds what did land, so it would have found the others.
    products = [item["id"] for item in ACCOUNT.listed("products")]
    assert files_that_hold(private.folder, products)["warehouse.duckdb"] == len(products)
    with duckdb.connect(str(private.folder / "warehouse.duckdb"), read_only=True) as connection:
        tables = connection.execute("select schema_name, table_name from duckdb_tables()").fetchall()
        columns = connection.execute(
            "select column_name, type, rows, null_share, approx_distinct, min_length, max_length, pii "
            "from _dataflow.columns where dataflow = 'Shop' and table_name = 'customers'"
        ).fetchall()
    assert {name for schema, name in tables if schema in {"Shop", "Shop_history"}} == {"products"}
    facts = {row[0]: row[1:] for row in columns}
    assert facts.keys() == {column.name for column in stripe_columns(TABLES["customers"])}
    type_, rows, null_share, _, shortest, longest, pii = facts["email"]
    lengths = [len(email) for email in emails]
    assert (type_, rows, shortest, longest, pii) == ("VARCHAR", len(CUSTOMERS), min(lengths), max(lengths), "pii")
    assert null_share == pytest.approx(1 - len(emails) / len(CUSTOMERS))
    assert facts["id"][2:4] == (0, pytest.approx(len(CUSTOMERS), rel=0.2))


def test_a_purpose_narrowed_on_a_table_with_rows_is_refused_until_they_are_removed(make_shop):
    shop = make_shop(tables=["customers", "products"], customers=10)
    assert shop.failures(shop.run()) == {}
    shop.attributes["tables"] = [{"table": "customers", "purpose": "privacy_metadata"}, "products"]
    asked = len(shop.sandbox.requests)
    texts = shop.failures(shop.run(select=["customers"]))
    assert texts["customers"].startswith("customers is now for privacy_metadata, but Shop.customers holds rows.")
    assert not [path for _, path, _ in list(shop.sandbox.requests)[asked:] if path.startswith("/v1/customers")]
    assert shop.operate("remove", dry_run=False, confirm="Shop", tables=["customers"]).success
    assert shop.keys("products") == shop.true_keys("products")
    assert shop.failures(shop.run()) == {}
    emails = [item["email"] for item in shop.account.listed("customers") if item["email"]]
    assert files_that_hold(shop.database.parent, emails) == {}

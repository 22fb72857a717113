"""A downstream asset gets a landed table as a DataFrame, or as a DuckDB relation."""

import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pytest

from stripe_dataflow import StripeTables
from stripe_dataflow.errors import ConfigError
from stripe_dataflow.orchestration.jobs import dataflow_definitions
from stripe_dataflow.orchestration.partitions import partitions_of

PAGE = Path(__file__).parents[2] / "docs" / "downstream.md"
AMOUNTS = dg.AssetIn(["Shop", "charges"], metadata={"columns": ["id", "amount"]})


@pytest.fixture(scope="module")
def shop(make_shop):
    shop = make_shop(
        customers=15, tables=["charges", "refunds", {"table": "customers", "purpose": "privacy_metadata"}]
    )  # fmt: skip
    assert shop.run_all_partitions().success
    return shop


def materialize(shop, asset, *, partition=None, **changes):
    """Return the metadata a downstream asset gave, and the sentences of what failed."""
    definitions = dg.Definitions.merge(dataflow_definitions(shop.dataflow(**changes)), dg.Definitions(assets=[asset]))
    job = definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=shop.instance, asset_selection=[asset.key], partition_key=partition, raise_on_error=False
    )
    found = [event.materialization.metadata for event in result.get_asset_materialization_events()]
    return {name: value.value for metadata in found for name, value in metadata.items()}, shop.failures(result)


def test_an_input_is_the_tables_live_rows_with_the_columns_asked_for(shop):
    @dg.asset(ins={"charges": AMOUNTS})
    def total(charges: pd.DataFrame) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"columns": list(charges), "amount": sum(charges["amount"].to_list())})

    truth = sum(charge["amount"] for charge in shop.account.listed("charges"))
    assert materialize(shop, total) == ({"columns": ["id", "amount"], "amount": truth}, {})


def test_a_partitioned_asset_gets_the_rows_of_its_own_partition(shop):
    @dg.asset(ins={"charges": AMOUNTS}, partitions_def=partitions_of(shop.dataflow().attributes))
    def ids(charges: pd.DataFrame) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"ids": sorted(charges["id"])})

    march, april = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (3, 4))
    truth = sorted(charge["id"] for charge in shop.account.listed("charges") if march <= charge["created"] < april)
    assert truth
    assert materialize(shop, ids, partition="2026-03-01") == ({"ids": truth}, {})


def test_an_input_annotated_as_a_relation_is_one(shop):
    @dg.asset(ins={"charges": AMOUNTS})
    def largest(charges: duckdb.DuckDBPyRelation) -> dg.MaterializeResult:
        [(amount,)] = charges.max("amount").fetchall()
        return dg.MaterializeResult(metadata={"amount": amount})

    truth = max(charge["amount"] for charge in shop.account.listed("charges"))
    assert materialize(shop, largest) == ({"amount": truth}, {})


def test_deleted_rows_are_left_out(shop):
    with duckdb.connect(str(shop.database)) as connection:
        [(gone,)] = connection.execute(
            "update Shop.refunds set _deleted_at = now() where id = (select min(id) from Shop.refunds) returning id"
        ).fetchall()
    ids = set(StripeTables(shop.dataflow()).frame("refunds", ["id"])["id"])
    assert ids == {refund["id"] for refund in shop.account.listed("refunds")} - {gone}


def test_reading_waits_while_another_process_writes(shop):
    hold = "import sys, duckdb; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    rows = []
    reader = threading.Thread(target=lambda: rows.append(len(StripeTables(shop.dataflow()).frame("charges"))))
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(shop.database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdin
        assert writer.stdout
        assert writer.stdout.readline() == b"held\n"
        reader.start()
        reader.join(0.3)
        assert reader.is_alive()
        writer.stdin.close()
    reader.join(60)
    assert rows == [len(shop.account.listed("charges"))]


@pytest.mark.parametrize(
    ("table", "columns", "text"),
    [
        pytest.param("charge", [], "Shop has no table 'charge'; did you mean 'charges'?", id="unknown table"),
        pytest.param(
            "charges", ["amout"], "Shop.charges has no column 'amout'; did you mean 'amount'?", id="unknown column"
        ),
        pytest.param(
            "customers", [], "customers of Shop is for privacy_metadata: none of its rows land.", id="no rows land"
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_by_name(shop, table, columns, text):
    with pytest.raises(ConfigError) as error:
        StripeTables(shop.dataflow()).frame(table, columns)
    assert str(error.value) == text


def test_a_table_that_never_landed_fails_the_asset_with_a_sentence(shop):
    @dg.asset(ins={"charges": dg.AssetIn(["Shop", "coupons"])})
    def early(charges: pd.DataFrame) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"rows": len(charges)})

    _, failures = materialize(shop, early, tables=["charges", "coupons"])
    assert list(failures.values()) == ["Nothing landed in Shop.coupons yet: materialise coupons first."]


def test_an_asset_that_would_store_with_it_is_told_to_take_another_io_manager(shop):
    @dg.asset(io_manager_key="Shop__tables")
    def stored() -> int:
        return 1

    _, failures = materialize(shop, stored)
    [text] = failures.values()
    assert text.startswith(
        "stored: the IO manager of Shop only reads Stripe's tables, it cannot store what the asset returns (int)."
    )


def test_the_pages_examples_run_as_they_stand(project):
    project.add(
        "shop", name="Shop", api_base="sandbox", sandbox={"customers": 12}, start_date="2025-01-01",
        tables=["charges", "refunds"],
    )  # fmt: skip
    page = PAGE.read_text(encoding="utf-8")
    files = re.findall(r"`(stripe_dataflow/defs/\w+\.py)`", page)
    for file, code in zip(files, re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL), strict=True):
        (project.folder / file).write_text(code, encoding="utf-8")
    [command] = re.findall(r"^\$ \.venv/bin/(dagster .*)$", page, flags=re.MULTILINE)
    command = command.replace("revenue_by_month", "'revenue_by_month,refund_share'")
    assert project.run("stripe-dataflow", "load", "Shop").returncode == 0
    done = project.run(*command.replace("'", "").split())
    assert done.returncode == 0, done.stderr
    revenue = pd.read_csv(project.folder / "revenue_by_month.csv")
    with duckdb.connect(str(project.folder / "warehouse.duckdb"), read_only=True) as connection:
        truth = connection.execute(
            "select strftime(created at time zone 'UTC', '%Y-%m'), currency, sum(amount)::bigint from Shop.charges "
            "where status = 'succeeded' group by all order by all"
        ).fetchall()
    assert list(revenue.itertuples(index=False, name=None)) == truth

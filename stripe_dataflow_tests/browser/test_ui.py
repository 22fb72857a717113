"""Dagster's own UI, in a real browser: see the dataflow, materialise it, read what it did."""

import re

import duckdb
import pytest
from playwright.sync_api import expect

from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.sandbox import Account

WAIT_MS = 60_000


@pytest.fixture
def shop(project):
    """Return a project with one small dataflow."""
    project.add(
        "shop", name="Shop", display_name="My shop", api_base="sandbox", sandbox={"customers": 15},
        start_date="2025-01-01", tables=["customers", "charges", "products"],
    )  # fmt: skip
    return project


def test_a_backfill_over_a_range_lands_that_range_and_the_assets_page_tells_what_landed(shop, dagster_ui, clicks):
    ui, page = dagster_ui(shop), clicks.page
    page.goto(f"{ui.url}/locations/stripe_dataflow/asset-groups/Shop/lineage")
    expect(page.get_by_text("charges", exact=True).first).to_be_visible(timeout=WAIT_MS)
    for kind in ("stripe", "duckdb"):
        expect(page.get_by_text(re.compile(kind, re.IGNORECASE)).first).to_be_attached(timeout=WAIT_MS)
    page.goto(f"{ui.url}/assets/Shop/charges")
    clicks.click("button", "Materialize")
    clicks.launch_partitions("[2026-01-01...2026-03-01]")
    run, _ = ui.next_run(0)
    assert run["status"] == "SUCCESS"
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert tags["dagster/asset_partition_range_start"] == "2026-01-01"
    assert tags["dagster/asset_partition_range_end"] == "2026-03-01"
    first_quarter = range(1767225600, 1775001600)
    rows = sum(charge["created"] in first_quarter for charge in Account(customers=15, seed=1).listed("charges"))
    assert rows > 0
    page.goto(f"{ui.url}/assets/Shop/charges")
    expect(page.get_by_text(f"{rows:,}", exact=True).first).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text("Attempts to move money from a payment method").first).to_be_visible(timeout=WAIT_MS)
    with duckdb.connect(str(shop.folder / "warehouse.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*) from Shop.charges").fetchone() == (rows,)


def test_the_run_job_is_launched_from_its_page_and_every_table_has_its_bar(shop, dagster_ui, clicks):
    ui, page = dagster_ui(shop), clicks.page
    page.goto(f"{ui.url}/locations/stripe_dataflow/jobs/Shop__run")
    clicks.click("button", "Materialize all")
    clicks.launch_partitions()
    run, steps = ui.next_run(0)
    assert run["status"] == "SUCCESS"
    # The UI launches the checks of the assets along with them.
    assert steps == {"customers": "SUCCESS", "charges": "SUCCESS", "products": "SUCCESS", "checks": "SUCCESS"}
    page.goto(f"{ui.url}/runs/{run['runId']}")
    for table in steps:
        expect(page.get_by_text(f"Shop__{table}").first).to_be_visible(timeout=WAIT_MS)


def test_the_components_page_describes_every_attribute(shop, dagster_ui, clicks):
    ui, page = dagster_ui(shop), clicks.page
    name = "stripe_dataflow.StripeDataflow"
    page.goto(f"{ui.url}/locations/stripe_dataflow/components/library/packages/stripe_dataflow/{name}")
    for attribute, field in Attributes.model_fields.items():
        expect(page.get_by_text(attribute, exact=True).first).to_be_visible(timeout=WAIT_MS)
        assert field.description
        expect(page.get_by_text(field.description, exact=True).first).to_be_attached(timeout=WAIT_MS)

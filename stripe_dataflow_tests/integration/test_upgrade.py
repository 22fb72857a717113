"""A database that an earlier release wrote: read as it is, brought up to date by the next write."""

import gzip
from pathlib import Path

import pytest

from stripe_dataflow.errors import WarehouseError
from stripe_dataflow.warehouse import Warehouse, known_account, list_dataflows, list_loads, list_runs
from stripe_dataflow.warehouse.registry import VERSION, registry_version

# Each as a release left it after two runs: six customers, of which one was changed and one deleted, and the products.
WRITTEN = sorted(Path(__file__).parents[1].glob("data/registry_*.duckdb.gz"))
NOW = 1_795_132_800  # the clock of the account it was loaded from


def unpacked(file, to):
    to.write_bytes(gzip.decompress(file.read_bytes()))
    return to


@pytest.fixture(params=WRITTEN, ids=lambda file: file.name.split(".")[0])
def written(request):
    return request.param


def version_of(warehouse):
    with warehouse.reading() as connection:
        return registry_version(connection)


def test_there_is_a_file_of_every_earlier_version():
    assert [file.name for file in WRITTEN] == [f"registry_{number}.duckdb.gz" for number in range(1, VERSION)]


def test_the_registry_is_read_before_it_is_brought_up_to_date(written, tmp_path):
    with Warehouse(unpacked(written, tmp_path / "old.duckdb"), stage_dir=tmp_path / "stage") as warehouse:
        with warehouse.reading() as connection:
            assert [row.name for row in list_dataflows(connection)] == ["Shop"]
            assert len(list_loads(connection)) == 4
            assert {run.status for run in list_runs(connection, "Shop")} == {"Completed"}
            assert (known_account(connection, "Shop") is None) == (registry_version(connection) < 2)
        assert version_of(warehouse) < VERSION


def test_a_write_that_fails_leaves_the_version_it_found(written, tmp_path):
    with Warehouse(unpacked(written, tmp_path / "old.duckdb"), stage_dir=tmp_path / "stage") as warehouse:
        before = version_of(warehouse)
        with pytest.raises(WarehouseError), warehouse.transaction() as connection:
            connection.execute("select 1 from no_such_table")
        assert version_of(warehouse) == before


def test_a_run_and_a_rollback_go_on_where_the_earlier_release_stopped(written, make_shop):
    shop = make_shop(tables=["customers", "products"], customers=6, now=NOW, start_date="2025-05-01")
    unpacked(written, shop.database)
    before = shop.rows()
    changed, deleted = (customer["id"] for customer in shop.account.listed("customers")[:2])
    shop.account.update("customers", changed, email="changed@example.com")  # as it was when the file was written
    shop.account.delete("customers", deleted)
    shop.account.create("customers")
    assert shop.failures(shop.run()) == {}
    for table in ("customers", "products"):
        assert shop.keys(table) == shop.true_keys(table)
    assert shop.rows() != before
    assert shop.operate("rollback", to="previous").success
    assert shop.rows() == before

"""The file stays small: a copy is no larger than the original, and a file that is mostly empty is copied."""

import stat

import duckdb

from stripe_dataflow.warehouse import compact

KEPT = "create table kept as select random() as x from range(200000)"
LARGE = "create table filler as select random()::varchar || random()::varchar as x from range(1500000)"


def blow_up(database) -> int:
    """Write some megabytes, something behind them that stays, and drop them; return the file's size."""
    with duckdb.connect(str(database)) as connection:
        for statement in (LARGE, "checkpoint", KEPT, "checkpoint", "drop table filler"):
            connection.execute(statement)
        connection.execute("checkpoint")
    return database.stat().st_size


def test_a_run_leaves_no_file_that_is_mostly_empty(make_shop):
    shop = make_shop(tables=["customers", "charges"], customers=5)
    assert shop.failures(shop.run()) == {}
    before = shop.rows()
    assert blow_up(shop.database) > 16 << 20
    assert shop.failures(shop.run()) == {}
    assert shop.database.stat().st_size < 8 << 20
    assert stat.S_IMODE(shop.database.stat().st_mode) == 0o600
    assert shop.rows() == before
    assert shop.query("select count(*) from main.kept") == [(200_000,)]


def test_a_copy_has_blocks_as_small_as_the_original(make_shop):
    shop = make_shop(tables=["customers", "charges"], customers=5)
    assert shop.failures(shop.run()) == {}
    size = shop.database.stat().st_size
    compact(shop.database)
    assert shop.database.stat().st_size <= size * 1.1
    assert shop.query("select block_size from pragma_database_size()") == [(32768,)]

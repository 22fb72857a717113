"""The commands of the contract, in a project of one's own, as another process."""

import re
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from stripe_dataflow.sandbox import Account, Sandbox

LATEST = (
    "import dagster as dg; print(dg.MonthlyPartitionsDefinition('2025-01-01', end_offset=1).get_last_partition_key())"
)


def test_definitions_load_with_no_key_no_network_and_no_database(project):
    project.add("shop", name="Shop", tables="all")
    project.add("other", name="Other", database="data/other.duckdb")
    # An unroutable proxy fails whatever would ask the network.
    done = project.run("dagster", "definitions", "validate", "-w", "workspace.yaml", https_proxy="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert "All code locations passed validation" in done.stderr + done.stdout
    assert list(project.folder.rglob("*.duckdb")) == []


def test_two_dataflows_of_one_name_are_refused_ignoring_case(project):
    project.add("one", name="Shop")
    project.add("two", name="shop")
    done = project.run("dagster", "definitions", "validate", "-w", "workspace.yaml")
    assert done.returncode != 0
    assert re.search(r"Two dataflows are named (Shop|shop) \(case is ignored\)", done.stderr + done.stdout)


def test_a_partition_a_range_and_the_job_land_a_dataflow_of_ones_own(project):
    account = Account(customers=15, seed=4)
    with Sandbox(account) as sandbox:
        project.add(
            "shop", name="Shop", api_base=sandbox.url, api_key_env="SHOP_KEY", database="own.duckdb",
            start_date="2025-01-01",
            tables=["customers", "charges", {"table": "refunds", "name": "money_back"}, "quotes"],
        )  # fmt: skip
        last = project.run("python", "-c", LATEST).stdout.strip()
        command = ("dagster", "asset", "materialize", "-m", "stripe_dataflow.definitions", "--select", "group:Shop")
        one = project.run(*command, "--partition", last, SHOP_KEY="sk_test_1")
        assert one.returncode == 0, one.stderr[-2000:]
        month = [c["id"] for c in account.listed("charges") if c["created"] >= epoch(last)]
        assert ids(project, "charges") == sorted(month)
        whole = project.run(*command, "--partition-range", f"2025-01-01...{last}", SHOP_KEY="sk_test_1")
        assert whole.returncode == 0, whole.stderr[-2000:]
        for table, name in (
            ("customers", "customers"),
            ("charges", "charges"),
            ("refunds", "money_back"),
            ("quotes", "quotes"),
        ):
            assert ids(project, name) == sorted(item["id"] for item in account.listed(table))
        job = ("dagster", "job", "execute", "-m", "stripe_dataflow.definitions", "-j", "Shop__run")
        again = project.run(*job, SHOP_KEY="sk_test_1")
        assert again.returncode == 0, again.stderr[-2000:]
        failed = project.run(*job)
        assert failed.returncode != 0
        assert "The environment variable SHOP_KEY is not set" in failed.stderr + failed.stdout
    with duckdb.connect(str(project.folder / "own.duckdb"), read_only=True) as connection:
        changes = connection.execute("select sum(inserted + updated + deleted) from _dataflow.loads where load_id = 3")
        assert changes.fetchone() == (0,)


def epoch(partition: str) -> int:
    with duckdb.connect() as connection:
        row = connection.execute("select epoch(?::date)::bigint", [partition]).fetchone()
    assert row is not None
    return row[0]


def ids(project, table: str) -> list[str]:
    with duckdb.connect(str(project.folder / "own.duckdb"), read_only=True) as connection:
        return [
            i
            for (i,) in connection.execute(
                f"select id from Shop.{table} where _deleted_at is null order by id"
            ).fetchall()
        ]


@contextmanager
def watching(folder):
    """Yield the most bytes of lines that wait in the staging folder at any time of the block."""
    most, over = {"bytes": 0}, threading.Event()

    def watch():
        while not over.wait(0.02):
            sizes = 0
            for path in folder.glob("*.staging/*/*.ndjson"):
                with suppress(FileNotFoundError):
                    sizes += path.stat().st_size
            most["bytes"] = max(most["bytes"], sizes)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        over.set()
        watcher.join()


# Runs a command from a small process: a child's peak memory begins with its parent's.
MEASURED = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print("kilobytes:", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""


def test_a_hundred_thousand_charges_land_within_600_mb_of_memory_and_100_mb_of_lines(project):
    server = subprocess.Popen(
        [sys.executable, "-m", "stripe_dataflow.sandbox", "--customers", "50", "--charges", "100000"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        project.add(
            "big", name="Big", api_base=url, api_key_env="BIG_KEY", database="large.duckdb", tables=["charges"],
            requests_per_second=5000, requests_per_second_per_endpoint=5000,
        )  # fmt: skip
        job = ("job", "execute", "-m", "stripe_dataflow.definitions", "-j", "Big__run")
        with watching(project.folder) as most:
            dagster = str(Path(sys.executable).with_name("dagster"))
            done = project.run("python", "-c", MEASURED, dagster, *job, BIG_KEY="sk_test_1")
    finally:
        server.terminate()
        server.wait()
        if server.stdout:
            server.stdout.close()
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.rpartition("kilobytes: ")[2]) < 600_000
    assert 0 < most["bytes"] < 100 << 20  # of the 270 MB of lines, those that wait to be staged
    with duckdb.connect(str(project.folder / "large.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*), count(distinct id) from Big.charges").fetchone() == (
            100_000,
            100_000,
        )

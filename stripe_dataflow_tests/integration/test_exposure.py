"""Who can reach and read what, and whom a run talks to."""

import json
import re
import stat
import subprocess
from pathlib import Path

import dagster as dg
import pytest
import yaml

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.warehouse import Target, Warehouse

ROOT = Path(__file__).parents[2]

# Python's own hook sees each connection and look-up of a process, whatever library makes it.
WATCH = """
import os, sys
def watch(event, args):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        where = args[0] if event == "socket.getaddrinfo" else args[1]
        with open(os.environ["WATCHED"], "a") as file:
            file.write(f"{where!r}\\n")
sys.addaudithook(watch)
"""


def modes(folder: Path) -> dict[str, str]:
    """Return each file and folder others may do anything with, and what."""
    return {
        str(path.relative_to(folder)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in folder.rglob("*")
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    }


def test_the_webserver_listens_on_this_machine_alone():
    shown = subprocess.run(["make", "-n", "dev"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(r"dagster dev .*-h 127\.0\.0\.1 ", shown)
    for file in (ROOT / "Makefile", ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        assert "0.0.0.0" not in file.read_text(encoding="utf-8")


def test_a_run_by_the_command_talks_to_stripe_alone_and_leaves_nothing_for_others_to_read(project):
    project.add("shop", name="Shop", api_base="sandbox", sandbox={"customers": 3}, tables=["customers", "charges"])
    (project.folder / "sitecustomize.py").write_text(WATCH)
    watched = project.folder / "watched.txt"
    (project.folder / ".dagster").mkdir(mode=0o700)  # as make does
    command = ("dagster", "job", "execute", "-m", "stripe_dataflow.definitions", "-j", "Shop__run")
    done = project.run(*command, WATCHED=str(watched))
    assert done.returncode == 0, done.stderr[-2000:]
    reached = set(watched.read_text().splitlines())
    assert any(where.startswith("('127.0.0.1', ") for where in reached)
    assert {where for where in reached if not re.match(r"\('127\.0\.0\.1', |'127\.0\.0\.1'$", where)} == set()
    database = project.folder / "warehouse.duckdb"
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    assert stat.S_IMODE(database.with_name("warehouse.duckdb.staging").stat().st_mode) == 0o700
    assert stat.S_IMODE((project.folder / ".dagster").stat().st_mode) == 0o700


def test_the_command_creates_the_run_history_for_its_owner(project):
    project.add("shop", name="Shop", api_base="sandbox", sandbox={"customers": 3}, tables=["customers"])
    done = project.run("stripe-dataflow", "load", "Shop")
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((project.folder / ".dagster").stat().st_mode) == 0o700
    assert modes(project.folder / ".dagster") == {}


LIMIT = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
def watch(event, args):
    if event == "socket.connect":
        with open(os.environ["WATCHED"], "a") as file:
            file.write(f"{resource.getrlimit(resource.RLIMIT_CORE)[0]}\\n")
sys.addaudithook(watch)
"""


@pytest.mark.parametrize(
    "command",
    [
        ("stripe-dataflow", "connect", "Shop"),
        ("dagster", "job", "execute", "-m", "stripe_dataflow.definitions", "-j", "Shop__run"),
    ],
)
def test_a_process_that_holds_the_key_leaves_no_dump_of_its_memory_when_it_crashes(project, command):
    project.add("shop", name="Shop", api_base="sandbox", sandbox={"customers": 3}, tables=["customers"])
    (project.folder / "sitecustomize.py").write_text(LIMIT)
    watched = project.folder / "watched.txt"
    done = project.run(*command, WATCHED=str(watched))
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(watched.read_text().split()) == {"0"}


def test_telemetry_is_off():
    settings = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    assert settings["telemetry"] == {"enabled": False}
    assert settings["nux"] == {"enabled": False}
    with dg.DagsterInstance.ephemeral(settings=settings) as instance:
        assert not instance.telemetry_enabled


@pytest.fixture
def warehouse(tmp_path):
    with Warehouse(tmp_path / "data" / "shop.duckdb", stage_dir=tmp_path / "stage") as warehouse:
        yield warehouse


def test_duckdb_may_not_fetch_extensions(warehouse):
    with warehouse.transaction() as connection:
        for setting in ("autoinstall_known_extensions", "allow_community_extensions"):
            assert connection.execute("select current_setting(?)", [setting]).fetchone() == (False,)


def test_log_files_of_a_commit_are_for_the_owner_too(warehouse, tmp_path):
    target = Target("Shop", "customers", TABLES["customers"])
    (tmp_path / "stage" / "lines.ndjson").write_text(json.dumps({"id": "cus_1", "_fetched_at": 1}))
    warehouse.stage(target, [tmp_path / "stage" / "lines.ndjson"])
    with warehouse.transaction() as connection:
        connection.execute("commit")  # now what was committed stands in the write-ahead log
        connection.execute("begin")
        connection.execute("create table warehouse.main.more as select 1 as one")
        connection.execute("commit")
        assert (tmp_path / "data" / "shop.duckdb.wal").exists()
        assert modes(tmp_path) == {}
        connection.execute("begin")

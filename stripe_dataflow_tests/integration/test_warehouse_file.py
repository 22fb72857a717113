from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.errors import DatabaseLocked, DatabaseTooNew, WarehouseError
from stripe_dataflow.warehouse import Counts, Scope, Target, Warehouse, list_dataflows
from stripe_dataflow.warehouse.registry import VERSION

CUSTOMERS = Target("Shop", "customers", TABLES["customers"])


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    folder = tmp_path / "data"
    with Warehouse(folder / "shop.duckdb", stage_dir=tmp_path / "stage", wait_s=0.3) as warehouse:
        yield warehouse


def load(warehouse: Warehouse, *, load_id: int = 1, number: int = 1) -> Counts:
    path = warehouse.database.parent.parent / f"{load_id}.ndjson"
    path.write_text(json.dumps({"id": f"cus_{number}", "_fetched_at": load_id}))
    warehouse.stage(CUSTOMERS, [path])
    with warehouse.transaction() as connection:
        return warehouse.merge(connection, CUSTOMERS, load_id=load_id, scope=Scope.changes())


def ids(warehouse: Warehouse) -> list[str]:
    with warehouse.reading() as connection:
        return [row[0] for row in connection.execute(f"select id from {CUSTOMERS.current} order by id").fetchall()]


HOLDER = """
import sys, time, duckdb
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "read")
print("held", flush=True)
time.sleep(float(sys.argv[3]))
"""


def holder(database: Path, how: str, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(database), how, str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@pytest.mark.parametrize("how", [pytest.param("read", id="a reader"), pytest.param("write", id="a writer")])
def test_a_held_file_is_refused_with_the_holders_pid(warehouse: Warehouse, how: str) -> None:
    load(warehouse)
    process = holder(warehouse.database, how, 60)
    try:
        with pytest.raises(DatabaseLocked, match=rf"is held by process {process.pid}, still after 0\.3 s"):
            load(warehouse, load_id=2, number=2)
    finally:
        end(process)
    assert ids(warehouse) == ["cus_1"]
    with warehouse.transaction() as connection:
        assert warehouse.merge(connection, CUSTOMERS, load_id=2, scope=Scope.changes()) == Counts(read=1, inserted=1)


def test_a_file_held_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    with Warehouse(tmp_path / "data" / "shop.duckdb", stage_dir=tmp_path / "stage", wait_s=20) as patient:
        load(patient)
        process = holder(patient.database, "write", 0.5)
        try:
            load(patient, load_id=2, number=2)
        finally:
            end(process)
        assert ids(patient) == ["cus_1", "cus_2"]


def test_a_reader_shuts_out_no_reader(warehouse: Warehouse) -> None:
    load(warehouse)
    process = holder(warehouse.database, "read", 60)
    try:
        assert ids(warehouse) == ["cus_1"]
    finally:
        end(process)


def test_another_warehouse_of_the_same_process_waits_too(warehouse: Warehouse, tmp_path: Path) -> None:
    with (
        Warehouse(warehouse.database, stage_dir=tmp_path / "stage", wait_s=0.1) as other,
        warehouse.transaction(),
        pytest.raises(DatabaseLocked, match=f"held by this process \\({os.getpid()}\\)"),
        other.transaction(),
    ):
        pass


def test_the_file_is_free_between_transactions_and_after_a_failure(warehouse: Warehouse) -> None:
    load(warehouse)
    with pytest.raises(ZeroDivisionError), warehouse.transaction():
        assert 1 / 0
    assert not warehouse.database.with_name("shop.duckdb.wal").exists()
    with duckdb.connect(str(warehouse.database)) as connection:
        assert connection.execute('select id from shop."Shop".customers').fetchall() == [("cus_1",)]


def test_transactions_do_not_nest(warehouse: Warehouse) -> None:
    with warehouse.transaction(), pytest.raises(WarehouseError, match="do not nest"), warehouse.reading():
        pass


def test_threads_stage_while_another_merges(warehouse: Warehouse, tmp_path: Path) -> None:
    paths = [tmp_path / f"t{n}.ndjson" for n in range(20)]
    for number, path in enumerate(paths):
        path.write_text(json.dumps({"id": f"cus_{number}", "_fetched_at": 1}))
    thread = threading.Thread(target=lambda: [warehouse.stage(CUSTOMERS, [path]) for path in paths])
    thread.start()
    counts = Counts()
    while thread.is_alive():
        with warehouse.transaction() as connection:
            counts += warehouse.merge(connection, CUSTOMERS, load_id=1, scope=Scope.changes())
    with warehouse.transaction() as connection:
        counts += warehouse.merge(connection, CUSTOMERS, load_id=1, scope=Scope.changes())
    assert counts == Counts(read=20, inserted=20)


def test_only_the_owner_may_read_what_is_created(warehouse: Warehouse) -> None:
    load(warehouse)
    made = [
        warehouse.database,
        warehouse.database.parent,
        *(warehouse.database.parent.parent / "stage").glob("*.duckdb"),
    ]
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o600, 0o700, 0o600]


def test_the_file_has_a_format_older_tools_read(warehouse: Warehouse) -> None:
    load(warehouse)
    with warehouse.transaction() as connection:
        tags = connection.execute("select tags from duckdb_databases() where database_name = 'warehouse'").fetchone()
    assert tags == ({"storage_version": "v1.2.0+"},)


def test_closing_leaves_nothing_staged(tmp_path: Path) -> None:
    with Warehouse(tmp_path / "data" / "shop.duckdb", stage_dir=tmp_path / "stage") as warehouse:
        load(warehouse)
        warehouse.close()
    assert list((tmp_path / "stage").iterdir()) == []


def test_reading_a_file_that_is_not_there_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match=r"There is no database .* yet"), warehouse.reading():
        pass
    assert not warehouse.database.exists()


def _text(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("not a database" * 1000)


def _folder(path: Path) -> None:
    path.mkdir(parents=True)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(_text, "it is no DuckDB database. Name another file", id="another kind of file"),
        pytest.param(_folder, "it is a folder. Name a file", id="a folder"),
    ],
)
def test_what_is_no_database_is_refused_in_a_sentence(tmp_path: Path, make: object, why: str) -> None:
    database = tmp_path / "data" / "shop.duckdb"
    assert callable(make)
    make(database)
    with (
        Warehouse(database, stage_dir=tmp_path / "stage") as warehouse,
        pytest.raises(WarehouseError, match=f"cannot be used: {why}"),
        warehouse.transaction(),
    ):
        pass


def test_a_file_that_may_not_be_written_is_refused(warehouse: Warehouse) -> None:
    load(warehouse)
    # Of another process, as root may write everything: there it gives that up first.
    script = f"""
import os, sys
from pathlib import Path
from stripe_dataflow.errors import WarehouseError
from stripe_dataflow.warehouse import Warehouse
database = Path({str(warehouse.database)!r})
if os.geteuid() == 0:
    for folder in database.parents[:-2]:
        folder.chmod(0o777)
    database.chmod(0o444)
    os.setuid(65534)
else:
    database.chmod(0o400)
try:
    with Warehouse(database, stage_dir=database.with_name("other_stage")) as warehouse, warehouse.transaction():
        pass
except WarehouseError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "this user may not open it" in done.stdout, done.stderr


def test_a_full_disk_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    full = Path("/dev/full")
    with (
        Warehouse(full, stage_dir=tmp_path / "stage") as warehouse,
        pytest.raises(WarehouseError, match=r"/dev/full.*Nothing was changed"),
        warehouse.transaction(),
    ):
        pass


def test_a_newer_registry_is_refused(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        connection.execute("update warehouse._dataflow.version set version = 99")
    with pytest.raises(DatabaseTooNew, match=f"has version 99, this release knows {VERSION}"), warehouse.transaction():
        pass
    with pytest.raises(DatabaseTooNew), warehouse.reading():
        pass


def test_errors_of_duckdb_repeat_no_value(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError) as refused, warehouse.transaction() as connection:
        connection.execute("select ?::bigint", ["secret"])
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


KILLED = """
import os, signal, sys
from pathlib import Path
from stripe_dataflow.catalog import TABLES
from stripe_dataflow.warehouse import Scope, Target, Warehouse
folder = Path(sys.argv[1])
target = Target("Shop", "customers", TABLES["customers"])
warehouse = Warehouse(folder / "data" / "shop.duckdb", stage_dir=folder / "stage")
path = folder / "killed.ndjson"
path.write_text('{"id": "cus_1", "email": "new", "_fetched_at": 9}\\n{"id": "cus_2", "_fetched_at": 9}')
warehouse.stage(target, [path])
with warehouse.transaction() as connection:
    warehouse.merge(connection, target, load_id=2, scope=Scope.whole())
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_merge_killed_in_its_transaction_leaves_the_rows_and_its_staging_is_swept(tmp_path: Path) -> None:
    database, stage = tmp_path / "data" / "shop.duckdb", tmp_path / "stage"
    with Warehouse(database, stage_dir=stage) as warehouse:
        load(warehouse)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(stage.glob("stage-*.duckdb")) != []
    with Warehouse(database, stage_dir=stage) as warehouse:
        assert {path.name.split("-")[1] for path in stage.iterdir()} == {str(os.getpid())}
        with warehouse.reading() as connection:
            rows = connection.execute(f"select id, email, _load_id from {CUSTOMERS.current}").fetchall()
            assert rows == [("cus_1", None, 1)]
            assert list_dataflows(connection) == []

"""Merging many wide rows stays within the memory that is allowed."""

import subprocess
import sys

from stripe_dataflow.warehouse import Counts
from stripe_dataflow_tests.integration.test_commands import MEASURED

LARGE = """
import json, sys
from pathlib import Path
from stripe_dataflow.catalog import TABLES, stripe_columns
from stripe_dataflow.warehouse import Scope, Target, Warehouse
folder, rows = Path(sys.argv[1]), 100_000
target = Target("Shop", "charges", TABLES["charges"])
base = {c.name: {"pad": "x" * 60} if c.type == "JSON" else None for c in stripe_columns(target.table)}
paths = []
for number in range(10):
    paths.append(folder / f"{number}.ndjson")
    with paths[-1].open("w") as file:
        for row in range(number * rows // 10, (number + 1) * rows // 10):
            filled = {"id": f"ch_{row * 7919 % rows}", "amount": row, "created": 1767225600, "_fetched_at": row + 1}
            file.write(json.dumps({**base, **filled}) + chr(10))
with Warehouse(folder / "shop.duckdb", stage_dir=folder / "stage") as warehouse:
    for load in (1, 2):
        warehouse.stage(target, paths)
        with warehouse.transaction() as connection:
            print(warehouse.merge(connection, target, load_id=load, scope=Scope.whole()))
"""


def test_a_hundred_thousand_wide_rows_take_little_memory(tmp_path):
    command = [sys.executable, "-c", MEASURED, sys.executable, "-c", LARGE, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    first, second, taken = done.stdout.splitlines()
    assert first == str(Counts(read=100_000, inserted=100_000))
    assert second == str(Counts(read=100_000, unchanged=100_000))
    assert int(taken.removeprefix("kilobytes: ")) < 400_000

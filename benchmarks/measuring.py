"""Running one side of a comparison in a process of its own, and measuring what it took."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Taken:
    """What a process took: wall and CPU seconds (user and system), peak memory in MB, and what it printed."""

    seconds: float
    cpu_s: float
    peak_mb: float
    output: str


def take(command: list[str], *, cwd: Path = ROOT, env: dict[str, str] | None = None) -> Taken:
    """Return what a command took.

    Raises:
        RuntimeError: It failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "taken.json"
        child = [sys.executable, str(HERE / "child.py"), str(file), *command]
        done = subprocess.run(child, cwd=cwd, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {(done.stdout + done.stderr)[-2000:]}")
        return Taken(**json.loads(file.read_text(encoding="utf-8")), output=done.stdout)


@contextmanager
def serving(**options: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a server's URL, and what it was asked once the block has ended."""
    asked: dict[str, Any] = {}
    command = [sys.executable, str(HERE / "server.py"), json.dumps(options)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip(), asked
    finally:
        server.terminate()
        asked |= json.loads(server.stdout.readline() or "{}")
        server.wait()
        server.stdout.close()


class Project:
    """A copy of the project with one dataflow, Bench, in a temporary folder."""

    def __init__(self, url: str, **attributes: Any) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        for name in ("stripe_dataflow", "workspace.yaml", "dagster.yaml", "pyproject.toml"):
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, self.folder / name)
        defs = self.folder / "stripe_dataflow" / "defs"
        shutil.rmtree(defs)
        (defs / "bench").mkdir(parents=True)
        given = {"name": "Bench", "api_base": url, "api_key_env": "BENCH_KEY", "database": "data.duckdb"} | attributes
        text = json.dumps({"type": "stripe_dataflow.StripeDataflow", "attributes": given})
        (defs / "bench" / "defs.yaml").write_text(text, encoding="utf-8")

    def run(self) -> Taken:
        """Return what a run of the job took, from the command's start to its end."""
        env = os.environ | {
            "BENCH_KEY": "sk_test_benchmark",
            "DAGSTER_HOME": str(self.folder),
            "PYTHONPATH": str(self.folder),
        }
        dagster = str(Path(sys.executable).with_name("dagster"))
        command = [dagster, "job", "execute", "-m", "stripe_dataflow.definitions", "-j", "Bench__run"]
        return take(command, cwd=self.folder, env=env)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the database."""
        with duckdb.connect(str(self.folder / "data.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def wrong_rows(self, truth: str) -> int:
        """Return how many charges differ from the server's truth, in either direction."""
        names = (
            "id, amount, currency, status, customer, description, metadata::varchar, payment_method_details::varchar"
        )
        columns = {name.partition("::")[0]: "VARCHAR" for name in names.split(", ")} | {"amount": "BIGINT"}
        for name in ("metadata", "payment_method_details"):
            columns[name] = "JSON"
        read = f"read_json('{truth}', format='newline_delimited', columns={columns})"
        mine, theirs = f"select {names} from Bench.charges where _deleted_at is null", f"select {names} from {read}"
        sql = f"select count(*) from (({mine} except {theirs}) union all ({theirs} except {mine}))"
        return self.query(sql)[0][0]

    def close(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder)

"""Running one side of a comparison in a process of its own, and measuring what it took."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
import duckdb
from truth import wrong_rows

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Taken:
    """What a process took: wall and CPU seconds (user and system), peak memory in MB, and what it printed.

    `ended` is when it ended, on the clock that the server's `first` and `last` are on.
    """

    seconds: float
    ended: float
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
            raise RuntimeError(f"{' '.join(command)} failed: {(done.stdout + done.stderr)[-20_000:]}")
        return Taken(**json.loads(file.read_text(encoding="utf-8")), output=done.stdout)


class Server:
    """The simulated account in another process; a context manager."""

    def __init__(self, script: str = "server.py", /, **options: Any) -> None:
        command = [sys.executable, str(HERE / script), json.dumps(options)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.url = str(self._answer())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def asked(self) -> dict[str, float]:
        """Return `requests`, `refused` and the times of the `first` and the `last` since this was last called."""
        return self.tell("asked")

    def tell(self, command: str) -> Any:
        """Return the answer to a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def ceiling(self, seconds: float = 3.0) -> float:
        """Return the pages a second it gives a bare client that throws them away, eight requests at a time."""
        self.asked()
        asyncio.run(_fetch(f"{self.url}/v1/charges?limit=100", seconds))
        asked = self.asked()
        return asked["requests"] / (asked["last"] - asked["first"])


async def _fetch(url: str, seconds: float) -> None:
    until = time.monotonic() + seconds

    async def work(session: aiohttp.ClientSession) -> None:
        while time.monotonic() < until:
            async with session.get(url, headers={"Authorization": "Bearer sk_test_benchmark"}) as response:
                await response.read()

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(work(session) for _ in range(8)))


class Project:
    """A copy of the project with one dataflow, Bench, in a temporary folder."""

    def __init__(self, url: str, **attributes: Any) -> None:
        self.tables: list[str] = attributes["tables"]
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
        return self._execute("-m", "stripe_dataflow.definitions", "-j", "Bench__run")

    def idle(self) -> Taken:
        """Return what a run of as many assets that do nothing took."""
        return self._execute("-f", str(HERE / "idle.py"), "-j", "idle")

    def _execute(self, *job: str) -> Taken:
        env = os.environ | {
            "BENCH_KEY": "sk_test_benchmark",
            "BENCH_ASSETS": str(len(self.tables)),
            "DAGSTER_HOME": str(self.folder),
            "PYTHONPATH": str(self.folder),
        }
        dagster = str(Path(sys.executable).with_name("dagster"))
        return take([dagster, "job", "execute", *job], cwd=self.folder, env=env)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the database."""
        with duckdb.connect(str(self.folder / "data.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def check(self, server: Server) -> None:
        """Compare every table with the server's truth.

        Raises:
            RuntimeError: A row is missing, too many, or different.
        """
        with tempfile.TemporaryDirectory() as folder:
            count = server.tell(" ".join(["truth", folder, *self.tables]))
            wrong = wrong_rows(self.folder / "data.duckdb", Path(folder), self.tables)
        if wrong or not count:
            raise RuntimeError(f"{wrong} rows of {count} differ from the server's truth")

    def close(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder)

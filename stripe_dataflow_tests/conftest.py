"""What the tests share: a simulated account, its server, and dataflows run by a real Dagster instance."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from stripe_dataflow.catalog import TABLES, stripe_columns
from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.jobs import dataflow_definitions
from stripe_dataflow.orchestration.partitions import RANGE_TAGS, partitions_of
from stripe_dataflow.sandbox import Account, Faults, Sandbox
from stripe_dataflow.warehouse import quote

pytest_plugins = ["stripe_dataflow_tests.faults.matrix"]

KEY_ENV = "SHOP_KEY"
DAY = 86_400
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def noon(days_ago: int) -> int:
    """Return the clock of an account that is to move, Unix seconds: it must stay behind the real one, as Stripe's does.

    At whatever time of the day the tests run, its objects lie in the same days.
    """
    return (int(time.time()) // DAY - days_ago) * DAY + DAY // 2


@dataclass
class Shop:
    """A dataflow in a temporary folder, against one sandbox, in one Dagster instance."""

    account: Account
    sandbox: Sandbox
    faults: Faults
    instance: dg.DagsterInstance
    database: Path
    attributes: dict[str, Any]
    reader: duckdb.DuckDBPyConnection | None = None

    def dataflow(self, **changes: Any) -> Dataflow:
        """Return the dataflow, with some attributes changed."""
        return Dataflow(Attributes(**{**self.attributes, **changes}))

    def run(self, *, tags: dict[str, str] | None = None, select: list[str] | None = None, **changes: Any) -> Any:
        """Return the result of running the dataflow's job; `select` names tables."""
        dataflow = self.dataflow(**changes)
        job = dataflow_definitions(dataflow).resolve_job_def(f"{dataflow.name}__run")
        keys = [dg.AssetKey([dataflow.name, table]) for table in select] if select else None
        return job.execute_in_process(
            instance=self.instance, tags=tags, raise_on_error=False, asset_selection=keys, run_config=QUIET
        )

    def operate(self, op: str, **config: Any) -> Any:
        """Return the result of the job `<name>__<op>` with a configuration."""
        dataflow = self.dataflow()
        job = dataflow_definitions(dataflow).resolve_job_def(f"{dataflow.name}__{op}")
        run_config = {**QUIET, "ops": {op: {"config": config}}}
        return job.execute_in_process(instance=self.instance, raise_on_error=False, run_config=run_config)

    def rows(self, schema: str | None = None) -> dict[str, Any]:
        """Return table -> its columns and all its rows, sorted: what two equal states have in common."""
        schema = schema or self.attributes["name"]
        with self.reading():
            names = self.query(f"select table_name from duckdb_tables() where schema_name = '{schema}' order by 1")
            return {
                name: (
                    self.query(f'describe {schema}."{name}"'),
                    sorted(map(repr, self.query(f'select * from {schema}."{name}"'))),
                )
                for (name,) in names
            }

    def run_all_partitions(self, **changes: Any) -> Any:
        """Return the result of running the job for the whole range of partitions, in one run."""
        keys = partitions_of(self.dataflow(**changes).attributes).get_partition_keys()
        return self.run(tags={RANGE_TAGS[0]: keys[0], RANGE_TAGS[1]: keys[-1]}, **changes)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the database; the dataflow's schema is the default."""
        with self.reading() as connection:
            return connection.execute(sql).fetchall()

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection that only reads, for all queries meanwhile: to open the file costs more than most."""
        if self.reader:
            yield self.reader
            return
        with duckdb.connect(str(self.database), read_only=True) as connection:
            with suppress(duckdb.CatalogException):  # no table landed yet
                connection.execute("use " + quote(self.attributes["name"]))
            self.reader = connection
            try:
                yield connection
            finally:
                self.reader = None

    def failures(self, result: Any) -> dict[str, str]:
        """Return table -> the sentence its step failed with."""
        return {
            event.step_key.partition("__")[2]: event.step_failure_data.user_failure_data.description
            if event.step_failure_data.user_failure_data
            else event.step_failure_data.error.to_string()
            for event in result.get_step_failure_events()
        }

    def keys(self, table: str) -> list[tuple[str, ...]]:
        """Return the keys of a table's live rows, sorted."""
        found = self.query(f'select {key_sql(table)} from "{table}" where _deleted_at is null')
        return sorted(tuple(map(str, row)) for row in found)

    @property
    def start(self) -> int:
        """Return when the first partition begins, Unix seconds."""
        return int(partitions_of(self.dataflow().attributes).start_timestamp)

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection that changes the database behind the dataflow's back."""
        with duckdb.connect(str(self.database)) as connection:
            yield connection

    def true_keys(self, table: str) -> list[tuple[str, ...]]:
        """Return the keys of the objects that Stripe lists from the dataflow's start on, sorted."""
        objects, row, start = self.account.listed(table), TABLES[table], self.start
        parents = self.account.parent_ids(table) if row.parents else [""] * len(objects)
        rows = [
            {**item, "_parent_id": parent}
            for item, parent in zip(objects, parents, strict=True)
            if not row.created_filter or item[row.created] >= start
        ]
        return sorted(tuple(str(row[name]) for name in TABLES[table].key) for row in rows)


def key_sql(table: str) -> str:
    """Return a table's key as SQL, its times as Stripe writes them."""
    return ", ".join(f"epoch({name})::bigint" if name in _times(table) else f'"{name}"' for name in TABLES[table].key)


def _times(table: str) -> set[str]:
    return {column.name for column in stripe_columns(TABLES[table]) if column.source == "epoch_s"}


@pytest.fixture(scope="module")
def make_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Shop]]:
    """Return a maker of shops; each has its own account, server, instance and database."""
    open_ones = ExitStack()

    def make(
        *,
        customers: int = 20,
        seed: int = 1,
        event_version: str | None = None,
        days_ago: int = 0,
        now: int | None = None,
        faults: Faults | None = None,
        **attributes: Any,
    ) -> Shop:
        folder = tmp_path_factory.mktemp("shop")
        now = noon(days_ago) if days_ago else now
        account, faults = Account(customers, seed, now, event_version=event_version), faults or Faults()
        sandbox = open_ones.enter_context(Sandbox(account, faults=faults))
        instance = open_ones.enter_context(dg.DagsterInstance.ephemeral(str(folder)))
        database = folder / "shop_data.duckdb"
        chosen = {
            "name": "Shop", "api_base": sandbox.url, "api_key_env": KEY_ENV, "database": str(database),
            "start_date": "2025-01-01", "requests_per_second": 5000, "requests_per_second_per_endpoint": 5000,
        } | attributes  # fmt: skip
        return Shop(account, sandbox, faults, instance, database, chosen)

    with open_ones, pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_ENV, "sk_test_shop")
        yield make


ROOT = Path(__file__).parents[1]


class Project:
    """A copy of the project with dataflows of one's own, and no key in the environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("stripe_dataflow", "workspace.yaml", "dagster.yaml", "pyproject.toml"):
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / name)
        shutil.rmtree(folder / "stripe_dataflow" / "defs" / "demo")

    def add(self, below: str, /, **attributes: object) -> None:
        """Add a dataflow in a folder below `defs`; JSON is YAML."""
        folder = self.folder / "stripe_dataflow" / "defs" / below
        folder.mkdir(parents=True)
        text = json.dumps({"type": "stripe_dataflow.StripeDataflow", "attributes": attributes})
        (folder / "defs.yaml").write_text(text, encoding="utf-8")

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the virtual environment in the project's folder."""
        env = self.environment(**environment)
        command = [str(Path(sys.executable).with_name(arguments[0])), *arguments[1:]]
        return subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=300, check=False
        )

    def environment(self, **more: str) -> dict[str, str]:
        """Return this process's environment without keys, with the project as Dagster's home."""
        kept = {name: value for name, value in os.environ.items() if "STRIPE" not in name and "DAGSTER" not in name}
        return kept | {"PYTHONPATH": str(self.folder), "DAGSTER_HOME": str(self.folder)} | more


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project of its own, with no dataflow yet."""
    return Project(tmp_path)

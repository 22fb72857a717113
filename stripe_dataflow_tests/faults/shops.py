"""A small dataflow to break: what it holds, what Stripe lists, and where its key may have leaked."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.jobs import dataflow_definitions
from stripe_dataflow.patience import Patience
from stripe_dataflow.sandbox import Account, Faults, Limits, Sandbox
from stripe_dataflow_tests.conftest import QUIET, Shop, noon
from stripe_dataflow_tests.integration.test_loading import content, true_content

KEY = "sk_test_canaryQ7vX2m"
KEY_ENV = "CANARY_KEY"
CHOSEN = ["charges", "customers", "customer_tax_ids", "invoices", "invoice_line_items", "subscriptions"]
HASTY = Patience(
    attempts=3, first_wait_s=0.01, longest_wait_s=0.02, timeout_s=20, step_wait_s=0, database_wait_s=0.3,
)  # fmt: skip

Part = tuple[str, str]


@dataclass
class FragileShop(Shop):
    """A shop that gives up soon, and remembers its runs."""

    patience: Patience = HASTY
    run_ids: list[str] = field(default_factory=list)

    def dataflow(self, **changes: Any) -> Dataflow:
        """Return the dataflow, with some attributes changed."""
        return Dataflow(Attributes(**{**self.attributes, **changes}), self.patience)

    def run(
        self, *, mode: str = "auto", tags: dict[str, str] | None = None, select: list[str] | None = None, **changes: Any
    ) -> Any:
        """Return the result of running the dataflow's job; `mode` is `auto` or `list`."""
        dataflow = self.dataflow(**changes)
        keys = [dg.AssetKey([dataflow.name, table]) for table in select] if select else None
        job = dataflow_definitions(dataflow).resolve_job_def(f"{dataflow.name}__run")
        config = {**QUIET, "resources": {f"{dataflow.name}__session": {"config": {"mode": mode}}}}
        result = job.execute_in_process(
            instance=self.instance, run_config=config, tags=tags, raise_on_error=False, asset_selection=keys
        )
        self.run_ids.append(result.run_id)
        return result

    def operate(self, op: str, **config: Any) -> Any:
        """Return the result of the job `<name>__<op>` with a configuration."""
        result = super().operate(op, **config)
        self.run_ids.append(result.run_id)
        return result

    def churn(self) -> None:
        """Change, add and delete objects of several tables, a minute after the last change.

        Nobody else does anything meanwhile: so all that changes has its event, and either way of reading is exact.
        """
        account = self.account
        with account.lock:
            account.state.now += 60
        first, second, *_ = (c["id"] for c in account.listed("customers"))
        account.update("customers", first, email=f"{account.now}@example.com")
        account.delete("customers", second)
        account.create("customers", email="new@example.com")
        account.create("charges")
        account.update("charges", account.listed("charges")[-1]["id"], metadata={"changed": str(account.now)})
        account.update("invoices", account.listed("invoices")[0]["id"], metadata={"changed": str(account.now)})

    def held(self) -> dict[Part, list[Any]]:
        """Return table and month -> its live rows: what one transaction moves."""
        found: dict[Part, list[Any]] = {}
        with self.reading():
            for name in self.dataflow().tables:
                with suppress(duckdb.CatalogException):  # not landed yet
                    found |= _by_month(name, content(self, name))
        return found

    def truth(self) -> dict[Part, list[Any]]:
        """Return the same of what Stripe lists."""
        found: dict[Part, list[Any]] = {}
        for name in self.dataflow().tables:
            found |= _by_month(name, true_content(self, name))
        return found

    def staged(self) -> list[str]:
        """Return what lies in the staging folder, and what else a run left beside the database."""
        staging = self.database.with_name(f"{self.database.name}.staging")
        beside = [path.name for path in self.database.parent.glob(f"{self.database.name}.*") if path != staging]
        return sorted([*(path.name for path in staging.glob("*")), *beside])

    def history(self) -> list[tuple[str, str, str]]:
        """Return kind, status and description of each run, newest first."""
        sql = "select kind, status, description from _dataflow.runs where dataflow = '{}' order by load_id desc"
        return self.query(sql.format(self.attributes["name"]))

    def leaks(self) -> list[str]:
        """Return where the key stands: files, and what Dagster's instance kept of the runs."""
        files = [path for path in self.database.parent.rglob("*") if path.is_file()]
        found = [str(path) for path in files if KEY.encode() in path.read_bytes()]
        for run_id in self.run_ids:
            kept = [self.instance.get_run_by_id(run_id), *self.instance.all_logs(run_id)]
            found += [run_id for each in kept if KEY in repr(each)]
        self.run_ids.clear()
        return found


def _by_month(name: str, rows: list[Any]) -> dict[Part, list[Any]]:
    table = TABLES[name]
    found: dict[Part, list[Any]] = {}
    for row in rows:
        month = time.strftime("%Y-%m", time.gmtime(row[table.created])) if table.created_filter else ""
        found.setdefault((name, month), []).append(row)
    return found


@contextmanager
def opened(
    folder: Path, *, customers: int = 25, limits: Limits | None = None, faults: Faults | None = None, **attributes: Any
) -> Iterator[FragileShop]:
    """Yield a shop whose account is nine days behind the clock, so that it can move on."""
    account, faults = Account(customers, 1, noon(9)), faults or Faults()
    os.environ[KEY_ENV] = KEY
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(account, faults=faults, limits=limits))
        instance = stack.enter_context(dg.DagsterInstance.ephemeral(str(folder)))
        database = folder / "shop_data.duckdb"
        chosen = {
            "name": "Shop", "api_base": sandbox.url, "api_key_env": KEY_ENV, "database": str(database),
            "start_date": "2025-01-01", "requests_per_second": 5000, "requests_per_second_per_endpoint": 5000,
            "tables": CHOSEN,
        }  # fmt: skip
        shop = FragileShop(account, sandbox, faults, instance, database, chosen | attributes)
        yield shop
        del os.environ[KEY_ENV]


def calm(faults: Faults) -> None:
    """Let nothing go wrong any more."""
    fresh = replace(Faults(), seed=faults.seed)
    for name in ("rates", "path", "times", "late_events", "clock_s", "keys", "not_enabled", "retry_after", "latency_s"):
        setattr(faults, name, getattr(fresh, name))

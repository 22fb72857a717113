"""The commands that load, and show what landed."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from stripe_dataflow.cli.output import OUT, dataflow_named, print_rows
from stripe_dataflow.errors import ConfigError

if TYPE_CHECKING:
    from stripe_dataflow.orchestration.dataflow import Dataflow
    from stripe_dataflow.sync import Progress


@click.command()
def demo() -> None:
    """Load the simulated account, and show what landed and where to look."""
    OUT.print("Loading the dataflow [b]Demo[/b], a simulated Stripe account, through Dagster.")
    dataflow = _load("Demo")
    _print_landed(dataflow)
    path = dataflow.database
    OUT.print(f"{path.name} holds {path.stat().st_size / 1e6:,.1f} MB: {path}", soft_wrap=True)
    query = "select status, count(*), sum(amount) from Demo.charges group by status"
    code = f"import duckdb; print(duckdb.connect('{path.name}', read_only=True).sql('{query}'))"
    OUT.print(f'Query it:    .venv/bin/python -c "{code}"', soft_wrap=True)
    OUT.print("See the run: make dev, then http://localhost:3000/locations/stripe_dataflow/asset-groups/Demo")


@click.command()
@click.argument("name")
def load(name: str) -> None:
    """Load every table of a dataflow, all its partitions, in this process."""
    _print_landed(_load(name))


@click.command()
@click.argument("name")
def tables(name: str) -> None:
    """Print a dataflow's tables: purpose, rows, columns, and megabytes read of Stripe."""
    _print_landed(dataflow_named(name))


COMMANDS = (demo, load, tables)


def _load(name: str) -> Dataflow:
    """Return a dataflow after running its job in this process, with a bar for each table at work.

    Raises:
        ConfigError: A table failed; the text says which and why.
    """
    from stripe_dataflow.cli.loading import run_dataflow  # noqa: PLC0415 Dagster costs a second
    from stripe_dataflow.sync import listener  # noqa: PLC0415

    dataflow = dataflow_named(name)
    logging.getLogger("dagster").setLevel(logging.ERROR)
    with warnings.catch_warnings(), _Bars() as bars:
        warnings.simplefilter("ignore")  # of Dagster's own beta features; tests turn them into errors
        listener.set(bars.show)
        failures = run_dataflow(dataflow)
    if failures:
        raise ConfigError("\n".join(f"{table}: {text}" for table, text in failures.items()))
    return dataflow


class _Bars(Bar):
    """One bar for all tables, and the table that is read fastest beside it."""

    def __init__(self) -> None:
        super().__init__(
            TextColumn("{task.completed}/{task.total} tables"), BarColumn(), TextColumn("{task.fields[rows]:,} rows"),
            TimeElapsedColumn(), TextColumn("{task.fields[now]}"), console=OUT, transient=not OUT.is_terminal,
        )  # fmt: skip
        self._task = self.add_task("load", total=None, rows=0, now="")

    def show(self, tables: Sequence[Progress]) -> None:
        """Take the state of all tables."""
        reading = max((t for t in tables if not t.done), key=lambda t: t.rows, default=None)
        self.update(
            self._task, total=len(tables), completed=sum(t.done for t in tables), rows=sum(t.rows for t in tables),
            now=str(reading or ""),
        )  # fmt: skip


def _print_landed(dataflow: Dataflow) -> None:
    """Print the dataflow's tables: rows, columns, and bytes read of Stripe in all loads."""
    from stripe_dataflow.cli.loading import landed_tables  # noqa: PLC0415 Dagster costs a second

    landed = landed_tables(dataflow)
    rows: list[Sequence[object]] = [
        (row.name, row.purpose, "not yet" if row.rows is None else row.rows, row.columns, f"{row.bytes / 1e6:,.2f}")
        for row in landed
    ]
    rows.append(("all", "", sum(row.rows or 0 for row in landed), "", f"{sum(r.bytes for r in landed) / 1e6:,.2f}"))
    headings = ("table", "purpose", "rows", "columns", "MB read")
    print_rows(f"{dataflow.name} in {dataflow.database.name}", headings, rows)

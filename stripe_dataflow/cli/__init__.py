"""The command `stripe-dataflow`: what is handier in a shell than in Dagster's UI."""

from __future__ import annotations

import logging
import shlex
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table as Grid

from stripe_dataflow.errors import ConfigError, DataflowError

if TYPE_CHECKING:
    from stripe_dataflow.orchestration.dataflow import Dataflow
    from stripe_dataflow.sync import Progress

_OUT = Console(width=None if sys.stdout.isatty() else 110)


class _Commands(click.Group):
    """Shows an error of ours as its sentence, without a stack."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; exit 1 with the error's text where it fails."""
        try:
            return super().invoke(ctx)
        except DataflowError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="stripe_dataflow")
def main() -> None:
    """Load Stripe accounts into DuckDB; the rest is in Dagster's UI."""


@main.command()
def demo() -> None:
    """Load the simulated account, and show what landed and where to look."""
    _OUT.print("Loading the dataflow [b]Demo[/b], a simulated Stripe account, through Dagster.")
    dataflow = _load("Demo")
    _OUT.print(_landed(dataflow))
    path = dataflow.database
    _OUT.print(f"{path.name} holds {path.stat().st_size / 1e6:,.1f} MB: {path}")
    query = "select status, count(*), sum(amount) from Demo.charges group by status"
    code = f"import duckdb; print(duckdb.connect({path.name!r}, read_only=True).sql({query!r}))"
    _OUT.print(f"Query it:    .venv/bin/python -c {shlex.quote(code)}", soft_wrap=True)
    _OUT.print("See the run: make dev, then http://localhost:3000/asset-groups")


@main.command()
@click.argument("name")
def load(name: str) -> None:
    """Load every table of a dataflow, all its partitions, in this process."""
    _OUT.print(_landed(_load(name)))


@main.command()
@click.argument("name")
def tables(name: str) -> None:
    """Print a dataflow's tables with their rows."""
    _OUT.print(_landed(_dataflow(name)))


def _dataflow(name: str) -> Dataflow:
    """Return a dataflow of this project by name, ignoring case.

    Raises:
        ConfigError: There is none of that name.
    """
    from stripe_dataflow.cli.loading import dataflows  # noqa: PLC0415 Dagster costs a second

    known = dataflows()
    for dataflow in known:
        if dataflow.name.lower() == name.lower():
            return dataflow
    raise ConfigError(f"There is no dataflow {name!r}; there are {', '.join(d.name for d in known) or 'none'}.")


def _load(name: str) -> Dataflow:
    """Return a dataflow after running its job in this process, with a bar for each table at work.

    Raises:
        ConfigError: A table failed; the text says which and why.
    """
    from stripe_dataflow.cli.loading import run_dataflow  # noqa: PLC0415 Dagster costs a second
    from stripe_dataflow.sync import listener  # noqa: PLC0415

    dataflow = _dataflow(name)
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
            TimeElapsedColumn(), TextColumn("{task.fields[now]}"), console=_OUT, transient=not _OUT.is_terminal,
        )  # fmt: skip
        self._task = self.add_task("load", total=None, rows=0, now="")

    def show(self, tables: Sequence[Progress]) -> None:
        """Take the state of all tables."""
        reading = max((t for t in tables if not t.done), key=lambda t: t.rows, default=None)
        self.update(
            self._task, total=len(tables), completed=sum(t.done for t in tables), rows=sum(t.rows for t in tables),
            now=str(reading or ""),
        )  # fmt: skip


def _landed(dataflow: Dataflow) -> Grid:
    """Return a grid of the dataflow's tables: rows, columns, and bytes read of Stripe in all loads."""
    from stripe_dataflow.cli.loading import landed_tables  # noqa: PLC0415 Dagster costs a second

    grid = Grid(title=f"{dataflow.name} in {dataflow.database.name}", title_justify="left")
    for heading in ("table", "purpose", "rows", "columns", "MB read"):
        grid.add_column(heading, justify="left" if heading in {"table", "purpose"} else "right")
    total = 0
    for row in landed_tables(dataflow):
        total += row.rows or 0
        rows = "not yet" if row.rows is None else f"{row.rows:,}"
        grid.add_row(row.name, row.purpose, rows, str(row.columns), f"{row.bytes / 1e6:,.2f}")
    grid.add_section()
    grid.add_row("all", "", f"{total:,}", "", "")
    return grid

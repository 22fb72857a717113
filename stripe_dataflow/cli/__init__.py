"""The command `stripe-dataflow`: what is handier in a shell than in Dagster's UI."""

from __future__ import annotations

import logging
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path
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
    code = f"import duckdb; print(duckdb.connect('{path.name}', read_only=True).sql('{query}'))"
    _OUT.print(f'Query it:    .venv/bin/python -c "{code}"', soft_wrap=True)
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


@main.command("list")
@click.option("--group-by", type=click.Choice(["name", "type", "status"]), help="Count the dataflows by this.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(group_by: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Print the dataflows: status, tables, when created, updated and last refreshed."""
    from stripe_dataflow.cli import showing  # noqa: PLC0415 Dagster costs a second

    headings = [field.name for field in fields(showing.Line)]
    rows: list[Sequence[object]] = [astuple(line) for line in showing.lines()]
    if group_by:
        counts = Counter(row[headings.index(group_by)] for row in rows)
        headings, rows = [group_by, "dataflows"], sorted(counts.items(), key=str)
    _print_rows("Dataflows", headings, rows, as_json=as_json)


@main.command()
@click.argument("name")
@click.option("--failed", is_flag=True, help="Failed runs only.")
@click.option("--limit", default=20, show_default=True, help="How many runs, the newest first.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a CSV file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def history(name: str, failed: bool, limit: int, csv_file: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Print a dataflow's runs, with what they did and what went wrong."""
    from stripe_dataflow.cli import showing  # noqa: PLC0415 Dagster costs a second

    dataflow = _dataflow(name)
    rows = showing.history(dataflow, failed=failed, limit=limit)
    if csv_file:
        showing.write_csv(csv_file, showing.HISTORY, rows)
    else:
        _print_rows(f"Runs of {dataflow.name}", showing.HISTORY, rows, as_json=as_json, timezone=_zone(dataflow))


@main.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def versions(name: str, as_json: bool) -> None:  # noqa: FBT001
    """Print a dataflow's loads with their differences, and which a rollback can go to."""
    from stripe_dataflow.cli import showing  # noqa: PLC0415 Dagster costs a second

    dataflow = _dataflow(name)
    _print_rows(f"Loads of {dataflow.name}", showing.VERSIONS, showing.versions(dataflow), as_json=as_json)
    if not as_json:
        _OUT.print(f"To go back: launch the job {dataflow.name}__rollback with the load as `to`.")


@main.command()
@click.argument("name")
def plan(name: str) -> None:
    """Print what the configuration's changes mean for the next run."""
    from stripe_dataflow.cli import showing  # noqa: PLC0415 Dagster costs a second

    for line in showing.plan(_dataflow(name)):
        _OUT.print(line)


@main.command()
@click.option("--name", prompt="Name", help="Schema, asset group and job prefix.")
@click.option("--display-name", prompt="Display name", default="", help="Shown on the assets.")
@click.option("--description", prompt="Description", default="", help="Shown on the assets.")
@click.option("--api-key-env", prompt="Key variable", default="STRIPE_API_KEY", help="Variable that holds the key.")
def new(name: str, display_name: str, description: str, api_key_env: str) -> None:
    """Write a new dataflow's defs.yaml, with every table listed and `customers` chosen."""
    from stripe_dataflow.orchestration.dataflow import project_root  # noqa: PLC0415 Dagster costs a second
    from stripe_dataflow.orchestration.scaffolding import defs_yaml, write_dataflow  # noqa: PLC0415

    text = defs_yaml(name, display_name=display_name, description=description, api_key_env=api_key_env)
    path = write_dataflow(project_root() / "stripe_dataflow" / "defs", name, text=text)
    _OUT.print(f"Wrote {path}. Choose its tables there, export {api_key_env}, then: stripe-dataflow connect {name}")


@main.command()
@click.option("--search", default="", help="Part of a name or description, ignoring case.")
@click.option("--category", default="", help="Part of a category, ignoring case.")
def connectors(search: str, category: str) -> None:
    """Print the connectors there are."""
    rows = [
        row
        for row in _CONNECTORS
        if search.lower() in " ".join(row).lower() and category.lower().replace("_", " ") in row[1].lower()
    ]
    if not rows:
        raise ConfigError(f"No connector matches; there is {', '.join(row[0] for row in _CONNECTORS)}.")
    _print_rows("Connectors", ("name", "category", "component", "description"), rows)


# Another source is another component and another row here.
_CONNECTORS = [
    ("Stripe", "Services and apps", "stripe_dataflow.StripeDataflow", "Payments, billing, customers, Connect, Issuing"),
]


def _print_rows(
    title: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    as_json: bool = False,
    timezone: str = "UTC",
) -> None:
    from stripe_dataflow.cli import showing  # noqa: PLC0415 Dagster costs a second

    if as_json:
        click.echo(showing.as_json(headings, rows))
        return
    grid = Grid(title=title, title_justify="left")
    for heading in headings:
        grid.add_column(heading.replace("_", " "), overflow="fold")
    for row in rows:
        grid.add_row(*(showing.shown(value, timezone) for value in row))
    _OUT.print(grid)


def _zone(dataflow: Dataflow) -> str:
    schedule = dataflow.attributes.schedule
    return schedule.timezone if schedule else "UTC"


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

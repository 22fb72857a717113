"""The commands that read the registry: which dataflows there are, their runs, loads and plans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

import click

from stripe_dataflow.cli.output import OUT, Rows, dataflow_named, print_json, print_rows, time_zone, write_csv
from stripe_dataflow.errors import ConfigError

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON; times are in UTC.")


@click.command("list")
@click.option("--group-by", type=click.Choice(["name", "type", "status"]), help="Count the dataflows by this.")
@_AS_JSON
def list_(group_by: str | None, as_json: bool) -> None:  # noqa: FBT001 an option of click
    """Print the dataflows: status, tables, when created, updated and last refreshed."""
    from stripe_dataflow.cli.loading import dataflows  # noqa: PLC0415 Dagster costs a second
    from stripe_dataflow.orchestration.dataflow_list import Line, list_lines  # noqa: PLC0415

    known = {dataflow.name: dataflow for dataflow in dataflows()}
    headings: Sequence[str] = [field.name for field in fields(Line)]
    rows: Rows = [astuple(line) for line in list_lines(list(known.values()))]
    if group_by:
        headings, rows = [group_by, "dataflows"], _counted(rows, list(headings).index(group_by))
    if as_json:
        print_json(headings, rows)
        return
    zones = {time_zone(dataflow) for dataflow in known.values()}
    print_rows("Dataflows", headings, rows, timezone=zones.pop() if len(zones) == 1 else "UTC")


@click.command()
@click.argument("name")
@click.option("--failed", is_flag=True, help="Failed runs only.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="How many, newest first.")
@click.option("--group-by", type=click.Choice(["status"]), help="Count the runs by this.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a CSV file.")
@_AS_JSON
def history(name: str, failed: bool, limit: int, group_by: str | None, csv_file: Path | None, as_json: bool) -> None:  # noqa: FBT001 options of click
    """Print a dataflow's runs, with what they did and what went wrong."""
    from stripe_dataflow.cli.showing import HISTORY, history_rows  # noqa: PLC0415 Dagster costs a second

    dataflow = dataflow_named(name)
    headings: Sequence[str] = HISTORY
    rows: Rows = history_rows(dataflow, failed=failed, limit=limit)
    if group_by:
        headings, rows = [group_by, "runs"], _counted(rows, HISTORY.index(group_by))
    if csv_file:
        write_csv(csv_file, headings, rows)
        click.echo(f"Wrote {len(rows)} rows to {csv_file}.")
    elif as_json:
        print_json(headings, rows)
    else:
        short = [row[:7] for row in rows]  # without Dagster's id of the run
        print_rows(f"Runs of {dataflow.name}", headings[:7], short, timezone=time_zone(dataflow))


@click.command()
@click.argument("name")
@_AS_JSON
def versions(name: str, as_json: bool) -> None:  # noqa: FBT001 an option of click
    """Print a dataflow's loads with their differences, and which a rollback can go to."""
    from stripe_dataflow.cli.showing import VERSIONS, shortened, version_rows  # noqa: PLC0415 Dagster costs a second

    dataflow = dataflow_named(name)
    rows = version_rows(dataflow)
    if as_json:
        print_json(VERSIONS, rows)
        return
    short = [[*row[:5], shortened(str(row[5])), *row[6:]] for row in rows]
    print_rows(f"Loads of {dataflow.name}", VERSIONS, short, timezone=time_zone(dataflow))
    OUT.print(f"To go back, launch the job {dataflow.name}__rollback with the load as `to`.", soft_wrap=True)


@click.command()
@click.argument("name")
def plan(name: str) -> None:
    """Print what the changes of a dataflow's configuration mean for its next run."""
    from stripe_dataflow.cli.showing import plan_lines  # noqa: PLC0415 Dagster costs a second

    for line in plan_lines(dataflow_named(name)):
        OUT.print(line, markup=False, highlight=False, soft_wrap=True)


# Another source is another component and another row here.
_CONNECTORS = (
    ("Stripe", "Services and apps", "stripe_dataflow.StripeDataflow", "Payments, billing, customers, Connect, Issuing"),
)


@click.command()
@click.option("--search", default="", help="Part of a name, category or description, ignoring case.")
@click.option("--category", default="", help="Part of a category, ignoring case; `_` stands for a space.")
def connectors(search: str, category: str) -> None:
    """Print the sources a dataflow can have."""
    category = category.lower().replace("_", " ")
    rows = [row for row in _CONNECTORS if search.lower() in " ".join(row).lower() and category in row[1].lower()]
    if not rows:
        raise ConfigError(f"No connector matches; there is {', '.join(f'{row[0]} ({row[1]})' for row in _CONNECTORS)}.")
    print_rows("Connectors", ("name", "category", "component", "description"), rows)


COMMANDS = (list_, history, versions, plan, connectors)


def _counted(rows: Rows, position: int) -> Rows:
    """Return each value of a column with the number of its rows."""
    return sorted(Counter(str(row[position]) for row in rows).items())

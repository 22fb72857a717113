"""What the commands print with: the console, grids of rows, JSON, times in a dataflow's zone."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from stripe_dataflow.errors import ConfigError

if TYPE_CHECKING:
    from stripe_dataflow.orchestration.dataflow import Dataflow

OUT = Console(width=None if sys.stdout.isatty() else 160)

Rows = Sequence[Sequence[object]]


def dataflow_named(name: str) -> Dataflow:
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


def time_zone(dataflow: Dataflow) -> str:
    """Return the zone in which a dataflow's times are shown: its schedule's, else UTC."""
    schedule = dataflow.attributes.schedule
    return schedule.timezone if schedule else "UTC"


def print_rows(title: str, headings: Sequence[str], rows: Rows, *, timezone: str = "UTC") -> None:
    """Print a grid; counts stand right, times are in the zone."""
    if any(isinstance(value, datetime) for row in rows for value in row):
        title += f" (times in {timezone})"
    grid = Grid(title=title, title_justify="left")
    for position, heading in enumerate(headings):
        counts = any(_is_count(row[position]) for row in rows)
        grid.add_column(heading.replace("_", " "), overflow="fold", justify="right" if counts else "left")
    for row in rows:
        grid.add_row(*(escape(shown(value, timezone)) for value in row))
    OUT.print(grid)


def print_json(headings: Sequence[str], rows: Rows) -> None:
    """Print a JSON list of objects; times are ISO texts in UTC."""
    found = [dict(zip(headings, row, strict=True)) for row in rows]
    click.echo(json.dumps(found, default=_iso, indent=2, ensure_ascii=False))


def write_csv(path: Path, headings: Sequence[str], rows: Rows) -> None:
    """Write rows to a file; times are ISO texts in UTC, nothing is shortened.

    Raises:
        ConfigError: The file cannot be written.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(headings)
            writer.writerows([_iso(value) if isinstance(value, datetime) else value for value in row] for row in rows)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}. Name another file.") from None


def shown(value: object, timezone: str) -> str:
    """Return a value as a cell: a time to the second in the zone, a count with its thousands apart."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _iso(value: object) -> str:
    return value.astimezone(ZoneInfo("UTC")).isoformat() if isinstance(value, datetime) else str(value)

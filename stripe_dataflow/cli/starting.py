"""The commands before the first run: write a new dataflow, and see whether its account answers."""

from __future__ import annotations

import click

from stripe_dataflow.cli.output import OUT, dataflow_named, print_rows
from stripe_dataflow.errors import ConfigError


def _checked_name(_context: click.Context, _option: click.Parameter, name: str) -> str:
    """Return a name that is allowed and free; click asks again where it was typed at the prompt."""
    from stripe_dataflow.cli.loading import dataflows  # noqa: PLC0415 Dagster costs a second
    from stripe_dataflow.orchestration.scaffolding import NewDataflow, dataflow_yaml  # noqa: PLC0415

    try:
        dataflow_yaml(name, NewDataflow())
    except ConfigError as error:
        raise click.BadParameter(str(error)) from None
    if name.lower() in {dataflow.name.lower() for dataflow in dataflows()}:
        raise click.BadParameter(f"There is a dataflow {name} already (case is ignored); take another name.")
    return name


@click.command()
@click.option("--name", prompt="Name", callback=_checked_name, help="Schema, asset group and job prefix.")
@click.option("--display-name", prompt="Display name", default="", help="Shown on the assets; default: the name.")
@click.option("--description", prompt="Description", default="", help="Shown on the assets.")
@click.option("--api-key-env", prompt="Key variable", default="STRIPE_API_KEY", help="Variable that holds the key.")
def new(name: str, display_name: str, description: str, api_key_env: str) -> None:
    """Write a new dataflow's defs.yaml, with every table listed and `customers` chosen."""
    from stripe_dataflow.orchestration.dataflow import project_root  # noqa: PLC0415 Dagster costs a second
    from stripe_dataflow.orchestration.scaffolding import NewDataflow, write_dataflow  # noqa: PLC0415

    asked = NewDataflow(display_name=display_name, description=description, api_key_env=api_key_env)
    path = write_dataflow(project_root() / "stripe_dataflow" / "defs", name, asked)
    click.echo(f"Wrote {path}.")
    click.echo(f"Choose its tables there, export {api_key_env}, then: stripe-dataflow connect {name}")


@click.command()
@click.argument("name")
def connect(name: str) -> None:
    """Ask the account for one object of each selected table, and print what the key may read."""
    from stripe_dataflow.orchestration import connecting  # noqa: PLC0415 Dagster costs a second

    dataflow = dataflow_named(name)
    report = connecting.connect(dataflow)
    for line in report.lines():
        OUT.print(line, markup=False, highlight=False, soft_wrap=True)
    rows = [(table.table, table.access, table.right or table.answer) for table in report.tables]
    print_rows(f"Tables of {dataflow.name}", ("table", "access", "missing right"), rows)
    if report.unreadable:
        raise ConfigError(
            f"The next run of {dataflow.name} would fail {len(report.unreadable)} of {len(report.tables)} tables: "
            f"{', '.join(report.unreadable)}. Grant the right, or leave the table out. Nothing was changed."
        )


@click.command()
@click.argument("name", required=False)
def rights(name: str | None) -> None:
    """Print the rights to read that a restricted key needs, table by table; without a NAME of every table."""
    from stripe_dataflow.catalog import TABLES  # noqa: PLC0415 the help needs no catalog
    from stripe_dataflow.catalog.rights import key_page  # noqa: PLC0415
    from stripe_dataflow.catalog.rights import rights as needed  # noqa: PLC0415

    tables = [chosen.table for chosen in dataflow_named(name).tables.values()] if name else list(TABLES.values())
    by_table = {table.name: needed(table, TABLES) for table in tables}
    by_table.setdefault("events", needed(TABLES["events"], TABLES))  # else every run reads whole lists
    rows = [
        (
            table,
            ", ".join(right.words for right in found),
            ", ".join(dict.fromkeys(right.name or "?" for right in found)),
        )
        for table, found in by_table.items()
    ]
    print_rows("Rights to read", ("table", "in the Dashboard", "right"), rows)
    wanted = [right for found in by_table.values() for right in found]
    unnamed = sorted({right.words for right in wanted if not right.name})
    page = key_page(wanted, name=f"stripe_dataflow {name}" if name else "stripe_dataflow")
    OUT.print(f"Make the key with these rights filled in: {page}", markup=False, highlight=False, soft_wrap=True)
    if unnamed:
        OUT.print(f"Set to read by hand, as Stripe names no right for them: {', '.join(unnamed)}.", soft_wrap=True)


COMMANDS = (new, connect, rights)

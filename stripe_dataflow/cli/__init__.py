"""The command `stripe-dataflow`: what is handier in a shell than in Dagster's UI."""

from __future__ import annotations

import click

from stripe_dataflow.cli import reading, running, starting
from stripe_dataflow.errors import DataflowError


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
    """Load Stripe accounts into DuckDB; running, rolling back and removing are jobs in Dagster's UI."""


for _command in (*starting.COMMANDS, *running.COMMANDS, *reading.COMMANDS):
    main.add_command(_command)

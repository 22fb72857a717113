"""A new dataflow's `defs.yaml`: every table of the catalog with its line, customers selected."""

from __future__ import annotations

import json
from pathlib import Path

import click
import dagster as dg
from pydantic import BaseModel, Field

from stripe_dataflow.catalog import TABLES, Table
from stripe_dataflow.errors import ConfigError
from stripe_dataflow.orchestration.attributes import Attributes

TYPE = "stripe_dataflow.StripeDataflow"

_HEAD = """\
type: {type}

attributes:
  name: {name}
  display_name: {display_name}
  description: {description}
  # The environment variable that holds the key; the key itself never stands here.
  api_key_env: {api_key_env}
  # To run by itself, remove the # of these lines:
  # schedule:
  #   cron: "0 * * * *"
  #   timezone: UTC
  #   enabled: true
  # To load a table, remove the # before its name. `tables: all` and `tables: core` choose many at once.
  # Instead of a name, an item may be {{table, purpose, name, exclude, hash}}.
  tables:
"""


class NewDataflow(BaseModel):
    """What `dg scaffold defs` and `stripe-dataflow new` ask for besides the name."""

    display_name: str = Field(default="", description="Shown on the assets; default: the name.")
    description: str = Field(default="", description="Shown on the assets.")
    api_key_env: str = Field(default="STRIPE_API_KEY", description="Name of the environment variable with the key.")


class DataflowScaffolder(dg.Scaffolder[NewDataflow]):
    """Writes a new dataflow's `defs.yaml`."""

    @classmethod
    def get_scaffold_params(cls) -> type[NewDataflow]:
        """Return what `dg scaffold defs` asks for besides the name."""
        return NewDataflow

    def scaffold(self, request: dg.ScaffoldRequest[NewDataflow]) -> None:
        """Write the file; the folder's name is the dataflow's.

        Raises:
            click.ClickException: The name breaks the rule; dg prints the text, which repeats it.
        """
        path = request.target_path / "defs.yaml"
        try:
            text = dataflow_yaml(request.target_path.name, request.params)
        except ConfigError as error:
            if not any(request.target_path.iterdir()):
                request.target_path.rmdir()  # dg made it for us
            raise click.ClickException(str(error)) from None
        path.write_text(text, encoding="utf-8")


def write_dataflow(defs: Path, name: str, new: NewDataflow) -> Path:
    """Return the `defs.yaml` that was written for a new dataflow, in a folder of its own below `defs`.

    Raises:
        ConfigError: The name breaks the rule, or there is such a folder; nothing was written.
    """
    text = dataflow_yaml(name, new)
    folder = defs / name.lower()
    if folder.exists():
        raise ConfigError(f"There is a folder {folder} already; give the new dataflow another name.")
    folder.mkdir(parents=True)
    path = folder / "defs.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def dataflow_yaml(name: str, new: NewDataflow) -> str:
    """Return the text of a new dataflow's `defs.yaml`; it loads as it is.

    Raises:
        ConfigError: The name or the key's variable breaks its rule.
    """
    Attributes(name=name, **new.model_dump())
    # A JSON string is a YAML string, whatever it holds.
    quoted = {field: json.dumps(value, ensure_ascii=False) for field, value in new.model_dump().items()}
    lines = [_HEAD.format(type=TYPE, name=name, **quoted)]
    for title, tier in (("what any account has", "core"), ("what needs a product or a rare feature", "optional")):
        lines.append(f"    # {tier}: {title}\n")
        lines.extend(_line(table) for table in TABLES.values() if table.tier == tier)
    return "".join(lines)


def _line(table: Table) -> str:
    mark = "" if table.name == "customers" else "# "
    return f"    {mark}- {table.name}  # {table.description}\n"

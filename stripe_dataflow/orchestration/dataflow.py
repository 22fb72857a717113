"""A dataflow's settings, resolved: what the assets, the jobs and the session work with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from stripe_dataflow.catalog import TABLES, Table
from stripe_dataflow.errors import ConfigError
from stripe_dataflow.orchestration.attributes import SANDBOX, Attributes, TableChoice
from stripe_dataflow.patience import Patience
from stripe_dataflow.stripe_api import Connection, live_mode
from stripe_dataflow.warehouse import Target

HASH_KEY_ENV = "STRIPE_DATAFLOW_HASH_KEY"
_NO_CEILING = 10_000.0  # the sandbox answers as fast as it can
_LIVE, _TEST, _ENDPOINT = 80.0, 20.0, 20.0


def project_root() -> Path:
    """Return the folder of workspace.yaml, from which a relative database path counts."""
    root = Path(__file__).parents[2]
    return root if (root / "workspace.yaml").exists() else Path.cwd()


@dataclass(frozen=True)
class ChosenTable:
    """One table of a dataflow: the catalog's row, where it lands, and what for."""

    table: Table
    target: Target
    purpose: str
    hashed: tuple[str, ...]


@dataclass(frozen=True)
class Dataflow:
    """The settings of one dataflow."""

    attributes: Attributes
    patience: Patience = field(default_factory=Patience)

    @property
    def name(self) -> str:
        """Return schema, asset group and job prefix."""
        return self.attributes.name

    @property
    def title(self) -> str:
        """Return the name to show."""
        return self.attributes.display_name or self.name

    @property
    def simulated(self) -> bool:
        """Tell whether the account is the bundled sandbox."""
        return self.attributes.api_base == SANDBOX

    @cached_property
    def database(self) -> Path:
        """Return the DuckDB file's absolute path."""
        return (project_root() / self.attributes.database).resolve()

    @property
    def pool(self) -> str:
        """Return the Dagster pool that lets one run at a time write the database."""
        digest = hashlib.sha256(str(self.database).encode()).hexdigest()[:8]
        stem = "".join(c if c.isalnum() else "_" for c in self.database.stem)
        return f"duckdb_{stem}_{digest}"

    @cached_property
    def tables(self) -> Mapping[str, ChosenTable]:
        """Return the chosen tables by their catalog name."""
        return {choice.table: self._chosen(choice) for choice in self.attributes.choices()}

    @property
    def fingerprint(self) -> str:
        """Return a digest of the configuration; where the key comes from is no part of it."""
        text = self.attributes.model_dump_json(exclude={"api_key_env", "schedule"})
        return hashlib.sha256(text.encode()).hexdigest()

    def connection(self, api_base: str | None = None) -> Connection:
        """Return how to reach the account; reads the key, so only a run calls this.

        Raises:
            ConfigError: The variable is not set, or holds something that is no secret key.
        """
        attributes, key = self.attributes, self._key()
        ceiling = _NO_CEILING if self.simulated else _LIVE if live_mode(key) else _TEST
        endpoint = _NO_CEILING if self.simulated else _ENDPOINT
        return Connection(
            api_base or attributes.api_base,
            key,
            attributes.account,
            attributes.requests_per_second or ceiling,
            attributes.requests_per_second_per_endpoint or endpoint,
            self.patience,
        )

    def hash_key(self) -> bytes:
        """Return the key of hashed columns, empty where no column is hashed.

        Raises:
            ConfigError: A column is to be hashed and the variable is not set.
        """
        if not any(chosen.hashed for chosen in self.tables.values()):
            return b""
        key = os.environ.get(HASH_KEY_ENV, "")
        if not key:
            raise ConfigError(f"Columns are to be hashed, but the environment variable {HASH_KEY_ENV} is not set.")
        return key.encode()

    def _key(self) -> str:
        if self.simulated:
            return "sk_test_sandbox"
        variable = self.attributes.api_key_env
        key = os.environ.get(variable, "").strip()
        if not key:
            raise ConfigError(
                f"The environment variable {variable} is not set: it must hold the Stripe API key of {self.name}. "
                "Nothing was asked of Stripe."
            )
        if key.startswith("pk_"):
            raise ConfigError(f"{variable} holds a publishable key, which cannot read data: use a restricted key.")
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise ConfigError(f"{variable} holds something that is no Stripe API key: copy the key again, on its own.")
        return key

    def _chosen(self, choice: TableChoice) -> ChosenTable:
        table = TABLES[choice.table]
        target = Target(self.name, choice.name or choice.table, table, excluded=tuple(choice.exclude))
        purpose = choice.purpose or self.attributes.purpose
        return ChosenTable(table, target, purpose, tuple(choice.hash))

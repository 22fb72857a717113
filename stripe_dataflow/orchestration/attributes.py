"""A dataflow's YAML attributes: the only settings there are, checked before anything is touched."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from datetime import date
from typing import Any, ClassVar, Literal, Self

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stripe_dataflow.catalog import TABLES, stripe_columns
from stripe_dataflow.errors import ConfigError
from stripe_dataflow.orchestration.texts import A_KEY, ENV_NAME, is_address, is_file, refuse_texts
from stripe_dataflow.stripe_api import scrub

Purpose = Literal["all", "customer_360", "privacy_metadata"]
Partitions = Literal["monthly", "weekly", "daily"]

NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
DESTINATION = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
RESERVED = frozenset({"main", "temp", "system", "information_schema", "pg_catalog"})
SANDBOX = "sandbox"
_LITERAL_KEY = re.compile(r"\s*(sk|rk|pk)_")
_ACCOUNT = re.compile(r"[A-Za-z0-9_]*")
_FIRST_DATE = date(1970, 1, 1)  # Stripe's times count from here


class _Strict(BaseModel):
    """Refuses unknown attributes by name; its errors are one sentence and never print a value."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)
    what: ClassVar[str] = ""

    @model_validator(mode="wrap")
    @classmethod
    def _one_sentence(cls, data: Any, handler: Callable[[Any], Self]) -> Self:
        """Turn pydantic's report into one ConfigError, which pydantic lets through as it is."""
        name = data.get("name") if isinstance(data, dict) else None
        where = f"Dataflow {name}: " if isinstance(name, str) and NAME.fullmatch(name) else ""
        try:
            refuse_texts(data)
            made = handler(data)
            made.check()
        except ConfigError as error:
            text = scrub(str(error))
            raise ConfigError(text if text.startswith("Dataflow ") else where + text) from None
        except ValidationError as report:
            raise ConfigError(scrub(where + _sentence(cls, report))) from None
        return made

    def check(self) -> None:
        """Check what types alone do not say.

        Raises:
            ConfigError: An attribute is wrong.
        """


def _sentence(cls: type[_Strict], report: ValidationError) -> str:
    """Return the report's first finding in plain words, with what would have been valid."""
    all_found = report.errors(include_input=False, include_url=False)
    # A misspelt attribute also makes the right one missing: the misspelling is the news.
    found = min(all_found, key=lambda error: error["type"] != "extra_forbidden")
    if not found["loc"]:
        return f"{cls.what} must be names with values, such as {{name: Shop}}."
    attribute, known = str(found["loc"][0]), cls.model_fields
    if len(found["loc"]) > 1 and attribute in known:
        return f"the attribute {attribute!r} is of a wrong kind; it holds: {known[attribute].description}"
    if found["type"] == "extra_forbidden":
        return f"unknown attribute {attribute!r}{nearest(attribute, cls.model_fields)}"
    if found["type"].startswith("date"):
        return f"the attribute {attribute!r} must be a date such as 2024-01-31."
    if found["type"] == "missing":
        return f"the attribute {attribute!r} is required."
    return f"attribute {attribute!r}: {found['msg'][0].lower()}{found['msg'][1:]}."


def nearest(word: str, valid: Any) -> str:
    """Return `; did you mean 'x'?` for the valid word nearest to a wrong one, or the valid words."""
    close = difflib.get_close_matches(word, list(valid), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; valid are {', '.join(sorted(valid))}."


class TableChoice(_Strict):
    """One table of a dataflow, with what is to be done with it."""

    what: ClassVar[str] = "an item of tables"

    table: str = Field(description="A table of the catalog, such as `charges`.")
    purpose: Purpose | None = Field(default=None, description="What its data is for; default: the dataflow's purpose.")
    name: str | None = Field(default=None, description="Destination table; default: the table's own name.")
    exclude: list[str] = Field(default=[], description="Columns that land nowhere.")
    hash: list[str] = Field(default=[], description="Columns landed as keyed hashes, equal where the values are equal.")

    def check(self) -> None:
        """Check names against the catalog."""
        if self.table not in TABLES:
            raise ConfigError(f"unknown table {self.table!r}{nearest(self.table, TABLES)}")
        if self.name is not None and not DESTINATION.fullmatch(self.name):
            raise ConfigError(
                f"table {self.table}: the destination name {self.name!r} must start with a letter "
                "and hold only letters, digits and underscores."
            )
        table = TABLES[self.table]
        columns = [column.name for column in stripe_columns(table)]
        for attribute, names in (("exclude", self.exclude), ("hash", self.hash)):
            for name in names:
                if name not in columns:
                    raise ConfigError(
                        f"table {self.table}: unknown column {name!r} in {attribute}{nearest(name, columns)}"
                    )
                if name in (*table.key, table.created) or (attribute == "hash" and not _is_text(self.table, name)):
                    raise ConfigError(f"table {self.table}: {attribute} cannot take {name!r}: {_why_not(attribute)}.")


def _is_text(table: str, name: str) -> bool:
    return any(c.name == name and c.type in {"VARCHAR", "JSON"} for c in stripe_columns(TABLES[table]))


def _why_not(attribute: str) -> str:
    if attribute == "hash":
        return "a hash is a text, so only text and JSON columns that are neither key nor time can be one"
    return "rows are found by it"


class Schedule(_Strict):
    """When the dataflow runs by itself."""

    what: ClassVar[str] = "schedule"

    cron: str = Field(description="A cron expression, such as `0 * * * *`.")
    timezone: str = Field(default="UTC", description="The time zone of the cron expression.")
    enabled: bool = Field(default=False, description="Whether the schedule is on when it is first seen.")

    def check(self) -> None:
        """Check what only Dagster knows: cron expressions and time zones."""
        try:
            dg.ScheduleDefinition(
                name="check", job_name="check", cron_schedule=self.cron, execution_timezone=self.timezone
            )
        except dg.DagsterInvalidDefinitionError:
            raise ConfigError(
                f"the schedule's cron {self.cron!r} with timezone {self.timezone!r} is refused: it takes five fields "
                "such as '0 * * * *', and a time zone such as 'Europe/Paris'."
            ) from None


class SandboxSize(_Strict):
    """How the simulated account of `api_base: sandbox` is made."""

    what: ClassVar[str] = "sandbox"

    customers: int = Field(default=1000, ge=1, le=100_000, description="How many customers it has.")
    seed: int = Field(default=1, description="Another seed makes another account.")


class Attributes(_Strict):
    """A dataflow: one Stripe account, some of its tables, one DuckDB schema."""

    what: ClassVar[str] = "a dataflow's attributes"

    name: str = Field(description="Schema, asset group and job prefix: a letter, then letters and digits.")
    display_name: str = Field(default="", description="Shown on the assets; default: the name.")
    description: str = Field(default="", description="Shown on the assets.")
    api_key_env: str = Field(default="STRIPE_API_KEY", description="Name of the environment variable with the key.")
    api_base: str = Field(default="https://api.stripe.com", description="Base URL, or `sandbox`: no key needed.")
    account: str = Field(default="", description="A connected account, sent as `Stripe-Account`.")
    database: str = Field(default="warehouse.duckdb", description="DuckDB file, relative to workspace.yaml.")
    start_date: date = Field(default=date(2020, 1, 1), description="The first partition; older objects are left out.")
    partitions: Partitions = Field(default="monthly", description="By the object's `created`, in UTC.")
    tables: Literal["all", "core"] | list[str | TableChoice] = Field(
        default=["customers"], description="`all`, `core`, or tables by name or with purpose, name, exclude, hash."
    )
    purpose: Purpose = Field(default="all", description="For tables that name none.")
    schedule: Schedule | None = Field(default=None, description="When the dataflow runs by itself.")
    requests_per_second: float | None = Field(
        default=None,
        gt=0,
        le=10_000,
        description="Ceiling over all endpoints; default 80 for a live key, 20 for a test key.",
    )
    requests_per_second_per_endpoint: float | None = Field(
        default=None, gt=0, le=10_000, description="Ceiling for one endpoint; default 20."
    )
    keep_loads: int = Field(default=30, ge=1, le=1_000_000, description="How many loads back a rollback can go.")
    sandbox: SandboxSize = Field(default=SandboxSize(), description="How the sandbox account is made.")

    def check(self) -> None:
        """Check names, the key's variable, the address, where tables land, and that what is kept back stays so."""
        if not NAME.fullmatch(self.name) or self.name.lower() in RESERVED:
            raise ConfigError(
                f"the name {self.name!r} is refused: it must start with a letter, hold only letters and "
                f"digits, and be none of {', '.join(sorted(RESERVED))}."
            )
        _check_key_name(self.api_key_env)
        if self.api_base != SANDBOX and not is_address(self.api_base):
            raise ConfigError(
                "the attribute 'api_base' must be 'sandbox' or a URL that starts with http:// or https://, "
                "and hold no user or password."
            )
        if not _ACCOUNT.fullmatch(self.account):
            raise ConfigError("the attribute 'account' must be a connected account's id, such as acct_123.")
        if not is_file(self.database):
            raise ConfigError("the attribute 'database' must be a file's path, each part of it below 200 bytes.")
        if self.start_date < _FIRST_DATE:
            raise ConfigError(f"start_date {self.start_date} lies before {_FIRST_DATE}, where Stripe's times begin.")
        if self.start_date > date.today():  # noqa: DTZ011 a start a day ahead loads nothing wrong
            raise ConfigError(f"start_date {self.start_date} lies in the future.")
        choices = self.choices()
        _check_destinations(choices)
        _check_payloads(choices, self.purpose)

    def choices(self) -> list[TableChoice]:
        """Return the chosen tables, each as a choice of its own."""
        if isinstance(self.tables, str):
            wanted = [t for t in TABLES.values() if self.tables == "all" or t.tier == "core"]
            return [TableChoice(table=table.name) for table in wanted]
        return [TableChoice(table=item) if isinstance(item, str) else item for item in self.tables]


def _check_key_name(name: str) -> None:
    """Refuse a key where its variable's name belongs, without repeating it."""
    if _LITERAL_KEY.match(name):
        raise ConfigError(A_KEY.format("api_key_env"))
    if not ENV_NAME.fullmatch(name):
        raise ConfigError("api_key_env must be the name of an environment variable.")


def _check_destinations(choices: list[TableChoice]) -> None:
    if not choices:
        raise ConfigError("tables is empty; name at least one table.")
    seen: dict[str, str] = {}
    for choice in choices:
        destination = (choice.name or choice.table).lower()
        if destination in seen:
            raise ConfigError(f"tables {seen[destination]} and {choice.table} would both land in {destination!r}.")
        seen[destination] = choice.table
    names = [choice.table for choice in choices]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"table {name} is chosen twice.")


def _check_payloads(choices: list[TableChoice], purpose: Purpose) -> None:
    """Refuse a payload, which holds whole objects of every table, beside a table whose data is kept back."""
    for choice in choices:
        payload = TABLES[choice.table].payload
        if not payload or (choice.purpose or purpose) == "privacy_metadata":
            continue
        others = [
            other.table
            for other in choices
            if other is not choice and ((other.purpose or purpose) == "privacy_metadata" or other.exclude or other.hash)
        ]
        if others and payload not in (*choice.exclude, *choice.hash):
            raise ConfigError(
                f"the table {choice.table} would land whole objects of {others[0]} in its column {payload!r}, although "
                f"data of {others[0]} is kept back (purpose privacy_metadata, exclude or hash): "
                f"write {{table: {choice.table}, exclude: [{payload}]}}, or leave {choice.table} out."
            )

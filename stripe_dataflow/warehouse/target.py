"""Where a Stripe table lands, and how its names and values are written in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from stripe_dataflow.catalog import Column, Table, stripe_columns

# Fixed aliases: a file named stripe.duckdb that holds a schema stripe is ambiguous to DuckDB.
WAREHOUSE = "warehouse"
STAGE = "stage"

PARENT_COLUMN = Column("_parent_id", "VARCHAR", nullable=True, source="value")
EXTRA_COLUMN = Column("_extra", "JSON", nullable=True, source="value")
LOAD_COLUMNS = (
    Column("_load_id", "BIGINT", nullable=False, source="value"),
    Column("_loaded_at", "TIMESTAMPTZ", nullable=False, source="value"),
    Column("_deleted_at", "TIMESTAMPTZ", nullable=True, source="value"),
)

OUR_COMMENTS: Mapping[str, str] = {
    "_parent_id": "The id of the object this one belongs to.",
    "_load_id": "The load that wrote this version of the row.",
    "_loaded_at": "When Stripe answered with this version.",
    "_deleted_at": "When Stripe's answer showed the object gone; null while it exists.",
    "_extra": "Fields the pinned API version does not know.",
    "_replaced_by": "The load that replaced this version.",
}


def quote(name: str) -> str:
    """Return a name as an SQL identifier, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as an SQL literal, for the statements where DuckDB takes no bound value."""
    return "'" + text.replace("'", "''") + "'"


def names_sql(names: Iterable[str], alias: str = "") -> str:
    """Return quoted names, comma-separated, each behind `alias.` where one is given."""
    prefix = f"{alias}." if alias else ""
    return ", ".join(prefix + quote(name) for name in names)


def table_sql(schema: str, name: str) -> str:
    """Return a table of the warehouse as SQL, history and registry included."""
    return f"{WAREHOUSE}.{quote(schema)}.{quote(name)}"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a Stripe table lands.

    Attributes:
        schema: The dataflow's name, which is the DuckDB schema.
        name: The destination table; the catalog's name unless the user gave another.
        table: The Stripe table.
        excluded: Stripe's columns that the user wants nowhere.
        seen_in: Targets and their columns that hold whole objects of this kind, also ones that Stripe's
            list leaves out.
        comments: Column -> comment, written when the table or the column is made; the table's own
            comment stands under the empty name.
    """

    schema: str
    name: str
    table: Table
    excluded: tuple[str, ...] = ()
    seen_in: tuple[tuple[Target, str], ...] = field(default=(), compare=False)
    comments: Mapping[str, str] = field(default_factory=dict, compare=False)

    def commented(self, comments: Mapping[str, str]) -> Target:
        """Return the same target with comments for its columns."""
        return replace(self, comments=comments)

    @property
    def data_columns(self) -> tuple[Column, ...]:
        """Return the columns that come from Stripe, a child's `_parent_id` included."""
        wanted = tuple(column for column in stripe_columns(self.table) if column.name not in self.excluded)
        return wanted + ((PARENT_COLUMN,) if self.table.parents else ())

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return all columns of the table, Stripe's first, in the order it is created with."""
        return (*self.data_columns, *LOAD_COLUMNS, EXTRA_COLUMN)

    @property
    def compared(self) -> tuple[str, ...]:
        """Return the columns whose difference makes a new version of a row."""
        return (*(column.name for column in self.data_columns), EXTRA_COLUMN.name)

    @property
    def current(self) -> str:
        """Return the table of current rows, as SQL."""
        return table_sql(self.schema, self.name)

    @property
    def history_schema(self) -> str:
        """Return the schema that holds the versions later loads replaced."""
        return f"{self.schema}_history"

    @property
    def history(self) -> str:
        """Return the table of replaced versions, as SQL."""
        return table_sql(self.history_schema, self.name)

    @property
    def staged(self) -> str:
        """Return the table of staged rows, as SQL."""
        return f"{STAGE}.{quote(f'{self.schema}.{self.name}')}"

    def key_match_sql(self, one: str, other: str) -> str:
        """Return the condition that two aliases hold the same object; null equals null."""
        return " and ".join(
            f"{one}.{quote(part)} is not distinct from {other}.{quote(part)}" for part in self.table.key
        )

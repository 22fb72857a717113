"""The schema `_dataflow`: its tables, their version, and the step from one version to the next."""

from __future__ import annotations

import duckdb

from stripe_dataflow.errors import DatabaseTooNew
from stripe_dataflow.warehouse.target import WAREHOUSE, table_sql

SCHEMA = "_dataflow"
VERSION = 4

# Version -> the statements that lead to it from the one before; {schema} is ours, quoted.
MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        "create table {schema}.version (version integer, since timestamptz)",
        """create table {schema}.dataflows (
            dataflow varchar, display_name varchar, description varchar, type varchar,
            fingerprint varchar, created timestamptz, updated timestamptz)""",
        """create table {schema}.tables (
            dataflow varchar, table_name varchar, destination varchar, purpose varchar,
            partitioned boolean, active boolean)""",
        """create table {schema}.runs (
            run_id varchar, dataflow varchar, load_id bigint, kind varchar, status varchar,
            started timestamptz, ended timestamptz, details varchar, description varchar,
            host varchar, pid bigint)""",
        # `restored`: of a rollback, the load whose state it brought back. `expired`, `removed`: no
        # rollback can go there, as its history was pruned or its rows were removed.
        """create table {schema}.loads (
            dataflow varchar, load_id bigint, table_name varchar, destination varchar, mode varchar,
            window_gte bigint, window_lt bigint, rows_read bigint, inserted bigint, updated bigint,
            deleted bigint, unchanged bigint, requests bigint, retries bigint, bytes bigint,
            seconds double, cursor_before varchar, cursor_after varchar,
            started timestamptz, ended timestamptz, restored bigint, expired boolean, removed boolean)""",
        """create table {schema}.partitions (
            dataflow varchar, table_name varchar, partition_gte bigint, partition_lt bigint,
            load_id bigint, rows bigint, root_run_id varchar, merged_at timestamptz)""",
        "create table {schema}.cursors (dataflow varchar, table_name varchar, cursor varchar)",
        """create table {schema}.columns (
            dataflow varchar, table_name varchar, column_name varchar, type varchar, rows bigint,
            null_share double, approx_distinct bigint, min_length bigint, max_length bigint,
            pii varchar, load_id bigint, seen_at timestamptz)""",
        # Which load brought a column, so that a rollback beyond it takes the column away again.
        """create table {schema}.added_columns (
            dataflow varchar, destination varchar, column_name varchar, type varchar, load_id bigint)""",
    ),
    # `unlisted`: ids that a column refers to and no list held when both tables had first been read: of objects
    # deleted before, or older than the first partition. One row without an id: the column was looked through.
    2: (
        "create table {schema}.accounts (dataflow varchar, account varchar, live boolean)",
        "create table {schema}.unlisted (dataflow varchar, table_name varchar, referrer varchar, id varchar)",
    ),
    # `cursor`: from which event on the changes of what this partition holds are not known yet.
    3: ("alter table {schema}.partitions add column cursor varchar",),
    # `process_mark`: what tells the process of a run from a later one with its id.
    4: ("alter table {schema}.runs add column process_mark varchar",),
}


def registry_sql(name: str) -> str:
    """Return a table of the registry, as SQL."""
    return table_sql(SCHEMA, name)


def ensure_registry(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the registry, or bring it to this release's version.

    Raises:
        DatabaseTooNew: A newer release of this project wrote it.
    """
    version = registry_version(connection)
    if version == VERSION:
        return
    schema = f'{WAREHOUSE}."{SCHEMA}"'
    connection.execute(f"create schema if not exists {schema}")
    for step in range(version + 1, VERSION + 1):
        for statement in MIGRATIONS[step]:
            connection.execute(statement.format(schema=schema))
    connection.execute(f"delete from {registry_sql('version')}")
    connection.execute(f"insert into {registry_sql('version')} values (?, now())", [VERSION])


def has_registry(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether a run of this project ever wrote to the file."""
    return registry_version(connection) > 0


def registry_version(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the registry's version, 0 where the file has none.

    Raises:
        DatabaseTooNew: It is above this release's.
    """
    there = connection.execute(
        "select 1 from duckdb_schemas() where database_name = ? and schema_name = ?", [WAREHOUSE, SCHEMA]
    ).fetchone()
    row = there and connection.execute(f"select version from {registry_sql('version')}").fetchone()
    version = row[0] if row else 0
    if version > VERSION:
        raise DatabaseTooNew(
            f"The database's registry has version {version}, this release knows {VERSION}. "
            "Upgrade stripe_dataflow. Nothing was changed."
        )
    return version

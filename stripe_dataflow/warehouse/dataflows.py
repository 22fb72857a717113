"""The dataflows and their tables, as the registry knows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from stripe_dataflow.warehouse.registry import registry_sql


@dataclass(frozen=True, slots=True)
class TableRow:
    """One selected table: its catalog name, its destination, its purpose."""

    name: str
    destination: str
    purpose: str = "all"
    partitioned: bool = False
    active: bool = True


@dataclass(frozen=True, slots=True)
class DataflowRow:
    """One dataflow as its YAML says; `fingerprint` changes when its attributes do."""

    name: str
    fingerprint: str
    display_name: str = ""
    description: str = ""
    type: str = "stripe"
    tables: tuple[TableRow, ...] = ()


@dataclass(frozen=True, slots=True)
class DataflowState:
    """One line of the list of dataflows.

    Attributes:
        tables: How many tables are selected now.
        created, updated: When it was first seen; when its configuration last changed.
        status: Of the latest run, `New` where there is none.
        last_refresh: The end of the last completed load.
        last_attempt: The start of the last load, whatever became of it.
        fingerprint: Of the configuration the last run had.
    """

    name: str
    display_name: str
    description: str
    type: str
    tables: int
    created: datetime
    updated: datetime
    status: str
    last_refresh: datetime | None
    last_attempt: datetime | None
    fingerprint: str = ""


def register_dataflow(connection: duckdb.DuckDBPyConnection, row: DataflowRow) -> None:
    """Note a dataflow and its tables; tables it no longer selects stay, as not active."""
    facts = [row.display_name, row.description, row.type]
    connection.execute(
        f"update {registry_sql('dataflows')} set display_name = ?, description = ?, type = ?, "
        "updated = if(fingerprint = ?, updated, now()), fingerprint = ? where dataflow = ?",
        [*facts, row.fingerprint, row.fingerprint, row.name],
    )
    connection.execute(
        f"insert into {registry_sql('dataflows')} (dataflow, display_name, description, type, fingerprint, "
        "created, updated) select ?, ?, ?, ?, ?, now(), now() where not exists "
        f"(select 1 from {registry_sql('dataflows')} where dataflow = ?)",
        [row.name, *facts, row.fingerprint, row.name],
    )
    known = {table.name: table for table in list_tables(connection, row.name)}
    now = {table.name: table for table in row.tables}
    if known == now:
        return
    gone = [TableRow(t.name, t.destination, t.purpose, t.partitioned, active=False) for t in known.values()]
    connection.execute(f"delete from {registry_sql('tables')} where dataflow = ?", [row.name])
    for table in (*row.tables, *(table for table in gone if table.name not in now)):
        connection.execute(
            f"insert into {registry_sql('tables')} values (?, ?, ?, ?, ?, ?)",
            [row.name, table.name, table.destination, table.purpose, table.partitioned, table.active],
        )


def list_tables(connection: duckdb.DuckDBPyConnection, dataflow: str) -> list[TableRow]:
    """Return the tables a dataflow selects or selected, by name."""
    rows = connection.execute(
        f"select table_name, destination, purpose, partitioned, active from {registry_sql('tables')} "
        "where dataflow = ? order by table_name",
        [dataflow],
    ).fetchall()
    return [TableRow(*row) for row in rows]


def list_dataflows(connection: duckdb.DuckDBPyConnection) -> list[DataflowState]:
    """Return every dataflow the database has seen, by name."""
    rows = connection.execute(
        f"""select d.dataflow, d.display_name, d.description, d.type,
            (select count(*) from {registry_sql("tables")} t where t.dataflow = d.dataflow and t.active),
            d.created, d.updated, coalesce(r.status, 'New'), r.last_refresh, r.last_attempt, d.fingerprint
        from {registry_sql("dataflows")} d left join (
            select dataflow, arg_max(status, load_id) as status,
                max(ended) filter (kind = 'run' and status = 'Completed') as last_refresh,
                max(started) filter (kind = 'run') as last_attempt
            from {registry_sql("runs")} group by dataflow
        ) r on r.dataflow = d.dataflow order by d.dataflow"""
    ).fetchall()
    return [DataflowState(*row) for row in rows]

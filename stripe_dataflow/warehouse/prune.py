"""Drop the versions no reachable state needs."""

from __future__ import annotations

import duckdb

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.warehouse.registry import registry_sql
from stripe_dataflow.warehouse.tables import column_names
from stripe_dataflow.warehouse.target import Target, names_sql
from stripe_dataflow.warehouse.timeline import list_states, spans, within_sql


def prune(connection: duckdb.DuckDBPyConnection, schema: str, *, keep_loads: int) -> int:
    """Return how many old versions were dropped, so that a rollback can go `keep_loads` loads back.

    Loads before those are marked as expired; their record stays.
    """
    states = list_states(connection, schema)
    kept = states[-(keep_loads + 1) :]
    if len(kept) == len(states):
        return 0
    connection.execute(
        f"update {registry_sql('loads')} set expired = true where dataflow = ? and load_id < ?",
        [schema, kept[0].load_id],
    )
    loads = [state.load_id for state in kept]
    return sum(_prune_table(connection, target, loads) for target in _targets(connection, schema))


def _targets(connection: duckdb.DuckDBPyConnection, schema: str) -> list[Target]:
    rows = connection.execute(
        f"select distinct destination, table_name from {registry_sql('loads')} where dataflow = ?", [schema]
    ).fetchall()
    targets = [Target(schema, name, TABLES[table]) for name, table in rows if table in TABLES]
    return [t for t in targets if column_names(connection, t.history_schema, t.name)]


def _prune_table(connection: duckdb.DuckDBPyConnection, target: Target, loads: list[int]) -> int:
    """Drop the versions that no kept state has, unless they are current again.

    The rows of a version go or stay together: each tells of one load that replaced it.
    """
    needed = " or ".join(
        f"({within_sql('_load_id', among)} and not bool_or({within_sql('_replaced_by', among)}))"
        for among in (spans(connection, target, load) for load in loads)
    )
    key = names_sql(target.table.key)
    same = f"{target.key_match_sql('h', 'k')} and h._load_id = k._load_id"
    current = (
        f"union all select {key}, _load_id from {target.current}"
        if column_names(connection, target.schema, target.name)
        else ""
    )
    row = connection.execute(
        f"delete from {target.history} where rowid in (with k as (select {key}, _load_id from "
        f"{target.history} group by {key}, _load_id having {needed} {current}) "
        f"select h.rowid from {target.history} h anti join k on {same})"
    ).fetchone()
    return row[0] if row else 0

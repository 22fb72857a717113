"""What a table holds now: for the metadata of a materialization."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from stripe_dataflow.warehouse.registry import registry_sql
from stripe_dataflow.warehouse.target import WAREHOUSE, Target, quote, table_sql

Window = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table's live rows: how many, how many of each partition, and some of them to look at.

    `rows_ever` counts deleted rows and replaced versions as well; `window_rows` is `partition_rows` by window.
    """

    rows: int = 0
    rows_ever: int = 0
    partition_rows: Mapping[str, int] = field(default_factory=dict)
    preview_columns: Sequence[str] = ()
    preview: Sequence[Sequence[Any]] = ()
    window_rows: Mapping[Window, int] = field(default_factory=dict)


def table_facts(
    connection: duckdb.DuckDBPyConnection,
    target: Target,
    *,
    windows: Mapping[str, Window],
    columns: Sequence[str],
    limit: int = 10,
) -> TableFacts:
    """Return facts about a table's live rows; of a table that was never made, none.

    Args:
        windows: Partition key -> [gte, lt) of `created`, Unix seconds; empty for an unpartitioned table.
        columns: The columns of the preview.
    """
    try:
        rows = _one(connection, f"select count(*) from {target.current} where _deleted_at is null")
    except duckdb.CatalogException:
        return TableFacts()
    ever = _one(connection, f"select (select count(*) from {target.current}) + (select count(*) from {target.history})")
    names = ", ".join(quote(name) for name in columns)
    newest = f"order by {quote(target.table.created)} desc" if target.table.created_filter else ""
    preview = connection.execute(
        f"select {names} from {target.current} where _deleted_at is null {newest} limit ?", [limit]
    ).fetchall()
    counts = window_rows(connection, target, list(windows.values()))
    partitions = {key: counts[window] for key, window in windows.items()}
    return TableFacts(rows, ever, partitions, columns, preview, counts)


def window_rows(connection: duckdb.DuckDBPyConnection, target: Target, windows: Sequence[Window]) -> dict[Window, int]:
    """Return how many live rows were created in each window; all windows are counted in one pass."""
    if not windows:
        return {}
    found = connection.execute(
        f"""select w.gte, w.lt, count(t.at) from (select unnest(?::bigint[]) as gte, unnest(?::bigint[]) as lt) w
        left join (select epoch({quote(target.table.created)})::bigint as at
            from {target.current} where _deleted_at is null) t on t.at >= w.gte and t.at < w.lt
        group by w.gte, w.lt""",
        [[gte for gte, _ in windows], [lt for _, lt in windows]],
    ).fetchall()
    return {(gte, lt): rows for gte, lt, rows in found}


def changed_ids(
    connection: duckdb.DuckDBPyConnection,
    target: Target,
    load_id: int,
    *,
    known: Collection[str],
    outside: Sequence[Window],
) -> list[str]:
    """Return the ids of a load's new, changed and deleted rows, but for known ones and for windows of `created`."""
    key = quote(target.table.key[0])
    found = connection.execute(
        f"""select {key} from {target.current} where _load_id = ? and {key} not in (select unnest(?::varchar[]))
        and not {_created_in_sql(target)} order by {key}""",
        [load_id, list(known), [gte for gte, _ in outside], [lt for _, lt in outside]],
    ).fetchall()
    return [object_id for (object_id,) in found]


def ids_created(connection: duckdb.DuckDBPyConnection, target: Target, windows: Sequence[Window]) -> set[str]:
    """Return the ids of a table's rows, deleted ones too, created in some windows; none of a table never made."""
    try:
        found = connection.execute(
            f"select {quote(target.table.key[0])} from {target.current} where {_created_in_sql(target)}",
            [[gte for gte, _ in windows], [lt for _, lt in windows]],
        ).fetchall()
    except duckdb.CatalogException:
        return set()
    return {object_id for (object_id,) in found}


def _created_in_sql(target: Target) -> str:
    """Return the condition that a row was created in one of some windows; binds their lower and their upper bounds."""
    created = f"epoch({quote(target.table.created)})"
    return (
        "exists (select 1 from (select unnest(?::bigint[]) as gte, unnest(?::bigint[]) as lt) w "
        f"where {created} >= w.gte and {created} < w.lt)"
    )


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return row[0] if row else 0


def rows_by_day(connection: duckdb.DuckDBPyConnection, target: Target) -> dict[int, int]:
    """Return day of `created` (days since 1970, UTC) -> live rows; nothing for a table that was never made."""
    try:
        found = connection.execute(
            f"select epoch({quote(target.table.created)})::bigint // 86400, count(*) from {target.current} "
            "where _deleted_at is null group by 1"
        ).fetchall()
    except duckdb.CatalogException:
        return {}
    return dict(found)


def landed_rows(connection: duckdb.DuckDBPyConnection, dataflow: str) -> dict[str, tuple[int, int]]:
    """Return catalog table -> (live rows, bytes read of Stripe in all loads), for the tables ever loaded."""
    loads = connection.execute(
        f"select table_name, arg_max(destination, load_id), sum(bytes)::bigint from {registry_sql('loads')} "
        "where dataflow = ? group by table_name",
        [dataflow],
    ).fetchall()
    made = {
        name
        for (name,) in connection.execute(
            "select table_name from duckdb_tables() where database_name = ? and lower(schema_name) = lower(?)",
            [WAREHOUSE, dataflow],
        ).fetchall()
    }
    return {
        name: (_one(connection, f"select count(*) from {table_sql(dataflow, to)} where _deleted_at is null"), size)
        for name, to, size in loads
        if to in made  # a table for metadata only never is
    }

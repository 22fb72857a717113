"""What can be wrong with rows that have landed: ids, references, emptied columns, counts, the balance.

Each function reads in one or two queries and names up to three rows, by their ids alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from stripe_dataflow.warehouse.registry import registry_sql
from stripe_dataflow.warehouse.tables import columns_of
from stripe_dataflow.warehouse.target import WAREHOUSE, Target, names_sql, quote

_EXAMPLES = 3
# A column that may be null comes and goes with few objects, such as `next_payment_attempt`: its turning null
# tells something where at least so many old versions, and that share of them, had it.
_MANY, _SHARE = 10, 0.5
_FUNDS = '\'[{"amount": "BIGINT", "currency": "VARCHAR"}]\''


@dataclass(frozen=True, slots=True)
class BadIds:
    """Rows without an id, ids that several rows have, and some of these."""

    missing: int
    doubled: int
    examples: Sequence[str]


@dataclass(frozen=True, slots=True)
class Orphans:
    """Rows whose column refers to no row of the other table, and the ids of some."""

    column: str
    table: str
    rows: int
    examples: Sequence[str]


def made_tables(connection: duckdb.DuckDBPyConnection, schema: str) -> set[str]:
    """Return the destination tables of a dataflow that were ever made, in lower case."""
    rows = connection.execute(
        "select lower(table_name) from duckdb_tables() where database_name = ? and lower(schema_name) = lower(?)",
        [WAREHOUSE, schema],
    ).fetchall()
    return {name for (name,) in rows}


def find_bad_ids(connection: duckdb.DuckDBPyConnection, target: Target) -> BadIds:
    """Return the rows whose key is null or not their own, deleted rows included."""
    key = names_sql(target.table.key)
    missing = " or ".join(f"{quote(part)} is null" for part in target.table.key)
    row = connection.execute(
        f"select count(*) filter (where {missing}), count(*) - count(distinct ({key})) from {target.current}"
    ).fetchone()
    if row is None or row == (0, 0):
        return BadIds(0, 0, ())
    doubled = f"select {key} from {target.current} where not ({missing}) group by {key} having count(*) > 1"
    found = connection.execute(
        f"select count(*) over (), concat_ws('/', {key}) from ({doubled}) order by 2 limit {_EXAMPLES}"
    ).fetchall()
    return BadIds(row[0], found[0][0] if found else 0, [example for _, example in found])


def find_orphans(
    connection: duckdb.DuckDBPyConnection, target: Target, column: str, *, refers_to: Target
) -> Orphans | None:
    """Return the live rows whose reference does not resolve, None where all do.

    It resolves to a deleted object's row, and to an id that was unlisted from the first, whoever refers to it.
    """
    key = names_sql(target.table.key, "c")
    orphans, values = _orphans_sql(target, column, refers_to=refers_to)
    found = connection.execute(
        f"select count(*) over (), concat_ws('/', {key}) {orphans} order by 2 limit {_EXAMPLES}", values
    ).fetchall()
    return Orphans(column, refers_to.table.name, found[0][0], [example for _, example in found]) if found else None


def referrer(target: Target, column: str) -> str:
    """Return how the registry names a column that refers to another table."""
    return f"{target.table.name}.{column}"


def note_unlisted(connection: duckdb.DuckDBPyConnection, target: Target, column: str, *, refers_to: Target) -> None:
    """Keep the ids that do not resolve now, when both tables have been read completely for the first time.

    They are of objects that Stripe lists no more, or that were created before the first partition.
    """
    orphans, values = _orphans_sql(target, column, refers_to=refers_to)
    connection.execute(
        f"insert into {registry_sql('unlisted')} select ?, ?, ?, id from "
        f"(select distinct c.{quote(column)} as id {orphans} union all select null)",
        [target.schema, refers_to.table.name, referrer(target, column), *values],
    )


def noted_referrers(connection: duckdb.DuckDBPyConnection, dataflow: str) -> set[str]:
    """Return the columns whose unlisted ids were noted: orphans that come after are lost, or not yet there."""
    try:
        rows = connection.execute(
            f"select referrer from {registry_sql('unlisted')} where dataflow = ? and id is null", [dataflow]
        ).fetchall()
    except duckdb.CatalogException:  # an earlier release wrote the file, and no run has written to it since
        return set()
    return {name for (name,) in rows}


def complete_tables(connection: duckdb.DuckDBPyConnection, dataflow: str, *, start: int) -> set[str]:
    """Return the partitioned catalog tables that were read from the first partition on (Unix seconds)."""
    rows = connection.execute(
        f"select table_name from {registry_sql('partitions')} where dataflow = ? group by 1 "
        "having min(partition_gte) <= ?",
        [dataflow, start],
    ).fetchall()
    return {name for (name,) in rows}


def _orphans_sql(target: Target, column: str, *, refers_to: Target) -> tuple[str, list[str]]:
    name = quote(column)
    return (
        f"from {target.current} c anti join {refers_to.current} p on p.id = c.{name} "
        f"anti join {registry_sql('unlisted')} u on u.dataflow = ? and u.table_name = ? and u.id = c.{name} "
        f"where c.{name} is not null and c._deleted_at is null"
    ), [target.schema, refers_to.table.name]


def find_emptied_columns(connection: duckdb.DuckDBPyConnection, target: Target) -> dict[str, int]:
    """Return column -> old versions that had a value, for the columns that are null in every current row.

    A column that may be null counts only where many old versions had it: it may just not be needed now.
    """
    current, history = columns_of(connection, target)
    columns = [c for c in target.data_columns if c.name in current and c.name in history]
    names = [c.name for c in columns]
    filled = connection.execute(
        f"select count(*), {', '.join(f'count({quote(name)})' for name in names)} from {target.history}"
    ).fetchone()
    if not filled or not filled[0]:
        return {}
    versions, *counts = filled
    least = {c.name: max(_MANY, versions * _SHARE) if c.nullable else 1 for c in columns}
    common = {name: count for name, count in zip(names, counts, strict=True) if count >= least[name]}
    if not common:
        return {}
    there = ", ".join(f"exists (select 1 from {target.current} where {quote(name)} is not null)" for name in common)
    now = connection.execute(f"select {there}, exists (select 1 from {target.current})").fetchone()
    if not now or not now[-1]:
        return {}
    return {name: count for (name, count), is_there in zip(common.items(), now, strict=False) if not is_there}


def rows_of_last_list(connection: duckdb.DuckDBPyConnection, target: Target) -> tuple[int, int] | None:
    """Return the objects the last load listed, and the live rows there are of them now.

    None where the last load read changes only, or was a rollback: what it read is not all of the table.
    None too where it brought new columns, as what it filled them with counts as updated once more.
    """
    here = [target.schema, target.table.name]
    last = connection.execute(
        f"select load_id, mode, inserted + updated + unchanged, load_id in (select load_id from "
        f"{registry_sql('added_columns')} where destination = ?) from {registry_sql('loads')} "
        "where dataflow = ? and table_name = ? order by load_id desc limit 1",
        [target.name, *here],
    ).fetchone()
    if not last or last[1] != "list" or last[3]:
        return None
    if not target.table.created_filter:
        row = connection.execute(f"select count(*) from {target.current} where _deleted_at is null").fetchone()
        return last[2], row[0] if row else 0
    created = quote(target.table.created)
    row = connection.execute(
        f"""with p as (select partition_gte as gte, partition_lt as lt, arg_max(rows, merged_at) as rows
            from {registry_sql("partitions")} where dataflow = ? and table_name = ? and load_id = ? group by all)
        select coalesce(sum(rows), 0)::bigint, (select count(*) from {target.current} c semi join p
            on epoch(c.{created}) >= p.gte and epoch(c.{created}) < p.lt where c._deleted_at is null) from p""",
        [*here, last[0]],
    ).fetchone()
    return (row[0], row[1]) if row else None


def first_loads(connection: duckdb.DuckDBPyConnection, dataflow: str, load_id: int) -> set[str]:
    """Return the catalog tables that a load was the first to read."""
    rows = connection.execute(
        f"select table_name from {registry_sql('loads')} where dataflow = ? group by 1 having min(load_id) = ?",
        [dataflow, load_id],
    ).fetchall()
    return {name for (name,) in rows}


def same_load(connection: duckdb.DuckDBPyConnection, dataflow: str, tables: Sequence[str]) -> bool:
    """Tell whether one load was the last to read all of some catalog tables: then they are of one moment."""
    rows = connection.execute(
        f"select max(load_id), count(*) over () from {registry_sql('loads')} "
        "where dataflow = ? and list_contains(?::varchar[], table_name) group by table_name",
        [dataflow, list(tables)],
    ).fetchall()
    return len(rows) == len(tables) and len(set(rows)) == 1


def first_created(connection: duckdb.DuckDBPyConnection, target: Target) -> int | None:
    """Return when the oldest object of a table was created (Unix seconds), None where there is none."""
    created = quote(target.table.created)
    row = connection.execute(f"select epoch(min({created}))::bigint from {target.current}").fetchone()
    return row[0] if row else None


def balance_differences(
    connection: duckdb.DuckDBPyConnection, transactions: Target, balance: Target
) -> dict[str, tuple[int, int]]:
    """Return currency -> (sum of the ledger, balance), smallest units, where the two differ."""
    funds = " union all ".join(
        f"select unnest(from_json({part}, {_FUNDS})) as f from {balance.current}" for part in ("available", "pending")
    )
    rows = connection.execute(
        f"""with ledger as (select currency, sum(net)::bigint as amount from {transactions.current}
            where _deleted_at is null and coalesce(balance_type, 'payments') = 'payments' group by currency),
        held as (select f.currency, sum(f.amount)::bigint as amount from ({funds}) group by f.currency)
        select coalesce(l.currency, h.currency), coalesce(l.amount, 0), coalesce(h.amount, 0)
        from ledger l full join held h on h.currency = l.currency
        where coalesce(l.amount, 0) <> coalesce(h.amount, 0) order by 1"""
    ).fetchall()
    return {currency: (ledger, held) for currency, ledger, held in rows}

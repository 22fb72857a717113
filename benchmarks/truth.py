"""Comparing what landed with what the simulated account holds: every id, every column."""

from pathlib import Path

import duckdb

from stripe_dataflow.catalog import TABLES, Column, Table, stripe_columns

# Left out, as the landed value is meant to differ: secrets inside an event's payload are taken out before it
# lands, and an embedded list that has a table of its own lands there.
MEANT_TO_DIFFER = {(table.name, table.payload) for table in TABLES.values() if table.payload} | {
    (table.parent, table.embedded) for table in TABLES.values() if table.parent and table.embedded
}


def wrong_rows(database: Path, folder: Path, tables: list[str]) -> int:
    """Return how many rows of some tables are missing, too many or different in any compared column."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{database}' as landed (read_only)")
        return sum(_wrong(connection, TABLES[name], folder / f"{name}.ndjson") for name in tables)


def _wrong(connection: duckdb.DuckDBPyConnection, table: Table, file: Path) -> int:
    columns = [
        c for c in stripe_columns(table) if c.name not in table.secrets and (table.name, c.name) not in MEANT_TO_DIFFER
    ]
    key = [c for c in columns if c.name in table.key]
    mine = _digest_sql([_landed_sql(c) for c in columns])
    theirs = _digest_sql([_listed_sql(c) for c in columns])
    my_keys = ", ".join(f'{_landed_sql(c)} as "{c.name}"' for c in key)
    their_keys = ", ".join(f'{_listed_sql(c)} as "{c.name}"' for c in key)
    types = ", ".join(f"'{c.name}': '{'JSON' if c.type == 'JSON' else 'VARCHAR'}'" for c in columns)
    landed = f'select {my_keys}, {mine} as digest from landed.Bench."{table.name}" where _deleted_at is null'
    source = f"read_json('{file}', format='newline_delimited', columns={{{types}}})"
    listed = f"select {their_keys}, {theirs} as digest from {source}"
    sql = f"({listed} except all {landed})"
    if table.deletable:  # else the list hides what still exists, such as events after 30 days
        sql += f" union all ({landed} except all {listed})"
    found = connection.execute(f"select count(*) from ({sql})").fetchone()
    return found[0] if found else 0


def _digest_sql(values: list[str]) -> str:
    return "md5(concat_ws(chr(31), " + ", ".join(f"coalesce({value}, chr(30))" for value in values) + "))"


def _landed_sql(column: Column) -> str:
    name = f'"{column.name}"'
    if column.source in {"epoch_s", "epoch_ms"}:
        return f"epoch_{'us' if column.source == 'epoch_s' else 'ms'}({name})::varchar"
    return f"{name}::varchar"


def _listed_sql(column: Column) -> str:
    """Return what Stripe's text comes to: seconds as microseconds, an object that stands for an id as the id."""
    name = f'"{column.name}"'
    if column.source == "epoch_s":
        return f"({name}::bigint * 1000000)::varchar"
    if column.source == "epoch_ms":
        return f"{name}::bigint::varchar"
    if column.source == "id":
        return f"if({name} like '{{%', json_extract_string({name}, '$.id'), {name})"
    return f"{name}::varchar" if column.type in {"VARCHAR", "JSON"} else f"{name}::{column.type}::varchar"

"""DuckDB: open and lock, stage, merge, history and rollback, and the registry of loads and runs."""

from stripe_dataflow.warehouse.accounts import AccountSeen, known_account, note_account
from stripe_dataflow.warehouse.checks import (
    BadIds,
    Orphans,
    balance_differences,
    complete_tables,
    find_bad_ids,
    find_emptied_columns,
    find_orphans,
    first_created,
    first_loads,
    made_tables,
    note_unlisted,
    noted_referrers,
    referrer,
    rows_of_last_list,
    same_load,
)
from stripe_dataflow.warehouse.cursors import get_cursor, get_cursors, set_cursor
from stripe_dataflow.warehouse.dataflows import (
    DataflowRow,
    DataflowState,
    TableRow,
    list_dataflows,
    list_tables,
    register_dataflow,
)
from stripe_dataflow.warehouse.facts import (
    TableFacts,
    changed_ids,
    ids_created,
    landed_rows,
    rows_by_day,
    table_facts,
    window_rows,
)
from stripe_dataflow.warehouse.landing import take_back
from stripe_dataflow.warehouse.loads import (
    LoadRow,
    LoadStats,
    committed_partitions,
    list_loads,
    listed_at,
    record_load,
    record_partition,
)
from stripe_dataflow.warehouse.money import refresh_money
from stripe_dataflow.warehouse.processes import own_name
from stripe_dataflow.warehouse.profile import profile
from stripe_dataflow.warehouse.prune import prune
from stripe_dataflow.warehouse.registry import has_registry
from stripe_dataflow.warehouse.remove import Removed, compact, is_mostly_free, remove_dataflow
from stripe_dataflow.warehouse.rollback import Restored, restore
from stripe_dataflow.warehouse.runs import (
    DIED,
    REMOVED,
    RunRow,
    Status,
    dead_runs,
    end_run,
    list_runs,
    start_run,
    was_removed,
)
from stripe_dataflow.warehouse.scope import Counts, Scope
from stripe_dataflow.warehouse.tables import has_columns, schema_columns
from stripe_dataflow.warehouse.target import OUR_COMMENTS, Target, quote, table_sql
from stripe_dataflow.warehouse.timeline import State, list_states, resolve_target
from stripe_dataflow.warehouse.warehouse import Warehouse

__all__ = [
    "DIED",
    "OUR_COMMENTS",
    "REMOVED",
    "AccountSeen",
    "BadIds",
    "Counts",
    "DataflowRow",
    "DataflowState",
    "LoadRow",
    "LoadStats",
    "Orphans",
    "Removed",
    "Restored",
    "RunRow",
    "Scope",
    "State",
    "Status",
    "TableFacts",
    "TableRow",
    "Target",
    "Warehouse",
    "balance_differences",
    "changed_ids",
    "committed_partitions",
    "compact",
    "complete_tables",
    "dead_runs",
    "end_run",
    "find_bad_ids",
    "find_emptied_columns",
    "find_orphans",
    "first_created",
    "first_loads",
    "get_cursor",
    "get_cursors",
    "has_columns",
    "has_registry",
    "ids_created",
    "is_mostly_free",
    "known_account",
    "landed_rows",
    "list_dataflows",
    "list_loads",
    "list_runs",
    "list_states",
    "list_tables",
    "listed_at",
    "made_tables",
    "note_account",
    "note_unlisted",
    "noted_referrers",
    "own_name",
    "profile",
    "prune",
    "quote",
    "record_load",
    "record_partition",
    "referrer",
    "refresh_money",
    "register_dataflow",
    "remove_dataflow",
    "resolve_target",
    "restore",
    "rows_by_day",
    "rows_of_last_list",
    "same_load",
    "schema_columns",
    "set_cursor",
    "start_run",
    "table_facts",
    "table_sql",
    "take_back",
    "was_removed",
    "window_rows",
]

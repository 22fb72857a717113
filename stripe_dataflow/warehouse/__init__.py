"""DuckDB: open and lock, stage, merge, history and rollback, and the registry of loads and runs."""

from stripe_dataflow.warehouse.cursors import get_cursor, set_cursor
from stripe_dataflow.warehouse.dataflows import (
    DataflowRow,
    DataflowState,
    TableRow,
    list_dataflows,
    list_tables,
    register_dataflow,
)
from stripe_dataflow.warehouse.facts import TableFacts, landed_rows, rows_by_day, table_facts, window_rows
from stripe_dataflow.warehouse.loads import (
    LoadRow,
    LoadStats,
    committed_partitions,
    list_loads,
    record_load,
    record_partition,
)
from stripe_dataflow.warehouse.profile import profile
from stripe_dataflow.warehouse.prune import prune
from stripe_dataflow.warehouse.registry import has_registry
from stripe_dataflow.warehouse.remove import Removed, compact, remove_dataflow
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
from stripe_dataflow.warehouse.tables import has_columns
from stripe_dataflow.warehouse.target import OUR_COMMENTS, Target, quote, table_sql
from stripe_dataflow.warehouse.timeline import State, list_states, resolve_target
from stripe_dataflow.warehouse.warehouse import Warehouse

__all__ = [
    "DIED",
    "OUR_COMMENTS",
    "REMOVED",
    "Counts",
    "DataflowRow",
    "DataflowState",
    "LoadRow",
    "LoadStats",
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
    "committed_partitions",
    "compact",
    "dead_runs",
    "end_run",
    "get_cursor",
    "has_columns",
    "has_registry",
    "landed_rows",
    "list_dataflows",
    "list_loads",
    "list_runs",
    "list_states",
    "list_tables",
    "profile",
    "prune",
    "quote",
    "record_load",
    "record_partition",
    "register_dataflow",
    "remove_dataflow",
    "resolve_target",
    "restore",
    "rows_by_day",
    "set_cursor",
    "start_run",
    "table_facts",
    "table_sql",
    "was_removed",
    "window_rows",
]

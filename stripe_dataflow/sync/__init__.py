"""Plan, extract, stage, merge: one table or many. Knows no Dagster."""

from stripe_dataflow.sync.beginning import Beginning, begin
from stripe_dataflow.sync.cursor import Cursor
from stripe_dataflow.sync.loaded import Loaded, RunOfLoad
from stripe_dataflow.sync.plan import Plan, TablePlan
from stripe_dataflow.sync.progress import Progress, listener
from stripe_dataflow.sync.reconcile import recheck
from stripe_dataflow.sync.session import Session

__all__ = [
    "Beginning",
    "Cursor",
    "Loaded",
    "Plan",
    "Progress",
    "RunOfLoad",
    "Session",
    "TablePlan",
    "begin",
    "listener",
    "recheck",
]

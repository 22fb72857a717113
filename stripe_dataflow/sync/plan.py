"""What one run is to load: which tables, which partitions of them, up to when."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from stripe_dataflow.catalog import TABLES, Table
from stripe_dataflow.stripe_api import Window, union
from stripe_dataflow.sync.reconcile import Recheck
from stripe_dataflow.warehouse import Target


@dataclass(frozen=True, slots=True)
class TablePlan:
    """One table of a run.

    Attributes:
        target: Where it lands.
        windows: The partitions to make equal to Stripe, oldest first; empty for a table without
            a `created` filter, which is read whole.
        changes_only: Only what changed since the cursor is read, whatever partition it lies in.
        parent: Of a child table, where its parents land, if they do.
        recheck: What is looked at again although no event tells of it.
        checked: When the last load that left a cursor began, Unix seconds.
        since: The cursor: when the newest event known to the last load happened, Unix seconds.
        rows_by_day: Day of `created` since 1970 -> rows the table has, to weigh a list against ids.
        cursor: What to write as the table's cursor once it is loaded; empty to leave it.
        metadata_only: No row lands, only what can be said of the columns.
        hashed: Columns that land as hashes keyed with `hash_key`.
        start: Objects created before do not land, whatever tells of them; Unix seconds.
        outdated: The rows there are may have landed in another way than they would now.
    """

    target: Target
    windows: tuple[Window, ...] = ()
    changes_only: bool = False
    parent: Target | None = None
    recheck: Recheck = field(default_factory=Recheck, repr=False)
    checked: int = 0
    since: int = 0
    rows_by_day: Mapping[int, int] = field(default_factory=dict, repr=False)
    cursor: str = ""
    metadata_only: bool = False
    hashed: tuple[str, ...] = ()
    hash_key: bytes = field(default=b"", repr=False)
    start: int = 0
    outdated: bool = False

    @property
    def table(self) -> Table:
        """Return the catalog's row."""
        return self.target.table

    @property
    def landing(self) -> str:
        """Return a digest of how rows land: where to, without which columns, which ones hashed, by which key.

        It is keyed with the hash key, of which it tells no more than the hashes in the table do.
        """
        shape = [self.target.name.lower(), sorted(set(self.target.excluded)), sorted(set(self.hashed))]
        key = self.hash_key if self.hashed else b""
        return hmac.new(key, orjson.dumps(shape), hashlib.sha256).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: its tables, and the span of `created` it looks at (Unix seconds, half-open)."""

    span: Window
    tables: tuple[TablePlan, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """One list to be read: a table's own, its children's sake, or both.

    Attributes:
        root: The table whose list is read.
        own: The plan for its own rows, None when only its children are wanted.
        children: The plans fed from its objects.
        windows: The spans of `created` to read; empty for a list without that filter.
    """

    root: Table
    own: TablePlan | None
    children: tuple[TablePlan, ...]
    windows: tuple[Window, ...]

    @property
    def plans(self) -> tuple[TablePlan, ...]:
        """Return every plan this reading feeds."""
        return (self.own, *self.children) if self.own else self.children


def readings(span: Window, plans: Sequence[TablePlan]) -> list[Reading]:
    """Return the lists to read for some tables, each list once."""
    own = {plan.table.name: plan for plan in plans if not plan.table.parents}
    children: dict[str, list[TablePlan]] = {}
    for plan in plans:
        if plan.table.parent:
            children.setdefault(plan.table.parent, []).append(plan)
    found = []
    for name in [*own, *(parent for parent in children if parent not in own)]:
        table, plan, below = TABLES[name], own.get(name), tuple(children.get(name, ()))
        windows: tuple[Window, ...] = ()
        if table.created_filter:
            # A child can belong to any parent, so for its sake all parents of the span are read.
            windows = (span,) if below else tuple(union(plan.windows if plan else ()))
        found.append(Reading(table, plan, below, windows))
    return found

"""What each check of a table finds, in words: a finding names rows by their ids, never by a person's data."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import duckdb

from stripe_dataflow.catalog import references
from stripe_dataflow.orchestration.dataflow import ChosenTable, Dataflow
from stripe_dataflow.orchestration.partitions import partitions_of, windows_by_key
from stripe_dataflow.sync import Cursor, Loaded
from stripe_dataflow.warehouse import (
    balance_differences,
    complete_tables,
    find_bad_ids,
    find_emptied_columns,
    find_orphans,
    first_created,
    get_cursor,
    made_tables,
    note_unlisted,
    noted_referrers,
    referrer,
    rows_of_last_list,
    same_load,
)

_ACCOUNT = "account"  # tells when the account was made
_LEDGER_NEEDS = ("net", "currency", "balance_type")
_BALANCE_NEEDS = ("available", "pending")
_QUIET_S = 90 * 86_400  # nothing moved for so long before the first movement: there was nothing before


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check came to; `text` is one sentence, `facts` are numbers and ids."""

    passed: bool
    text: str
    facts: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the database.

    Attributes:
        loaded: What the run loaded, if it is a run that looks.
        made: The destination tables there are, in lower case.
        complete: The partitioned catalog tables that were read from the first partition on.
        noted: The referring columns whose unlisted ids are known.
    """

    connection: duckdb.DuckDBPyConnection
    loaded: Mapping[str, Loaded]
    made: AbstractSet[str]
    complete: AbstractSet[str]
    noted: set[str]

    def has(self, chosen: ChosenTable) -> bool:
        """Tell whether a table was ever loaded."""
        return chosen.target.name.lower() in self.made

    def is_complete(self, chosen: ChosenTable) -> bool:
        """Tell whether all of a table was read at least once."""
        return self.has(chosen) and (not chosen.table.created_filter or chosen.table.name in self.complete)


Judge = Callable[[Look], Outcome]


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one table; it can come out differently only after a change of one of `tables`.

    Attributes:
        table: The catalog table whose asset shows it.
        judge: Returns the outcome, given the database and what the run loaded, if it is a run that asks.
        severe: It is an error when it fails; else a warning.
        by_history: It compares rows with the versions they replaced.
    """

    table: str
    name: str
    description: str
    tables: frozenset[str]
    judge: Judge
    severe: bool = False
    by_history: bool = False


def checks_of(dataflow: Dataflow) -> list[Check]:
    """Return the checks of a dataflow's tables; one for metadata only has no rows to check."""
    landed = _landed(dataflow)
    return [check for chosen in landed.values() for check in _checks(dataflow, chosen, landed)]


def look_at(connection: duckdb.DuckDBPyConnection, dataflow: Dataflow, loaded: Mapping[str, Loaded]) -> Look:
    """Return what the checks of a dataflow need to know of its database."""
    start = min(window.gte for window in windows_by_key(partitions_of(dataflow.attributes), int(time.time())).values())
    return Look(
        connection,
        loaded,
        made_tables(connection, dataflow.name),
        complete_tables(connection, dataflow.name, start=start),
        noted_referrers(connection, dataflow.name),
    )


def note_unlisted_ids(look: Look, dataflow: Dataflow) -> None:
    """Keep what does not resolve as soon as two tables are complete: no later load lost it."""
    landed = _landed(dataflow)
    for chosen in landed.values():
        for column, to in _edges(chosen, landed).items():
            name = referrer(chosen.target, column)
            if look.is_complete(chosen) and look.is_complete(to) and name not in look.noted:
                note_unlisted(look.connection, chosen.target, column, refers_to=to.target)
                look.noted.add(name)


def _landed(dataflow: Dataflow) -> dict[str, ChosenTable]:
    return {name: chosen for name, chosen in dataflow.tables.items() if chosen.purpose != "privacy_metadata"}


def _edges(chosen: ChosenTable, landed: Mapping[str, ChosenTable]) -> dict[str, ChosenTable]:
    """Return column -> the landed table it refers to."""
    wanted = [r for r in references(chosen.table) if r.table in landed and _has(chosen, r.column)]
    return {reference.column: landed[reference.table] for reference in wanted}


def _checks(dataflow: Dataflow, chosen: ChosenTable, landed: Mapping[str, ChosenTable]) -> list[Check]:
    name, own = chosen.table.name, frozenset({chosen.table.name})
    found = [
        Check(name, "ids", "Each row has an id of its own.", own, partial(_judge_ids, chosen), severe=True),
        Check(
            name, "row_count", "After a whole list, the live rows are as many as the objects it held.", own,
            partial(_judge_count, chosen), severe=True,
        ),
        Check(
            name, "filled_columns", "No column that old versions of the rows had filled is null in every row.", own,
            partial(_judge_columns, chosen), by_history=True,
        ),
    ]  # fmt: skip
    edges = _edges(chosen, landed)
    if edges:
        said = ", ".join(f"{column} to {to.table.name}" for column, to in edges.items())
        text = (
            f"References resolve, be the object deleted or not: {said}. One that does not may be to an object created "
            f"before {dataflow.attributes.start_date}. Not counted is what did not resolve when both tables were first "
            "read, as the object was older or deleted."
        )
        tables = own | {to.table.name for to in edges.values()}
        found.append(Check(name, "references", text, tables, partial(_judge_references, chosen, edges)))
    balance = landed.get(chosen.table.sums_to)
    if balance and all(_has(chosen, c) for c in _LEDGER_NEEDS) and all(_has(balance, c) for c in _BALANCE_NEEDS):
        found.append(
            Check(
                name, "balance", "The sum of net is the account's balance, available and pending, in each "
                "currency. Judged where the account's whole history has landed.", own | {balance.table.name},
                partial(_judge_balance, chosen, balance, landed.get(_ACCOUNT)),
            )
        )  # fmt: skip
    return found


def _has(chosen: ChosenTable, column: str) -> bool:
    """Tell whether a column lands with Stripe's own values."""
    return column not in (*chosen.target.excluded, *chosen.hashed)


def _judge_ids(chosen: ChosenTable, look: Look) -> Outcome:
    if not look.has(chosen):
        return _not_loaded()
    bad = find_bad_ids(look.connection, chosen.target)
    facts = {"rows without an id": bad.missing, "ids of several rows": bad.doubled}
    if not bad.missing and not bad.doubled:
        return Outcome(True, "Each row has an id of its own.", facts)
    which = f": {', '.join(bad.examples)}" if bad.examples else ""
    text = f"{bad.missing:,} rows have no id, and {bad.doubled:,} ids are those of several rows{which}."
    return Outcome(False, text, facts)


def _judge_count(chosen: ChosenTable, look: Look) -> Outcome:
    if not look.has(chosen):
        return _not_loaded()
    mine = look.loaded.get(chosen.table.name)
    seen = _count_of_run(mine) if mine else rows_of_last_list(look.connection, chosen.target)
    if seen is None:
        return Outcome(True, "Not judged: the last load read changes only.")
    listed, rows = seen
    facts = {"objects listed": listed, "live rows of them": rows}
    # Where Stripe's list hides objects that still exist, their rows stay.
    passed = rows == listed or (rows > listed and not chosen.table.deletable)
    return Outcome(passed, f"The list held {listed:,} objects, the table holds {rows:,} live rows of them.", facts)


def _count_of_run(loaded: Loaded) -> tuple[int, int] | None:
    """Return the distinct objects this run listed, and the live rows right after; None where it read changes."""
    plan, counts, facts = loaded.plan, loaded.counts, loaded.facts
    if plan.changes_only:
        return None
    listed = counts.inserted + counts.updated - counts.filled + counts.unchanged
    if not plan.table.created_filter:
        return listed, facts.rows
    return listed, sum(facts.window_rows.get((w.gte, w.lt), 0) for w in plan.windows)


def _judge_columns(chosen: ChosenTable, look: Look) -> Outcome:
    if not look.has(chosen):
        return _not_loaded()
    emptied = find_emptied_columns(look.connection, chosen.target)
    if not emptied:
        return Outcome(True, "Each column that was filled still is, in some row.")
    said = ", ".join(f"{name} ({count:,} old versions had it)" for name, count in emptied.items())
    text = f"Null in every row now: {said}. Compare {chosen.target.history_schema}.{chosen.target.name}."
    return Outcome(False, text, {"columns": ", ".join(emptied)})


def _judge_references(chosen: ChosenTable, edges: Mapping[str, ChosenTable], look: Look) -> Outcome:
    if not look.has(chosen):
        return _not_loaded()
    there = {column: to.target for column, to in edges.items() if referrer(chosen.target, column) in look.noted}
    all_found = [find_orphans(look.connection, chosen.target, column, refers_to=to) for column, to in there.items()]
    orphans = [found for found in all_found if found]
    facts = {f"orphans by {found.column}": found.rows for found in orphans}
    if not orphans:
        left = ", ".join(column for column in edges if column not in there)
        text = f"Resolved: {', '.join(there) or 'none yet'}."
        return Outcome(True, f"{text} Not judged before all partitions were read: {left}." if left else text, facts)
    said = [
        f"{found.rows:,} rows whose {found.column} is not in {found.table}, such as {', '.join(found.examples)}"
        for found in orphans
    ]
    return Outcome(False, f"{'; '.join(said)}.", facts)


def _judge_balance(ledger: ChosenTable, balance: ChosenTable, account: ChosenTable | None, look: Look) -> Outcome:
    connection, target = look.connection, ledger.target
    if not look.has(ledger) or not look.has(balance):
        return _not_loaded()
    if not same_load(connection, target.schema, [target.table.name, balance.table.name]):
        return Outcome(True, "Not judged: the last load did not read both tables.")
    cursor = Cursor.parse(get_cursor(connection, target.schema, target.table.name))
    if cursor is None:
        return Outcome(True, "Not judged: no run has read all partitions of the ledger yet.")
    made = first_created(connection, account.target) if account and look.has(account) else None
    first = first_created(connection, target)
    young = made is not None and made >= cursor.start
    if not young and (first is None or first - cursor.start < _QUIET_S):
        since = f"{datetime.fromtimestamp(cursor.start, UTC):%Y-%m-%d}"
        return Outcome(True, f"Not judged: the account may have moved money before {since}, where the ledger begins.")
    wrong = balance_differences(connection, target, balance.target)
    if not wrong:
        return Outcome(True, "The ledger's sum is the balance, in every currency.")
    said = "; ".join(
        f"{currency}: the ledger says {mine:,}, the balance {held:,}" for currency, (mine, held) in wrong.items()
    )
    text = f"{said} (smallest units). The two are read seconds apart, so only what stays different is an error."
    return Outcome(False, text, {f"difference in {currency}": mine - held for currency, (mine, held) in wrong.items()})


def _not_loaded() -> Outcome:
    return Outcome(True, "Not judged: the table was not loaded yet.")

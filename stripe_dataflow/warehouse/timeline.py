"""Which states a dataflow went through, and which versions of rows belong to each.

A state is what the tables were after a completed load. A rollback is a load too: it leads back
to an earlier state, and what is loaded after it builds on that one. So loads form a tree, and a
state's versions are those written by its ancestors and not replaced by one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

import duckdb

from stripe_dataflow.errors import ConfigError
from stripe_dataflow.warehouse.registry import registry_sql
from stripe_dataflow.warehouse.target import Target

_ID_DIGITS = 19  # of a BIGINT

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class State:
    """One state a rollback can go to; `restored` is the load a rollback led back to."""

    load_id: int
    ended: datetime
    restored: int | None
    destinations: frozenset[str]


def list_states(connection: duckdb.DuckDBPyConnection, schema: str, *, tables: tuple[str, ...] = ()) -> list[State]:
    """Return the states of a dataflow, or of some destination tables of it, oldest first.

    Failed and canceled loads make none; expired and removed ones are left out.
    """
    rows = connection.execute(
        f"""select l.load_id, max(l.ended), max(l.restored), list(distinct l.destination)
        from {registry_sql("loads")} l join {registry_sql("runs")} r on r.load_id = l.load_id
        where l.dataflow = ? and not l.expired and not l.removed
            and (r.status = 'Completed' or l.mode = 'rollback')
            and (len(?::varchar[]) = 0 or list_contains(?::varchar[], l.destination))
        group by l.load_id order by l.load_id""",
        [schema, list(tables), list(tables)],
    ).fetchall()
    return [State(load_id, ended, restored, frozenset(names)) for load_id, ended, restored, names in rows]


def resolve_target(
    connection: duckdb.DuckDBPyConnection, schema: str, to: str | int, *, tables: tuple[str, ...] = ()
) -> int:
    """Return the load whose state `to` means: `previous`, a load id, or an ISO time.

    `previous` is the state the current one was built on, so that a second rollback goes one
    further back; a time without a zone is UTC, and means the last state not younger than it.
    Both are about the given destination tables; a load id may be of one that did not touch them.

    Raises:
        ConfigError: There is no such state, or its history is gone; the nearest there are are named.
    """
    text = str(to).strip()
    if text.isdecimal() and len(text) < _ID_DIGITS:
        return _known(connection, schema, int(text))
    states = list_states(connection, schema, tables=tables) or _refuse_empty(schema)
    if text == "previous":
        return _previous(schema, states)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            "`to` is `previous`, a load id or an ISO time such as 2026-11-01T12:00, "
            f"not {text[:40]!r}. Nothing was changed."
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    found = [state.load_id for state in states if state.ended <= moment]
    return found[-1] if found else _refuse(schema, f"{text} lies before the oldest state", states[:1])


def spans(connection: duckdb.DuckDBPyConnection, target: Target, load_id: int) -> list[Span]:
    """Return the load ids whose work makes up the table's state after a load, as closed spans.

    Everything up to the load; beyond the last rollback before it, what that one led back to.
    """
    rollbacks = connection.execute(
        f"select load_id, restored from {registry_sql('loads')} "
        "where dataflow = ? and destination = ? and mode = 'rollback' and load_id <= ? order by load_id desc",
        [target.schema, target.name, load_id],
    ).fetchall()
    found: list[Span] = []
    top = load_id
    for rollback, restored in rollbacks:
        if rollback <= top:
            found.append((rollback, top))
            top = restored
    return [*found, (0, top)]


def within_sql(column: str, among: list[Span]) -> str:
    """Return the condition that a column's load id lies in one of the spans."""
    return "(" + " or ".join(f"{column} between {first} and {last}" for first, last in among) + ")"


def _known(connection: duckdb.DuckDBPyConnection, schema: str, load_id: int) -> int:
    states = list_states(connection, schema)
    if any(state.load_id == load_id for state in states):
        return load_id
    before = [state for state in states if state.load_id < load_id][-1:]
    after = [state for state in states if state.load_id > load_id][:1]
    return _refuse(schema, _why_none(connection, schema, load_id), [*before, *after])


def _why_none(connection: duckdb.DuckDBPyConnection, schema: str, load_id: int) -> str:
    """Return why a load's state is none that a rollback could go to."""
    row = connection.execute(
        "select r.dataflow, r.kind, r.status, bool_or(l.expired and not l.removed), bool_or(l.removed) "
        f"from {registry_sql('runs')} r left join {registry_sql('loads')} l "
        "on l.load_id = r.load_id and l.dataflow = r.dataflow where r.load_id = ? group by all",
        [load_id],
    ).fetchone()
    if row is None:
        return f"there never was a load {load_id}"
    dataflow, kind, status, expired, removed = row
    reasons = {
        f"is one of {dataflow}": dataflow != schema,
        "is still running": status == "In-Progress",
        "failed": status == "Failed",
        "was canceled": status == "Canceled",
        "was a removal": kind == "remove",
        "expired, as more than keep_loads came after it": expired,
        "was removed with its tables": removed,
    }
    return f"load {load_id} {next((reason for reason, holds in reasons.items() if holds), 'loaded no table')}"


def _previous(schema: str, states: list[State]) -> int:
    now = _origin(states, states[-1])
    earlier = [state for state in states if now and state.load_id < now.load_id]
    if not earlier:
        first = now.load_id if now else states[-1].restored
        return _refuse(schema, f"load {first} is the first, nothing lies before it", states[:1])
    return (_origin(states, earlier[-1]) or earlier[-1]).load_id


def _origin(states: list[State], state: State) -> State | None:
    """Return the load whose state this is: that of a rollback of all tables is what it restored.

    A rollback of some tables only made a state of its own: theirs with the others'. None stands for a
    state from before the first there is: it expired, or none of the tables was loaded yet.
    """
    there = frozenset[str]().union(*(s.destinations for s in states if s.load_id <= state.load_id))
    if state.restored is None or state.destinations != there:
        return state
    # The load that was restored may have left these tables as an earlier one made them.
    restored = [earlier for earlier in states if earlier.load_id <= state.restored]
    return _origin(states, restored[-1]) if restored else None


def _refuse(schema: str, why: str, nearest: Sequence[State]) -> NoReturn:
    loads = " and ".join(f"load {state.load_id} ({state.ended:%Y-%m-%d %H:%M:%S} UTC)" for state in nearest)
    are = "states are" if len(nearest) > 1 else "state is"
    there = f" The nearest {are} {loads}." if nearest else ""
    raise ConfigError(f"{schema} cannot go there: {why}.{there} To empty the tables, remove them. Nothing was changed.")


def _refuse_empty(schema: str) -> NoReturn:
    raise ConfigError(f"{schema} has no completed load a rollback could go to. Nothing was changed.")

"""Is the account reachable, and may the key read what the dataflow selects? One cheap call per table."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from stripe_dataflow.catalog import TABLES, Table
from stripe_dataflow.errors import KeyRejected, NotEnabled, PermissionDenied, RequestRefused, StripeError, Unreachable
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.stripe_api import DAY_S, Ask, Connection, Query, Traffic, Transport, live_mode

Access = Literal["readable", "forbidden", "not enabled", "refused"]

# Stripe checks rights before existence, so an id that names nothing asks for the right alone.
_NO_SUCH_ID = "stripe_dataflow_connect"
_RIGHT = re.compile(r"\(right (rak_\w+)\)")


@dataclass(frozen=True, slots=True)
class TableAccess:
    """What the key may do with one table: for one it cannot read, the missing right and Stripe's answer."""

    table: str
    access: Access = "readable"
    right: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """What connecting found.

    Attributes:
        account: The account's id and name, or why they are not known.
        live: The key is for live data.
        full_key: The key is a secret key that may do anything, where a restricted one would do.
        tables: The selected tables, in the dataflow's order.
        events: Whether the event feed is readable: without it every run reads whole lists.
    """

    account: str
    live: bool
    full_key: bool
    tables: Sequence[TableAccess]
    events: TableAccess

    @property
    def unreadable(self) -> list[str]:
        """Return the selected tables that a run would fail."""
        return [table.table for table in self.tables if table.access != "readable"]

    def lines(self) -> list[str]:
        """Return the report in words, without its tables."""
        found = [f"Account: {self.account}, {'live' if self.live else 'test'} mode"]
        if self.full_key:
            found.append(
                "Warning: this is a full secret key, which may also move money. "
                "Make a restricted key that may only read these tables."
            )
        if self.events.access != "readable":
            which = f" (right {self.events.right})" if self.events.right else ""
            found.append(f"Note: the key may not read events{which}, so every run reads whole lists.")
        return found


def connect(dataflow: Dataflow, names: Collection[str] = ()) -> ConnectionReport:
    """Return what the dataflow's key may read; one request per selected table, one object each.

    Args:
        dataflow: Whose account is asked.
        names: Some of its tables; none named: all.

    Raises:
        ConfigError: The key's variable is not set, or holds something that is no secret key.
        StripeError: Stripe rejected the key, or gave no answer.
    """
    with account_connection(dataflow) as connection:
        tables = [chosen.table for name, chosen in dataflow.tables.items() if not names or name in names]
        report = asyncio.run(_report(connection, tables))
        full = connection.key.startswith("sk_") and not dataflow.simulated
    return ConnectionReport(report.account, report.live, full, report.tables, report.events)


@contextmanager
def account_connection(dataflow: Dataflow) -> Iterator[Connection]:
    """Yield how to reach the dataflow's account, with the sandbox running where that is the account."""
    if not dataflow.simulated:
        yield dataflow.connection()
        return
    from stripe_dataflow.sandbox import Account, Sandbox  # noqa: PLC0415 a live account needs none of it

    size = dataflow.attributes.sandbox
    with Sandbox(Account(customers=size.customers, seed=size.seed)) as sandbox:
        yield dataflow.connection(sandbox.url)


async def _report(connection: Connection, tables: Sequence[Table]) -> ConnectionReport:
    async with Transport(connection) as transport:
        # First alone: a wrong key or a wrong address is told once, not once per table.
        account = await _account(transport)
        found = await asyncio.gather(*(_access(transport, table) for table in tables))
        events = await _access(transport, TABLES["events"])
    return ConnectionReport(account, live_mode(connection.key), False, found, events)


async def _account(transport: Transport) -> str:
    """Return the account's id and name; a restricted key need not be allowed to know them."""
    path = TABLES["account"].path
    try:
        answer = await transport.get(Ask("account", path, path, is_list=False), Traffic())
    except PermissionDenied as error:
        right = _RIGHT.search(str(error))
        return f"not known, as the key may not read it{f' ({right[1]})' if right else ''}; no table needs that"
    except NotEnabled:
        return "not known"
    body = answer.body
    profile = body.get("business_profile") or {}
    name = profile.get("name") if isinstance(profile, dict) else None
    return f"{body.get('id', 'not known')}{f' ({name})' if name else ''}"


async def _access(transport: Transport, table: Table) -> TableAccess:
    """Return whether a table's list answers.

    Raises:
        KeyRejected, Unreachable: No table's list would.
    """
    try:
        await transport.get(_smallest(table), Traffic())
    except (KeyRejected, Unreachable):
        raise
    except PermissionDenied as error:
        right = _RIGHT.search(str(error))
        return TableAccess(table.name, "forbidden", right[1] if right else "", str(error))
    except NotEnabled as error:
        return TableAccess(table.name, "not enabled", answer=str(error))
    except StripeError as error:
        if _only_the_id_is_wrong(error, table):
            return TableAccess(table.name)
        return TableAccess(table.name, "refused", answer=str(error))
    return TableAccess(table.name)


def _only_the_id_is_wrong(error: StripeError, table: Table) -> bool:
    """Tell whether Stripe refused the made-up parent alone: then the right is there."""
    missing = error.request.code == "resource_missing" or error.request.status == HTTPStatus.NOT_FOUND
    return isinstance(error, RequestRefused) and bool(table.parents) and missing


def _smallest(table: Table) -> Ask:
    """Return the request for one object of a table; a child list is asked of a parent that does not exist."""
    path, query = table.path, dict[str, str | int | Sequence[str]](table.params)
    for parent in table.parents:
        if f"{{{parent.param}}}" in path:
            path = path.replace(f"{{{parent.param}}}", _NO_SUCH_ID)
        else:
            query[parent.param] = _NO_SUCH_ID
    if table.per_parent_window:
        today = int(time.time()) // DAY_S * DAY_S
        query |= {"start_time": today - DAY_S, "end_time": today}
    if table.paged and not table.snapshot:
        query["limit"] = 1
    asked: Query = query
    return Ask(table.right, table.path, path, asked, is_list=not table.snapshot)

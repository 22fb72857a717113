"""What a run asks first: whose account it is, and when the newest event happened."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.errors import RowRefused, StripeError
from stripe_dataflow.stripe_api import Ask, Connection, Object, Traffic, Transport
from stripe_dataflow.sync.events import PATH


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is known before a table is read.

    Attributes:
        account: The account's id, empty where the key may not know it.
        newest: When the newest event happened, Unix seconds, 0 without any; None where events cannot
            be read. It is Stripe's own clock: whatever a run does not see happened at or after it.
    """

    account: str
    newest: int | None


def begin(connection: Connection) -> Beginning:
    """Return what Stripe answers to two requests; a request it refuses is not a failure yet."""
    return asyncio.run(_begin(connection))


async def _begin(connection: Connection) -> Beginning:
    path = TABLES["account"].path
    async with Transport(connection) as transport:
        account, events = await asyncio.gather(
            _ask(transport, Ask("account", path, path, is_list=False)),
            _ask(transport, Ask("events", PATH, PATH, {"limit": 1})),
        )
    newest = None if events is None else next((int(event.get("created") or 0) for event in events["data"]), 0)
    return Beginning(str((account or {}).get("id", "")), newest)


async def _ask(transport: Transport, ask: Ask) -> Object | None:
    try:
        return (await transport.get(ask, Traffic())).body
    except (StripeError, RowRefused):
        return None

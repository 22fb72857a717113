"""A busy hour in an account: time passes, and objects of any kind are made, changed and deleted."""

from __future__ import annotations

from random import Random

from stripe_dataflow.catalog import TABLES, Table
from stripe_dataflow.sandbox.account import Account

FEW = {"billing_meters", "products"}  # in any account: each customer hangs on each meter, each price on a product


def churn(account: Account, chance: Random, *, seconds: int, tables: int = 12) -> int:
    """Return how many objects were touched besides those that time itself touches.

    Args:
        account: Moves forward by `seconds`; all of it makes the events Stripe would make.
        chance: Which tables and which objects; the same seed on the same account does the same.
        seconds: How far its clock moves.
        tables: Of how many tables an object is changed, and one is made unless an account has few of it.
    """
    account.advance(account.now + seconds)
    touched = 0
    for table in chance.sample(_told(), tables):
        objects = account.listed(table.name) if account.updated_event(table.name) else []
        if objects and "metadata" in objects[0]:
            chosen = chance.choice(objects)["id"]
            account.update(table.name, chosen, metadata={"round": str(account.now)})
            touched += 1
        if table.name not in FEW:
            account.create(table.name)
            touched += 1
    people = account.listed("customers")
    if chance.random() < 1 / 3 and len(people) > 10:  # noqa: PLR2004 the account keeps some
        account.delete("customers", chance.choice(people)["id"])
        touched += 1
    return touched


def _told() -> list[Table]:
    """Return the tables of whose new objects an event tells."""
    return [t for t in TABLES.values() if t.events and not t.parents and not t.snapshot and not t.look_back_days]

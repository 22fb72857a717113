"""Metered usage: what meters count by day, and the credit that pays for it."""

from __future__ import annotations

from typing import Any

from stripe_dataflow.sandbox.life.names import metadata
from stripe_dataflow.sandbox.naming import DAY
from stripe_dataflow.sandbox.state import State


def begin(state: State, customer_id: str) -> None:
    """Grant the customer credit, and let usage begin."""
    if customer_id in state.shelves["customers"]:
        grant(state, customer_id)
        report(state, customer_id)


def report(state: State, customer_id: str) -> None:
    """Count usage of today, and come back within three days."""
    if customer_id not in state.shelves["customers"]:
        return
    count(state, state.dice.pick(state.memo["meters"]), customer_id, state.dice.between(1, 500))
    gap = state.dice.pick((3600, DAY, DAY, 3 * DAY))
    state.at(state.now + gap, report, customer_id)


def count(state: State, meter: str, customer_id: str, value: int) -> None:
    """Add to the day's sum of a meter and customer; no event tells of it."""
    day = state.now // DAY * DAY
    summaries = state.shelves["billing_meter_event_summaries"]
    keys = summaries.by_parent.get((meter, customer_id))
    if keys and keys[-1][0] == day:
        known = summaries.get(keys[-1][1])
        total = known["aggregated_value"] + value
        state.change("billing_meter_event_summaries", known["id"], aggregated_value=total)
        return
    state.add(
        "billing_meter_event_summaries",
        parents=(meter, customer_id),
        aggregated_value=float(value),
        start_time=day,
        end_time=day + DAY,
        meter=meter,
    )


def grant(state: State, customer_id: str) -> None:
    """Give the customer billing credit, part of which is used later."""
    amount = state.dice.between(1, 20) * 1000
    made = state.add(
        "billing_credit_grants",
        event="billing.credit_grant.created",
        amount={"monetary": {"currency": "usd", "value": amount}, "type": "monetary"},
        applicability_config={"scope": {"price_type": "metered"}},
        category="promotional",
        customer=customer_id,
        effective_at=state.now,
        expires_at=state.now + 365 * DAY,
        metadata=metadata(state),
        name="Welcome credit",
        priority=50,
        updated=state.now,
    )
    credit = {"amount": made["amount"], "type": "credits_granted"}
    _movement(state, customer_id, made["id"], type="credit", credit=credit)
    state.at(state.now + 20 * DAY, _spend, customer_id, made["id"], amount // 2)


def _spend(state: State, customer_id: str, grant_id: str, amount: int) -> None:
    if customer_id not in state.shelves["customers"]:
        return
    debit = {
        "amount": {"monetary": {"currency": "usd", "value": amount}, "type": "monetary"},
        "type": "credits_applied",
    }
    _movement(state, customer_id, grant_id, type="debit", debit=debit)
    state.change(
        "billing_credit_grants", grant_id, event="billing.credit_grant.updated", updated=state.now, priority=40
    )


def _movement(state: State, customer_id: str, grant_id: str, **fields: Any) -> None:
    state.add(
        "billing_credit_balance_transactions",
        parents=(customer_id,),
        event="billing.credit_balance_transaction.created",
        credit_grant=grant_id,
        effective_at=state.now,
        **fields,
    )

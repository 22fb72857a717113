"""Subscriptions: start, trial, renewals, changes of items, cancellation, schedules."""

from __future__ import annotations

from typing import Any

from stripe_dataflow.sandbox.life import entitlements, invoices
from stripe_dataflow.sandbox.life.names import metadata
from stripe_dataflow.sandbox.life.payments import full
from stripe_dataflow.sandbox.naming import DAY
from stripe_dataflow.sandbox.state import State

PERIODS = {"month": 30 * DAY, "year": 365 * DAY, "week": 7 * DAY}


def start(state: State, customer: dict[str, Any], method: dict[str, Any]) -> None:
    """Start a subscription, with a trial for some; the others pay at once."""
    if customer["id"] not in state.shelves["customers"]:
        return
    dice = state.dice
    interval = "month" if dice.chance(0.88) else "year"
    offers = state.memo[f"recurring {customer['currency']}"]
    alike = [price for price in offers if price["recurring"]["interval"] == interval]
    at = dice.between(0, len(alike) - 1)
    prices = alike[at : at + dice.pick((1, 1, 1, 2, 3))]
    begin(state, customer, method, prices, trial_days=14 if dice.chance(0.12) else 0)


def begin(
    state: State,
    customer: dict[str, Any],
    method: dict[str, Any],
    /,
    prices: list[dict[str, Any]],
    *,
    trial_days: int = 0,
) -> str:
    """Return the id of a new subscription to these prices."""
    trial_end = state.now + trial_days * DAY if trial_days else None
    made = state.add(
        "subscriptions",
        billing_cycle_anchor=trial_end or state.now,
        billing_mode={"type": "flexible", "flexible": {"proration_discounts": "included"}},
        collection_method="charge_automatically",
        currency=customer["currency"],
        customer=customer["id"],
        default_payment_method=method["id"],
        invoice_settings={"issuer": {"type": "self"}},
        metadata=metadata(state),
        payment_settings={"save_default_payment_method": "off"},
        start_date=state.now,
        status="trialing" if trial_days else "active",
        trial_end=trial_end,
        trial_start=state.now if trial_days else None,
        trial_settings={"end_behavior": {"missing_payment_method": "create_invoice"}},
    )
    end = trial_end or state.now + PERIODS[prices[0]["recurring"]["interval"]]
    for price in prices:
        add_item(state, made["id"], price, end)
    state.emit("customer.subscription.created", "subscriptions", made["id"])
    entitlements.grant(state, customer["id"], prices)
    reason = "subscription_create"
    invoice = invoices.bill_subscription(state, made["id"], customer, method, reason=reason, trial=bool(trial_days))
    state.change("subscriptions", made["id"], latest_invoice=invoice)
    state.at(end, renew, made["id"], customer, method)
    return made["id"]


def add_item(state: State, subscription: str, price: dict[str, Any], end: int) -> str:
    """Return the id of a new item of the subscription, whose period ends at `end`."""
    item = state.add(
        "subscription_items",
        parents=(subscription,),
        current_period_end=end,
        current_period_start=state.now,
        metadata=metadata(state, 0.1),
        plan=state.get("plans", price["id"]),
        price=state.get("prices", price["id"]),
        quantity=state.dice.pick((1, 1, 1, 2, 5)),
        subscription=subscription,
        tax_rates=[],
    )
    return item["id"]


def items(state: State, subscription: str) -> list[dict[str, Any]]:
    """Return a subscription's items, oldest first."""
    shelf = state.shelves["subscription_items"]
    return [shelf.get(item) for _, item in shelf.by_parent.get((subscription,), ())]


def renew(state: State, subscription: str, customer: dict[str, Any], method: dict[str, Any]) -> None:
    """Begin the next period with an invoice, unless the customer has gone."""
    known = state.get("subscriptions", subscription)
    if known["status"] == "canceled" or full(state):
        return
    if known["cancel_at_period_end"] or state.dice.chance(0.03):
        cancel(state, subscription)
        return
    held = items(state, subscription)
    end = state.now + PERIODS[held[0]["price"]["recurring"]["interval"]]
    for item in held:
        state.change("subscription_items", item["id"], current_period_start=state.now, current_period_end=end)
    if state.dice.chance(0.1):
        _alter(state, subscription, customer, end)
    status = "active" if known["status"] == "trialing" else known["status"]
    invoice = invoices.bill_subscription(state, subscription, customer, method, reason="subscription_cycle")
    state.change(
        "subscriptions", subscription, event="customer.subscription.updated", status=status, latest_invoice=invoice
    )
    state.at(end, renew, subscription, customer, method)


def _alter(state: State, subscription: str, customer: dict[str, Any], end: int) -> None:
    """Change what is subscribed to: an item less has no event of its own, only the subscription's."""
    held = items(state, subscription)
    if len(held) > 1 and state.dice.chance(0.5):
        state.remove("subscription_items", held[-1]["id"])
    elif state.dice.chance(0.5):
        same = held[0]["price"]["recurring"]["interval"]
        offers = [
            price
            for price in state.memo[f"recurring {customer['currency']}"]
            if price["recurring"]["interval"] == same and all(price["id"] != i["price"]["id"] for i in held)
        ]
        if offers:
            add_item(state, subscription, state.dice.pick(offers), end)
    else:
        state.change("subscription_items", held[0]["id"], quantity=held[0]["quantity"] + 1)
    state.emit("customer.subscription.updated", "subscriptions", subscription, {"items": {"object": "list"}})
    if state.dice.chance(0.3):
        state.change(
            "subscriptions", subscription, event="customer.subscription.updated",
            cancel_at_period_end=True, cancel_at=end, canceled_at=state.now,
        )  # fmt: skip


def fall_due(state: State, subscription: str) -> None:
    """Note that a payment failed."""
    if state.get("subscriptions", subscription)["status"] == "active":
        state.change("subscriptions", subscription, event="customer.subscription.updated", status="past_due")


def recover(state: State, subscription: str) -> None:
    """Note that what was due is paid."""
    if state.get("subscriptions", subscription)["status"] == "past_due":
        state.change("subscriptions", subscription, event="customer.subscription.updated", status="active")


def cancel(state: State, subscription: str) -> None:
    """End a subscription; it stays, canceled, and is listed only with `status=all`."""
    if state.get("subscriptions", subscription)["status"] == "canceled":
        return
    state.change(
        "subscriptions",
        subscription,
        canceled_at=state.now,
        ended_at=state.now,
        cancellation_details={"reason": "cancellation_requested", "feedback": "too_expensive"},
        status="canceled",
    )
    state.emit("customer.subscription.deleted", "subscriptions", subscription)
    entitlements.withdraw_unpaid(state, state.get("subscriptions", subscription)["customer"])


def schedule(state: State, subscription: str) -> None:
    """Plan a change of a subscription, and release it a while later."""
    known = state.get("subscriptions", subscription)
    if known["status"] == "canceled" or known["schedule"]:
        return
    end = state.now + 60 * DAY
    phase = {
        "currency": known["currency"], "start_date": state.now, "end_date": end, "default_tax_rates": [],
        "items": [{"price": i["price"]["id"], "plan": i["plan"]["id"], "quantity": i["quantity"]}
                  for i in items(state, subscription)],
    }  # fmt: skip
    made = state.add(
        "subscription_schedules",
        event="subscription_schedule.created",
        billing_mode={"type": "flexible"},
        current_phase={"start_date": state.now, "end_date": end},
        customer=known["customer"],
        default_settings={"invoice_settings": {"issuer": {"type": "self"}}},
        end_behavior="release",
        metadata=metadata(state),
        phases=[phase],
        status="active",
        subscription=subscription,
    )
    state.change("subscriptions", subscription, event="customer.subscription.updated", schedule=made["id"])
    state.at(state.now + state.dice.between(2 * DAY, 60 * DAY), _release, made["id"], subscription)


def _release(state: State, schedule_id: str, subscription: str) -> None:
    state.change(
        "subscription_schedules", schedule_id, event="subscription_schedule.released",
        status="released", released_at=state.now, released_subscription=subscription, subscription=None,
    )  # fmt: skip
    state.change("subscriptions", subscription, event="customer.subscription.updated", schedule=None)

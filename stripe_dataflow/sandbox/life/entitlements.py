"""What customers may use: the features of the products they subscribe to, and the event that tells of a change."""

from __future__ import annotations

from typing import Any

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.sandbox.shelf import Keys
from stripe_dataflow.sandbox.state import State

TABLE = "active_entitlements"


def grant(state: State, customer: str, prices: list[dict[str, Any]]) -> None:
    """Let the customer use the features of the products bought."""
    if customer not in state.shelves["customers"]:
        return
    held = {entitlement["feature"] for entitlement in _held(state, customer)}
    wanted = {f["id"]: f for price in prices for f in state.memo[f"features of {price['product']}"]}
    before = _shown(state, customer)
    missing = [feature for feature_id, feature in wanted.items() if feature_id not in held]
    for feature in missing:
        state.add(TABLE, parents=(customer,), feature=feature["id"], lookup_key=feature["lookup_key"])
    if missing:
        _tell(state, customer, before)


def withdraw_unpaid(state: State, customer: str) -> None:
    """Take away the features that no subscription of the customer's pays for any more."""
    paid: set[str] = set()
    for _, subscription in state.shelves["subscriptions"].where("customer", customer):
        if state.get("subscriptions", subscription)["status"] != "canceled":
            for _, item in state.shelves["subscription_items"].by_parent.get((subscription,), Keys()):
                product = state.get("subscription_items", item)["price"]["product"]
                paid |= {feature["id"] for feature in state.memo[f"features of {product}"]}
    before = _shown(state, customer)
    gone = [entitlement for entitlement in _held(state, customer) if entitlement["feature"] not in paid]
    for entitlement in gone:
        state.remove(TABLE, entitlement["id"])
    if gone:
        _tell(state, customer, before)


def tell(state: State, entitlement: str) -> None:
    """Add the event for a new entitlement."""
    customer = state.shelves[TABLE].entries[entitlement].parents[-1]
    shown = _shown(state, customer)
    _tell(state, customer, shown | {"data": [each for each in shown["data"] if each["id"] != entitlement]})


def withdraw(state: State, entitlement: str) -> None:
    """Take one entitlement away."""
    customer = state.shelves[TABLE].entries[entitlement].parents[-1]
    before = _shown(state, customer)
    state.remove(TABLE, entitlement)
    _tell(state, customer, before)


def _held(state: State, customer: str) -> list[dict[str, Any]]:
    shelf = state.shelves[TABLE]
    return [shelf.get(entitlement) for _, entitlement in shelf.by_parent.get((customer,), Keys())]


def _shown(state: State, customer: str) -> dict[str, Any]:
    return state.views.embedded_list(TABLES[TABLE], customer)


def _tell(state: State, customer: str, before: dict[str, Any]) -> None:
    """Add the event: its object is a summary of what the customer may use, which has no id."""
    summary = {
        "object": "entitlements.active_entitlement_summary",
        "customer": customer,
        "entitlements": _shown(state, customer),
        "livemode": False,
    }
    state.report("entitlements.active_entitlement_summary.updated", summary, {"entitlements": before})

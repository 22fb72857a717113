"""Issued cards: who holds them, what is bought with them, and what is contested."""

from __future__ import annotations

from typing import Any

from stripe_dataflow.sandbox.life.ledger import book
from stripe_dataflow.sandbox.life.names import address, digits, email, person
from stripe_dataflow.sandbox.naming import DAY
from stripe_dataflow.sandbox.state import State

MERCHANT = {
    "category": "computer_software_stores", "category_code": "5734", "city": "Austin", "country": "US",
    "name": "Tools 'R' Here", "network_id": "1234567890", "postal_code": "78701", "state": "TX",
}  # fmt: skip


def issue_card(state: State) -> None:
    """Issue a card to a new cardholder."""
    first, last = person(state)
    holder = state.add(
        "issuing_cardholders",
        event="issuing_cardholder.created",
        billing={"address": address(state, "usd")},
        email=email(state),
        individual={"first_name": first, "last_name": last, "dob": {"day": 1, "month": 11, "year": 1981}},
        metadata={},
        name=f"{first} {last}",
        phone_number=f"+1555{digits(state, 7)}",
        requirements={"past_due": []},
        spending_controls={"spending_limits": [], "allowed_categories": [], "blocked_categories": []},
        status="active",
        type="individual",
    )
    card = state.add(
        "issuing_cards",
        event="issuing_card.created",
        brand="Visa",
        cardholder=holder,
        currency="usd",
        exp_month=state.dice.between(1, 12),
        exp_year=2030,
        last4=digits(state, 4),
        metadata={},
        spending_controls={"spending_limits": [{"amount": 50_000, "interval": "daily", "categories": []}]},
        status="active",
        type="virtual",
    )
    state.memo["cards"].append(card["id"])


def spend(state: State) -> None:
    """Let an issued card be used: an authorization, captured a day later, sometimes contested."""
    card = state.get("issuing_cards", state.dice.pick(state.memo["cards"]))
    amount = state.dice.between(3, 400) * 100
    made = state.add(
        "issuing_authorizations",
        event="issuing_authorization.created",
        amount=amount,
        amount_details={"atm_fee": None, "cashback_amount": 0},
        approved=True,
        authorization_method="online",
        card=card,
        cardholder=card["cardholder"]["id"],
        currency="usd",
        merchant_amount=amount,
        merchant_currency="usd",
        merchant_data=MERCHANT,
        metadata={},
        request_history=[{"amount": amount, "approved": True, "created": state.now, "currency": "usd",
                          "merchant_amount": amount, "merchant_currency": "usd", "reason": "webhook_approved"}],
        status="pending",
        verification_data={"cvc_check": "match", "expiry_check": "match"},
    )  # fmt: skip
    state.at(state.now + DAY, _capture, made["id"], card, amount)


def _capture(state: State, authorization: str, card: dict[str, Any], amount: int) -> None:
    transaction = state.ids.next("ipi")
    booked = book(state, "issuing_transaction", -amount, currency="usd", source=transaction)
    made = state.add(
        "issuing_transactions",
        id=transaction,
        event="issuing_transaction.created",
        amount=-amount,
        authorization=authorization,
        balance_transaction=booked["id"],
        card=card["id"],
        cardholder=card["cardholder"]["id"],
        currency="usd",
        merchant_amount=-amount,
        merchant_currency="usd",
        merchant_data=MERCHANT,
        metadata={},
        type="capture",
    )
    state.change(
        "issuing_authorizations", authorization, event="issuing_authorization.updated",
        status="closed", transactions=[made], balance_transactions=[booked],
    )  # fmt: skip
    if state.dice.chance(0.3) or not len(state.shelves["issuing_disputes"]):
        _contest(state, transaction, amount)


def _contest(state: State, transaction: str, amount: int) -> None:
    made = state.add(
        "issuing_disputes",
        event="issuing_dispute.created",
        amount=amount,
        currency="usd",
        evidence={"reason": "not_received", "not_received": {"explanation": "never came"}},
        metadata={},
        status="unsubmitted",
        transaction=transaction,
    )
    state.change("issuing_transactions", transaction, event="issuing_transaction.updated", dispute=made["id"])
    state.at(state.now + 2 * DAY, _submit, made["id"])


def _submit(state: State, dispute: str) -> None:
    state.change("issuing_disputes", dispute, event="issuing_dispute.submitted", status="submitted")

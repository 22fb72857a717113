"""Payments: a payment intent, its charges, and what can follow: refund, dispute, warning, review."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stripe_dataflow.sandbox.life.ledger import book
from stripe_dataflow.sandbox.life.names import in_units, metadata
from stripe_dataflow.sandbox.naming import DAY
from stripe_dataflow.sandbox.state import State

DECLINES = (
    ("insufficient_funds", "Your card has insufficient funds."),
    ("expired_card", "Your card has expired."),
    ("card_declined", "Your card was declined."),
)


@dataclass(frozen=True, slots=True)
class Payment:
    """What is to be paid, by whom; amounts in the currency's smallest unit."""

    amount: int
    currency: str
    customer: dict[str, Any] | None = None
    method: dict[str, Any] | None = None
    description: str | None = None
    decline: float = 0.06
    metadata: dict[str, str] = field(default_factory=dict)


def full(state: State) -> bool:
    """Tell whether the account has as many charges as it was asked to have."""
    limit = state.memo["charges"]
    return bool(limit) and state.now <= state.horizon and len(state.shelves["charges"]) >= limit[0]


def pay(state: State, payment: Payment) -> dict[str, Any]:
    """Return the payment intent, tried once."""
    customer, method = payment.customer or {}, payment.method or {}
    intent_id = state.ids.next("pi")
    intent = state.add(
        "payment_intents",
        id=intent_id,
        event="payment_intent.created",
        amount=payment.amount,
        automatic_payment_methods={"allow_redirects": "always", "enabled": True},
        capture_method="automatic_async",
        client_secret=f"{intent_id}_secret_{state.ids.letters(intent_id, length=24)}",
        currency=payment.currency,
        customer=customer.get("id"),
        description=payment.description,
        metadata=payment.metadata,
        payment_method=method.get("id"),
        payment_method_types=[method.get("type", "card")],
        status="requires_payment_method",
    )
    return attempt(state, intent, payment)


def attempt(state: State, intent: dict[str, Any], payment: Payment) -> dict[str, Any]:
    """Return the payment intent after a try, which adds a charge that succeeded or failed."""
    if full(state) or payment.method is None:
        return intent
    charge = _charge(state, intent, payment)
    if charge["status"] == "failed":
        error = {"code": charge["failure_code"], "message": charge["failure_message"], "type": "card_error"}
        state.emit("charge.failed", "charges", charge["id"])
        return state.change(
            "payment_intents", intent["id"], event="payment_intent.payment_failed",
            latest_charge=charge["id"], last_payment_error=error, status="requires_payment_method",
        )  # fmt: skip
    state.emit("charge.succeeded", "charges", charge["id"])
    remember(state, charge["id"])
    _consequences(state, charge)
    return state.change(
        "payment_intents", intent["id"], event="payment_intent.succeeded",
        amount_received=payment.amount, latest_charge=charge["id"], last_payment_error=None, status="succeeded",
    )  # fmt: skip


def remember(state: State, charge: str) -> None:
    """Keep the charge among the recent ones that something else can happen to."""
    recent = state.memo["recent_charges"]
    recent.append(charge)
    if len(recent) > 200:  # noqa: PLR2004 - as many as one can remember
        del recent[:100]


def _charge(state: State, intent: dict[str, Any], payment: Payment) -> dict[str, Any]:
    charge = state.ids.next("ch")
    declined = state.dice.chance(payment.decline)
    code, message = state.dice.pick(DECLINES) if declined else (None, None)
    fee = in_units(payment.currency, 0.3) + payment.amount * 29 // 10_000 * 10
    method = payment.method or {}
    booked = None
    if not declined:
        kind = "charge" if method["type"] == "card" else "payment"
        booked = book(state, kind, payment.amount, currency=payment.currency, source=charge, fee=fee, days=2)["id"]
    return state.add(
        "charges",
        id=charge,
        amount=payment.amount,
        amount_captured=0 if declined else payment.amount,
        balance_transaction=booked,
        billing_details=method.get("billing_details", {}),
        calculated_statement_descriptor="SANDBOX SHOP",
        captured=not declined,
        currency=payment.currency,
        customer=(payment.customer or {}).get("id"),
        description=payment.description,
        failure_code=code,
        failure_message=message,
        fraud_details={},
        metadata=payment.metadata,
        outcome=_outcome(state, code),
        paid=not declined,
        payment_intent=intent["id"],
        payment_method=method.get("id"),
        payment_method_details=_method_details(method, payment.amount),
        receipt_email=(payment.customer or {}).get("email"),
        receipt_url=f"https://pay.example.com/receipts/{charge}",
        status="failed" if declined else "succeeded",
    )


def _outcome(state: State, code: str | None) -> dict[str, Any]:
    return {
        "network_status": "declined_by_network" if code else "approved_by_network",
        "reason": code,
        "risk_level": "elevated" if state.dice.chance(0.03) else "normal",
        "risk_score": state.dice.between(0, 74),
        "seller_message": "The bank declined the payment." if code else "Payment complete.",
        "type": "issuer_declined" if code else "authorized",
    }


def _method_details(method: dict[str, Any], amount: int) -> dict[str, Any]:
    kind = method["type"]
    if kind != "card":
        return (
            {
                "type": kind,
                kind: {
                    name: method[kind].get(name) for name in ("bank_code", "last4", "country") if name in method[kind]
                },
            }
            if kind == "sepa_debit"
            else {"type": kind}
        )
    card = method["card"]
    same = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    return {
        "type": "card",
        "card": {name: card[name] for name in same}
        | {
            "amount_authorized": amount,
            "extended_authorization": {"status": "disabled"},
            "incremental_authorization": {"status": "unavailable"},
            "multicapture": {"status": "unavailable"},
            "network": card["brand"],
            "network_token": {"used": False},
            "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
        },
    }


def _consequences(state: State, charge: dict[str, Any]) -> None:
    dice = state.dice
    if dice.chance(0.04):
        part = charge["amount"] if dice.chance(0.6) else charge["amount"] // 20 * 10
        state.at(state.now + dice.between(3600, 30 * DAY), refund, charge["id"], part)
    elif dice.chance(0.008):
        state.at(state.now + dice.between(5 * DAY, 40 * DAY), dispute, charge["id"])
    elif dice.chance(0.01):
        state.at(state.now + dice.between(60, DAY), review, charge["id"])


def refund(state: State, charge_id: str, amount: int) -> None:
    """Give back part of a charge, as far as it is not given back yet."""
    charge = state.get("charges", charge_id)
    amount = min(amount, charge["amount"] - charge["amount_refunded"])
    if amount <= 0 or charge["disputed"]:
        return
    refund_id = state.ids.next("re")
    booked = book(state, "refund", -amount, currency=charge["currency"], source=refund_id)
    state.add(
        "refunds",
        id=refund_id,
        event="refund.created",
        amount=amount,
        balance_transaction=booked["id"],
        charge=charge_id,
        currency=charge["currency"],
        customer=charge["customer"],
        destination_details={"type": "card", "card": {"type": "refund", "reference_status": "pending"}},
        metadata=metadata(state),
        payment_intent=charge["payment_intent"],
        payment_method=charge["payment_method"],
        reason=state.dice.pick(("requested_by_customer", "duplicate", None)),
        status="succeeded",
    )
    refunded = charge["amount_refunded"] + amount
    state.change(
        "charges", charge_id, event="charge.refunded",
        amount_refunded=refunded, refunded=refunded == charge["amount"],
    )  # fmt: skip


def dispute(state: State, charge_id: str) -> None:
    """Let the cardholder contest a charge; the money goes, and comes back if it is won."""
    charge = state.get("charges", charge_id)
    if charge["disputed"] or charge["amount_refunded"]:
        return
    dispute_id, currency = state.ids.next("dp"), charge["currency"]
    booked = book(
        state, "adjustment", -charge["amount"], currency=currency, source=dispute_id, fee=in_units(currency, 15)
    )
    state.change("charges", charge_id, event="charge.updated", disputed=True)
    state.add(
        "disputes",
        id=dispute_id,
        event="charge.dispute.created",
        amount=charge["amount"],
        balance_transactions=[booked],
        charge=charge_id,
        currency=currency,
        evidence_details={"due_by": state.now + 9 * DAY},
        evidence={"customer_email_address": charge["receipt_email"], "product_description": "Sandbox goods"},
        payment_intent=charge["payment_intent"],
        payment_method_details={"type": "card", "card": {"brand": "visa", "network_reason_code": "10.4"}},
        reason=state.dice.pick(("fraudulent", "product_not_received", "general")),
        status="needs_response",
    )
    state.emit("charge.dispute.funds_withdrawn", "disputes", dispute_id)
    state.at(state.now + 8 * DAY, _answer, dispute_id)


def _answer(state: State, dispute_id: str) -> None:
    state.change("disputes", dispute_id, event="charge.dispute.updated", status="under_review")
    state.at(state.now + 20 * DAY, _decide, dispute_id)


def _decide(state: State, dispute_id: str) -> None:
    dispute_ = state.get("disputes", dispute_id)
    if not state.dice.chance(0.4):
        state.change("disputes", dispute_id, event="charge.dispute.closed", status="lost")
        return
    booked = book(state, "adjustment", dispute_["amount"], currency=dispute_["currency"], source=dispute_id)
    state.change(
        "disputes", dispute_id, event="charge.dispute.closed", status="won",
        balance_transactions=[*dispute_["balance_transactions"], booked],
    )  # fmt: skip
    state.emit("charge.dispute.funds_reinstated", "disputes", dispute_id)


def warn(state: State, charge_id: str) -> None:
    """Let the card network warn of likely fraud."""
    charge = state.get("charges", charge_id)
    made = state.add(
        "radar_early_fraud_warnings",
        event="radar.early_fraud_warning.created",
        actionable=True,
        charge=charge_id,
        fraud_type=state.dice.pick(("made_with_stolen_card", "unauthorized_use_of_card")),
        payment_intent=charge["payment_intent"],
    )
    state.at(state.now + 3 * DAY, _heed, made["id"])


def _heed(state: State, warning: str) -> None:
    state.change("radar_early_fraud_warnings", warning, event="radar.early_fraud_warning.updated", actionable=False)


def review(state: State, charge_id: str) -> None:
    """Hold a payment for a person to look at; most reviews are closed within a week, and then not listed."""
    charge = state.get("charges", charge_id)
    made = state.add(
        "reviews",
        event="review.opened",
        billing_zip=(charge["billing_details"]["address"] or {}).get("postal_code"),
        charge=charge_id,
        ip_address="192.0.2.44",
        ip_address_location={"city": "Springfield", "country": "US", "latitude": 39.8, "longitude": -89.6},
        open=True,
        opened_reason="rule",
        payment_intent=charge["payment_intent"],
        reason="rule",
    )
    state.change("charges", charge_id, review=made["id"])
    if state.dice.chance(0.7):
        state.at(state.now + state.dice.between(DAY, 7 * DAY), _close_review, made["id"], charge_id)


def _close_review(state: State, review_id: str, charge_id: str) -> None:
    state.change("reviews", review_id, event="review.closed", open=False, closed_reason="approved", reason="approved")
    state.change("charges", charge_id, review=None)

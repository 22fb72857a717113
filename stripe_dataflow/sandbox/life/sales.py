"""Sales pages: Checkout sessions, payment links, quotes, and the lines each of them holds."""

from __future__ import annotations

from typing import Any

from stripe_dataflow.sandbox.life import subscriptions
from stripe_dataflow.sandbox.life.names import metadata
from stripe_dataflow.sandbox.life.payments import Payment, pay
from stripe_dataflow.sandbox.naming import DAY
from stripe_dataflow.sandbox.state import State

NO_DETAILS = {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}


def _add_lines(state: State, table: str, parent: str, prices: list[dict[str, Any]]) -> int:
    """Return the sum of the lines added."""
    for price in prices:
        state.add(
            table, parents=(parent,), amount_subtotal=price["unit_amount"], amount_total=price["unit_amount"],
            currency=price["currency"], description=price["nickname"], price=price, quantity=1,
        )  # fmt: skip
    return sum(price["unit_amount"] for price in prices)


def _some(state: State, count: int) -> list[dict[str, Any]]:
    offers = state.memo["once usd"]
    return [offers[at % len(offers)] for at in range(count)]


def check_out(state: State, customer: dict[str, Any], method: dict[str, Any] | None, count: int) -> None:
    """Let a customer visit a Checkout page: some pay within minutes, the others let it expire."""
    session = state.ids.next("cs_test", 32)
    prices = _some(state, count)
    amount = sum(price["unit_amount"] for price in prices)
    state.add(
        "checkout_sessions",
        id=session,
        allow_promotion_codes=True,
        amount_subtotal=amount,
        amount_total=amount,
        automatic_tax={"enabled": False},
        billing_address_collection="auto",
        cancel_url="https://shop.example.com/cart",
        currency="usd",
        customer=customer["id"],
        customer_details={"email": customer["email"], "name": customer["name"], "tax_exempt": "none", "tax_ids": []},
        expires_at=state.now + DAY,
        metadata=metadata(state),
        mode="payment",
        payment_method_types=["card"],
        payment_status="unpaid",
        status="open",
        success_url="https://shop.example.com/thanks",
        total_details=NO_DETAILS,
        ui_mode="hosted_page",
        url=f"https://checkout.example.com/c/pay/{session}",
    )
    _add_lines(state, "checkout_session_line_items", session, prices)
    if method is not None and state.dice.chance(0.7):
        state.at(state.now + 300, _complete, session, customer, method)
    else:
        state.at(state.now + DAY, _expire, session)


def _complete(state: State, session: str, customer: dict[str, Any], method: dict[str, Any]) -> None:
    amount = state.get("checkout_sessions", session)["amount_total"]
    intent = pay(state, Payment(amount, "usd", customer, method, "Checkout", decline=0))
    if intent["status"] != "succeeded":
        _expire(state, session)
        return
    state.change(
        "checkout_sessions", session, event="checkout.session.completed",
        payment_intent=intent["id"], payment_status="paid", status="complete", url=None,
    )  # fmt: skip


def _expire(state: State, session: str) -> None:
    state.change("checkout_sessions", session, event="checkout.session.expired", status="expired", url=None)


def add_link(state: State, count: int) -> None:
    """Add a payment link that sells so many things."""
    link = state.ids.next("plink")
    state.add(
        "payment_links",
        id=link,
        active=True,
        after_completion={"type": "hosted_confirmation", "hosted_confirmation": {}},
        currency="usd",
        metadata=metadata(state),
        payment_method_collection="always",
        url=f"https://buy.example.com/{link}",
    )
    _add_lines(state, "payment_link_line_items", link, _some(state, count))
    state.emit("payment_link.created", "payment_links", link)
    state.memo["links"].append(link)


def quote(state: State, customer: dict[str, Any], method: dict[str, Any] | None, count: int) -> None:
    """Offer something; finalized the next day, and accepted or canceled within the week."""
    offers = state.memo[f"recurring {customer['currency']}"]
    prices = [price for price in offers if price["recurring"]["interval"] == "month"][:count]
    prices += prices[: max(0, count - len(prices))]
    quote_id = state.ids.next("qt")
    amount = sum(price["unit_amount"] for price in prices)
    state.add(
        "quotes",
        id=quote_id,
        amount_subtotal=amount,
        amount_total=amount,
        collection_method="charge_automatically",
        currency=customer["currency"],
        customer=customer["id"],
        default_tax_rates=[],
        description=state.dice.pick((None, "As discussed")),
        expires_at=state.now + 30 * DAY,
        invoice_settings={"issuer": {"type": "self"}},
        metadata=metadata(state),
        status="draft",
        subscription_data={"billing_mode": {"type": "flexible"}},
        total_details=NO_DETAILS,
    )
    _add_lines(state, "quote_line_items", quote_id, prices)
    state.emit("quote.created", "quotes", quote_id)
    state.at(state.now + DAY, _finalize, quote_id, customer, method, prices)


def _finalize(
    state: State,
    quote_id: str,
    customer: dict[str, Any],
    /,
    method: dict[str, Any] | None,
    prices: list[dict[str, Any]],
) -> None:
    number = f"QT-{state.ids.letters(quote_id, length=8).upper()}-0001-1"
    times = {"accepted_at": None, "canceled_at": None, "finalized_at": state.now}
    state.change("quotes", quote_id, event="quote.finalized", number=number, status="open", status_transitions=times)
    state.at(state.now + state.dice.between(DAY, 6 * DAY), _decide, quote_id, customer, method, prices)


def _decide(
    state: State,
    quote_id: str,
    customer: dict[str, Any],
    /,
    method: dict[str, Any] | None,
    prices: list[dict[str, Any]],
) -> None:
    times = state.get("quotes", quote_id)["status_transitions"]
    gone = customer["id"] not in state.shelves["customers"]
    if method is None or gone or state.dice.chance(0.4):
        canceled = times | {"canceled_at": state.now}
        state.change("quotes", quote_id, event="quote.canceled", status="canceled", status_transitions=canceled)
        return
    subscription = subscriptions.begin(state, customer, method, _distinct(prices))
    accepted = times | {"accepted_at": state.now}
    state.change(
        "quotes", quote_id, event="quote.accepted",
        status="accepted", status_transitions=accepted, subscription=subscription,
    )  # fmt: skip


def _distinct(prices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({price["id"]: price for price in prices}.values())

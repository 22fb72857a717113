"""Invoices: drafted, finalized an hour later, paid or not; their lines, items and payments."""

from __future__ import annotations

from typing import Any

from stripe_dataflow.sandbox.life import subscriptions
from stripe_dataflow.sandbox.life.names import in_units, metadata
from stripe_dataflow.sandbox.life.payments import Payment, attempt, pay
from stripe_dataflow.sandbox.naming import DAY
from stripe_dataflow.sandbox.state import State

Line = dict[str, Any]


def bill_subscription(
    state: State,
    subscription: str,
    customer: dict[str, Any],
    /,
    method: dict[str, Any],
    *,
    reason: str,
    trial: bool = False,
) -> str:
    """Return the id of an invoice with a line for each item, and for what was waiting to be billed."""
    invoice = draft(state, customer, billing_reason=reason, subscription=subscription)
    for item in subscriptions.items(state, subscription):
        amount = 0 if trial else item["price"]["unit_amount"] * item["quantity"]
        _add_line(state, invoice, _subscription_line(item, amount, subscription, invoice["currency"]))
    for waiting in state.memo.pop(f"waiting {customer['id']}", []):
        if waiting in state.shelves["invoice_items"]:
            _take_up(state, invoice, waiting)
    total(state, invoice["id"])
    if reason == "subscription_create":  # Stripe finalizes the first one at once, the others an hour later
        finalize(state, invoice["id"], customer, method, subscription)
    else:
        state.at(state.now + 3600, finalize, invoice["id"], customer, method, subscription)
    return invoice["id"]


def draft(
    state: State, customer: dict[str, Any], /, *, billing_reason: str = "manual", subscription: str = ""
) -> dict[str, Any]:
    """Return a new draft without lines."""
    details = {"subscription_details": {"subscription": subscription, "metadata": {}}, "type": "subscription_details"}
    made = state.add(
        "invoices",
        account_country="US",
        account_name="Sandbox Shop",
        auto_advance=True,
        automatic_tax={"enabled": False},
        billing_reason=billing_reason,
        collection_method="charge_automatically",
        currency=customer["currency"],
        customer=customer["id"],
        customer_address=customer["address"],
        customer_email=customer["email"],
        customer_name=customer["name"],
        customer_phone=customer["phone"],
        customer_shipping=customer["shipping"],
        customer_tax_exempt=customer["tax_exempt"],
        customer_tax_ids=[],
        issuer={"type": "self"},
        metadata=metadata(state, 0.15),
        parent=details if subscription else None,
        period_end=state.now,
        period_start=state.now - 30 * DAY,
        status="draft",
        total_discount_amounts=[],
        total_pretax_credit_amounts=[],
        total_taxes=[],
    )
    state.emit("invoice.created", "invoices", made["id"])
    return made


def _subscription_line(item: dict[str, Any], amount: int, subscription: str, currency: str) -> Line:
    parent = {
        "subscription_item_details": {
            "subscription": subscription,
            "subscription_item": item["id"],
            "proration": False,
        },
        "type": "subscription_item_details",
    }
    price = item["price"]
    return {
        "amount": amount,
        "currency": currency,
        "description": f"{item['quantity']} x {price['nickname']}",
        "parent": parent,
        "period": {"start": item["current_period_start"], "end": item["current_period_end"]},
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": item["quantity"],
        "quantity_decimal": str(item["quantity"]),
        "subscription": subscription,
    }


def _add_line(state: State, invoice: dict[str, Any], line: Line) -> None:
    state.add(
        "invoice_line_items",
        parents=(invoice["id"],),
        discount_amounts=[],
        discountable=True,
        invoice=invoice["id"],
        pretax_credit_amounts=[],
        subtotal=line["amount"],
        taxes=[],
        **line,
    )


def add_item(state: State, customer: dict[str, Any], *, billed_later: bool = True) -> str:
    """Return the id of an invoice item; billed later, it waits for the customer's next invoice."""
    amount = in_units(customer["currency"], state.dice.between(2, 60))
    made = state.add(
        "invoice_items",
        event="invoiceitem.created",
        amount=amount,
        currency=customer["currency"],
        customer=customer["id"],
        description=state.dice.pick(("Setup", "Über-Versand", "Support hour")),
        discountable=True,
        metadata=metadata(state),
        net_amount=amount,
        period={"start": state.now, "end": state.now},
        pricing={"type": "price_details", "unit_amount_decimal": str(amount)},
        quantity=1,
        quantity_decimal="1",
        tax_rates=[],
    )
    if billed_later:
        state.memo[f"waiting {customer['id']}"].append(made["id"])
    return made["id"]


def _take_up(state: State, invoice: dict[str, Any], item_id: str) -> None:
    """Put a waiting item on the invoice; no event tells of the item's change."""
    item = state.change("invoice_items", item_id, invoice=invoice["id"])
    same = ("amount", "currency", "description", "period", "quantity", "quantity_decimal")
    details = {"invoice_item_details": {"invoice_item": item_id, "proration": False}, "type": "invoice_item_details"}
    _add_line(state, invoice, {name: item[name] for name in same} | {"parent": details})


def bill_items(state: State, customer: dict[str, Any], method: dict[str, Any], count: int) -> str:
    """Return the id of a one-off invoice with so many items, finalized at once."""
    invoice = draft(state, customer)
    for _ in range(count):
        _take_up(state, invoice, add_item(state, customer, billed_later=False))
    total(state, invoice["id"])
    finalize(state, invoice["id"], customer, method, "")
    return invoice["id"]


def lines(state: State, invoice: str) -> list[Line]:
    """Return an invoice's lines, oldest first."""
    shelf = state.shelves["invoice_line_items"]
    return [shelf.get(line) for _, line in shelf.by_parent.get((invoice,), ())]


def total(state: State, invoice: str) -> None:
    """Sum up the lines."""
    due = sum(line["amount"] for line in lines(state, invoice))
    state.change(
        "invoices", invoice,
        amount_due=due, amount_remaining=due, subtotal=due, subtotal_excluding_tax=due, total=due,
        total_excluding_tax=due,
    )  # fmt: skip


def finalize(
    state: State, invoice_id: str, customer: dict[str, Any], /, method: dict[str, Any] | None, subscription: str
) -> None:
    """Give a draft its number and ask for the money."""
    if invoice_id not in state.shelves["invoices"]:
        return
    state.memo["invoice_number"] = [*state.memo["invoice_number"], 0][:1]
    state.memo["invoice_number"][0] += 1
    invoice = state.change(
        "invoices",
        invoice_id,
        auto_advance=True,
        effective_at=state.now,
        ending_balance=0,
        hosted_invoice_url=f"https://invoice.example.com/i/{invoice_id}",
        invoice_pdf=f"https://invoice.example.com/i/{invoice_id}/pdf",
        number=f"{customer['invoice_prefix']}-{state.memo['invoice_number'][0]:04d}",
        status="open",
        status_transitions={
            "finalized_at": state.now, "marked_uncollectible_at": None, "paid_at": None, "voided_at": None,
        },
    )  # fmt: skip
    state.emit("invoice.finalized", "invoices", invoice_id)
    _collect(state, invoice, customer, method, subscription)


def _collect(
    state: State, invoice: dict[str, Any], customer: dict[str, Any], /, method: dict[str, Any] | None, subscription: str
) -> None:
    if invoice["amount_due"] <= 0:
        _paid(state, invoice["id"], 0)
        return
    payment = Payment(invoice["amount_due"], invoice["currency"], customer, method, "Invoice payment")
    intent = pay(state, payment)
    made = state.add(
        "invoice_payments",
        amount_requested=invoice["amount_due"],
        currency=invoice["currency"],
        invoice=invoice["id"],
        is_default=True,
        payment={"payment_intent": intent["id"], "type": "payment_intent"},
        status="open",
    )
    _settle(state, invoice["id"], made["id"], intent, (payment, subscription, 3))


def _settle(
    state: State, invoice: str, payment_id: str, /, intent: dict[str, Any], rest: tuple[Payment, str, int]
) -> None:
    """Close the invoice if its payment intent succeeded, or try again two days later."""
    payment, subscription, tries = rest
    if intent["status"] == "succeeded":
        times = {"canceled_at": None, "paid_at": state.now}
        state.change(
            "invoice_payments", payment_id, event="invoice_payment.paid",
            amount_paid=payment.amount, status="paid", status_transitions=times,
        )  # fmt: skip
        _paid(state, invoice, payment.amount)
        if subscription:
            subscriptions.recover(state, subscription)
        return
    state.change("invoices", invoice, attempted=True, attempt_count=4 - tries, next_payment_attempt=state.now + 2 * DAY)
    state.emit("invoice.payment_failed", "invoices", invoice)
    if subscription:
        subscriptions.fall_due(state, subscription)
    if tries:
        state.at(state.now + 2 * DAY, _retry, invoice, payment_id, intent["id"], (payment, subscription, tries - 1))
    elif subscription:
        subscriptions.cancel(state, subscription)
        _write_off(state, invoice)


def _retry(state: State, invoice: str, payment_id: str, /, intent_id: str, rest: tuple[Payment, str, int]) -> None:
    if state.get("invoices", invoice)["status"] == "open":
        intent = attempt(state, state.get("payment_intents", intent_id), rest[0])
        _settle(state, invoice, payment_id, intent, rest)


def _paid(state: State, invoice_id: str, amount: int) -> None:
    before = state.get("invoices", invoice_id)
    state.change(
        "invoices", invoice_id,
        amount_paid=amount, amount_remaining=0, attempted=True, attempt_count=before["attempt_count"] + 1,
        next_payment_attempt=None, status="paid",
        status_transitions=before["status_transitions"] | {"paid_at": state.now},
    )  # fmt: skip
    state.emit("invoice.paid", "invoices", invoice_id)
    state.emit("invoice.payment_succeeded", "invoices", invoice_id)
    state.emit("invoice.updated", "invoices", invoice_id, before={"status": "open", "amount_paid": 0})
    state.memo["paid_invoices"] = [*state.memo["paid_invoices"][-100:], invoice_id]


def _write_off(state: State, invoice_id: str) -> None:
    times = state.get("invoices", invoice_id)["status_transitions"] | {"marked_uncollectible_at": state.now}
    state.change("invoices", invoice_id, next_payment_attempt=None, status="uncollectible", status_transitions=times)
    state.emit("invoice.marked_uncollectible", "invoices", invoice_id)

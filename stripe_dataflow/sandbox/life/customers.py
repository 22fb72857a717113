"""Customers: who they are, how they pay, and what they do with their account over time."""

from __future__ import annotations

from typing import Any

from stripe_dataflow.sandbox.life import subscriptions, usage
from stripe_dataflow.sandbox.life.names import (
    COMPANIES,
    CURRENCIES,
    address,
    digits,
    email,
    in_units,
    metadata,
    person,
)  # fmt: skip
from stripe_dataflow.sandbox.life.payments import Payment, full, pay
from stripe_dataflow.sandbox.naming import DAY
from stripe_dataflow.sandbox.state import State

BRANDS = (("visa", "4242"), ("mastercard", "4444"), ("amex", "0005"), ("visa", "1881"))


def keep_arriving(state: State, mean_gap: int) -> None:
    """Let one customer come now, and the next after about `mean_gap` seconds."""
    arrive(state)
    state.at(state.now + state.dice.between(1, 2 * mean_gap - 1), keep_arriving, mean_gap)


def arrive(state: State) -> dict[str, Any]:
    """Return a new customer, with a way to pay and a first purchase."""
    customer = add_customer(state)
    method = add_method(state, customer) if state.dice.chance(0.93) else None
    _details(state, customer, method)
    if method is not None:
        state.memo["people"] = [*state.memo["people"][-300:], (customer, method)]
        if state.dice.chance(0.75):
            delay = state.dice.pick((0, 0, 600, DAY))
            state.at(state.now + delay, subscriptions.start, customer, method)
        if state.dice.chance(0.8):
            state.at(state.now + state.dice.between(60, 10 * DAY), _buy, customer, method)
    if state.dice.chance(0.3):
        state.at(state.now + state.dice.between(DAY, 200 * DAY), _edit, customer["id"])
    if state.dice.chance(0.03):
        state.at(state.now + state.dice.between(20 * DAY, 400 * DAY), leave, customer["id"])
    return customer


def add_customer(state: State, currency: str = "") -> dict[str, Any]:
    """Return a new customer and nothing else."""
    dice = state.dice
    currency = currency or dice.pick(CURRENCIES)
    first, last = person(state)
    company = dice.pick(COMPANIES) if dice.chance(0.2) else None
    home = address(state, currency)
    shipped = {"address": home, "name": f"{first} {last}", "phone": None, "carrier": None, "tracking_number": None}
    return state.add(
        "customers",
        event="customer.created",
        address=home if dice.chance(0.8) else None,
        balance=0,
        business_name=company,
        currency=currency,
        delinquent=False,
        description=dice.pick((None, None, "met at the fair", 'asked for "net 30"')),
        email=email(state),
        individual_name=None if company else f"{first} {last}",
        invoice_prefix=state.ids.next("prefix", 8)[7:].upper(),
        invoice_settings={},
        metadata=metadata(state),
        name=company or f"{first} {last}",
        next_invoice_sequence=1,
        phone=f"+1555{digits(state, 7)}" if dice.chance(0.4) else None,
        preferred_locales=["ja"] if currency == "jpy" else [],
        shipping={name: shipped[name] for name in ("address", "name", "phone")} if dice.chance(0.3) else None,
        tax_exempt="reverse" if company and dice.chance(0.3) else "none",
    )


def add_method(state: State, customer: dict[str, Any]) -> dict[str, Any]:
    """Return a payment method attached to the customer, who pays invoices with it."""
    billing = {
        "address": customer["address"] or {},
        "email": customer["email"],
        "name": customer["name"],
        "phone": customer["phone"],
    }
    sepa = customer["currency"] == "eur" and state.dice.chance(0.3)
    kind = {"type": "sepa_debit", "sepa_debit": _sepa(state)} if sepa else {"type": "card", "card": card(state)}
    method = state.add(
        "payment_methods",
        event="payment_method.attached",
        allow_redisplay="unspecified",
        billing_details=billing,
        customer=customer["id"],
        metadata=metadata(state, 0.1),
        **kind,
    )
    settings = {**customer["invoice_settings"], "default_payment_method": method["id"]}
    state.change("customers", customer["id"], event="customer.updated", invoice_settings=settings)
    return method


def _sepa(state: State) -> dict[str, Any]:
    return {
        "bank_code": "37040044", "branch_code": "", "country": "DE", "fingerprint": state.ids.next("fp", 16)[3:],
        "last4": digits(state, 4), "generated_from": {},
    }  # fmt: skip


def card(state: State) -> dict[str, Any]:
    """Return the card of a payment method."""
    brand, last4 = state.dice.pick(BRANDS)
    return {
        "brand": brand,
        "checks": {"cvc_check": "pass", "address_postal_code_check": "pass"},
        "country": "US",
        "display_brand": brand,
        "exp_month": state.dice.between(1, 12),
        "exp_year": 2027 + state.dice.between(0, 4),
        "fingerprint": state.ids.next("fp", 16)[3:],
        "funding": state.dice.pick(("credit", "debit", "prepaid")),
        "last4": last4,
        "networks": {"available": [brand], "preferred": None},
        "three_d_secure_usage": {"supported": True},
    }


def _details(state: State, customer: dict[str, Any], method: dict[str, Any] | None) -> None:
    dice = state.dice
    if dice.chance(0.18):
        add_tax_id(state, customer)
    if dice.chance(0.1):
        add_source(state, customer)
    if dice.chance(0.15):
        adjust_balance(state, customer)
    if dice.chance(0.06):
        fund(state, customer)
    if method is not None and dice.chance(0.25):
        set_up(state, customer, method)
    if dice.chance(0.1):
        state.at(state.now + 3600, usage.begin, customer["id"])


def add_tax_id(state: State, customer: dict[str, Any]) -> None:
    """Add a customer's tax number, which is verified within the hour."""
    made = state.add(
        "customer_tax_ids",
        parents=(customer["id"],),
        event="customer.tax_id.created",
        country="DE",
        customer=customer["id"],
        owner={"type": "customer", "customer": customer["id"]},
        type="eu_vat",
        value=f"DE{digits(state, 9)}",
        verification={"status": "pending"},
    )
    state.at(state.now + 1800, _verified, made["id"], customer["name"])


def _verified(state: State, tax_id: str, name: str) -> None:
    if tax_id in state.shelves["customer_tax_ids"]:
        verification = {"status": "verified", "verified_address": "Markt 1", "verified_name": name}
        state.change("customer_tax_ids", tax_id, event="customer.tax_id.updated", verification=verification)


def add_source(state: State, customer: dict[str, Any]) -> None:
    """Add a card, bank account or source, saved the older way."""
    kind = state.dice.pick(("Card", "Card", "BankAccount", "Source"))
    same = {"customer": customer["id"], "metadata": {}}
    fields: dict[str, Any] = {
        "Card": {"brand": "Visa", "country": "US", "exp_month": 9, "exp_year": 2029, "funding": "debit",
                 "last4": digits(state, 4), "name": customer["name"], "fingerprint": state.ids.next("fp", 16)[3:]},
        "BankAccount": {"account_holder_name": customer["name"], "account_holder_type": "individual",
                        "bank_name": "SANDBOX BANK", "country": "US", "currency": "usd", "last4": digits(state, 4),
                        "routing_number": "110000000", "status": "verified"},
        "Source": {"client_secret": state.ids.next("src_client_secret"), "currency": "usd", "flow": "receiver",
                   "owner": {"email": customer["email"]}, "status": "chargeable", "type": "ach_credit_transfer",
                   "usage": "reusable"},
    }[kind]  # fmt: skip
    state.add(
        "customer_sources", parents=(customer["id"],), event="customer.source.created", kind=kind, **same, **fields
    )


def adjust_balance(state: State, customer: dict[str, Any]) -> None:
    """Give the customer credit, or take it back."""
    here = state.get("customers", customer["id"])
    amount = in_units(here["currency"], state.dice.pick((-25, -10, 5)))
    state.add(
        "customer_balance_transactions",
        parents=(here["id"],),
        amount=amount,
        currency=here["currency"],
        customer=here["id"],
        description="Goodwill" if amount < 0 else None,
        ending_balance=here["balance"] + amount,
        metadata=metadata(state),
        type="adjustment",
    )
    state.change("customers", here["id"], event="customer.updated", balance=here["balance"] + amount)


def fund(state: State, customer: dict[str, Any]) -> None:
    """Let a bank transfer arrive in the customer's cash balance."""
    amount = state.dice.between(1, 40) * 1000
    state.add(
        "customer_cash_balance_transactions",
        parents=(customer["id"],),
        event="customer_cash_balance_transaction.created",
        currency="usd",
        customer=customer["id"],
        ending_balance=amount,
        funded={"bank_transfer": {"reference": digits(state, 8), "type": "us_bank_transfer"}},
        net_amount=amount,
        type="funded",
    )


def set_up(state: State, customer: dict[str, Any], method: dict[str, Any]) -> None:
    """Save the payment method for later, at the first or second try."""
    intent_id = state.ids.next("seti")
    state.add(
        "setup_intents",
        id=intent_id,
        event="setup_intent.created",
        client_secret=f"{intent_id}_secret_{state.ids.letters(intent_id)}",
        customer=customer["id"],
        payment_method=method["id"],
        payment_method_types=[method["type"]],
        status="requires_confirmation",
        usage="off_session",
    )
    tries = ("failed", "succeeded") if state.dice.chance(0.2) else ("succeeded",)
    for status in tries:
        made = state.add(
            "setup_attempts",
            parents=(intent_id,),
            customer=customer["id"],
            payment_method=method["id"],
            payment_method_details={"type": method["type"]},
            setup_error={"code": "card_declined", "type": "card_error"} if status == "failed" else None,
            setup_intent=intent_id,
            status=status,
            usage="off_session",
        )
        state.change("setup_intents", intent_id, latest_attempt=made["id"])
    state.change("setup_intents", intent_id, event="setup_intent.succeeded", status="succeeded")


def _buy(state: State, customer: dict[str, Any], method: dict[str, Any]) -> None:
    if customer["id"] not in state.shelves["customers"] or full(state):
        return
    amount = in_units(customer["currency"], state.dice.between(5, 300))
    intent = pay(
        state,
        Payment(amount, customer["currency"], customer, method, "One-off purchase", metadata=metadata(state)),
    )
    if state.dice.chance(0.05):  # metadata changes of a payment intent emit no event
        state.at(state.now + DAY, _note, intent["id"])
    if state.dice.chance(0.62):
        state.at(state.now + state.dice.between(5 * DAY, 60 * DAY), _buy, customer, method)


def _note(state: State, intent: str) -> None:
    state.change("payment_intents", intent, metadata={"shipped": "yes"})


def _edit(state: State, customer_id: str) -> None:
    if customer_id in state.shelves["customers"]:
        changes: tuple[dict[str, Any], ...] = ({"email": email(state)}, {"metadata": metadata(state, 1)})
        state.change("customers", customer_id, event="customer.updated", **state.dice.pick(changes))


def leave(state: State, customer_id: str) -> None:
    """Delete the customer: subscriptions end at once, and what only hangs on the customer goes too."""
    shelf = state.shelves["customers"]
    if customer_id not in shelf:
        return
    for _, subscription in list(state.shelves["subscriptions"].where("customer", customer_id)):
        subscriptions.cancel(state, subscription)
    for _, method in list(state.shelves["payment_methods"].where("customer", customer_id)):
        state.change("payment_methods", method, event="payment_method.detached", customer=None)
    for _, item in list(state.shelves["invoice_items"].where("customer", customer_id)):
        if state.get("invoice_items", item)["invoice"] is None:
            state.remove("invoice_items", item, event="invoiceitem.deleted")
    state.remove("customers", customer_id, event="customer.deleted")
    state.at(state.now + 600, arrive)  # another one comes, so that the account keeps its size

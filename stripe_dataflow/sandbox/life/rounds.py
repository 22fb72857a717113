"""What the account's owner does now and then: a bit of everything that customers do not do themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stripe_dataflow.sandbox.life import (
    credit_notes,
    customers,
    invoices,
    issuing,
    payments,
    platform,
    sales,
    shop,
    subscriptions,
)
from stripe_dataflow.sandbox.life.ledger import ledger, top_up
from stripe_dataflow.sandbox.life.names import email, metadata
from stripe_dataflow.sandbox.naming import DAY
from stripe_dataflow.sandbox.state import State

EVERY_S = DAY // 2


def keep_going(state: State) -> None:
    """Do a round now, and the next half a day later."""
    go_round(state)
    state.at(state.now + EVERY_S, keep_going)


def go_round(state: State, share: float = 0.0) -> None:
    """Do each thing with its own chance, or at least with `share`."""
    for chance, deed in DEEDS:
        if state.dice.chance(max(chance, share)):
            deed(state)


def _someone(state: State) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return a customer who is still there, and a way to pay."""
    for _ in range(5):
        if state.memo["people"]:
            customer, method = state.dice.pick(state.memo["people"])
            if customer["id"] in state.shelves["customers"]:
                return customer, method
    return None


def _for_someone(deed: Callable[..., object], *args: object) -> Callable[[State], None]:
    def do(state: State) -> None:
        if (found := _someone(state)) is not None:
            deed(state, *found, *args)

    return do


def _to_charge(deed: Callable[[State, str], object]) -> Callable[[State], None]:
    def do(state: State) -> None:
        if state.memo["recent_charges"]:
            deed(state, state.dice.pick(state.memo["recent_charges"]))

    return do


def _on_account(deed: Callable[[State, str, str], object]) -> Callable[[State], None]:
    def do(state: State) -> None:
        if state.memo["recent_charges"] and state.memo["accounts"]:
            charge = state.dice.pick(state.memo["recent_charges"])
            deed(state, charge, state.dice.pick(state.memo["accounts"]))

    return do


def _refund_all(state: State, charge: str) -> None:
    payments.refund(state, charge, state.get("charges", charge)["amount"])


def _launch(state: State) -> None:
    """Add a product; and one that is never sold, deleted a day later."""
    number = len(state.shelves["products"])
    shop.add_product(state, f"Edition {number}", state.dice.between(5, 60))
    draft = state.add(
        "products", event="product.created", active=False, metadata={}, name=f"Idea {number}", type="service",
        updated=state.now,
    )  # fmt: skip
    state.at(state.now + DAY // 3, _drop, "products", draft["id"], "product.deleted")


def _drop(state: State, table: str, object_id: str, event: str) -> None:
    if object_id in state.shelves[table]:
        state.remove(table, object_id, event=event)


def _reprice(state: State) -> None:
    """Retire a price, and delete one nobody used."""
    price = state.dice.pick(state.memo["once usd"])
    state.change("prices", price["id"], event="price.updated", active=not price["active"], nickname="Retired")
    product = state.get("products", price["product"])
    state.change("products", product["id"], event="product.updated", metadata=metadata(state, 1), updated=state.now)
    unused = state.add(
        "prices", event="price.created", active=True, currency="usd", metadata={}, product=product["id"],
        type="one_time", unit_amount=100, unit_amount_decimal="100",
    )  # fmt: skip
    state.at(state.now + DAY // 3, _drop, "prices", unused["id"], "price.deleted")


def _end_offer(state: State) -> None:
    """Delete the oldest coupon, whose code stays."""
    if len(state.memo["coupons"]) > 2:  # noqa: PLR2004 - some stay
        _drop(state, "coupons", state.memo["coupons"].pop(0), "coupon.deleted")
    code = state.memo["promotion_codes"][-1]
    state.change("promotion_codes", code, event="promotion_code.updated", active=False)


def _tidy(state: State) -> None:
    """Delete what Stripe tells no event of: values, features, readers, webhooks; edit a shipping rate."""
    for table, keep in (("radar_value_list_items", 20), ("product_features", 8), ("terminal_readers", 2)):
        shelf = state.shelves[table]
        handle = state.dice.pick(shelf.every)[1]
        siblings = shelf.by_parent.get(shelf.entries[handle].parents, ())
        full = len(siblings) in range(10, 13)  # one list stays longer than its first page
        if len(shelf) > keep and not full and state.dice.chance(0.4):
            state.remove(table, handle)
    state.change("shipping_rates", state.shelves["shipping_rates"].every[0][1], metadata=metadata(state, 1))


def _revise(state: State) -> None:
    """Edit objects whose changes do make events."""
    rate = state.dice.pick(state.memo["tax_rates"])
    state.change("tax_rates", rate, event="tax_rate.updated", metadata=metadata(state, 1))
    meter = state.memo["meters"][0]
    state.change(
        "billing_meters", meter, event="billing.meter.updated", display_name=f"API calls {state.now % 97}",
        updated=state.now,
    )  # fmt: skip
    if state.memo["links"]:
        link = state.dice.pick(state.memo["links"])
        state.change("payment_links", link, event="payment_link.updated", active=False)


def _connected(state: State) -> None:
    """Change a connected account: its address, a capability, a person."""
    if not state.memo["accounts"]:
        return
    account = state.dice.pick(state.memo["accounts"])
    state.change("accounts", account, event="account.updated", email=email(state))
    shelf = state.shelves["account_persons"]
    keys = shelf.by_parent.get((account,))
    if keys:
        state.change("account_persons", keys[0][1], event="person.updated", email=email(state))


def _postpone(state: State, customer: dict[str, Any], _method: dict[str, Any]) -> None:
    """Add an invoice item that waits, one that is deleted, and a draft invoice that is deleted."""
    invoices.add_item(state, customer)
    mistaken = invoices.add_item(state, customer, billed_later=False)
    state.at(state.now + DAY // 3, _drop, "invoice_items", mistaken, "invoiceitem.deleted")
    draft = invoices.draft(state, customer)
    state.at(state.now + DAY // 3, _drop, "invoices", draft["id"], "invoice.deleted")


def _of_subscriptions(state: State, customer: dict[str, Any], _method: dict[str, Any]) -> None:
    """Plan one subscription's change, remove an item of another, of which only the subscription's event tells."""
    for _, subscription in list(state.shelves["subscriptions"].where("customer", customer["id"])):
        subscriptions.schedule(state, subscription)
        held = subscriptions.items(state, subscription)
        if len(held) > 1:
            state.remove("subscription_items", held[-1]["id"])
            state.emit("customer.subscription.updated", "subscriptions", subscription, {"items": {"object": "list"}})


def _stop(state: State, customer: dict[str, Any], _method: dict[str, Any]) -> None:
    for _, subscription in list(state.shelves["subscriptions"].where("customer", customer["id"])):
        subscriptions.cancel(state, subscription)


def _leave(state: State, customer: dict[str, Any], _method: dict[str, Any]) -> None:
    customers.leave(state, customer["id"])


def _note(state: State, charge: str) -> None:
    """Edit a payment intent's metadata, which makes no event."""
    intent = state.get("charges", charge)["payment_intent"]
    state.change("payment_intents", intent, metadata=metadata(state, 1))


def _credit(state: State) -> None:
    if state.memo["paid_invoices"]:
        invoice = state.memo["paid_invoices"].pop()
        if state.get("invoices", invoice)["amount_paid"]:
            credit_notes.credit(state, invoice)


def _block(state: State) -> None:
    for value_list in state.memo["value_lists"][:1]:
        shop.add_value(state, value_list)


def _report_balance(state: State) -> None:
    state.report("balance.available", ledger(state).balance(state))


def _without_method(deed: Callable[..., object]) -> Callable[[State], None]:
    def do(state: State) -> None:
        if (found := _someone(state)) is not None:
            deed(state, found[0])

    return do


DEEDS: tuple[tuple[float, Callable[[State], object]], ...] = (
    (0.5, shop.add_coupon),
    (0.15, _launch),
    (0.5, _reprice),
    (0.4, _end_offer),
    (0.2, shop.add_shipping_rate),
    (0.7, shop.add_file),
    (0.3, lambda state: shop.add_value_list(state, "blocked", 3)),
    (1.0, _block),
    (1.0, _tidy),
    (1.0, _revise),
    (0.3, platform.connect),
    (0.6, _connected),
    (0.3, platform.place_reader),
    (0.2, platform.open_financial_account),
    (0.6, platform.verify_identity),
    (0.3, issuing.issue_card),
    (1.0, issuing.spend),
    (0.5, top_up),
    (0.6, _on_account(platform.take_fee)),
    (0.6, _on_account(platform.transfer)),
    (0.4, _on_account(lambda state, charge, account: platform.take_fee(state, charge, account, 2))),
    (0.4, _on_account(lambda state, charge, account: platform.transfer(state, charge, account, 2))),
    (0.7, _to_charge(_refund_all)),
    (0.3, _to_charge(payments.dispute)),
    (0.4, _to_charge(payments.warn)),
    (0.6, _to_charge(payments.review)),
    (0.7, _to_charge(_note)),
    (0.3, lambda state: sales.add_link(state, 2)),
    (0.6, _for_someone(sales.quote, 2)),
    (1.0, _for_someone(sales.check_out, 2)),
    (0.8, _for_someone(_postpone)),
    (0.7, _for_someone(_of_subscriptions)),
    (0.3, _for_someone(_stop)),
    (0.25, _for_someone(_leave)),
    (0.6, _credit),
    (0.5, _without_method(customers.add_tax_id)),
    (0.4, _without_method(customers.add_source)),
    (0.5, _without_method(customers.adjust_balance)),
    (0.5, _without_method(customers.fund)),
    (0.6, _for_someone(customers.set_up)),
    (0.6, _report_balance),
)


def crowd(state: State) -> None:
    """Make one parent of every embedded list whose list goes on past its first page."""
    many = 13
    customer = customers.add_customer(state, currency="usd")
    method = customers.add_method(state, customer)
    for _ in range(many):
        customers.add_tax_id(state, customer)
        customers.add_source(state, customer)
    offers = [price for price in state.memo["recurring usd"] if price["recurring"]["interval"] == "month"]
    subscriptions.begin(state, customer, method, offers[: many + 1])
    credit_notes.credit(state, invoices.bill_items(state, customer, method, many))
    intent = payments.pay(state, payments.Payment(130_000, "usd", customer, method, "Large order", decline=0))
    for _ in range(many):
        payments.refund(state, intent["latest_charge"], 1000)
    state.memo["application"].append(state.ids.next("ca"))
    account = platform.connect(state, banks=many)
    platform.take_fee(state, intent["latest_charge"], account, many)
    platform.transfer(state, intent["latest_charge"], account, many)
    shop.add_value_list(state, "trusted", 20)
    shop.add_file(state, links=many)
    sales.check_out(state, customer, method, many)
    sales.add_link(state, many)
    sales.quote(state, customer, method, many)
    platform.place_reader(state)
    issuing.issue_card(state)
    customers.set_up(state, customer, method)
    customers.usage.begin(state, customer["id"])
    state.at(state.now + DAY, go_round, 1.0)

"""The balance: each movement books a balance transaction, and matures from pending to available."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from stripe_dataflow.sandbox.naming import DAY
from stripe_dataflow.sandbox.shapes import shape
from stripe_dataflow.sandbox.state import State

CATEGORIES = {
    "adjustment": "dispute", "application_fee": "platform_earning",
    "application_fee_refund": "platform_earning_refund", "charge": "charge", "payout": "payout",
    "issuing_transaction": "issuing_transaction", "payment": "charge", "refund": "refund", "topup": "topup",
    "transfer": "transfer", "transfer_refund": "transfer_reversal",
}  # fmt: skip


@dataclass(slots=True)
class Ledger:
    """The sums by currency, in its smallest unit, and what is still pending: (due, id, currency, net)."""

    available: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    waiting: list[tuple[int, str, str, int]] = field(default_factory=list)

    def mature(self, state: State) -> None:
        """Make available what is due; the transactions change their status, and no event tells of it."""
        shelf = state.shelves["balance_transactions"]
        while self.waiting and self.waiting[0][0] <= state.now:
            _, transaction, currency, net = heapq.heappop(self.waiting)
            self.available[currency] += net
            if b'"status":"pending"' in shelf.entries[transaction].data:
                state.change("balance_transactions", transaction, status="available")

    def balance(self, state: State) -> dict[str, Any]:
        """Return the account's balance object."""
        self.mature(state)
        pending: defaultdict[str, int] = defaultdict(int)
        for _, _, currency, net in self.waiting:
            pending[currency] += net
        currencies = sorted(self.available.keys() | pending.keys())
        return shape("Balance").fill(
            {
                "available": [_funds(c, self.available[c]) for c in currencies],
                "pending": [_funds(c, pending[c]) for c in currencies],
                "connect_reserved": [{"amount": 0, "currency": c} for c in currencies],
            }
        )


def _funds(currency: str, amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": currency, "source_types": {"card": amount}}


def ledger(state: State) -> Ledger:
    """Return the account's ledger."""
    if not state.memo["ledger"]:
        state.memo["ledger"].append(Ledger())
    return state.memo["ledger"][0]


def book(
    state: State, kind: str, amount: int, *, currency: str, source: str, fee: int = 0, days: int = 0
) -> dict[str, Any]:
    """Return the balance transaction of a movement.

    Args:
        state: The account.
        kind: The transaction's `type`.
        amount: Gross, negative for money going out.
        currency: The currency it settles in.
        source: Id of the object that moves the money.
        fee: What Stripe keeps; `net` is the amount without it.
        days: Days until it is available.
    """
    book_of = ledger(state)
    due = state.now if days == 0 else (state.now // DAY + days) * DAY
    details = [{"amount": fee, "currency": currency, "description": "Stripe processing fees", "type": "stripe_fee"}]
    made = state.add(
        "balance_transactions",
        amount=amount,
        available_on=due,
        balance_type="payments",
        currency=currency,
        fee=fee,
        fee_details=details if fee else [],
        net=amount - fee,
        reporting_category=CATEGORIES[kind],
        source=source,
        status="available" if due <= max(state.now, state.horizon) else "pending",
        type=kind,
    )
    heapq.heappush(book_of.waiting, (due, made["id"], currency, amount - fee))
    return made


def enter(state: State, transaction: str) -> None:
    """Count a transaction in the balance that was not booked here."""
    made = state.get("balance_transactions", transaction)
    heapq.heappush(ledger(state).waiting, (made["available_on"], made["id"], made["currency"], made["net"]))
    ledger(state).mature(state)


def pay_out(state: State) -> None:
    """Send what is available to the bank, currency by currency, and come back three days later."""
    state.at(state.now + 3 * DAY, pay_out)
    book_of = ledger(state)
    book_of.mature(state)
    for currency in sorted(book_of.available):
        if book_of.available[currency] > 0:
            _payout(state, currency, book_of.available[currency])


def _payout(state: State, currency: str, amount: int) -> None:
    payout = state.ids.next("po")
    booked = book(state, "payout", -amount, currency=currency, source=payout)
    ledger(state).mature(state)
    state.add(
        "payouts",
        id=payout,
        event="payout.created",
        amount=amount,
        arrival_date=(state.now // DAY + 2) * DAY,
        automatic=True,
        balance_transaction=booked["id"],
        currency=currency,
        description="STRIPE PAYOUT",
        destination=state.memo["own_bank"][0],
        method="standard",
        reconciliation_status="in_progress",
        source_type="card",
        status="in_transit",
        type="bank_account",
    )
    state.at(state.now + 2 * DAY, _arrive, payout)


def _arrive(state: State, payout: str) -> None:
    state.change("payouts", payout, event="payout.paid", status="paid")
    state.change("payouts", payout, event="payout.reconciliation_completed", reconciliation_status="completed")


def top_up(state: State) -> None:
    """Add money from the bank."""
    amount = state.dice.between(10, 90) * 10_000
    made = state.add(
        "topups",
        event="topup.created",
        amount=amount,
        currency="usd",
        description="Top-up",
        expected_availability_date=state.now + DAY,
        initiated_by="user",
        status="pending",
    )
    state.at(state.now + DAY, _topped_up, made["id"], amount)


def _topped_up(state: State, topup: str, amount: int) -> None:
    booked = book(state, "topup", amount, currency="usd", source=topup)
    state.change("topups", topup, event="topup.succeeded", status="succeeded", balance_transaction=booked["id"])

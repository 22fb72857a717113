"""The platform: connected accounts, fees and transfers, issued cards, readers, identity checks."""

from __future__ import annotations

from typing import Any

from stripe_dataflow.sandbox.life.ledger import book
from stripe_dataflow.sandbox.life.names import address, digits, email, metadata, person
from stripe_dataflow.sandbox.naming import DAY
from stripe_dataflow.sandbox.state import State

NOTHING_DUE = {
    "alternatives": [], "current_deadline": None, "currently_due": [], "disabled_reason": None, "errors": [],
    "eventually_due": [], "past_due": [], "pending_verification": [],
}  # fmt: skip


def account_fields(state: State, name: str) -> dict[str, Any]:
    """Return what every account object holds, the own one as well as connected ones."""
    return {
        "business_profile": {"name": name, "url": "https://shop.example.com", "mcc": "5734"},
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "company": {"name": name, "address": address(state, "usd"), "tax_id_provided": True},
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": email(state),
        "future_requirements": NOTHING_DUE,
        "payouts_enabled": True,
        "requirements": NOTHING_DUE,
        "tos_acceptance": {"date": state.now, "ip": "192.0.2.7"},
        "type": "standard",
    }


def connect(state: State, banks: int = 1) -> str:
    """Return the id of a new connected account with capabilities, banks and persons."""
    made = state.add("accounts", metadata=metadata(state), **account_fields(state, "Connected Traders"))
    account = made["id"]
    for capability, status in (("card_payments", "active"), ("transfers", "active"), ("affirm_payments", "pending")):
        state.add(
            "account_capabilities", parents=(account,), id=capability, account=account, requested=True,
            requested_at=state.now, requirements=NOTHING_DUE, future_requirements=NOTHING_DUE, status=status,
        )  # fmt: skip
    for _ in range(banks):
        add_bank(state, account)
    for relation in ("owner", "representative"):
        add_person(state, account, relation)
    state.emit("account.updated", "accounts", account, before={"charges_enabled": False})
    state.memo["accounts"].append(account)
    return account


def add_bank(state: State, account: str) -> None:
    """Add a bank account, or rarely a debit card, to be paid to."""
    same: dict[str, Any] = {"account": account, "currency": "usd", "default_for_currency": False, "metadata": {}}
    same |= {"available_payout_methods": ["standard"], "country": "US", "last4": digits(state, 4)}
    if state.dice.chance(0.2):
        kind, fields = "Card", {"brand": "Visa", "exp_month": 4, "exp_year": 2030, "funding": "debit"}
    else:
        kind = "BankAccount"
        fields = {"bank_name": "SANDBOX BANK", "routing_number": "110000000", "status": "new"}
    event = "account.external_account.created"
    state.add("account_external_accounts", parents=(account,), event=event, kind=kind, **same, **fields)


def add_person(state: State, account: str, relation: str) -> None:
    """Add a person behind a connected account."""
    first, last = person(state)
    state.add(
        "account_persons",
        parents=(account,),
        event="person.created",
        account=account,
        address=address(state, "usd"),
        dob={"day": 2, "month": 5, "year": 1980},
        email=email(state),
        first_name=first,
        id_number_provided=True,
        last_name=last,
        metadata={},
        relationship={relation: True},
        requirements={name: [] for name in NOTHING_DUE if name not in {"current_deadline", "disabled_reason"}},
        ssn_last_4_provided=True,
        verification={"status": "verified", "document": {}},
    )


def take_fee(state: State, charge_id: str, account: str, refunds: int = 0) -> str:
    """Return the id of an application fee on a connected account's payment, given back in so many parts."""
    charge = state.get("charges", charge_id)
    fee, amount, currency = state.ids.next("fee"), max(charge["amount"] // 200 * 10, 10 * refunds), charge["currency"]
    booked = book(state, "application_fee", amount, currency=currency, source=fee)
    state.add(
        "application_fees", id=fee, event="application_fee.created", account=account, amount=amount,
        amount_refunded=0, application=state.memo["application"][0], balance_transaction=booked["id"],
        charge=charge_id, currency=currency, fee_source={"type": "charge", "charge": charge_id},
        originating_transaction=charge_id,
    )  # fmt: skip
    for _ in range(refunds):
        give_back_fee(state, fee, amount // refunds // 10 * 10)
    return fee


def give_back_fee(state: State, fee_id: str, amount: int) -> None:
    """Give back part of an application fee."""
    fee = state.get("application_fees", fee_id)
    made = state.ids.next("fr")
    booked = book(state, "application_fee_refund", -amount, currency=fee["currency"], source=made)
    state.add(
        "application_fee_refunds", parents=(fee_id,), id=made, amount=amount, balance_transaction=booked["id"],
        currency=fee["currency"], fee=fee_id, metadata=metadata(state),
    )  # fmt: skip
    total = fee["amount_refunded"] + amount
    state.change(
        "application_fees", fee_id, event="application_fee.refunded",
        amount_refunded=total, refunded=total >= fee["amount"],
    )  # fmt: skip


def transfer(state: State, charge_id: str, account: str, reversals: int = 0) -> str:
    """Return the id of a transfer to a connected account, taken back in so many parts."""
    charge = state.get("charges", charge_id)
    made, amount, currency = state.ids.next("tr"), max(charge["amount"] // 20 * 10, 10 * reversals), charge["currency"]
    booked = book(state, "transfer", -amount, currency=currency, source=made)
    state.add(
        "transfers", id=made, event="transfer.created", amount=amount, balance_transaction=booked["id"],
        currency=currency, destination=account, metadata=metadata(state), source_transaction=charge_id,
        source_type="card", transfer_group=f"group_{charge['payment_intent']}",
    )  # fmt: skip
    for _ in range(reversals):
        reverse(state, made, amount // reversals // 10 * 10)
    return made


def reverse(state: State, transfer_id: str, amount: int) -> None:
    """Take back part of a transfer."""
    known = state.get("transfers", transfer_id)
    made = state.ids.next("trr")
    booked = book(state, "transfer_refund", amount, currency=known["currency"], source=made)
    state.add(
        "transfer_reversals", parents=(transfer_id,), id=made, amount=amount, balance_transaction=booked["id"],
        currency=known["currency"], metadata={}, transfer=transfer_id,
    )  # fmt: skip
    total = known["amount_reversed"] + amount
    state.change(
        "transfers", transfer_id, event="transfer.reversed", amount_reversed=total, reversed=total >= known["amount"]
    )


def verify_identity(state: State) -> None:
    """Verify a person's identity: a session, and a report half an hour later."""
    made = state.add(
        "identity_verification_sessions", event="identity.verification_session.created",
        client_secret=state.ids.next("vs_client_secret"), metadata=metadata(state),
        options={"document": {"require_matching_selfie": True}}, status="requires_input", type="document",
        url="https://verify.example.com/start",
    )  # fmt: skip
    state.at(state.now + 1800, _identified, made["id"])


def _identified(state: State, session: str) -> None:
    first, last = person(state)
    report = state.add(
        "identity_verification_reports",
        document={"first_name": first, "last_name": last, "status": "verified", "type": "passport",
                  "issuing_country": "DE", "files": []},
        options={"document": {}}, type="document", verification_session=session,
    )  # fmt: skip
    state.change(
        "identity_verification_sessions", session, event="identity.verification_session.verified",
        last_verification_report=report["id"], status="verified", url=None,
    )  # fmt: skip


def place_reader(state: State) -> str:
    """Return the id of a card reader at a new location."""
    location = state.add(
        "terminal_locations", address=address(state, "usd"), display_name="Main Street shop", metadata={}
    )
    made = state.add(
        "terminal_readers", device_type="bbpos_wisepos_e", ip_address="192.0.2.9", label="Till 1",
        last_seen_at=state.now * 1000, location=location["id"], metadata={}, serial_number=digits(state, 12),
        status="online",
    )  # fmt: skip
    state.memo["readers"].append(made["id"])
    state.memo["locations"].append(location["id"])
    return made["id"]


def open_financial_account(state: State) -> None:
    """Open an account that holds money."""
    state.add(
        "treasury_financial_accounts", event="treasury.financial_account.created",
        active_features=["card_issuing", "financial_addresses.aba"],
        balance={"cash": {"usd": state.dice.between(0, 9) * 1000}, "inbound_pending": {"usd": 0},
                 "outbound_pending": {"usd": 0}},
        country="US", features=None, metadata={}, status="open", supported_currencies=["usd"],
    )  # fmt: skip


def payout_bank(state: State) -> str:
    """Return the id of the bank account the platform itself is paid to."""
    return state.ids.next("ba")


def pause(state: State) -> int:
    """Return some days in seconds."""
    return state.dice.between(DAY, 5 * DAY)

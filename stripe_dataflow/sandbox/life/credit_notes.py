"""Credit notes: corrections of paid invoices, with the payment refunded."""

from __future__ import annotations

from stripe_dataflow.sandbox.life import invoices
from stripe_dataflow.sandbox.life.names import metadata
from stripe_dataflow.sandbox.life.payments import refund
from stripe_dataflow.sandbox.state import State


def credit(state: State, invoice_id: str) -> str:
    """Return the id of a credit note over every line of a paid invoice; the payment is refunded."""
    held = invoices.lines(state, invoice_id)
    invoice = state.get("invoices", invoice_id)
    amount = sum(line["amount"] for line in held)
    note_id = state.ids.next("cn")
    state.add(
        "credit_notes",
        id=note_id,
        amount=amount,
        currency=invoice["currency"],
        customer=invoice["customer"],
        effective_at=state.now,
        invoice=invoice_id,
        memo=state.dice.pick((None, "Sorry for the delay")),
        metadata=metadata(state),
        number=f"{invoice['number']}-CN-01",
        pdf=f"https://invoice.example.com/credit_notes/{note_id}/pdf",
        post_payment_amount=amount,
        reason="order_change",
        status="issued",
        subtotal=amount,
        subtotal_excluding_tax=amount,
        total=amount,
        total_excluding_tax=amount,
        total_taxes=[],
        type="post_payment",
    )
    _add_lines(state, note_id, held)
    state.emit("credit_note.created", "credit_notes", note_id)
    state.change("invoices", invoice_id, event="invoice.updated", post_payment_credit_notes_amount=amount)
    for _, payment in list(state.shelves["invoice_payments"].where("invoice", invoice_id)):
        intent = state.get("invoice_payments", payment)["payment"]["payment_intent"]
        refund(state, state.get("payment_intents", intent)["latest_charge"], amount)
    return note_id


def _add_lines(state: State, note_id: str, held: list[invoices.Line]) -> None:
    for line in held:
        state.add(
            "credit_note_line_items",
            parents=(note_id,),
            amount=line["amount"],
            description=line["description"],
            invoice_line_item=line["id"],
            quantity=line["quantity"],
            taxes=[],
            type="invoice_line_item",
            unit_amount=line["amount"] // line["quantity"],
            unit_amount_decimal=str(line["amount"] // line["quantity"]),
        )

"""What Stripe's habits add to the catalog: id prefixes, which objects lists hide, names of event types."""

from __future__ import annotations

from typing import Any

from stripe_dataflow.catalog import TEST_CLOCKS, Table

DAY = 86_400
EVENT_RETENTION_S = 30 * DAY

# A list that no table is made of.
CLOCKS = Table(
    name="test_clocks",
    path=TEST_CLOCKS,
    classes=("test_helpers.TestClock",),
    description="Clocks of a test account, whose customers are left out of the ordinary lists",
)

# Prefix of the ids by `object`, and their length where it is not the usual 24.
PREFIXES: dict[str, tuple[str, int]] = {
    "account": ("acct", 16), "application_fee": ("fee", 24), "balance_transaction": ("txn", 24),
    "bank_account": ("ba", 24), "billing.alert": ("alrt", 24), "billing.credit_balance_transaction": ("cbtxn", 24),
    "billing.credit_grant": ("credgr", 24), "billing.meter": ("mtr", 24),
    "billing.meter_event_summary": ("mtrusg", 24), "card": ("card", 24), "charge": ("ch", 24),
    "checkout.session": ("cs_test", 32), "coupon": ("co", 8), "credit_note": ("cn", 24),
    "credit_note_line_item": ("cnli", 24), "customer": ("cus", 14),
    "customer_balance_transaction": ("cbtxn", 24), "customer_cash_balance_transaction": ("ccsbtxn", 24),
    "dispute": ("dp", 24), "entitlements.active_entitlement": ("ent", 24), "entitlements.feature": ("feat", 24),
    "event": ("evt", 24), "fee_refund": ("fr", 24), "file": ("file", 24), "file_link": ("link", 24),
    "identity.verification_report": ("vr", 24), "identity.verification_session": ("vs", 24),
    "invoice": ("in", 24), "invoice_payment": ("inpay", 24), "invoice_rendering_template": ("inrtem", 24),
    "invoiceitem": ("ii", 24), "issuing.authorization": ("iauth", 24), "issuing.card": ("ic", 24),
    "issuing.cardholder": ("ich", 24), "issuing.dispute": ("idp", 24), "issuing.transaction": ("ipi", 24),
    "item": ("li", 24), "line_item": ("il", 24), "payment_intent": ("pi", 24), "payment_link": ("plink", 24),
    "payment_method": ("pm", 24), "payment_method_configuration": ("pmc", 24), "payout": ("po", 24),
    "person": ("person", 24), "plan": ("price", 24), "price": ("price", 24), "product": ("prod", 14),
    "product_feature": ("prodft", 24), "promotion_code": ("promo", 24), "quote": ("qt", 24),
    "radar.early_fraud_warning": ("issfr", 24), "radar.value_list": ("rsl", 24),
    "radar.value_list_item": ("rsli", 24), "refund": ("re", 24), "review": ("prv", 24),
    "setup_attempt": ("setatt", 24), "setup_intent": ("seti", 24), "shipping_rate": ("shr", 24),
    "source": ("src", 24), "subscription": ("sub", 24), "subscription_item": ("si", 14),
    "subscription_schedule": ("sub_sched", 24), "tax.registration": ("taxreg", 24), "tax_id": ("txi", 24),
    "tax_rate": ("txr", 24), "terminal.location": ("tml", 14), "terminal.reader": ("tmr", 14),
    "topup": ("tu", 24), "transfer": ("tr", 24), "transfer_reversal": ("trr", 24),
    "treasury.financial_account": ("fa", 24), "webhook_endpoint": ("we", 24),
}  # fmt: skip

# Table -> field and its values with which Stripe leaves an object out of the plain list.
HIDDEN: dict[str, tuple[str, tuple[Any, ...]]] = {
    "subscriptions": ("status", ("canceled", "incomplete_expired")),
    "reviews": ("open", (False,)),
}

# Table -> event types, where the name is not the prefix and `.created`, `.updated` or `.deleted`.
CREATED_EVENTS = {
    "charges": "charge.succeeded",
    "checkout_sessions": "checkout.session.completed",
    "payment_methods": "payment_method.attached",
    "reviews": "review.opened",
    "invoice_payments": "invoice_payment.paid",
}
UPDATED_EVENTS = {"application_fees": "application_fee.refunded", "reviews": "review.closed"}

# Table -> what "delete" means where the object stays: the fields that change, and the event's type.
ENDINGS: dict[str, tuple[dict[str, Any], str]] = {
    "subscriptions": ({"status": "canceled"}, "customer.subscription.deleted"),
    "payment_methods": ({"customer": None}, "payment_method.detached"),
    "billing_meters": ({"status": "inactive"}, "billing.meter.deactivated"),
}

# Table -> query parameters besides the page and `created` that pick objects by a field's value.
FILTERS: dict[str, tuple[str, ...]] = {
    "balance_transactions": ("currency", "source", "type"),
    "charges": ("customer", "payment_intent"),
    "checkout_sessions": ("customer", "payment_intent", "payment_link", "status", "subscription"),
    "credit_notes": ("customer", "invoice"),
    "customers": ("email", "test_clock"),
    "disputes": ("charge", "payment_intent"),
    "events": ("type", "types"),
    "file_links": ("file",),
    "files": ("purpose",),
    "invoice_items": ("customer", "invoice"),
    "invoice_payments": ("invoice", "status"),
    "invoices": ("collection_method", "customer", "status"),
    "payment_intents": ("customer",),
    "payment_links": ("active",),
    "payment_methods": ("customer", "type"),
    "payouts": ("destination", "status"),
    "plans": ("active", "product"),
    "prices": ("active", "currency", "product", "type"),
    "products": ("active", "type"),
    "promotion_codes": ("active", "code", "customer"),
    "quotes": ("customer", "status", "test_clock"),
    "refunds": ("charge", "payment_intent"),
    "setup_intents": ("customer", "payment_method"),
    "subscription_schedules": ("customer",),
    "subscriptions": ("collection_method", "customer", "status", "test_clock"),
    "topups": ("status",),
    "transfers": ("destination", "transfer_group"),
}

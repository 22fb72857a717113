"""Which of Stripe's fields never land, below the top level too: secrets, and URLs that let in whoever holds them.

Chosen by reading every field of every object class of the `stripe` package whose name or sentence speaks of a
secret, token, password, code, PDF or URL. Dropped is what alone is enough to act or to see: a client secret, a
page that pays, signs in, verifies or shows a person's papers without a login, and what such a page or a payer's
app is opened with. Kept, with a reason each in `KEPT`, is what is public, yours, or behind Stripe's own login.
A test walks the installed package and fails for a field that stands in neither.

A path is dotted; it goes through arrays as if they were not there, and `*` is any one field, for Stripe adds
ways to pay to `next_action` without a new version.
"""

from __future__ import annotations

from collections.abc import Mapping

# Of what a payer still has to do. The way itself, its `type`, amounts, numbers to type in and times stay.
_NEXT_ACTION = (
    "next_action.use_stripe_sdk",
    "next_action.*.data",  # what a QR code says
    "next_action.*.hosted_instructions_url",
    "next_action.*.hosted_verification_url",
    "next_action.*.hosted_voucher_url",
    "next_action.*.image_data_url",
    "next_action.*.image_url_png",
    "next_action.*.image_url_svg",
    "next_action.*.mobile_auth_url",
    "next_action.*.native_data",
    "next_action.*.native_url",
    "next_action.*.pdf",
    "next_action.*.qr_code",
    "next_action.*.sign",
    "next_action.*.url",
    "payment_method_options.link.persistent_token",
)

# Table -> paths below the top level of its rows; those at the top are `Table.secrets`.
BELOW: Mapping[str, tuple[str, ...]] = {
    "checkout_sessions": ("after_expiration.recovery.url",),
    "customer_sources": (
        "alipay.data_string",
        "alipay.native_url",
        "klarna.client_token",
        "klarna.pay_later_redirect_url",
        "klarna.pay_now_redirect_url",
        "klarna.pay_over_time_redirect_url",
        "klarna.redirect_url",
        "redirect.url",
        "sepa_debit.mandate_url",
        "wechat.qr_code_url",
    ),
    "invoices": ("confirmation_secret.client_secret",),
    "payment_intents": _NEXT_ACTION,
    "payment_methods": ("link.persistent_token",),
    "setup_intents": _NEXT_ACTION,
}

# Objects that no table lists, by their `object`: they come as an event's payload, or inside another object.
UNLISTED: Mapping[str, tuple[str, ...]] = {
    "account_link": ("url",),
    "apps.secret": ("payload",),
    "billing_portal.session": ("url",),
    "climate.order": ("certificate",),
    "ephemeral_key": ("secret",),
    "login_link": ("url",),
    "mandate": ("payment_method_details.*.url",),
    "terminal.connection_token": ("secret",),
    "terminal.onboarding_link": ("redirect_url",),
    "v2.core.account_link": ("url",),
    "v2.money_management.transaction": ("regulatory_receipt.url",),
}

# Names that mean a secret in whatever object they stand; dropped at any depth of what is searched whole: an event's
# payload, an object inside another, a field that the pinned version does not know.
ANYWHERE = frozenset({
    "authentication_token", "authorize_with_url", "challenge_url", "client_secret", "client_token", "cryptogram", "cvc",
    "cvc_token", "download_url", "fingerprinting_url", "hosted_instructions_url", "hosted_invoice_url",
    "hosted_regulatory_receipt_url", "hosted_verification_url", "hosted_voucher_url", "image_data_url",
    "image_url_png", "image_url_svg", "invoice_pdf", "mandate_url", "mobile_auth_url", "native_data", "native_url",
    "password", "persistent_token", "private_key_file_password", "qr_code_url", "receipt_url", "signing_secret",
    "upload_url", "use_stripe_sdk",
})  # fmt: skip

# Name, or object and path where the name alone does not say it -> why it stays although it sounds like one.
KEPT: Mapping[str, str] = {
    "application_cryptogram": "printed on the receipt of a card that was present, and good for that payment only",
    "background_image_url": "a public image",
    "business_url": "a public page of a business",
    "ca_certificate_file": "the id of a file, which takes the key to read",
    "cancel_url": "a page of yours",
    "client_certificate_file": "the id of a file, which takes the key to read",
    "connect_src": "addresses an app may call",
    "custom_mandate_url": "a page of yours",
    "cvc_check": "whether the code was right, not the code",
    "default_return_url": "a page of yours",
    "doc_url": "Stripe's public documentation",
    "endpoints_granted": "addresses an app may call",
    "endpoints_pending": "addresses an app may call",
    "evidence_customer_signature": "a person's data, and marked as such",
    "evidence_transaction_certificate": "printed on the receipt of a card that was present",
    "image_src": "addresses an app may show images from",
    "image_url": "a public image",
    "images": "public images",
    "info_url": "a supplier's public page",
    "logo_url": "a public image",
    "pay_later_asset_urls_descriptive": "a public image",
    "pay_later_asset_urls_standard": "a public image",
    "pay_now_asset_urls_descriptive": "a public image",
    "pay_now_asset_urls_standard": "a public image",
    "pay_over_time_asset_urls_descriptive": "a public image",
    "pay_over_time_asset_urls_standard": "a public image",
    "privacy_policy_url": "a public page of a business",
    "private_key_file": "the id of a file, which takes the key to read",
    "product_url": "a public page of a product",
    "refresh_url": "a page of yours",
    "registry_url": "a public registry",
    "request_log_url": "your dashboard, behind its login",
    "return_url": "a page of yours",
    "specified_commercial_transactions_act_url": "a public page of a business",
    "success_url": "a page of yours",
    "support_url": "a public page of a business",
    "terms_of_service_url": "a public page of a business",
    "tracking_url": "a carrier's page; on `shipping`, which is marked as a person's data",
    "url_expires_at": "a time",
    "account.business_profile.url": "a public page of a business",
    "apps.secret.name": "what a secret is called, not the secret",
    "billing.meter_event.payload": "a meter's values",
    "billing_portal.configuration.login_page.url": "made to be shared; whoever opens it must log in",
    "charge.payment_method_details.oxxo.number": "a payment's reference",
    "checkout.session.branding_settings.icon.url": "a public image",
    "checkout.session.branding_settings.logo.url": "a public image",
    "credit_note.number": "a document's number",
    "forwarding.request.url": "where a request was sent",
    "identity.verification_report.document.number": "a person's data, and marked as such",
    "invoice.number": "a document's number",
    "issuing.authorization.merchant_data.url": "a merchant's public page",
    "issuing.transaction.merchant_data.url": "a merchant's public page",
    "payment_attempt_record.payment_method_details.oxxo.number": "a payment's reference",
    "payment_intent.next_action.boleto_display_details.number": "what a payer types in, and pays with money only",
    "payment_intent.next_action.oxxo_display_details.number": "what a payer types in, and pays with money only",
    "payment_link.after_completion.redirect.url": "a page of yours",
    "payment_link.url": "a shop window, made to be shared with anyone",
    "payment_method.custom.logo.url": "a public image",
    "payment_record.payment_method_details.oxxo.number": "a payment's reference",
    "product.url": "a public page of a product",
    "quote.number": "a document's number",
    "v2.billing.meter_event.payload": "a meter's values",
    "v2.core.account.configuration.merchant.support.url": "a public page of a business",
    "v2.core.event_destination.webhook_endpoint.url": "a page of yours",
    "webhook_endpoint.url": "a page of yours",
}

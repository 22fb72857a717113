"""Snapshots: the two objects an account has one of; each load that finds a change keeps the old one."""

from stripe_dataflow.catalog.table import Table

ROWS = (
    Table(
        name="balance",
        path="/v1/balance",
        classes=("Balance",),
        description="What the account holds now, by currency and state",
        snapshot=True,
        paged=False,
        key=("object",),
        events=("balance",),
    ),
    Table(
        name="account",
        path="/v1/account",
        classes=("Account",),
        description="The account itself: settings, capabilities, company",
        snapshot=True,
        paged=False,
        events=("account",),
        pii=("business_profile", "company", "email", "individual", "settings", "tos_acceptance", "metadata"),
    ),
)

"""Is the key of the account whose rows are there? Rows of two accounts never mix in one schema."""

from __future__ import annotations

from stripe_dataflow.errors import ConfigError
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.stripe_api import Connection, live_mode
from stripe_dataflow.warehouse import AccountSeen


def account_of(dataflow: Dataflow, connection: Connection, told: str) -> AccountSeen:
    """Return the account a key leads to; `told` is the id that Stripe answered with, empty where it did not."""
    return AccountSeen(told or dataflow.attributes.account or "", live_mode(connection.key))


def other_account(dataflow: Dataflow, known: AccountSeen | None, seen: AccountSeen) -> str:
    """Return what is wrong with running a dataflow on this account, nothing where it holds no other's rows."""
    if known is None or not known.differs(seen):
        return ""
    return (
        f"{dataflow.name} holds rows of {known}, but the key in {dataflow.attributes.api_key_env} is of {seen}: two "
        "accounts, or live and test data, never mix in one schema. Give the new one a dataflow of another name, or run "
        f"{dataflow.name}__remove first."
    )


def refuse_other_account(dataflow: Dataflow, known: AccountSeen | None, seen: AccountSeen) -> None:
    """Refuse to load rows of another account.

    Raises:
        ConfigError: The schema holds another account's rows, or the other mode's.
    """
    if text := other_account(dataflow, known, seen):
        raise ConfigError(f"{text} Nothing was read.")

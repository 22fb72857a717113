"""Whose rows a dataflow holds: two accounts, or live and test data, never mix in one schema."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from stripe_dataflow.warehouse.registry import registry_sql


@dataclass(frozen=True, slots=True)
class AccountSeen:
    """A Stripe account: its id, empty where the key may not know it, and whether its data are live."""

    account: str
    live: bool

    def __str__(self) -> str:
        return f"{self.account or 'an account'} ({'live' if self.live else 'test'} mode)"

    def differs(self, other: AccountSeen) -> bool:
        """Tell whether these are two accounts; an id that is not known differs from none."""
        both_known = bool(self.account and other.account)
        return self.live != other.live or (both_known and self.account != other.account)


def known_account(connection: duckdb.DuckDBPyConnection, dataflow: str) -> AccountSeen | None:
    """Return the account of a dataflow's rows, None before its first run."""
    try:
        row = connection.execute(
            f"select account, live from {registry_sql('accounts')} where dataflow = ?", [dataflow]
        ).fetchone()
    except duckdb.CatalogException:  # written by a release that did not note it, and not written to since
        return None
    return AccountSeen(*row) if row else None


def note_account(connection: duckdb.DuckDBPyConnection, dataflow: str, seen: AccountSeen) -> None:
    """Note the account of a dataflow's rows."""
    forget_account(connection, dataflow)
    connection.execute(f"insert into {registry_sql('accounts')} values (?, ?, ?)", [dataflow, seen.account, seen.live])


def forget_account(connection: duckdb.DuckDBPyConnection, dataflow: str) -> None:
    """Forget it, as no row is left."""
    connection.execute(f"delete from {registry_sql('accounts')} where dataflow = ?", [dataflow])

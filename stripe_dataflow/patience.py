"""How long a run waits for others before it gives up: in one place, so that a test need not wait."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Attempts and seconds; the defaults are those of production.

    Attributes:
        attempts: How often one request is tried.
        first_wait_s, longest_wait_s: Between tries, with jitter, as Stripe's own sync engine waits.
        timeout_s, connect_timeout_s: For one answer (the SDK's own), and for its connection.
        step_wait_s: Before a table that failed is tried once more within its run.
        database_wait_s: For another process that holds the database file.
    """

    attempts: int = 8
    first_wait_s: float = 0.5
    longest_wait_s: float = 32.0
    timeout_s: float = 80.0
    connect_timeout_s: float = 15.0
    step_wait_s: float = 15.0
    database_wait_s: float = 60.0

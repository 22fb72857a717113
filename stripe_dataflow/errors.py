"""Every error of this project, by what its reader should do.

DataflowError                 what failed, why, what to do, what state the data is in
├── ConfigError               the YAML, a run's configuration or an argument: nothing was touched
│   └── Removed               a schedule would load what a person removed: run it by hand, or delete its folder
├── StripeError               talking to Stripe failed: facts as attributes
│   ├── KeyRejected           the key is missing or wrong: stop, no table can be read
│   ├── PermissionDenied      the key may not read this table: grant the right, others go on
│   ├── NotEnabled            the account does not have this product: leave the table out
│   ├── RequestRefused        Stripe calls the request wrong: a bug here
│   │   └── CursorGone        the object paging stood on was deleted: the window is read again
│   ├── RateLimited           still refused after the last retry: run again later
│   ├── Unreachable           no answer after the last retry: check the address, run again
│   └── UnexpectedAnswer      an answer that is not Stripe's: a proxy, a cut-off body
└── WarehouseError            writing or reading DuckDB failed
    ├── DatabaseRefused       DuckDB refused a file or a statement: the text says what to mend
    ├── DatabaseLocked        another process holds the file: wait, or close it
    ├── DataflowBusy          another process loads it, or takes it back: wait for its end
    ├── NotTakenIn            committed to the database's log, which its file could not take in: free some space
    ├── DatabaseTooNew        written by a newer release: upgrade
    └── RowRefused            a value does not fit its column: the table is as it was
"""

from __future__ import annotations

from dataclasses import dataclass


class DataflowError(Exception):
    """The base of all errors here; its text is one to three plain sentences for the user.

    Attributes:
        retryable: The same may succeed a little later.
        tells_state: The text says itself what state the table is in.
        partitions_merged: Of the table that failed, partitions that were merged before, and stay.
    """

    retryable = False
    tells_state = False
    partitions_merged = 0

    @property
    def with_state(self) -> str:
        """Return the text with the state the table is in, as the failed step and the run history tell it."""
        if self.partitions_merged:
            return f"{self} {self.partitions_merged} partitions were merged before and stay; a re-execution goes on."
        return str(self) if self.tells_state else f"{self} The table keeps the rows it had."


class ConfigError(DataflowError):
    """An attribute, option or argument is wrong; nothing was touched."""


class Removed(ConfigError):
    """A schedule would bring back what a person removed; nothing of it is in the database."""

    tells_state = True


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked and answered: enough to find the request in Stripe's own log.

    `url` is the path with its query, never the key; `status` is 0 when no answer came.
    """

    url: str
    status: int = 0
    code: str = ""
    request_id: str = ""
    attempts: int = 1

    def __str__(self) -> str:
        """Return `GET /v1/charges returned 403 (req_1)`, as much of it as is known; no query."""
        answer = f"returned {self.status}" if self.status else "got no answer"
        facts = ", ".join(fact for fact in (self.code, self.request_id) if fact)
        tries = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        return f"GET {self.url.partition('?')[0]} {answer}{f' ({facts})' if facts else ''}{tries}"


class StripeError(DataflowError):
    """A request failed.

    Attributes:
        request: What was asked and answered.
        retry_after_s: Seconds Stripe asks to wait, where it says.
        reason: Stripe's `Stripe-Rate-Limited-Reason`, where it says.
    """

    def __init__(self, text: str, request: Request, *, retry_after_s: float | None = None, reason: str = "") -> None:
        super().__init__(text)
        self.request = request
        self.retry_after_s = retry_after_s
        self.reason = reason


class KeyRejected(StripeError):
    """The API key is missing, malformed, expired or of another account (HTTP 401)."""


class PermissionDenied(StripeError):
    """The key is valid but lacks the right to read this (HTTP 403, for some accounts 401)."""


class NotEnabled(StripeError):
    """The account is not set up for the product this list belongs to (HTTP 400 or 404)."""


class RequestRefused(StripeError):
    """Stripe calls the request itself wrong (another 4xx)."""


class CursorGone(RequestRefused):
    """The object named by `starting_after` no longer exists (HTTP 400)."""


class RateLimited(StripeError):
    """Too many requests (HTTP 429), still so after the last retry."""

    retryable = True


class Unreachable(StripeError):
    """No answer, or only 5xx answers, after the last retry."""

    retryable = True


class UnexpectedAnswer(StripeError):
    """The body is not what Stripe sends, after the last retry."""

    retryable = True


class WarehouseError(DataflowError):
    """Writing or reading DuckDB failed; the transaction was rolled back."""


class DatabaseRefused(WarehouseError):
    """DuckDB refused a file or a statement; nothing was changed."""

    tells_state = True


class DatabaseLocked(WarehouseError):
    """Another process holds the database file."""

    retryable = True
    tells_state = True


class DataflowBusy(WarehouseError):
    """A load and a rollback or removal of one dataflow cannot go on at once."""

    retryable = True
    tells_state = True


class NotTakenIn(WarehouseError):
    """A transaction stands in the log beside the database, whose file could not take it in."""

    tells_state = True


class DatabaseTooNew(WarehouseError):
    """The database was written by a newer release of this project."""

    tells_state = True


class RowRefused(WarehouseError):
    """A value does not fit its column's type.

    Attributes:
        object_id: The object that holds the value.
        column: The column it does not fit.
    """

    def __init__(self, text: str, *, object_id: str = "", column: str = "") -> None:
        super().__init__(text)
        self.object_id = object_id
        self.column = column


def refused_by_machine(error: OSError) -> DataflowError:
    """Return the error for what the machine refused: no room on the disk, no file handle, no right."""
    where = f" for {error.filename}" if error.filename else ""
    advice = "Free some space, allow more open files or give the right"
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        advice = "A file stands where a folder belongs: move it away"
    return WarehouseError(
        f"This machine refused{where}: {error.strerror or type(error).__name__}. {advice}, and run again."
    )

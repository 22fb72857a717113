"""Stripe's error answers: status, error object, headers."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """A request is answered with an error.

    Attributes:
        status: HTTP status.
        error: Stripe's error object.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str = "",
        param: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.error: dict[str, Any] = {"message": message, "type": kind}
        if code:
            self.error |= {"code": code, "doc_url": f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}"}
        if param:
            self.error["param"] = param


def unknown_parameter(name: str) -> Refusal:
    """Return the refusal of a query parameter the endpoint does not have."""
    return Refusal(400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name)


def missing_parameter(name: str) -> Refusal:
    """Return the refusal of a request that lacks a required parameter."""
    return Refusal(400, f"Missing required param: {name}.", code="parameter_missing", param=name)


def invalid_integer(name: str, value: str) -> Refusal:
    """Return the refusal of a parameter that is no whole number."""
    return Refusal(400, f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)


def no_such(kind: str, object_id: str, *, param: str, status: int = 404) -> Refusal:
    """Return the refusal of an id that names nothing."""
    return Refusal(status, f"No such {kind}: '{object_id}'", code="resource_missing", param=param)


def unrecognized(method: str, path: str) -> Refusal:
    """Return the refusal of a path no endpoint has."""
    hint = "Please see https://docs.stripe.com or we can help at https://support.stripe.com/."
    return Refusal(404, f"Unrecognized request URL ({method}: {path}). {hint}")


def rate_limited(reason: str, retry_after_s: int) -> Refusal:
    """Return the refusal of a request beyond a limit."""
    return Refusal(
        429,
        "Request rate limit exceeded. You can learn more about rate limits here https://docs.stripe.com/rate-limits.",
        code="rate_limit",
        headers={"Stripe-Rate-Limited-Reason": reason, "Retry-After": str(retry_after_s)},
    )

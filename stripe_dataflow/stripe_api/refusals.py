"""From an HTTP answer that is no success to the error that says what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

import orjson

from stripe_dataflow import errors
from stripe_dataflow.errors import Request, StripeError

# Stripe answers 400 or 404, not 403, for a product the account has not set up. Only these exact
# phrases mean that; anything else stays a failure. Source: stripe/sync-engine, src-list-api.ts.
_NOT_ENABLED = (
    "not set up to use", "Have you onboarded", "Unrecognized request URL", "is not enabled",
    "only available in testmode", "not authorized to", "isn't enabled", "not available for your account",
)  # fmt: skip
_KEY = re.compile(r"(?:\b(?:sk|rk|pk|whsec)|(?:sk|rk|pk)_(?:live|test))_[^\s'\"]+")
_WHOLE_KEY = re.compile(r"(?:sk|rk|pk)_(?:live|test)_|whsec_")
_RIGHT = re.compile(r"'?(rak_\w+)'?")


def scrub(text: str) -> str:
    """Return the text without anything that looks like a key, masked or not."""
    return _KEY.sub("***", text)


def header(headers: Mapping[str, str], name: str) -> str:
    """Return an answer's header, empty where there is none; a proxy may have put the request's key into it."""
    return scrub(headers.get(name, ""))


def holds_key(text: str) -> bool:
    """Tell whether a text holds what Stripe's keys and webhook secrets begin with."""
    return _WHOLE_KEY.search(text) is not None


def refusal(table_right: str, *, url: str, status: int, headers: Mapping[str, str], body: bytes) -> StripeError:
    """Return the error for an answer that is no 2xx.

    Args:
        table_right: What was asked for, in words: `issuing cards`.
        url: Path and query, which hold no key.
    """
    detail = _detail(body)
    code = scrub(str(detail.get("code") or detail.get("type") or ""))
    message = scrub(str(detail.get("message") or ""))
    request = Request(url, status, code, header(headers, "Request-Id"))
    retry_after = _seconds(headers.get("Retry-After"))
    reason = header(headers, "Stripe-Rate-Limited-Reason")
    if status == HTTPStatus.TOO_MANY_REQUESTS or code in {"rate_limit", "lock_timeout"}:
        which = f" ({reason})" if reason else ""
        text = f"{request}: too many requests{which}. Run again later, or lower requests_per_second."
        return errors.RateLimited(text, request, retry_after_s=retry_after, reason=reason)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.CONFLICT:
        text = f"{request}: Stripe could not answer. Run again; see status.stripe.com if it stays so."
        return errors.Unreachable(text, request, retry_after_s=retry_after)
    return _final(table_right, request, message=message, param=scrub(str(detail.get("param") or "")))


def _final(right: str, request: Request, *, message: str, param: str) -> StripeError:
    """Return the error for a refusal that asking again cannot change."""
    if request.status == HTTPStatus.FORBIDDEN or (request.status == HTTPStatus.UNAUTHORIZED and "rak_" in message):
        named = _RIGHT.search(message)
        which = f" (right {named[1]})" if named else ""
        text = (
            f"{request}: this API key may not read {right}{which}. "
            "Give the restricted key that right, or leave the table out of the dataflow."
        )
        return errors.PermissionDenied(text, request)
    if request.status == HTTPStatus.UNAUTHORIZED:
        text = f"{request}: Stripe rejected the API key. Check the variable that api_key_env names."
        return errors.KeyRejected(text, request)
    if any(phrase in message for phrase in _NOT_ENABLED):
        text = f"{request}: {message} Leave the table out of the dataflow, or set the product up in Stripe."
        return errors.NotEnabled(text, request)
    kind = errors.CursorGone if param in {"starting_after", "ending_before"} else errors.RequestRefused
    about = f" (parameter {param})" if param else ""
    return kind(f"{request}: {message or 'Stripe gave no reason.'}{about}", request)


def _detail(body: bytes) -> dict[str, object]:
    try:
        detail = orjson.loads(body)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return {}
    return detail if isinstance(detail, dict) else {}


def _seconds(value: str | None) -> float | None:
    try:
        return max(float(value), 0.0) if value else None
    except ValueError:
        return None

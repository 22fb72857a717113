"""The HTTP server: keys, limits and faults before the account's own answers."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import time
from collections import Counter, deque
from collections.abc import Callable
from email.utils import formatdate
from itertools import count
from urllib.parse import unquote

import orjson
from aiohttp import web

from stripe_dataflow.sandbox.account import Account
from stripe_dataflow.sandbox.faults import Fault, Faults
from stripe_dataflow.sandbox.limits import Gate, Limits
from stripe_dataflow.sandbox.lists import Lists
from stripe_dataflow.sandbox.query import Values, values_of
from stripe_dataflow.sandbox.refusals import Refusal, rate_limited, unrecognized
from stripe_dataflow.sandbox.routes import Endpoint, Routes
from stripe_dataflow.sandbox.search import search
from stripe_dataflow.sandbox.shapes import object_name
from stripe_dataflow.sandbox.views import pretty

KEPT = 200_000  # requests remembered
_KEYS = ("sk_test_", "rk_test_", "sk_live_", "rk_live_")
_PRODUCTS = {"issuing": "Issuing", "identity": "Identity", "treasury": "Treasury", "terminal": "Terminal"}
_PROXY_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>proxy</body></html>"


class Server:
    """Answers requests as Stripe does for one account.

    Attributes:
        requests: The latest requests: monotonic seconds, path with query, status (0 where none was sent).
        counts: Requests by status and by endpoint.
    """

    def __init__(self, account: Account, limits: Limits, faults: Faults) -> None:
        self.faults = faults
        self.requests: deque[tuple[float, str, int]] = deque(maxlen=KEPT)
        self.counts: Counter[int | str] = Counter()
        self.stopping = asyncio.Event()
        self._account_id: str = account.snapshot("account")["id"]
        self._gate = Gate(limits)
        self._account = account
        self._lists = Lists(account, faults)
        self._routes = Routes()
        self._numbers = count(1)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the answer to a request, and remember it."""
        began = time.monotonic()
        status, url = 0, str(request.rel_url)
        try:
            response = await self._answer(request, url)
            status = response.status
        except Refusal as refusal:
            response = self._refuse(request, refusal)
            status = response.status
        finally:
            self.requests.append((began, url, status))
            self.counts[status] += 1
        return response

    async def _answer(self, request: web.BaseRequest, url: str) -> web.StreamResponse:
        path = request.path
        found = self._routes.find(path) if request.method == "GET" else None
        key = self._check_key(request)
        if found is None:
            raise unrecognized(request.method, path)
        endpoint, ids = found
        self.counts[endpoint.name] += 1
        with self._gate.enter(endpoint.name, time.monotonic()):
            fault = self.faults.draw(url)
            if self.faults.latency_s:
                await asyncio.sleep(self.faults.latency_s)
            self._check_rights(key, endpoint, url)
            if fault in {"500", "502", "503", "409", "429"}:
                raise _failure(int(fault))
            values = values_of(request.query_string)
            if fault == "repeated_page":
                values.pop("starting_after", None)
            body = self._body(endpoint, ids, path, values)
            return self._respond(request, body) if fault is None else await self._spoil(request, body, fault)

    def _body(self, endpoint: Endpoint, ids: tuple[str, ...], path: str, values: Values) -> bytes:
        if endpoint.operation == "list":
            return self._lists.page(endpoint.table, ids, path, values)
        if endpoint.operation == "retrieve":
            return self._lists.retrieve(endpoint.table, ids, values)
        if endpoint.operation == "search":
            return search(self._account, endpoint.table, path, values)
        return self._lists.snapshot(endpoint.table, values)

    async def _spoil(self, request: web.BaseRequest, body: bytes, fault: Fault) -> web.StreamResponse:
        """Return an answer that is not Stripe's, or none."""
        if fault.startswith("html"):
            status = int(fault.partition("_")[2] or 200)
            return web.Response(body=_PROXY_PAGE, status=status, content_type="text/html")
        if fault in _SPOILED:
            return self._respond(request, _SPOILED[fault](body))
        if fault == "text":
            return web.Response(body=body, content_type="text/plain")
        if fault == "hang":
            await self.stopping.wait()
        if fault in {"hang", "reset"}:
            self._break_off(request)
            return web.Response()
        if fault == "truncated":
            response = web.StreamResponse(headers=self._headers(request))
            response.content_length = len(body)
            await response.prepare(request)
            await response.write(body[: len(body) // 2])
            if request.transport is not None:
                request.transport.close()
            return response
        return self._respond(request, body)

    @staticmethod
    def _break_off(request: web.BaseRequest) -> None:
        if isinstance(request.transport, asyncio.Transport):
            request.transport.abort()

    def _respond(self, request: web.BaseRequest, body: bytes, status: int = 200) -> web.Response:
        return web.Response(body=body, status=status, headers=self._headers(request))

    def _headers(self, request: web.BaseRequest) -> dict[str, str]:
        ahead = self.faults.clock_s  # else the server sends the machine's time
        date = {"Date": formatdate(time.time() + ahead, usegmt=True)} if ahead else {}
        return date | {
            "Content-Type": "application/json",
            "Request-Id": f"req_{next(self._numbers):014d}",
            "Stripe-Version": request.headers.get("Stripe-Version", ""),
        }

    def _refuse(self, request: web.BaseRequest, refusal: Refusal) -> web.Response:
        headers = self._headers(request) | refusal.headers
        passing = refusal.status in {409, 429, 500, 502, 503}
        if passing and self.faults.should_retry is not None:
            headers["Stripe-Should-Retry"] = str(self.faults.should_retry).lower()
        if passing and self.faults.retry_after is not None:
            headers["Retry-After"] = self.faults.retry_after
        log = f"https://dashboard.stripe.com/{self._account_id}/test/logs/{headers['Request-Id']}"
        body = pretty({"error": refusal.error | {"request_log_url": log}}) + b"\n"
        return web.Response(body=body, status=refusal.status, headers=headers)

    def _check_key(self, request: web.BaseRequest) -> str:
        key = _key(request.headers.get("Authorization", ""))
        if not key:
            message = "You did not provide an API key. Send it as 'Authorization: Bearer YOUR_SECRET_KEY'."
            raise Refusal(401, message)
        known = key.startswith(_KEYS) if self.faults.keys is None else key in self.faults.keys
        if not known:
            raise Refusal(401, f"Invalid API Key provided: {_masked(key)}")
        return key

    def _check_rights(self, key: str, endpoint: Endpoint, url: str) -> None:
        path = unquote(url)
        if self.faults.keys is not None and any(re.match(start, path) for start in self.faults.keys[key]):
            right = f"rak_{object_name(endpoint.table.classes[0]).replace('.', '_')}_read"
            raise Refusal(
                403,
                f"The provided key '{_masked(key)}' does not have the required permissions for this endpoint on "
                f"account '{self._account_id}'. Having the '{right}' permission would allow this request to continue.",
            )
        if path.startswith(tuple(self.faults.not_enabled)):
            word = path.split("/")[2]
            product = _PRODUCTS.get(word, word.replace("_", " ").title())
            start = f"https://dashboard.stripe.com/{word}/overview"
            raise Refusal(400, f"Your account is not set up to use {product}. Please visit {start} to get started.")


def _key(header: str) -> str:
    """Return the key of a Bearer or Basic header, or nothing."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return value.strip() if scheme.lower() == "bearer" else ""


def _childless(body: bytes) -> bytes:
    """Return the answer with the lists that its objects embed emptied, as if there were more of each."""
    answer = orjson.loads(body)
    for each in answer["data"] if answer["object"] == "list" else [answer]:
        for value in each.values():
            if isinstance(value, dict) and value.get("object") == "list":
                value |= {"data": [], "has_more": True}
    return pretty(answer)


_SPOILED: dict[Fault, Callable[[bytes], bytes]] = {
    "malformed": lambda body: body[: len(body) // 2] + b"]}",
    "empty_page": lambda _: pretty({"object": "list", "data": [], "has_more": True}),
    "no_has_more": lambda _: pretty({"object": "list", "data": []}),
    "empty_children": _childless,
}


def _masked(key: str) -> str:
    """Return the key's kind and stars, as Stripe shows it."""
    return f"{key[:8]}***" if key.startswith(_KEYS) else "***"


def _failure(status: int) -> Refusal:
    if status == 409:  # noqa: PLR2004 - HTTP's number
        return Refusal(409, "This object cannot be accessed right now because another API request is currently "
                       "accessing it.", code="lock_timeout")  # fmt: skip
    if status == 429:  # noqa: PLR2004 - HTTP's number
        return rate_limited("global-rate", 1)
    return Refusal(status, "Sorry! There was an error while talking to Stripe.", kind="api_error")

"""Asking the sandbox over HTTP, as any client would, and what it answers."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.sandbox import Sandbox

NOW = 1_764_000_000
DAY = 86_400
KEY = "sk_test_sandbox"
LISTS = {name: table for name, table in TABLES.items() if not table.snapshot}


@dataclass
class Answer:
    """One HTTP answer: status, headers with lower-case names, and the parsed body."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def ids(self) -> list[str]:
        """Return the ids of the page's objects."""
        return [item["id"] for item in self.body["data"]]

    @property
    def refusal(self) -> tuple[int, str | None, str | None, str]:
        """Return status, code, param and message of an error."""
        error = self.body["error"]
        return self.status, error.get("code"), error.get("param"), error["message"]


def get(sandbox: Sandbox, path: str, *, key: str | None = KEY, **headers: str) -> Answer:
    sent = headers | ({"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urlopen(Request(sandbox.url + quote(path, safe="/?&=[]."), headers=sent), timeout=10) as answer:
            return _answer(answer.status, answer.headers, answer.read())
    except HTTPError as error:
        with error:
            return _answer(error.code, error.headers, error.read())


def _answer(status: int, headers: Any, text: bytes) -> Answer:
    return Answer(status, {name.lower(): value for name, value in headers.items()}, json.loads(text))


def all_pages(sandbox: Sandbox, path: str, limit: int | None) -> list[dict[str, Any]]:
    """Return the objects of every page; `limit` None asks for no page, as some lists have none."""
    found: list[dict[str, Any]] = []
    joint = "&" if "?" in path else "?"
    while True:
        page = f"{joint}limit={limit}" if limit else ""
        cursor = f"&starting_after={found[-1]['id']}" if found else ""
        body = get(sandbox, f"{path}{page}{cursor}").body
        assert body["data"] or not body["has_more"]
        found += body["data"]
        if not body["has_more"]:
            return found

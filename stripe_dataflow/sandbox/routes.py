"""Which endpoint a path is: a list or an object of a catalog table, or one of the snapshots."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from stripe_dataflow.catalog import TABLES, Table
from stripe_dataflow.sandbox.naming import CLOCKS

Operation = Literal["list", "retrieve", "search", "snapshot"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One named operation, which has a rate limit of its own."""

    operation: Operation
    table: Table

    @property
    def name(self) -> str:
        """Return the operation's name, the same for every id."""
        return f"{self.operation} {self.table.name}"


@dataclass(slots=True)
class _Node:
    literal: dict[str, _Node] = field(default_factory=dict)
    variable: _Node | None = None
    endpoint: Endpoint | None = None


class Routes:
    """Every path of the catalog, and the id path below each list."""

    def __init__(self) -> None:
        self._root = _Node()
        for table in (*TABLES.values(), CLOCKS):
            if table.snapshot:
                self._add(table.path, Endpoint("snapshot", table))
            else:
                self._add(table.path, Endpoint("list", table))
                if table.counted:
                    self._add(f"{table.path}/search", Endpoint("search", table))
                self._add(f"{table.path}/{{object_id}}", Endpoint("retrieve", table))

    def _add(self, path: str, endpoint: Endpoint) -> None:
        node = self._root
        for part in path.strip("/").split("/"):
            if part.startswith("{"):
                node.variable = node.variable or _Node()
                node = node.variable
            else:
                node = node.literal.setdefault(part, _Node())
        node.endpoint = node.endpoint or endpoint

    def find(self, path: str) -> tuple[Endpoint, tuple[str, ...]] | None:
        """Return the endpoint and the ids in the path, or None where Stripe has no such path."""
        return self._walk(self._root, path.strip("/").split("/"), ())

    def _walk(self, node: _Node, parts: list[str], ids: tuple[str, ...]) -> tuple[Endpoint, tuple[str, ...]] | None:
        if not parts:
            return (node.endpoint, ids) if node.endpoint else None
        if (literal := node.literal.get(parts[0])) and (found := self._walk(literal, parts[1:], ids)):
            return found
        return self._walk(node.variable, parts[1:], (*ids, parts[0])) if node.variable else None

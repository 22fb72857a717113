"""What a merge may conclude from the rows staged for it, and what it did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Literal, Self

from stripe_dataflow.warehouse.target import Target, quote

Condition = tuple[str, list[object]]


@dataclass(frozen=True, slots=True)
class Scope:
    """What the staged rows are the complete truth of; rows of it that are not staged are gone.

    Attributes:
        kind: `whole` table, `window` of creation times, children of `parents`, or `changes`,
            which concludes nothing from absence.
        gte, lt: The window, half open, Unix seconds.
        ids: The parents.
        outside: Windows whose staged rows are not among the `changes`, as they are merged by themselves.
        started: When reading began, microseconds since 1970: rows loaded later are not concluded
            to be gone. Without it the earliest staged answer counts, and with nothing staged, now.
    """

    kind: Literal["whole", "window", "parents", "changes"]
    gte: int = 0
    lt: int = 0
    ids: tuple[str, ...] = ()
    outside: tuple[tuple[int, int], ...] = ()
    started: int | None = None

    @classmethod
    def whole(cls, *, started: int | None = None) -> Self:
        """Return the scope of a table that was read completely."""
        return cls("whole", started=started)

    @classmethod
    def window(cls, gte: int, lt: int, *, started: int | None = None) -> Self:
        """Return the scope of the objects created in [gte, lt), Unix seconds."""
        return cls("window", gte=gte, lt=lt, started=started)

    @classmethod
    def parents(cls, ids: Iterable[str], *, started: int | None = None) -> Self:
        """Return the scope of all children of these parents."""
        return cls("parents", ids=tuple(ids), started=started)

    @classmethod
    def changes(cls, *, outside: Iterable[tuple[int, int]] = ()) -> Self:
        """Return the scope of single upserts and tombstones, but for objects created in some windows."""
        return cls("changes", outside=tuple(outside))

    @property
    def complete(self) -> bool:
        """Tell whether absence from the staged rows means that the object is gone."""
        return self.kind != "changes"

    def condition(self, target: Target) -> Condition:
        """Return the SQL condition, and its values, that a row of the table lies in the scope."""
        if self.kind == "window":
            created = quote(target.table.created)
            bound = "make_timestamptz(?::bigint * 1000000)"
            return f"{created} >= {bound} and {created} < {bound}", [self.gte, self.lt]
        if self.kind == "parents":
            return '"_parent_id" in (select unnest(?::varchar[]))', [list(self.ids)]
        if self.outside:
            created = quote(target.table.created)
            bound = "make_timestamptz(?::bigint * 1000000)"
            inside = " or ".join(f"({created} >= {bound} and {created} < {bound})" for _ in self.outside)
            # A tombstone has no creation time, so it lies in no window.
            return f"not coalesce({inside}, false)", [second for window in self.outside for second in window]
        return "true", []


@dataclass(frozen=True, slots=True)
class Counts:
    """What a merge did, in rows; `read` are the staged rows it looked at, doublets included.

    `filled` of the `updated` ones are due to a column that came, with a value found in `_extra`, or went; what was
    read may hold them too.
    """

    read: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    filled: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Return the sum, for a table merged in several steps."""
        return Counts(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

"""What the catalog knows of one Stripe table, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stripe_dataflow.catalog.secrets import BELOW

Tier = Literal["core", "optional"]
Size = Literal["S", "M", "L", "XL"]
KeepCurrent = Literal["events", "look_back", "list", "parents"]


@dataclass(frozen=True, slots=True)
class Parent:
    """One parent of a table whose list needs a parent's id.

    `param` is the placeholder in the path, or the query parameter where the path has none;
    `table` is the catalog table whose ids fill it; `field` is the child's field that holds the id,
    where it is named otherwise.
    """

    param: str
    table: str
    field: str = ""

    @property
    def id_field(self) -> str:
        """Return the child's field that holds the parent's id, if it has one."""
        return self.field or self.param


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One row of the catalog: everything that tells one Stripe table from another.

    Attributes:
        name: Stripe's list path with `/` turned to `_`; a child list is singular parent + `_` + list.
        path: The list's path, with `{param}` where a parent's id goes; a snapshot's own path.
        classes: Classes below `stripe` whose objects the list holds.
        description: One line in our words, for the UI and a scaffolded `defs.yaml`.
        tier: `core`, what any account has; `optional`, what needs a product or a rare feature.
        created_filter: The list takes `created[gte]` and `created[lt]`; such tables are partitioned.
        created: The object's field that `created_filter` filters (an invoice item calls it `date`).
        params: Query parameters every page is asked with, as Stripe hides rows without them.
        parents: Outermost first; the last one's id becomes the row's `_parent_id`.
        embedded: Field of the last parent's object whose list holds these objects' first page.
        expanded: The embedded list comes only when `expand[]=data.<embedded>` asks for it.
        per_parent_window: The list wants `start_time` and `end_time`, on day borders (UTC).
        paged: The list takes `limit` and `starting_after`.
        snapshot: One object at the path, not a list.
        key: Columns that tell rows apart.
        events: Prefixes of the event types that tell of these objects' changes.
        event_objects: What an event's payload is, where it is not the object itself.
        named_by: Payloads of other objects' events and their field that names this object, which changes with
            them and makes no event of its own.
        deleted_events: Event types after which the object is gone (a canceled subscription is not).
        deletable: Objects can disappear from the list, so absence from a complete list means deleted.
        clocked: Objects on a test clock are left out of the list unless `test_clock` asks for them.
        seen_in: Tables and their columns that hold whole objects of this kind, among them some that
            the list leaves out: what is used there exists.
        counted: Stripe's search counts the objects created in a span.
        look_back_days: Days before the cursor to list again, where changes come without an event.
        keep_current: How a later run finds what changed: by `events` (and `look_back_days`), by
            `look_back` alone, by the whole `list`, or, for children, along with changed `parents`; of
            children, `events` are their own and name the parent.
        pii: Columns that can hold a person's data.
        secrets: Fields never landed: a secret of Stripe's, or a URL that lets in whoever holds it. Those below the
            top level are `secrets_in`.
        payload: Field that holds a whole object of any kind, whose own table names its secrets.
        sums_to: The snapshot that holds, by currency, what the `net` of all these objects sums to.
        size: How many rows a mid-size account has: under a thousand, 100 thousand, a million, above.
    """

    name: str
    path: str
    classes: tuple[str, ...]
    description: str
    tier: Tier = "core"
    created_filter: bool = False
    created: str = "created"
    params: tuple[tuple[str, str], ...] = ()
    parents: tuple[Parent, ...] = ()
    embedded: str = ""
    expanded: bool = False
    per_parent_window: bool = False
    paged: bool = True
    snapshot: bool = False
    key: tuple[str, ...] = ("id",)
    events: tuple[str, ...] = ()
    event_objects: tuple[str, ...] = ()
    named_by: tuple[tuple[str, str], ...] = ()
    deleted_events: tuple[str, ...] = ()
    deletable: bool = False
    clocked: bool = False
    seen_in: tuple[tuple[str, str], ...] = ()
    counted: bool = False
    look_back_days: int = 0
    keep_current: KeepCurrent = "list"
    pii: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    payload: str = ""
    sums_to: str = ""
    size: Size = "S"

    @property
    def parent(self) -> str | None:
        """Return the table whose objects lead to these, or None for a top-level list."""
        return self.parents[-1].table if self.parents else None

    @property
    def secrets_in(self) -> tuple[str, ...]:
        """Return the paths below the top level that never land, such as `next_action.*.url` (see secrets.py)."""
        return BELOW.get(self.name, ())

    @property
    def right(self) -> str:
        """Return the part of the API a restricted key must be allowed to read, in words."""
        return self.path.split("/{")[0].removeprefix("/v1/").replace("/", " ").replace("_", " ")

    @property
    def docs_url(self) -> str:
        """Return Stripe's documentation page of the object."""
        return f"https://docs.stripe.com/api/{self.path.split('/{')[0].removeprefix('/v1/')}"

"""What a list is asked for: the query string, checked as Stripe checks it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from stripe_dataflow.catalog import Table
from stripe_dataflow.sandbox.naming import DAY, FILTERS
from stripe_dataflow.sandbox.refusals import Refusal, invalid_integer, missing_parameter, unknown_parameter

MINUTE = 60
_ARRAY = re.compile(r"\[\d*\]$")
_EXPAND_DEPTH = 4
_MOST_TYPES = 20

Values = dict[str, list[str]]


@dataclass(slots=True)
class Query:
    """One list request.

    Attributes:
        limit: Objects a page, 1 to 100.
        after: The page begins after this object.
        before: The page ends before this object.
        since: Lowest time of an object, Unix seconds.
        until: Highest time of an object, Unix seconds.
        expand: Paths below the object that become objects.
        parents: Ids of the parents named in the query, by parameter.
        filters: Field -> the values asked for.
        window: The usage window, where the list has one.
        grouped: Usage is summed by day.
    """

    limit: int = 10
    after: str = ""
    before: str = ""
    since: int | None = None
    until: int | None = None
    expand: tuple[str, ...] = ()
    parents: dict[str, str] = field(default_factory=dict)
    filters: Values = field(default_factory=dict)
    window: tuple[int, int] | None = None
    grouped: bool = False


def values_of(text: str) -> Values:
    """Return parameter -> values; `expand[]`, `expand[0]` and `expand` are one parameter."""
    values: Values = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        values.setdefault(_ARRAY.sub("", name), []).append(value)
    return values


def read_query(table: Table, values: Values) -> Query:
    """Return what the list is asked for.

    Raises:
        Refusal: A parameter is unknown, missing or wrong.
    """
    query = Query()
    asked_parents = [p.param for p in table.parents if f"{{{p.param}}}" not in table.path]
    window = ("start_time", "end_time", "value_grouping_window") if table.per_parent_window else ()
    for name, given in values.items():
        if name in asked_parents:
            query.parents[name] = given[-1]
        elif name not in window and not _read(query, table, name, given):
            raise unknown_parameter(name)
    for name in (*asked_parents, *window[:2]):
        if not values.get(name, [""])[-1]:
            raise missing_parameter(name)
    if window:
        _window(query, values)
    _check_types(query.filters)
    return query


def _read(query: Query, table: Table, name: str, given: list[str]) -> bool:
    """Take in one parameter, and tell whether the list has it."""
    bare, _, bound = name.partition("[")
    if bare == "created" and table.created_filter:
        _bound(query, bound, name, given[-1])
    elif name == "expand":
        query.expand = expanded(given, "data.")
    elif name in FILTERS.get(table.name, ()):
        query.filters[name] = given
    elif table.paged and name in {"limit", "starting_after", "ending_before"}:
        _page(query, name, given[-1])
    else:
        return False
    return True


def expanded(paths: list[str], prefix: str) -> tuple[str, ...]:
    """Return the paths below the object, each once.

    Raises:
        Refusal: A path is too deep, or does not begin where the objects are.
    """
    found: list[str] = []
    for path in paths:
        if len(path.split(".")) > _EXPAND_DEPTH:
            message = f"You cannot expand more than {_EXPAND_DEPTH} levels of a property. Property: {path}"
            raise Refusal(400, message, param="expand")
        if not path.startswith(prefix):
            message = f"This property cannot be expanded ({path}). You may want to try expanding 'data.{path}' instead."
            raise Refusal(400, message, param="expand")
        found.append(path.removeprefix(prefix))
    return tuple(dict.fromkeys(found))


def whole(name: str, value: str) -> int:
    """Return a parameter as a whole number.

    Raises:
        Refusal: It is none.
    """
    if not re.fullmatch(r"-?[0-9]{1,18}", value):
        raise invalid_integer(name, value)
    return int(value)


def _bound(query: Query, bound: str, name: str, value: str) -> None:
    number = whole(name, value)
    if bound in {"", "gte]", "gt]"}:
        query.since = number + (bound == "gt]")
    if bound in {"", "lte]", "lt]"}:
        query.until = number - (bound == "lt]")
    if bound not in {"", "gte]", "gt]", "lte]", "lt]"}:
        raise unknown_parameter(name)


def _page(query: Query, name: str, value: str) -> None:
    if name == "limit":
        query.limit = whole(name, value)
        if not 1 <= query.limit <= 100:  # noqa: PLR2004 - Stripe's own bounds
            edge = "greater than or equal to 1" if query.limit < 1 else "less than or equal to 100"
            message = f"Invalid limit: must be {edge}."
            raise Refusal(400, message, code="parameter_invalid_integer", param="limit")
    elif name == "starting_after":
        query.after = value
    else:
        query.before = value
    if query.after and query.before:
        message = "You may only specify one of these parameters: starting_after, ending_before."
        raise Refusal(400, message, param="starting_after")


def _window(query: Query, values: Values) -> None:
    grouping = values.get("value_grouping_window", [""])[-1]
    if grouping not in {"", "day"}:
        raise Refusal(400, "Invalid value_grouping_window: must be one of day", param="value_grouping_window")
    query.grouped = bool(grouping)
    border, word = (DAY, "day (UTC)") if query.grouped else (MINUTE, "minute")
    times = [whole(name, values[name][-1]) for name in ("start_time", "end_time")]
    for name, value in zip(("start_time", "end_time"), times, strict=True):
        if value % border:
            raise Refusal(400, f"The {name} must be aligned with {word} boundaries.", param=name)
    if times[0] >= times[1]:
        raise Refusal(400, "The end_time must be after the start_time.", param="end_time")
    query.window = (times[0], times[1])


def _check_types(filters: Values) -> None:
    if len(filters.get("types", ())) > _MOST_TYPES:
        raise Refusal(400, f"You may only specify up to {_MOST_TYPES} types.", param="types")
    if "type" in filters and "types" in filters:
        raise Refusal(400, "You may only specify one of these parameters: type, types.", param="types")

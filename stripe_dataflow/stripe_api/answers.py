"""From the bytes of a successful answer to a list's page or an object, or why they cannot be kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from stripe_dataflow.errors import Request, RowRefused, UnexpectedAnswer
from stripe_dataflow.stripe_api.refusals import header

_ADVICE = "Change the object in Stripe, or report it with its id."


def parsed(url: str, body: bytes, headers: Mapping[str, str], *, is_list: bool, object_id: str = "") -> dict[str, Any]:
    """Return the body if it is what was asked for: a proxy's page or a cut-off body is not.

    Whole numbers beyond 64 bits inside a JSON column become doubles, as most readers of JSON take them.
    `object_id` is the id that the answer must bear, empty where it is not known.

    Raises:
        UnexpectedAnswer: It is no JSON, or no list that is whole; asking again may help.
        RowRefused: An object has no id, or a value no text or number can hold; asking again does not help.
    """
    request = Request(url, 200, request_id=header(headers, "Request-Id"))
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        _refuse_unkeepable(request, body)
        answer = None
    if not isinstance(answer, dict) or "object" not in answer:
        kind = header(headers, "Content-Type") or "no content type"
        raise UnexpectedAnswer(f"{request} with a body that is not Stripe's ({kind}, {len(body)} bytes).", request)
    if not is_list and answer["object"] == "list":
        raise UnexpectedAnswer(f"{request} with a list where one object was asked for.", request)
    if object_id and answer.get("id") != object_id:
        raise UnexpectedAnswer(f"{request} with something else than the object asked for.", request)
    if is_list:
        data, more = answer.get("data"), answer.get("has_more")
        if not isinstance(data, list) or not isinstance(more, bool) or (more and not data):
            raise UnexpectedAnswer(f"{request} with a list that is not whole.", request)
        check_objects(request, data)
    return answer


def check_objects(request: Request, objects: Iterable[Any]) -> None:
    """Check that each is an object with an id: pages continue behind it, rows are found by it.

    Raises:
        RowRefused: One is not.
    """
    for number, item in enumerate(objects, start=1):
        if type(item) is not dict or type(item.get("id")) is not str:
            raise RowRefused(f"{request}: object {number} of the page has no id. Report it with the request's id.")


def check_times(objects: Iterable[dict[str, Any]], table: str, name: str) -> None:
    """Check that the objects of a partitioned table say when they were created.

    Raises:
        RowRefused: One does not.
    """
    for item in objects:
        if type(item.get(name)) is not int:
            object_id = str(item.get("id", ""))
            raise RowRefused(
                f"{table}.{name} does not fit: the value of object {object_id} is no time. {_ADVICE}",
                object_id=object_id,
                column=name,
            )


def _refuse_unkeepable(request: Request, body: bytes) -> None:
    """Raise if the body is whole, but holds what UTF-8 or a double cannot: then asking again does not help."""
    try:
        answer = json.loads(body)  # takes half a surrogate pair and NaN, which JSON in UTF-8 does not have
    except (ValueError, RecursionError):
        return
    data = answer.get("data") if isinstance(answer, dict) else None
    for item in data if isinstance(data, list) else [answer]:
        for name, value in item.items() if isinstance(item, dict) else ():
            if why := _why_unkeepable({name: value}):
                object_id, shown = str(item.get("id", "")), name.encode(errors="replace").decode()
                raise RowRefused(
                    f"{request}: the value of {shown} of object {object_id} cannot be kept ({why}). {_ADVICE}",
                    object_id=object_id,
                    column=shown,
                ) from None


def _why_unkeepable(value: Any) -> str:
    try:
        orjson.loads(json.dumps(value))
    except orjson.JSONDecodeError as error:
        return error.msg  # without any of the value
    return ""

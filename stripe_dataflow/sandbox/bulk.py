"""Charges by the million: computed from their number instead of being kept."""

from __future__ import annotations

from typing import Any

import orjson

from stripe_dataflow.sandbox.shelf import Key
from stripe_dataflow.sandbox.state import State
from stripe_dataflow.sandbox.views import pretty

_PREFIX = "ch_3Bulk"
_LENGTH = len(_PREFIX) + 16
# Stand-ins in the template; JSON text around them makes them unmistakable.
_ID, _CREATED, _AMOUNT, _CUSTOMER = "@id@", 9_000_000_000_001, 9_000_000_000_002, "@customer@"


class BulkCharges:
    """Charges that share a template: each has its own id, time, amount and customer."""

    def __init__(self, template: dict[str, Any], count: int, times: tuple[int, int], customers: list[str]) -> None:
        self._count = count
        self._first, self._span = times[0], times[1] - times[0]
        self._customers = customers
        marked = template | {"id": _ID, "created": _CREATED, "amount": _AMOUNT, "amount_captured": _AMOUNT}
        marked |= {"customer": _CUSTOMER, "balance_transaction": None, "payment_intent": None}
        self._compact = _format(orjson.dumps(marked))
        self._pretty = _format(pretty(marked, depth=2))

    @classmethod
    def fill(cls, state: State, total: int) -> None:
        """Add charges until there are `total`."""
        shelf = state.shelves["charges"]
        count = total - len(shelf)
        if count <= 0:
            return
        template = next(c for c in map(shelf.get, (key[1] for key in shelf.every)) if c["paid"])
        made = cls(
            template, count, (shelf.every[0][0], state.now), [key[1] for key in state.shelves["customers"].every]
        )
        shelf.every.extend(made.key(f"{_PREFIX}{number:016d}") for number in range(count))
        shelf.every.sort()
        shelf.bulk = made

    def __contains__(self, object_id: str) -> bool:
        number = object_id[len(_PREFIX) :]
        right = object_id.startswith(_PREFIX) and len(object_id) == _LENGTH and number.isdigit()
        return right and int(number) < self._count

    def key(self, object_id: str) -> Key:
        """Return the charge's place in the order: spread evenly, oldest first."""
        number = int(object_id[len(_PREFIX) :])
        return (self._first + number * self._span // self._count, object_id)

    def data(self, object_id: str) -> bytes:
        """Return the charge's compact JSON."""
        return self._compact % self._values(object_id)

    def rendered(self, object_id: str) -> bytes:
        """Return the charge's JSON as a list shows it."""
        return self._pretty % self._values(object_id)

    def _values(self, object_id: str) -> dict[bytes, Any]:
        number = int(object_id[len(_PREFIX) :])
        return {
            b"id": object_id.encode(),
            b"created": self.key(object_id)[0],
            b"amount": 500 + number * 7919 % 99_500,
            b"customer": self._customers[number % len(self._customers)].encode(),
        }


def _format(template: bytes) -> bytes:
    """Return a template for the `%` operator."""
    text = template.replace(b"%", b"%%")
    for mark, name in ((_CREATED, b"created"), (_AMOUNT, b"amount")):
        text = text.replace(str(mark).encode(), b"%%(%s)d" % name)
    return text.replace(_ID.encode(), b"%(id)s").replace(_CUSTOMER.encode(), b"%(customer)s")

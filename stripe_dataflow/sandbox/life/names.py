"""Invented people, companies, places and amounts."""

from __future__ import annotations

from typing import Any

from stripe_dataflow.sandbox.state import State

FIRST = (
    "Ada", "Björn", "Chloé", "Dmitri", "Élodie", "Farid", "Grace", "Hana", "Igor", "Jürgen", "Keiko", "Lena",
    "Miguel", "Nadia", "Oluwaseun", "Priya", "Quentin", "Rania", "Søren", "Taro", "Ulla", "Vera", "Wei", "Zoë",
)  # fmt: skip
LAST = (
    "Abe", "Bianchi", "Çelik", "D'Angelo", "Eriksson", "Fischer", "García", "Haddad", "Ito", "Johnson",
    "Kowalski", "Lefèvre", "Müller", "Nguyễn", "O'Neill", "Petrov", "Quispe", "Rossi", "Smith", "Tanaka",
    "Ueda", "van der Berg", "Williams", "山田",
)  # fmt: skip
COMPANIES = (
    'Acorn "Best" Bakery', "Blue Harbour Ltd", "Café Zürich GmbH", "Delta & Sons", "Étoile SARL", "Falcon Co., Inc.",
    "Grün & Blau AG", "Hikari 株式会社", "Iris\tStudio", "Jupiter Logistics",
)  # fmt: skip
PLACES: dict[str, tuple[tuple[str, str, str, str | None], ...]] = {
    "usd": (("Springfield", "62701", "US", "IL"), ("Portland", "97201", "US", "OR"), ("Austin", "78701", "US", "TX")),
    "eur": (("Köln", "50667", "DE", None), ("Lyon", "69001", "FR", None), ("Cádiz", "11001", "ES", None)),
    "jpy": (("大阪市", "530-0001", "JP", "大阪府"), ("札幌市", "060-0001", "JP", "北海道")),
    "kwd": (("Kuwait City", "13001", "KW", None), ("الأحمدي", "61001", "KW", None)),
}
CURRENCIES = ("usd",) * 11 + ("eur",) * 5 + ("jpy",) * 2 + ("kwd",) * 2
# What one US dollar costs in the smallest unit: jpy has no decimals, kwd has three and ends in 0.
UNITS = {"usd": 100, "eur": 92, "jpy": 150, "kwd": 310}


def in_units(currency: str, dollars: float) -> int:
    """Return an amount in the currency's smallest unit."""
    whole = int(dollars * UNITS[currency])
    return whole // 10 * 10 if currency == "kwd" else whole


def address(state: State, currency: str) -> dict[str, Any]:
    """Return an address in a country that pays in the currency."""
    city, postal_code, country, region = state.dice.pick(PLACES[currency])
    return {
        "city": city,
        "country": country,
        "line1": f"{state.dice.between(1, 240)} Market Street",
        "line2": "c/o reception" if state.dice.chance(0.1) else None,
        "postal_code": postal_code,
        "state": region,
    }


def person(state: State) -> tuple[str, str]:
    """Return a first and a last name."""
    return state.dice.pick(FIRST), state.dice.pick(LAST)


def email(state: State) -> str:
    """Return an address nobody has."""
    return f"{state.ids.letters('mail', state.dice.share(), length=10).lower()}@example.com"


def metadata(state: State, share: float = 0.3) -> dict[str, str]:
    """Return metadata on that share of the objects, and none on the others."""
    if not state.dice.chance(share):
        return {}
    return {
        "order_id": str(state.dice.between(1000, 99_999)),
        "note": state.dice.pick(("späte Lieferung", '"gift"', "")),
    }


def digits(state: State, count: int) -> str:
    """Return that many digits."""
    return "".join(str(state.dice.between(0, 9)) for _ in range(count))

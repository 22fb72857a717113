"""The shop: what is sold, for how much, with which discounts, taxes and features."""

from __future__ import annotations

from typing import Any

from stripe_dataflow.sandbox.life.names import UNITS, digits, in_units, metadata
from stripe_dataflow.sandbox.naming import DAY
from stripe_dataflow.sandbox.state import State

PRODUCTS = (
    ("Basic plan", 9), ("Team plan", 29), ("Business plan", 99), ("Überwachung", 15), ("Stockage +50 Go", 5),
    ('Support "gold"', 49), ("API calls", 19), ("サポート", 39),
    ("Backups", 7), ("Extra seat", 11), ("Audit log", 25), ("Single sign-on", 45), ("Reports", 17), ("Archive", 3),
)  # fmt: skip
TAX_CODES = (
    ("txcd_10000000", "General - Electronically Supplied Services"),
    ("txcd_10103001", "Software as a service (SaaS) - business use"),
    ("txcd_20030000", "General - Services"),
    ("txcd_99999999", "General - Tangible Goods"),
)
TAXES = (("VAT", "DE", 19.0), ("TVA", "FR", 20.0), ("Sales tax", "US", 7.25), ("消費税", "JP", 10.0))


def open_shop(state: State) -> None:
    """Set up what an account has from its first day."""
    for code, name in TAX_CODES:
        state.add("tax_codes", id=code, description=f"{name}, in words", name=name)
    for name, country, percentage in TAXES:
        add_tax_rate(state, name, country, percentage)
    for name, dollars in PRODUCTS:
        add_product(state, name, dollars)
    for name in ("API calls", "Storage"):
        add_meter(state, name)
    for country in ("us", "de", "jp"):
        add_registration(state, country)
    for kind, value in (("eu_vat", "DE123456789"), ("us_ein", "12-3456789")):
        add_own_tax_id(state, kind, value)
    for currency in UNITS:
        state.add("exchange_rates", id=currency, rates={c: round(UNITS[c] / UNITS[currency], 6) for c in UNITS})
    for name in ("Standard", "Invoice in two columns"):
        state.add("invoice_rendering_templates", nickname=name, metadata={}, status="active", version=1)
    for name, default in (("Default", True), ("Wallets only", False)):
        choice = {"available": True, "display_preference": {"preference": "none", "value": "on", "overridable": None}}
        state.add("payment_method_configurations", active=True, card=choice, is_default=default, link=choice, name=name)
    state.add(
        "webhook_endpoints", description="To the shop", enabled_events=["*"], metadata={}, status="enabled",
        url="https://shop.example.com/hooks",
    )  # fmt: skip
    add_coupon(state)
    add_shipping_rate(state)


def add_product(state: State, name: str, dollars: int) -> dict[str, Any]:
    """Return a new product with a feature, and prices by month and year in every currency."""
    product = state.add(
        "products",
        event="product.created",
        active=True,
        description=f"{name}, for every day" if state.dice.chance(0.7) else None,
        marketing_features=[{"name": "Cancel any time"}],
        metadata=metadata(state),
        name=name,
        tax_code=TAX_CODES[1][0],
        type="service",
        updated=state.now,
    )
    add_feature(state, product["id"])
    for currency in UNITS:
        for interval, times in (("month", 1), ("year", 10)):
            add_price(state, product, in_units(currency, dollars * times), currency=currency, interval=interval)
    once = add_price(state, product, in_units("usd", dollars * 3), currency="usd")
    state.change("products", product["id"], event="product.updated", default_price=once["id"], updated=state.now)
    return product


def add_price(
    state: State, product: dict[str, Any], amount: int, *, currency: str, interval: str = ""
) -> dict[str, Any]:
    """Return a new price; a recurring one is a plan as well, with the same id."""
    recurring = {"interval": interval, "interval_count": 1, "usage_type": "licensed"} if interval else None
    nickname = f"{product['name']}, {interval or 'once'} ({currency})"
    price = state.add(
        "prices",
        event="price.created",
        active=True,
        billing_scheme="per_unit",
        currency=currency,
        lookup_key=None,
        metadata=metadata(state, 0.1),
        nickname=nickname,
        product=product["id"],
        recurring=recurring,
        tax_behavior="unspecified",
        type="recurring" if interval else "one_time",
        unit_amount=amount,
        unit_amount_decimal=str(amount),
    )
    if not interval:
        state.memo[f"once {currency}"].append(price)
        return price
    state.add(
        "plans", id=price["id"], event="plan.created", active=True, amount=amount, amount_decimal=str(amount),
        billing_scheme="per_unit", currency=currency, interval=interval, interval_count=1, metadata={},
        nickname=nickname, product=product["id"], usage_type="licensed",
    )  # fmt: skip
    state.memo[f"recurring {currency}"].append(price)
    return price


def add_feature(state: State, product: str) -> None:
    """Add a feature that the product grants."""
    number = len(state.shelves["entitlement_features"]) + 1
    feature = state.add(
        "entitlement_features", active=True, lookup_key=f"feature-{number}", metadata={}, name=f"Feature {number}"
    )
    state.memo[f"features of {product}"].append(feature)
    state.add("product_features", parents=(product,), entitlement_feature=feature)


def add_tax_rate(state: State, name: str, country: str, percentage: float) -> None:
    """Add a tax rate to apply by hand."""
    made = state.add(
        "tax_rates", event="tax_rate.created", active=True, country=country, display_name=name,
        effective_percentage=percentage, inclusive=country != "US", jurisdiction=country, jurisdiction_level="country",
        metadata={}, percentage=percentage, rate_type="percentage", tax_type="vat",
    )  # fmt: skip
    state.memo["tax_rates"].append(made["id"])


def add_own_tax_id(state: State, kind: str, value: str) -> None:
    """Add a tax number of the account itself."""
    state.add(
        "tax_ids", country=value[:2] if kind == "eu_vat" else "US", owner={"type": "self"}, type=kind, value=value,
        verification={"status": "unavailable"},
    )  # fmt: skip


def add_registration(state: State, country: str) -> None:
    """Add a registration to collect tax."""
    options = {"us": {"state": "CA", "type": "state_sales_tax"}}.get(country, {"type": "standard"})
    state.add(
        "tax_registrations", active_from=state.now, country=country.upper(), country_options={country: options},
        status="active",
    )  # fmt: skip


def add_meter(state: State, name: str) -> None:
    """Add a meter, and an alert on it."""
    made = state.add(
        "billing_meters",
        event="billing.meter.created",
        customer_mapping={"event_payload_key": "stripe_customer_id", "type": "by_id"},
        default_aggregation={"formula": "sum"},
        display_name=name,
        event_name=name.lower().replace(" ", "_"),
        status="active",
        updated=state.now,
        value_settings={"event_payload_key": "value"},
    )
    state.memo["meters"].append(made["id"])
    state.add(
        "billing_alerts", alert_type="usage_threshold", status="active", title=f"{name} over 1,000",
        usage_threshold={"filters": [], "gte": 1000, "meter": made["id"], "recurrence": "one_time"},
    )  # fmt: skip


def add_coupon(state: State) -> None:
    """Add a coupon and a promotion code for it."""
    off = state.dice.pick((10.0, 12.5, 50.0))
    coupon = state.add(
        "coupons", event="coupon.created", duration=state.dice.pick(("once", "forever")), metadata=metadata(state),
        name=f"{off:g} % off", percent_off=off, valid=True,
    )  # fmt: skip
    code = state.add(
        "promotion_codes", event="promotion_code.created", active=True,
        code=f"SAVE{state.ids.letters(coupon['id'], length=6).upper()}", expires_at=state.now + 90 * DAY,
        metadata={}, promotion={"coupon": coupon["id"], "type": "coupon"},
        restrictions={"first_time_transaction": True},
    )  # fmt: skip
    state.memo["coupons"].append(coupon["id"])
    state.memo["promotion_codes"].append(code["id"])


def add_shipping_rate(state: State) -> None:
    """Add a price of delivery."""
    days = {"maximum": {"unit": "business_day", "value": 5}, "minimum": {"unit": "business_day", "value": 2}}
    state.add(
        "shipping_rates", active=True, delivery_estimate=days, display_name="Ground shipping",
        fixed_amount={"amount": state.dice.between(3, 20) * 100, "currency": "usd"}, metadata={},
        tax_behavior="exclusive", type="fixed_amount",
    )  # fmt: skip


def add_value_list(state: State, name: str, count: int) -> None:
    """Add a list for Radar's rules with so many values."""
    alias = f"{name}_{len(state.shelves['radar_value_lists']) + 1}"
    made = state.add(
        "radar_value_lists", alias=alias, created_by="ops@example.com", item_type="email", metadata={}, name=alias
    )
    state.memo["value_lists"].append(made["id"])
    for _ in range(count):
        add_value(state, made["id"])


def add_value(state: State, value_list: str) -> None:
    """Add a value to a Radar list; no event tells of it."""
    state.add(
        "radar_value_list_items", parents=(value_list,), created_by="ops@example.com",
        value=f"{digits(state, 6)}@example.com", value_list=value_list,
    )  # fmt: skip


def add_file(state: State, links: int = 1) -> None:
    """Add a file and public links to it."""
    size = state.dice.between(10, 900) * 1024
    file_id = state.ids.next("file")
    state.add(
        "files", id=file_id, event="file.created", expires_at=None, filename="evidence é 1.png",
        purpose="dispute_evidence", size=size, title=None, type="png",
        url=f"https://files.example.com/v1/files/{file_id}/contents",
    )  # fmt: skip
    for _ in range(links):
        link = state.ids.next("link")
        state.add(
            "file_links", id=link, expired=False, expires_at=None, file=file_id, metadata={},
            url=f"https://files.example.com/links/{link}",
        )  # fmt: skip

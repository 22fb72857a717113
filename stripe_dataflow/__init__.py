"""A Stripe account in DuckDB, driven from Dagster's own UI."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stripe_dataflow.component import StripeDataflow
    from stripe_dataflow.orchestration.reading import StripeTables

__all__ = ["StripeDataflow", "StripeTables"]

_HOMES = {"StripeDataflow": "stripe_dataflow.component", "StripeTables": "stripe_dataflow.orchestration.reading"}


def __getattr__(name: str) -> object:
    """Return a public name when it is asked for; importing Dagster costs a second, so only then."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(name)


def __dir__() -> list[str]:
    """Return the names, the component among them: dg looks for it here."""
    return [*globals(), *__all__]

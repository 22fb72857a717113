"""A Stripe account in DuckDB, driven from Dagster's own UI."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stripe_dataflow.component import StripeDataflow

__all__ = ["StripeDataflow"]


def __getattr__(name: str) -> object:
    """Return the component when Dagster asks for it; importing Dagster costs a second, so only then."""
    if name == "StripeDataflow":
        from stripe_dataflow.component import StripeDataflow  # noqa: PLC0415

        return StripeDataflow
    raise AttributeError(name)


def __dir__() -> list[str]:
    """Return the names, the component among them: dg looks for it here."""
    return [*globals(), *__all__]

"""A simulated Stripe account behind a real HTTP server: for tests, for the demo, for benchmarks."""

from stripe_dataflow.sandbox.account import Account
from stripe_dataflow.sandbox.faults import Faults
from stripe_dataflow.sandbox.limits import Limits
from stripe_dataflow.sandbox.sandbox import Sandbox

__all__ = ["Account", "Faults", "Limits", "Sandbox"]

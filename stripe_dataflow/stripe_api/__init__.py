"""Talking to Stripe: transport and retries, limits, windows of `created`, lists to rows."""

from stripe_dataflow.stripe_api.answers import check_objects, check_times
from stripe_dataflow.stripe_api.clock import Clock
from stripe_dataflow.stripe_api.lists import Object, Reader, list_pages, read_windows
from stripe_dataflow.stripe_api.refusals import holds_key, scrub
from stripe_dataflow.stripe_api.rows import RowWriter
from stripe_dataflow.stripe_api.transport import Answer, Ask, Connection, Query, Traffic, Transport, live_mode
from stripe_dataflow.stripe_api.windows import DAY_S, Window, Windows, split, union

__all__ = [
    "DAY_S", "Answer", "Ask", "Clock", "Connection", "Object", "Query", "Reader", "RowWriter", "Traffic", "Transport",
    "Window", "Windows", "check_objects", "check_times", "holds_key", "list_pages", "live_mode", "read_windows",
    "scrub", "split", "union",
]  # fmt: skip

"""No signal in the midst of a query: it waits until the query's block is over.

DuckDB looks for signals while a query runs in the main thread, and the exception of a handler that raises, as
Dagster's does to cancel a run, can get lost there.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep signals back until the block ends, then let them do what they do; in other threads none arrive anyway."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    ours = [number for number, handler in before.items() if handler is not None]  # None: not set from Python
    for number in ours:
        signal.signal(number, lambda number, _: held.append(number))
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
        for number in held:
            os.kill(os.getpid(), number)

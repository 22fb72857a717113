"""The simulated account behind a real HTTP server on a loopback port."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from threading import Event, Thread
from types import TracebackType
from typing import Self

from aiohttp import web

from stripe_dataflow.sandbox.account import Account
from stripe_dataflow.sandbox.faults import Faults
from stripe_dataflow.sandbox.limits import Limits
from stripe_dataflow.sandbox.server import Server


class Sandbox:
    """A server in a thread of its own, from `with` to the end of the block.

    Args:
        account: What it serves; it may advance meanwhile.
        limits: Rate limits; none by default.
        faults: What goes wrong; nothing by default. Kept as `faults`, to be changed meanwhile.
        port: Port on 127.0.0.1; 0 is a free one.
    """

    def __init__(
        self, account: Account, *, limits: Limits | None = None, faults: Faults | None = None, port: int = 0
    ) -> None:
        self.account = account
        self.faults = faults or Faults()
        self.url = ""
        self._limits = limits or Limits()
        self._port = port
        self._ready = Event()
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._run, name="stripe-sandbox", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._server is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._server.stopping.set)
            self._thread.join()

    @property
    def requests(self) -> deque[tuple[float, str, int]]:
        """Return the latest requests: monotonic seconds, path with query, status (0: none was sent)."""
        return self._running.requests

    @property
    def counts(self) -> Counter[int | str]:
        """Return how many requests got each status, and reached each endpoint (`list charges`)."""
        return self._running.counts

    @property
    def _running(self) -> Server:
        if self._server is None:
            raise RuntimeError("the sandbox has not been started: use it in a `with` block")
        return self._server

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        server = Server(self.account, self._limits, self.faults)
        runner = web.ServerRunner(web.Server(server.answer, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self._port)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._loop, self._server = asyncio.get_running_loop(), server
            self._ready.set()
            await server.stopping.wait()
        finally:
            await runner.cleanup()

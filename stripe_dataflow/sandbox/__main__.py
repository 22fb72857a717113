"""`python -m stripe_dataflow.sandbox`: the sandbox as a process of its own, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
from threading import Event

from stripe_dataflow.sandbox import Account, Faults, Limits, Sandbox


def main(arguments: list[str] | None = None) -> None:
    """Serve an account until the process is told to stop."""
    asked = _parser().parse_args(arguments)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    account = Account(asked.customers, asked.seed, asked.now, charges=asked.charges)
    limits = Limits(global_rps=asked.global_rate, endpoint_rps=asked.endpoint_rate)
    with Sandbox(account, limits=limits, faults=Faults(latency_s=asked.latency_ms / 1000), port=asked.port) as sandbox:
        sys.stdout.write(f"listening on {sandbox.url}\n")
        sys.stdout.flush()
        stop.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stripe_dataflow.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 is a free one")
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--now", type=int, help="the account's clock in Unix seconds; today by default")
    parser.add_argument("--charges", type=int, help="exactly so many charges")
    parser.add_argument("--latency-ms", type=float, default=0, help="before each answer")
    parser.add_argument("--global-rate", type=float, help="requests a second over all endpoints")
    parser.add_argument("--endpoint-rate", type=float, help="requests a second for each endpoint")
    return parser


if __name__ == "__main__":
    main()

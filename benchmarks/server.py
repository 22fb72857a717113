"""The simulated account in a process of its own; told to stop, it says what it was asked.

Run as `python benchmarks/server.py '{"charges": 100000, "endpoint_rps": 25, "latency_s": 0.15}'`.
"""

import json
import signal
import sys
from pathlib import Path
from threading import Event

import orjson

from stripe_dataflow.sandbox import Account, Faults, Limits, Sandbox


def main() -> None:
    """Serve until SIGTERM; print the URL first and one line of JSON last."""
    options = json.loads(sys.argv[1])
    account = Account(options.get("customers", 60), 1, charges=options.get("charges"))
    if "truth" in options:
        lines = [
            orjson.dumps(c, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE) for c in account.listed("charges")
        ]
        Path(options["truth"]).write_bytes(b"".join(lines))
    limits = Limits(global_rps=options.get("global_rps"), endpoint_rps=options.get("endpoint_rps"))
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with Sandbox(account, limits=limits, faults=Faults(latency_s=options.get("latency_s", 0.0))) as sandbox:
        print(sandbox.url, flush=True)
        while not stop.wait(0.2):
            if "grow" in options and Path(options["grow"]).exists():
                grow(account, Path(options["grow"]))
        times = [at for at, _, _ in sandbox.requests]
        print(json.dumps({
            "requests": sum(n for status, n in sandbox.counts.items() if isinstance(status, int)),
            "refused": sandbox.counts[429],
            "seconds": max(times) - min(times) if times else 0.0,
        }), flush=True)  # fmt: skip


def grow(account: Account, asked: Path) -> None:
    """Change one object in a thousand, as often as a file asks for it; the file goes when it is done."""
    charges = account.listed("charges")
    for charge in charges[:: max(len(charges) // max(len(charges) // 1000, 1), 1)]:
        account.update("charges", charge["id"], metadata={"benchmark": "changed"})
    asked.unlink()


if __name__ == "__main__":
    main()

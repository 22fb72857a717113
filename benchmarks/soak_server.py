"""The account of the soak in a process of its own: it lives on, and a share of its answers goes wrong.

Run as `python benchmarks/soak_server.py '{"customers": 200, "days_ago": 6, "share": 0.05}'`; it says its URL first.
On standard input: `churn SECONDS` lets time pass; `asked` tells the requests and the faults so far; `calm` ends the
faults; `truth FOLDER TABLE...` writes what it lists, a file a table. The end of the input stops it.
"""

import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from server import write_truth

from stripe_dataflow.sandbox import Account, Faults, Sandbox
from stripe_dataflow.sandbox.churn import churn
from stripe_dataflow.sandbox.faults import Fault

KINDS: tuple[Fault, ...] = ("500", "502", "503", "409", "reset", "truncated", "malformed", "html", "empty_page")


@dataclass
class CountedFaults(Faults):
    """Faults that remember how often each was injected."""

    injected: Counter[str] = field(default_factory=Counter)

    def draw(self, path_with_query: str) -> Fault | None:
        """Return what goes wrong with this request, if anything does."""
        fault = Faults.draw(self, path_with_query)
        if fault:
            self.injected[fault] += 1
        return fault


def main() -> None:
    """Serve until the input ends."""
    options = json.loads(sys.argv[1])
    share = options["share"]
    faults = CountedFaults(rates=dict.fromkeys(KINDS, share / len(KINDS)))
    account = Account(options["customers"], 7, int(time.time() - options["days_ago"] * 86_400))
    chance = Random(11)
    with Sandbox(account, faults=faults) as sandbox:
        print(json.dumps(sandbox.url), flush=True)
        for line in sys.stdin:
            command, *words = line.split()
            answer: object = None
            if command == "churn":
                answer = churn(account, chance, seconds=int(words[0]))
            elif command == "asked":
                statuses = {str(k): n for k, n in sandbox.counts.items() if isinstance(k, int)}
                answer = {"requests": sum(statuses.values()), "faults": dict(faults.injected)}
            elif command == "calm":
                faults.rates = {}
            else:
                answer = write_truth(account, Path(words[0]), words[1:])
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

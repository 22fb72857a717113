"""The simulated account in a process of its own; what it is told on standard input it answers with one line of JSON.

Run as `python benchmarks/server.py '{"charges": 100000, "endpoint_rps": 25, "latency_s": 0.15}'`; it says its URL
first. `asked`: what it was asked since the last time. `truth FOLDER TABLE...`: write what it lists, a file a table.
`grow`: change 0.1 % of the charges. The end of the input stops it.
"""

import json
import sys
from pathlib import Path

import orjson

from stripe_dataflow.sandbox import Account, Faults, Limits, Sandbox

LINE = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


def main() -> None:
    """Serve until the input ends."""
    options = json.loads(sys.argv[1])
    account = Account(options.get("customers", 60), 1, charges=options.get("charges"))
    limits = Limits(global_rps=options.get("global_rps"), endpoint_rps=options.get("endpoint_rps"))
    with Sandbox(account, limits=limits, faults=Faults(latency_s=options.get("latency_s", 0.0))) as sandbox:
        print(json.dumps(sandbox.url), flush=True)
        for line in sys.stdin:
            command, *words = line.split()
            if command == "asked":
                answer = asked(sandbox)
            elif command == "truth":
                answer = write_truth(account, Path(words[0]), words[1:])
            else:
                answer = grow(account)
            print(json.dumps(answer), flush=True)


def asked(sandbox: Sandbox) -> dict[str, float]:
    """Return how many requests came and were refused, when the first and the last came, and forget them."""
    seen = [sandbox.requests.popleft() for _ in range(len(sandbox.requests))]
    times = [at for at, _, _ in seen] or [0.0]
    refused = sum(status == 429 for _, _, status in seen)
    return {"requests": len(seen), "refused": refused, "first": min(times), "last": max(times)}


def write_truth(account: Account, folder: Path, tables: list[str]) -> int:
    """Write each table's objects as lines, without going through HTTP; return how many there are."""
    count = 0
    for table in tables:
        with (folder / f"{table}.ndjson").open("wb") as file:
            for item in account.listed(table):
                file.write(orjson.dumps(item, option=LINE))
                count += 1
    return count


def grow(account: Account) -> int:
    """Change one charge in a thousand, at least one; return how many."""
    chosen = account.listed("charges")[::1000]
    for charge in chosen:
        account.update("charges", charge["id"], metadata={"benchmark": "changed"})
    return len(chosen)


if __name__ == "__main__":
    main()

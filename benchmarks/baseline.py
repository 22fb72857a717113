"""What one writes first: Stripe's SDK, pandas and DuckDB, tuned as far as they go without leaving them.

Pages of 100, one client with its connection kept, rows as plain dicts, one DataFrame, one insert.
Run as `python benchmarks/baseline.py URL FILE`; prints the seconds from the first request on.
"""

import json
import sys
import time

import duckdb
import pandas as pd
from stripe import StripeClient

NESTED = (dict, list)


def main() -> None:
    """Load every charge."""
    url, database = sys.argv[1:3]
    client = StripeClient("sk_test_benchmark", base_addresses={"api": url})
    started = time.perf_counter()
    rows = []
    for charge in client.v1.charges.list(params={"limit": 100}).auto_paging_iter():
        row = charge.to_dict(for_json=True)
        rows.append({k: json.dumps(v, sort_keys=True) if isinstance(v, NESTED) else v for k, v in row.items()})
    frame = pd.DataFrame(rows)
    with duckdb.connect(database) as connection:
        connection.register("frame", frame)
        connection.execute("create table charges as select * from frame")
    print(json.dumps({"rows": len(rows), "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()

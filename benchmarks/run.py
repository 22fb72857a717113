"""All figures in one command: `make bench`, or `python benchmarks/run.py --quick --only a,b`.

Writes docs/benchmarks.md and docs/benchmarks.png.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from figures import TEN_TABLES, Row, against_the_sdk, at_the_limit, growth, hourly
from plot import plot

DOCS = Path(__file__).parents[1] / "docs"


def figures(*, quick: bool, times: int) -> dict[str, Callable[[], list[Row]]]:
    """Return the figures by letter."""
    many = 20_000 if quick else 100_000
    sizes = [10_000, many] if quick else [10_000, 100_000, 1_000_000]
    slow = {"latency_s": 0.15}
    return {
        "a": lambda: against_the_sdk(many, times),
        "b": lambda: at_the_limit(
            "b", allowed=25, target="92%", tables=["charges"], charges=30_000, global_rps=100, endpoint_rps=25, **slow
        ),
        "c": lambda: at_the_limit(
            "c", allowed=100, target="92%", tables=TEN_TABLES, customers=3000, global_rps=100, endpoint_rps=25, **slow
        ),
        "d": lambda: at_the_limit(
            "d", allowed=25, target="95%", tables=TEN_TABLES, customers=1000, global_rps=25, **slow
        ),
        "e": lambda: growth(sizes, times),
        "f": lambda: hourly(300 if quick else 3000),
    }  # fmt: skip


def main() -> None:
    """Measure and print; of all figures write the page and the picture."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    rows: list[Row] = []
    for letter, measure in figures(quick=options.quick, times=1 if options.quick else 3).items():
        if not options.only or letter in options.only.split(","):
            for row in measure():
                rows.append(row)
                print(" | ".join(row), flush=True)
    if not options.only:
        (DOCS / "benchmarks.md").write_text(page(rows), encoding="utf-8")
        plot(rows, DOCS / "benchmarks.png")


def page(rows: list[Row]) -> str:
    """Return the results as a page."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("dagster", "duckdb", "stripe", "aiohttp", "orjson"))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"""# Measured

![The share of the limits used, and rows a second against the baseline](benchmarks.png)

{datetime.now(UTC):%Y-%m-%d}, {cpu_model()} with {os.cpu_count()} cores, Python {platform.python_version()},
{versions}.
Each side runs in a process of its own, against the simulated account in another; made by `make bench`.

| figure | ours | baseline, or what the limits allow | ratio | target |
| --- | --- | --- | --- | --- |
{table}

(a) no latency, no limit, against the SDK with pandas and DuckDB: seconds from the first request to the end of the
process, and CPU seconds of the process, each less those of a load of 50 charges, on both sides. (b) 150 ms latency,
25 requests a second for the endpoint, one table. (c) 150 ms, 100 a second and 25 for each endpoint, ten tables of
uneven size. (d) 150 ms, 25 a second in all. (e) growth. (f) an hourly run, the whole command counted; ours is what it
takes longer than a run of as many assets that do nothing. After each run every table was compared with the server's
truth, each id and each column but a payload and embedded lists that land in a table of their own: no row was wrong,
or there would be no page.
"""


def cpu_model() -> str:
    """Return what the processor calls itself."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())

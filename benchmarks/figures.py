"""The figures: each returns rows of a table (what, ours, baseline or limit, ratio, target)."""

import json
import sys
import tempfile
from pathlib import Path

from measuring import HERE, Project, Taken, serving, take

from stripe_dataflow.catalog import TABLES

Row = tuple[str, str, str, str, str]
TEN_TABLES = [
    "charges", "customers", "invoices", "payment_intents", "balance_transactions", "events", "subscriptions",
    "refunds", "payouts", "invoice_payments",
]  # fmt: skip
FREE = {"requests_per_second": 5000, "requests_per_second_per_endpoint": 5000}


def empty_run() -> Taken:
    """Return what a run takes that has almost nothing to load: our start-up."""
    with serving(charges=50) as (url, _):
        project = Project(url, tables=["charges"], **FREE)
        taken = project.run()
        project.close()
    return taken


def loaded(charges: int, *, start: Taken) -> tuple[Taken, float, float]:
    """Return what loading so many charges took, and its wall and CPU seconds net of the start-up."""
    with tempfile.TemporaryDirectory() as folder:
        truth = str(Path(folder) / "truth.ndjson")
        with serving(charges=charges, truth=truth) as (url, _):
            project = Project(url, tables=["charges"], **FREE)
            taken = project.run()
            assert project.wrong_rows(truth) == 0
            project.close()
    return taken, taken.seconds - start.seconds, taken.cpu_s - start.cpu_s


def against_the_sdk(charges: int) -> list[Row]:
    """(a) No latency, no limit: against the SDK, pandas and DuckDB; both net of their own start-up."""
    start = empty_run()
    ours, seconds, cpu_s = loaded(charges, start=start)
    few = max(charges // 10, 50)  # the baseline is linear, and slow
    with tempfile.TemporaryDirectory() as folder, serving(charges=few) as (url, _):
        command = [sys.executable, str(HERE / "baseline.py"), url, str(Path(folder) / "b.duckdb")]
        theirs = take(command)
        idle = take([sys.executable, "-c", "import duckdb, pandas, stripe; stripe.StripeClient('sk_test_1')"])
    rate = few / json.loads(theirs.output.splitlines()[-1])["seconds"]
    per_row, theirs_per_row = cpu_s / charges * 1e6, (theirs.cpu_s - idle.cpu_s) / few * 1e6
    return [
        ("a: rows/s", f"{charges / seconds:,.0f}", f"{rate:,.0f}", f"{charges / seconds / rate:.0f} times", "20 times"),
        ("a: CPU seconds per million", f"{per_row:,.0f}", f"{theirs_per_row:,.0f}",
         f"1/{theirs_per_row / per_row:.0f}", "1/15"),
        ("a: peak memory, MB", f"{ours.peak_mb:,.0f}", f"{theirs.peak_mb:,.0f} at {few:,}", "", "400"),
    ]  # fmt: skip


def at_the_limit(name: str, *, allowed: float, target: str, tables: list[str], **options: object) -> list[Row]:
    """(b, c, d) Requests between the first and the last, against what the limits allow in that time."""
    ceilings = {
        "requests_per_second": options.get("global_rps", 100),
        "requests_per_second_per_endpoint": options.get("endpoint_rps", 25),
    }
    with serving(**options) as (url, asked):
        project = Project(url, tables=tables, start_date="2025-01-01", **ceilings)
        project.run()
        project.close()
    rate, refused = asked["requests"] / asked["seconds"], asked["refused"] / asked["requests"]
    return [
        (f"{name}: requests/s", f"{rate:.1f}", f"{allowed:.0f}", f"{rate / allowed:.0%}", target),
        (f"{name}: answered 429", f"{refused:.2%}", "", "", "1%"),
    ]


def growth(sizes: list[int]) -> list[Row]:
    """(e) More rows: seconds, CPU and memory must grow with the rows, and memory not at all."""
    start = empty_run()
    rows: list[Row] = []
    for size in sizes:
        taken, seconds, cpu_s = loaded(size, start=start)
        rows.append((
            f"e: {size:,} charges", f"{size / seconds:,.0f} rows/s, {cpu_s / size * 1e6:,.0f} CPU-s per million",
            "", f"{taken.peak_mb:,.0f} MB", "600 MB",
        ))  # fmt: skip
    return rows


def told_by_events() -> list[str]:
    """Return the tables whose changes Stripe's events tell, children with their parents."""
    tops = {t.name for t in TABLES.values() if t.keep_current == "events" and not t.look_back_days}
    return [t.name for t in TABLES.values() if t.name in tops or (t.keep_current == "parents" and t.parent in tops)]


def hourly(customers: int) -> list[Row]:
    """(f) Of 40 tables that events tell of: a run that finds nothing new, one that finds 0.1 % changed."""
    with tempfile.TemporaryDirectory() as folder:
        flag = Path(folder) / "grow"
        with serving(customers=customers, grow=str(flag)) as (url, _):
            project = Project(url, tables=told_by_events(), start_date="2025-01-01", **FREE)
            project.run()
            rows = []
            for what in ("nothing new", "0.1 % changed"):
                if what != "nothing new":
                    flag.touch()
                    while flag.exists():
                        pass
                taken = project.run()
                requests, changed = project.query(
                    "select sum(requests), sum(inserted + updated + deleted) from _dataflow.loads "
                    "where load_id = (select max(load_id) from _dataflow.loads)"
                )[0]
                rows.append((
                    f"f: {what}", f"{taken.seconds:.1f} s, {requests} requests", f"{changed} rows changed", "",
                    "8 s, 10 requests" if what == "nothing new" else "",
                ))  # fmt: skip
            project.close()
    return rows

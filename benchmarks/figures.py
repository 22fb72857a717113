"""The figures: each returns rows of a table (what, ours, baseline or limit, ratio, target).

Every load is compared with the server's truth. Of repeated measurements the fastest counts, on both sides.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from measuring import HERE, Project, Server, Taken, take

from stripe_dataflow.catalog import TABLES

Row = tuple[str, str, str, str, str]
TEN_TABLES = [
    "charges", "customers", "invoices", "payment_intents", "balance_transactions", "events", "subscriptions",
    "refunds", "payouts", "invoice_payments",
]  # fmt: skip
FREE = {"requests_per_second": 5000, "requests_per_second_per_endpoint": 5000}


FEW = 50  # charges, the fewest an account can have: a load of so many is all start-up


@dataclass(frozen=True)
class Load:
    """One load: seconds from the first request to the end of the process, and what the process took."""

    seconds: float
    taken: Taken


def best(times: int, measure: Callable[[], Load]) -> Load:
    """Return the fastest of several loads, with the most memory that any of them took."""
    loads = [measure() for _ in range(times)]
    fastest = min(loads, key=lambda load: load.seconds)
    return replace(fastest, taken=replace(fastest.taken, peak_mb=max(load.taken.peak_mb for load in loads)))


def our_load(server: Server, **attributes: object) -> Load:
    """Load charges into a new database, and compare."""
    project = Project(server.url, tables=["charges"], **(FREE | attributes))
    server.asked()
    taken = project.run()
    load = Load(taken.ended - server.asked()["first"], taken)
    project.check(server)
    project.close()
    return load


def their_load(server: Server) -> Load:
    """Load charges with the baseline into a new database."""
    with tempfile.TemporaryDirectory() as folder:
        server.asked()
        taken = take([sys.executable, str(HERE / "baseline.py"), server.url, str(Path(folder) / "b.duckdb")])
        return Load(taken.ended - server.asked()["first"], taken)


def start_up(load: Callable[[Server], Load], times: int) -> Load:
    """Return what a load of almost nothing takes at the least."""
    with Server(charges=FEW) as server:
        loads = [load(server) for _ in range(times)]
    least = min(loads, key=lambda load: load.taken.cpu_s)
    return replace(least, seconds=min(load.seconds for load in loads))


def against_the_sdk(charges: int, times: int) -> list[Row]:
    """(a) No latency, no limit: against the SDK, pandas and DuckDB; both net of their own start-up.

    The baseline loads a fifth of the charges: it takes minutes for all, and gets no faster with more.
    """
    few = max(charges // 5, FEW)
    with Server(charges=charges) as server:
        ceiling = server.ceiling()
        ours = best(times, lambda: our_load(server))
    with Server(charges=few) as server:
        theirs = best(times, lambda: their_load(server))
    start, their_start = start_up(our_load, times), start_up(their_load, times)
    rate = charges / (ours.seconds - start.seconds)
    their_rate = few / (theirs.seconds - their_start.seconds)
    cpu = (ours.taken.cpu_s - start.taken.cpu_s) / charges * 1e6
    their_cpu = (theirs.taken.cpu_s - their_start.taken.cpu_s) / few * 1e6
    return [
        ("a: rows/s", f"{rate:,.0f}", f"{their_rate:,.0f}", f"{rate / their_rate:.1f} times", "20 times"),
        ("a: CPU seconds per million", f"{cpu:,.0f}", f"{their_cpu:,.0f}", f"1/{their_cpu / cpu:.1f}", "1/15"),
        ("a: peak memory, MB", f"{ours.taken.peak_mb:,.0f}", f"{theirs.taken.peak_mb:,.0f} at {few:,}", "", "400"),
        ("a: server's own ceiling, rows/s", "", f"{ceiling * 100:,.0f}", "", "never the bound"),
    ]


def at_the_limit(name: str, *, allowed: float, target: str, tables: list[str], **options: float) -> list[Row]:
    """(b, c, d) Requests between the first and the last, against what the limits allow in that time."""
    ceilings = {
        "requests_per_second": options.get("global_rps", 100),
        "requests_per_second_per_endpoint": options.get("endpoint_rps", 25),
    }
    with Server(**options) as server:
        project = Project(server.url, tables=tables, start_date="2025-01-01", **ceilings)
        project.run()
        asked = server.asked()
        project.check(server)
        project.close()
    rate, refused = asked["requests"] / (asked["last"] - asked["first"]), asked["refused"] / asked["requests"]
    return [
        (f"{name}: requests/s", f"{rate:.1f}", f"{allowed:.0f}", f"{rate / allowed:.0%}", target),
        (f"{name}: answered 429", f"{refused:.2%}", "", "", "1%"),
    ]


def growth(sizes: list[int], times: int) -> list[Row]:
    """(e) More rows: CPU must grow with the rows, and memory hardly at all; a ratio is to ten times the size before."""
    start, rows, before = start_up(our_load, times).taken.cpu_s, [], None
    for size in sizes:
        with Server(charges=size) as server:
            load = best(1 if size >= 1_000_000 else times, lambda: our_load(server))
        cpu = (load.taken.cpu_s - start) / size
        rows.append((
            f"e: {size:,} charges", f"{size / load.seconds:,.0f} rows/s, {cpu * 1e6:,.0f} CPU-s per million", "",
            f"{load.taken.peak_mb:,.0f} MB" + (f", CPU per row {cpu / before:.2f} times" if before else ""),
            "600 MB, 2.2 times" if size >= 1_000_000 else "",
        ))  # fmt: skip
        before = cpu
    return rows


def told_by_events() -> list[str]:
    """Return the tables whose changes Stripe's events tell, children with their parents."""
    tops = {t.name for t in TABLES.values() if t.keep_current == "events" and not t.look_back_days}
    return [t.name for t in TABLES.values() if t.name in tops or (t.keep_current == "parents" and t.parent in tops)]


def hourly(customers: int) -> list[Row]:
    """(f) Of 40 tables that events tell of: a run that finds nothing new, one that finds 0.1 % changed."""
    rows: list[Row] = []
    with Server(customers=customers) as server:
        project = Project(server.url, tables=told_by_events(), start_date="2025-01-01", **FREE)
        project.run()
        alone = min(project.idle().seconds for _ in range(3))
        project.check(server)
        for what in ("nothing new", "0.1 % of charges changed"):
            if rows:
                server.tell("grow")
            server.asked()
            taken = project.run()
            asked = server.asked()
            project.check(server)
            start = asked["first"] - (taken.ended - taken.seconds)
            [(changed,)] = project.query(
                "select sum(inserted + updated + deleted) from _dataflow.loads "
                "where load_id = (select max(load_id) from _dataflow.loads)"
            )
            rows.append((
                f"f: {what}, {len(project.tables)} tables",
                f"{taken.seconds:.1f} s, {asked['requests']} requests, {changed} rows changed",
                f"{alone:.1f} s: Dagster alone",
                f"{taken.seconds - alone:.1f} s are ours; first request after {start:.1f} s",
                "" if rows else "8 s, 10 requests, 2 s ours",
            ))  # fmt: skip
        project.close()
    return rows

"""The soak: `make soak`, or `python benchmarks/soak.py --minutes 20`; writes docs/soak.md.

One process runs a dataflow of all tables again and again, against an account that lives on in another process and
answers one request in twenty wrongly. Memory, open files and the database's size are noted all along; at the end
every table is compared with the truth.
"""

import argparse
import gc
import os
import shutil
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from measuring import ROOT, Server
from truth import wrong_rows

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.jobs import dataflow_definitions
from stripe_dataflow.orchestration.partitions import RANGE_TAGS, partitions_of

STEP_S = 1200  # of the account's time in a round
ROUND_S = 3.0  # a round takes at least so long
KEEP_LOADS = 5
CUSTOMERS = 60
SHARE = 0.05
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
HEADINGS = ("minute", "rounds", "failed", "requests", "faults", "rows", "memory, MB", "peak, MB", "files", "threads",
            "processes", "database, MB", "run history, MB")  # fmt: skip


@dataclass
class Soak:
    """One soak: where it runs, and what was noted."""

    folder: Path
    server: Server
    instance: dg.DagsterInstance
    dataflow: Dataflow
    began: float = field(default_factory=time.monotonic)
    rounds: int = 0
    failed: list[str] = field(default_factory=list)
    notes: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, job_name: str = "Bench__run", *, tags: dict[str, str] | None = None) -> bool:
        """Run a job once; return whether every table was loaded."""
        job = dataflow_definitions(self.dataflow).resolve_job_def(job_name)
        result = job.execute_in_process(
            instance=self.instance, raise_on_error=False, run_config=QUIET, tags=tags or {}
        )  # fmt: skip
        for event in result.get_step_failure_events():
            data = event.step_failure_data
            text = data.user_failure_data.description if data.user_failure_data else data.error
            self.failed.append(f"round {self.rounds}, {event.step_key}: {text}"[:300])
        return result.success

    def round(self) -> None:
        """Let the account live on for a while, then bring the tables up to date."""
        started = time.monotonic()
        self.server.tell(f"churn {STEP_S}")
        self.rounds += 1
        self.run()
        time.sleep(max(0.0, ROUND_S - (time.monotonic() - started)))

    def note(self) -> None:
        """Remember what the process holds now, and print it."""
        gc.collect()
        asked: Any = self.server.tell("asked")
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        rows = (
            f"{(time.monotonic() - self.began) / 60:.1f}", f"{self.rounds}", f"{len(self.failed)}",
            f"{asked['requests']:,}", f"{sum(asked['faults'].values()):,}", f"{self.rows():,}",
            f"{_kilobytes(status['VmRSS']) / 1024:.0f}", f"{_kilobytes(status['VmHWM']) / 1024:.0f}",
            f"{len(list(Path('/proc/self/fd').iterdir()))}", status["Threads"].strip(), f"{_children()}",
            f"{_megabytes(self.dataflow.database):.1f}", f"{_megabytes(self.folder / '.dagster'):.1f}",
        )  # fmt: skip
        self.notes.append(rows)
        print(" | ".join(rows), flush=True)

    def rows(self) -> int:
        """Return the live rows of all tables, as the load records of the last run tell."""
        with duckdb.connect(str(self.dataflow.database), read_only=True) as connection:
            names = connection.execute("select table_name from duckdb_tables() where schema_name = 'Bench'").fetchall()
            counts = [connection.execute(f'select count(*) from Bench."{name}"').fetchone() for (name,) in names]
        return sum(row[0] for row in counts if row)

    def wrong(self) -> dict[str, int]:
        """Return table -> rows that are missing, too many or different."""
        tables = list(TABLES)
        with tempfile.TemporaryDirectory() as folder:
            self.server.tell(" ".join(["truth", folder, *tables]))
            counts = {name: wrong_rows(self.dataflow.database, Path(folder), [name]) for name in tables}
        return {name: count for name, count in counts.items() if count}


def _children() -> int:
    """Return how many processes this one has started that are still there, the account's left out."""
    pid = os.getpid()  # the children of a thread that has ended are the main thread's
    return len(Path(f"/proc/self/task/{pid}/children").read_text(encoding="ascii").split()) - 1


def _kilobytes(text: str) -> int:
    return int(text.split(maxsplit=1)[0])


def _megabytes(path: Path) -> float:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(p.stat().st_size for p in files) / 1e6


def soak(minutes: float, folder: Path, asked: dict[str, Any]) -> tuple[Soak, list[dict[str, int]]]:
    """Return the soak, and the wrong rows after its last run, a reconciling one, and one that lists everything.

    Args:
        minutes: How long it runs.
        folder: Where the database and the run history are.
        asked: Filled with what the server was asked meanwhile.
    """
    days = minutes * 60 / ROUND_S * STEP_S / 86_400 + 0.5
    shutil.copy(ROOT / "dagster.yaml", folder)
    os.chdir(folder)
    warnings.simplefilter("ignore")
    os.environ["BENCH_KEY"] = "sk_test_soak"
    options = {"customers": CUSTOMERS, "days_ago": days, "share": SHARE}
    with (
        Server("soak_server.py", **options) as server,
        dg.DagsterInstance.from_config(str(folder)) as instance,
    ):
        attributes = Attributes(
            name="Bench", api_base=server.url, api_key_env="BENCH_KEY", database=str(folder / "soaked.duckdb"),
            tables="all", keep_loads=KEEP_LOADS, requests_per_second=5000, requests_per_second_per_endpoint=5000,
        )  # fmt: skip
        test = Soak(folder, server, instance, Dataflow(attributes))
        print(" | ".join(HEADINGS))
        test.run()
        test.began = time.monotonic()
        test.note()
        due = 60.0
        while time.monotonic() - test.began < minutes * 60:
            test.round()
            if time.monotonic() - test.began > due:
                test.note()
                due += 60.0
        test.note()
        asked |= server.tell("asked")
        server.tell("calm")
        test.run()
        wrong = [test.wrong()]
        test.run("Bench__reconcile")
        wrong.append(test.wrong())
        keys = partitions_of(attributes).get_partition_keys()
        test.run(tags={RANGE_TAGS[0]: keys[0], RANGE_TAGS[1]: keys[-1]})
        wrong.append(test.wrong())
        return test, wrong


def page(test: Soak, wrong: list[dict[str, int]], asked: dict[str, Any]) -> str:
    """Return the results as a page."""
    table = "\n".join(f"| {' | '.join(row)} |" for row in (HEADINGS, ("---",) * len(HEADINGS), *test.notes))
    faults = ", ".join(f"{count:,} {kind}" for kind, count in sorted(asked["faults"].items()))
    failures = "\n".join(f"- {text}" for text in test.failed[:20]) or "None."
    return f"""# Soak

{datetime.now(UTC):%Y-%m-%d}; made by `make soak`. One process brought all {len(TABLES)} tables of an account,
{test.notes[-1][5]} rows, up to date {test.rounds} times; between runs {STEP_S // 60} minutes of the account's time
passed, in which objects of any kind were made, changed and deleted. The dataflow keeps {KEEP_LOADS} loads.
{SHARE:.0%} of the requests were answered wrongly:
{faults}.

| compared with the truth, every row and column | wrong rows |
| --- | --- |
| after the last run, which read what events tell of | {_counts(wrong[0])} |
| after the nightly job, which lists recent partitions again | {_counts(wrong[1])} |
| after a run that lists every partition | {_counts(wrong[2])} |

Edits of which Stripe makes no event, such as a payment intent's metadata, are found by the later two only. The nightly
job finds those of the last 35 days; of older partitions of charges, payment intents, customers, invoices and
subscriptions it compares counts, which such an edit leaves alone: that waits for its partition's turn to be listed.

{table}

`failed` counts tables whose step failed after all retries, `rows` all rows of the current tables, `files` the open
files of the process, sockets and databases included, `processes` those it started, the account's own left out.
`run history` is Dagster's own: it keeps every run until someone deletes it.

Steps that failed:

{failures}
"""


def _counts(wrong: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in wrong.items()) or "0"


def main() -> int:
    """Soak, print, write the page; fail if a row is wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--write", type=Path, default=ROOT / "docs" / "soak.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        asked: dict[str, Any] = {}
        test, wrong = soak(options.minutes, Path(folder), asked)
    options.write.write_text(page(test, wrong, asked), encoding="utf-8")
    print("wrong rows:", " | ".join(map(_counts, wrong)))
    return 1 if wrong[-1] else 0


if __name__ == "__main__":
    sys.exit(main())

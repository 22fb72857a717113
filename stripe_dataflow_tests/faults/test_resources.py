"""Too little of the machine: disk, handles, rights, the database itself. The run fails in a sentence, or waits."""

import os
import resource
import signal
import sys
from dataclasses import replace

import duckdb
import pytest

from stripe_dataflow_tests.faults.child import Job, failures, start
from stripe_dataflow_tests.faults.shops import HASTY, KEY, KEY_ENV


def run(shop, tmp_path, **options):
    """Return what a run in a process of its own failed with, by table."""
    process = start(Job(shop.attributes, HASTY, {KEY_ENV: KEY}, config={"mode": "list"}), tmp_path / "output", **options)
    process.join(60)
    assert KEY not in (tmp_path / "output").read_text(encoding="utf-8")
    assert process.exitcode == 1, (tmp_path / "output").read_text(encoding="utf-8")
    return failures(tmp_path / "output")


# No file may grow beyond so many bytes. Of a page's lines a part fits, then of the staged rows, then of the database.
FULL = {"lines": lambda _: 50_000, "staged rows": lambda _: 700_000, "database": lambda size: size - 20_000}


@pytest.mark.parametrize("what", FULL)
def test_a_full_disk_fails_the_run_in_a_sentence_and_changes_no_table(changed, trial, tmp_path, what):
    begun = trial(changed)
    limit = FULL[what](changed.database.stat().st_size)
    found = run(changed, tmp_path, most={resource.RLIMIT_FSIZE: limit})
    print(limit, found, changed.history()[:1])
    begun.holds(swept=False)
    begun.settles(f"disk full: {what}", 1, "the run fails, the next one completes")


@pytest.mark.parametrize("handles", [2, 5, 8, 11])
def test_without_handles_the_run_fails_in_a_sentence_and_changes_no_table(changed, trial, tmp_path, handles):
    begun = trial(changed)
    found = run(changed, tmp_path, most={resource.RLIMIT_NOFILE: handles})
    print(handles, found, changed.history()[:1])
    begun.holds(swept=False)
    begun.settles(f"{handles} file handles left", 1, "the run fails, the next one completes")

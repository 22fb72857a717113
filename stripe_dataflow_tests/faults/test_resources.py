"""Too little of the machine: disk, handles, rights, the database itself. The run fails in a sentence, or waits."""

import re
import resource
import time
from dataclasses import replace

import pytest

from stripe_dataflow_tests.faults.child import Job, Moment, failures, holding, start
from stripe_dataflow_tests.faults.shops import HASTY, KEY, KEY_ENV


def run(shop, tmp_path, **options):
    """Return what a run in a process of its own failed with, by table."""
    process = start(
        Job(shop.attributes, HASTY, {KEY_ENV: KEY}, config={"mode": "list"}), tmp_path / "output", **options
    )
    process.join(60)
    assert KEY not in (tmp_path / "output").read_text(encoding="utf-8")
    assert process.exitcode == 1, (tmp_path / "output").read_text(encoding="utf-8")
    found = failures(tmp_path / "output")
    assert found
    return found


NO_ROOM = "File too large|it may not grow further|most likely the disk is full"
WAREHOUSE = "stripe_dataflow.warehouse"
# From a moment on, no file may grow beyond so many bytes: of a page's lines a part fits, of the rows none.
FULL = {
    "while writing lines": ("stripe_dataflow.sync.feed:write", 5000),
    "while staging": (f"{WAREHOUSE}.staging:stage", 60_000),
    "while merging": (f"{WAREHOUSE}.merge:merge", 100_000),
}


@pytest.mark.parametrize("stage", FULL)
def test_a_full_disk_fails_the_run_in_a_sentence_and_changes_no_table(changed, trial, tmp_path, stage):
    begun, (of, size) = trial(changed), FULL[stage]
    found = run(changed, tmp_path, moment=Moment(of, "call", most={resource.RLIMIT_FSIZE: size}))
    assert all(re.search(NO_ROOM, text) for text in found.values()), found
    begun.holds(swept=False)
    begun.settles(f"disk full {stage}", 1, "the run fails, the next one completes")


HANDLES = {
    "at the start": Moment(f"{WAREHOUSE}.opening:connect", "call", most={resource.RLIMIT_NOFILE: 1}),
    "while reading": Moment("stripe_dataflow.sync.session:_extract", "call", most={resource.RLIMIT_NOFILE: 1}),
    "while merging": Moment(f"{WAREHOUSE}.opening:_attach", "call", count=3, most={resource.RLIMIT_NOFILE: 0}),
}


@pytest.mark.parametrize("stage", HANDLES)
def test_without_file_handles_the_run_fails_in_a_sentence_and_changes_no_table(changed, trial, tmp_path, stage):
    begun = trial(changed)
    found = run(changed, tmp_path, moment=HANDLES[stage])
    assert all(
        re.search("[Tt]oo many (open files|files open)|ClientConnectorError", text) for text in found.values()
    ), found
    begun.holds(swept=False)
    begun.settles(f"out of file handles {stage}", 1, "the run fails, the next one completes")


def test_a_database_that_may_only_be_read_is_refused_in_a_sentence(changed, trial, tmp_path):
    begun = trial(changed)
    changed.database.chmod(0o400)
    # The second time: the first look is for runs that died, and only reads.
    found = run(changed, tmp_path, moment=Moment(f"{WAREHOUSE}.opening:_attach", "call", count=2, nobody=True))
    changed.database.chmod(0o600)
    assert all("this user may not open it" in text for text in found.values()), found
    begun.holds(swept=False)
    begun.settles("read-only database", 1, "the run fails, the next one completes")


@pytest.mark.parametrize("read_only", [pytest.param(True, id="reader"), pytest.param(False, id="writer")])
def test_a_database_held_for_good_is_refused_with_its_holders_pid(changed, trial, read_only):
    begun = trial(changed)
    holder, leave = holding(changed.database, read_only=read_only)
    texts = changed.failures(changed.run()).values()
    leave.set()
    holder.join(30)
    assert len(texts) == len(changed.dataflow().tables)
    assert all(f"is held by process {holder.pid}" in text for text in texts), texts
    begun.holds()
    begun.settles(
        f"held by a {'reader' if read_only else 'writer'}, for good", 1, "the run fails, the next one completes"
    )


@pytest.mark.parametrize("read_only", [pytest.param(True, id="reader"), pytest.param(False, id="writer")])
def test_a_database_held_for_a_while_is_waited_for(changed, trial, tmp_path, read_only):
    begun = trial(changed)
    holder, leave = holding(changed.database, read_only=read_only)
    job = Job(changed.attributes, replace(HASTY, database_wait_s=60), {KEY_ENV: KEY})
    process = start(job, tmp_path / "output")
    while not any(f"stage-{process.pid}-" in name for name in changed.staged()):
        assert process.is_alive()
        time.sleep(0.01)
    leave.set()
    holder.join(30)
    process.join(60)
    assert process.exitcode == 0, (tmp_path / "output").read_text(encoding="utf-8")
    assert changed.held() == changed.truth()
    begun.settles(f"held by a {'reader' if read_only else 'writer'}, for a while", 1, "completes")

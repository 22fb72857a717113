"""A disk with no byte left: the run fails in a sentence, and goes through once there is room again."""

import re
import resource
import subprocess

import pytest

from stripe_dataflow_tests.faults.child import Job, Moment, failures, start
from stripe_dataflow_tests.faults.shops import HASTY, KEY, KEY_ENV, opened

NO_ROOM = "No space left on device|the disk is full|File too large|it may not grow further|most likely the disk is full"
STAGES = {
    "while staging": ("stripe_dataflow.sync.feed:write", 5000),
    "while merging": ("stripe_dataflow.warehouse.merge:merge", 100_000),
}


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """Return a folder on a disk of its own, or where this user may mount none, on the usual one; and which it is."""
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "tmpfs", str(folder)]
    own = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    yield folder, own
    if own:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def shop(disk):
    """Return a shop on that disk, loaded once."""
    with opened(disk[0]) as made:
        assert made.failures(made.run()) == {}
        yield made


@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_without_a_byte_left_fails_the_run_in_a_sentence_and_changes_no_table(
    changed, trial, disk, tmp_path, stage
):
    begun, (folder, own), (of, size) = trial(changed), disk, STAGES[stage]
    full = Moment(of, "call", filled=folder) if own else Moment(of, "call", most={resource.RLIMIT_FSIZE: size})
    process = start(
        Job(changed.attributes, HASTY, {KEY_ENV: KEY}, config={"mode": "list"}), tmp_path / "out", moment=full
    )
    process.join(60)
    found = failures(tmp_path / "out")
    assert process.exitcode == 1
    assert found
    assert all(re.search(NO_ROOM, text) for text in found.values()), found
    if own:
        (folder / "filler").unlink()
    begun.holds(swept=False)
    begun.settles(f"no byte left on the disk {stage}", 1, "the run fails, the next one completes")

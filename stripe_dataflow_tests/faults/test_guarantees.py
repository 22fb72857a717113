"""The page of guarantees names tests that exist."""

import re
from pathlib import Path

from stripe_dataflow_tests.faults.matrix import BEGIN, END, PAGE

TESTS = Path(__file__).parents[1]
NAMED = re.compile(r"`([a-z_/]+\.py)::(test_\w+)`")


def test_every_test_that_the_page_of_guarantees_names_exists():
    named = NAMED.findall(PAGE.read_text(encoding="utf-8"))
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (TESTS / file).exists() or f"def {name}(" not in (TESTS / file).read_text(encoding="utf-8")
    ]
    assert len(named) > 30
    assert missing == []


def test_every_promise_names_a_test_and_the_matrix_shows_no_loss():
    text = PAGE.read_text(encoding="utf-8")
    promises = [line for line in text.splitlines() if line.startswith("| **")]
    assert [line for line in promises if not NAMED.search(line)] == []
    matrix = [line.split("|")[1:-1] for line in text.split(BEGIN)[1].split(END)[0].splitlines() if line.startswith("|")]
    assert len(matrix) > 50
    assert {(lost.strip(), doubled.strip()) for _, _, lost, doubled, _ in matrix[2:]} == {("0", "0")}

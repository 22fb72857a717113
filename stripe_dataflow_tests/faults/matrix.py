"""The matrix of guarantees: the row that each test of a fault adds to it, and what such a test checks."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stripe_dataflow_tests.faults.shops import KEY, FragileShop, calm

PAGE = Path(__file__).parents[2] / "docs" / "guarantees.md"
BEGIN, END = "<!-- matrix: written by `make guarantees` -->", "<!-- end of the matrix -->"


@dataclass(frozen=True)
class Outcome:
    """One row of the matrix."""

    fault: str
    injected: int
    lost: int
    doubled: int
    outcome: str

    def __str__(self) -> str:
        """Return the row as Markdown."""
        return f"| {self.fault} | {self.injected:,} | {self.lost} | {self.doubled} | {self.outcome} |"


OUTCOMES = pytest.StashKey[list[Outcome]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin an empty matrix."""
    config.stash[OUTCOMES] = []


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the matrix into the page, if asked to and if every test passed."""
    outcomes = session.config.stash[OUTCOMES]
    if not os.environ.get("GUARANTEES") or exitstatus or not outcomes:
        return
    head = ["| fault | times injected | rows lost | rows doubled | outcome |", "| --- | --- | --- | --- | --- |"]
    table = "\n".join([BEGIN, "", *head, *map(str, outcomes), "", END])
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    PAGE.write_text(before + table + rest.split(END)[1], encoding="utf-8")


class Trial:
    """One fault on one shop: the state before it, what it may leave, and the row it adds to the matrix."""

    def __init__(self, shop: FragileShop, outcomes: list[Outcome]) -> None:
        self.shop = shop
        self._outcomes = outcomes
        self._before = shop.held() if shop.database.exists() else {}

    def holds(self, *, swept: bool = True) -> None:
        """Check that each table, or month of it, is as it was or as Stripe lists it, and that nothing is staged.

        What a killed process staged is `swept` away by the next one.
        """
        before, now, truth = self._before, self.shop.held(), self.shop.truth()
        parts = before.keys() | now.keys() | truth.keys()
        between = [p for p in parts if now.get(p, []) not in (before.get(p, []), truth.get(p, []))]
        assert between == []
        assert not swept or self.shop.staged() == []

    def settles(self, fault: str, injected: int, outcome: str, *, mode: str = "auto") -> None:
        """Check that a run without the fault leads to the exact truth and leaks no key; add the row."""
        calm(self.shop.faults)
        assert self.shop.failures(self.shop.run(mode=mode)) == {}
        self.exact(fault, injected, outcome)

    def exact(self, fault: str, injected: int, outcome: str) -> None:
        """Check the same of a run that has completed."""
        assert injected > 0
        lost, doubled = self._lost(), self._doubled()
        self._outcomes.append(Outcome(fault, injected, lost, doubled, outcome))
        assert (lost, doubled) == (0, 0)
        assert self.shop.held() == self.shop.truth()
        assert self.shop.staged() == []
        assert self.shop.history()[0][:2] == ("run", "Completed")
        assert [status for _, status, _ in self.shop.history() if status == "In-Progress"] == []
        assert self.shop.leaks() == []

    def _lost(self) -> int:
        tables = self.shop.dataflow().tables
        with self.shop.reading():
            return sum(len(set(self.shop.true_keys(name)) - set(self.shop.keys(name))) for name in tables)

    def _doubled(self) -> int:
        with self.shop.reading():
            keys = {name: self.shop.keys(name) for name in self.shop.dataflow().tables}
        return sum(len(found) - len(set(found)) for found in keys.values())


@pytest.fixture
def matrix(request: pytest.FixtureRequest) -> list[Outcome]:
    """Return the rows so far."""
    return request.config.stash[OUTCOMES]


Try = Callable[[FragileShop], Trial]


@pytest.fixture
def trial(matrix: list[Outcome], capfd: pytest.CaptureFixture[str]) -> Iterator[Try]:
    """Return what begins a trial: it remembers the shop's state, which the fault is then let loose on."""
    yield lambda shop: Trial(shop, matrix)
    assert KEY not in "".join(capfd.readouterr())

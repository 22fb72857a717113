"""Where `previous` leads, against a model: each view of some tables has a position in a tree of states."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations

import duckdb
import pytest

from stripe_dataflow.errors import ConfigError
from stripe_dataflow.warehouse import list_states, prune, resolve_target
from stripe_dataflow.warehouse.registry import ensure_registry, registry_sql

NAMES: tuple[str, ...] = ("customers", "products", "charges")
View = frozenset[str]
VIEWS: list[View] = [frozenset(view) for size in (1, 2, 3) for view in combinations(NAMES, size)]
Node = tuple[int, ...]  # the loads from the first to this one; empty where none of the tables was loaded yet


class Model:
    """The registry after some loads and rollbacks, beside where each view stands by the rules.

    A load leads every view of its tables one on. A rollback leads the views of its tables back; to a view
    that has tables besides, it is a change as any other.
    """

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("attach ':memory:' as warehouse")
        ensure_registry(self.connection)
        self.after: list[dict[View, Node]] = [dict.fromkeys(VIEWS, ())]
        self.loaded: set[str] = set()

    def load(self, tables: View, *, status: str = "Completed") -> int:
        self.loaded |= tables
        return self._note(tables, None, status, {view: view & tables for view in VIEWS})

    def rollback(self, tables: View, *, to: int) -> int:
        back = {view: self.after[to][view] for view in VIEWS if view & self.loaded <= tables}
        return self._note(tables & self.loaded, to, "Completed", {view: view & tables for view in VIEWS}, back)

    def previous(self, view: View) -> int | None:
        """Return the load that `previous` means, None where it is refused."""
        try:
            return resolve_target(self.connection, "Shop", "previous", tables=tuple(view))
        except ConfigError as error:
            if "nothing lies before it" in str(error) or "no completed load" in str(error):
                return None
            raise

    def _note(
        self,
        tables: View,
        restored: int | None,
        status: str,
        touched: dict[View, View],
        back: dict[View, Node] | None = None,
    ) -> int:
        load, kind = len(self.after), "run" if restored is None else "rollback"
        self.connection.execute(
            f"insert into {registry_sql('runs')} (run_id, dataflow, load_id, kind, status) values (?, 'Shop', ?, ?, ?)",
            [str(load), load, kind, status],
        )
        for name in tables:
            self.connection.execute(
                f"insert into {registry_sql('loads')} (dataflow, load_id, table_name, destination, mode, ended, "
                "restored, expired, removed) values ('Shop', ?, ?, ?, ?, now(), ?, false, false)",
                [load, name, name, kind if restored else "list", restored],
            )
        was = self.after[-1]
        moved = {view: (*was[view], load) for view in VIEWS if touched[view] and status == "Completed"}
        self.after.append({**was, **moved, **(back or {})})
        return load


@pytest.fixture
def model() -> Iterator[Model]:
    made = Model()
    with made.connection:
        yield made


@pytest.mark.parametrize("seed", range(12))
def test_previous_leads_back_on_any_walk_over_loads_and_rollbacks_of_some_and_of_all_tables(
    model: Model, seed: int
) -> None:
    lot = random.Random(seed)
    model.load(frozenset(NAMES[: lot.randint(1, 3)]))
    for _ in range(40):
        view = lot.choice([VIEWS[-1], lot.choice(VIEWS)])
        choice = lot.random()
        if choice < 0.3:
            model.load(view, status=lot.choice(["Completed", "Completed", "Failed", "Canceled"]))
        elif choice < 0.45:
            model.rollback(view, to=lot.choice([s.load_id for s in list_states(model.connection, "Shop")]))
        else:
            wanted, to = model.after[-1][view][:-1], model.previous(view)
            assert (model.after[to][view] if to else ()) == wanted
            if to:
                model.rollback(view, to=to)
                assert model.after[-1][view] == wanted


EVERY = frozenset(NAMES)


def test_a_rollback_stays_a_state_to_go_back_to_when_the_load_it_led_to_has_expired(model: Model) -> None:
    for _ in range(3):
        model.load(EVERY)
    model.rollback(EVERY, to=2)
    for _ in range(2):
        model.load(EVERY)
    prune(model.connection, "Shop", keep_loads=2)
    found = []
    while (to := model.previous(EVERY)) is not None:
        found.append(to)
        model.rollback(EVERY, to=to)
    assert found == [5, 4]


@pytest.mark.parametrize("status", ["Failed", "Canceled"])
def test_loads_that_did_not_complete_expire_no_state(model: Model, status: str) -> None:
    completed = [model.load(EVERY) for _ in range(4)]
    for _ in range(30):
        model.load(EVERY, status=status)
        prune(model.connection, "Shop", keep_loads=2)
    assert [state.load_id for state in list_states(model.connection, "Shop")] == completed[-3:]
    last = model.load(EVERY)
    prune(model.connection, "Shop", keep_loads=2)
    assert [state.load_id for state in list_states(model.connection, "Shop")] == [*completed[-2:], last]


@pytest.mark.parametrize(
    ("to", "sentence"),
    [
        pytest.param(
            1, "load 1 expired, as more than keep_loads came after it. The nearest state is load 4 (", id="expired"
        ),
        pytest.param(3, "load 3 failed. The nearest state is load 4 (", id="failed"),
        pytest.param(5, "load 5 was canceled. The nearest states are load 4 (", id="canceled"),
        pytest.param(7, "load 7 is still running. The nearest state is load 6 (", id="under way"),
        pytest.param(8, "load 8 is one of Other. The nearest state is load 6 (", id="of another dataflow"),
        pytest.param(9, "load 9 was a removal. The nearest state is load 6 (", id="a removal"),
        pytest.param(10, "load 10 loaded no table. The nearest state is load 6 (", id="of no table"),
        pytest.param(11, "load 11 was removed with its tables. The nearest state is load 6 (", id="removed"),
        pytest.param(77, "there never was a load 77. The nearest state is load 6 (", id="none"),
        pytest.param(
            "2001-01-01",
            "2001-01-01 lies before the oldest state. The nearest state is load 4 (",
            id="a time too early",
        ),
    ],
)
def test_a_refusal_says_what_the_load_was_and_names_the_nearest_states(
    model: Model, to: int | str, sentence: str
) -> None:
    for status in ("Completed", "Completed", "Failed", "Completed", "Canceled", "Completed", "In-Progress"):
        model.load(EVERY, status=status)
    for _ in range(4):
        model.load(EVERY, status="Failed")
    runs, loads = registry_sql("runs"), registry_sql("loads")
    model.connection.execute(f"update {runs} set dataflow = 'Other' where load_id = 8")
    model.connection.execute(f"update {runs} set kind = 'remove', status = 'Completed' where load_id = 9")
    model.connection.execute(f"update {runs} set status = 'Completed' where load_id in (10, 11)")
    model.connection.execute(f"delete from {loads} where load_id in (8, 9, 10)")
    model.connection.execute(f"update {loads} set removed = true where load_id = 11")
    prune(model.connection, "Shop", keep_loads=1)
    with pytest.raises(ConfigError) as refused:
        resolve_target(model.connection, "Shop", to)
    text = str(refused.value)
    assert f"Shop cannot go there: {sentence}" in text
    assert (" and load 6 (" in text) == (to == 5)
    assert text.endswith("Nothing was changed.")


def test_some_tables_go_to_a_load_that_did_not_touch_them(model: Model) -> None:
    model.load(EVERY)
    model.load(frozenset({"customers"}))
    assert resolve_target(model.connection, "Shop", 2, tables=("products",)) == 2

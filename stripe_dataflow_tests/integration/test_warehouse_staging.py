from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.errors import RowRefused, WarehouseError
from stripe_dataflow.sandbox import Account
from stripe_dataflow.stripe_api import RowWriter
from stripe_dataflow.warehouse import Counts, Scope, Target, Warehouse

CHARGES = Target("Shop", "charges", TABLES["charges"])


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with Warehouse(tmp_path / "shop.duckdb", stage_dir=tmp_path / "stage") as warehouse:
        yield warehouse


def merge(warehouse: Warehouse, *, load_id: int) -> Counts:
    with warehouse.transaction() as connection:
        return warehouse.merge(connection, CHARGES, load_id=load_id, scope=Scope.changes())


def lines(path: Path, *objects: dict[str, Any]) -> Path:
    path.write_text("\n".join(json.dumps({"_fetched_at": 1, **o}) for o in objects))
    return path


@pytest.mark.parametrize(
    ("column", "value"),
    [
        pytest.param("amount", "secret", id="text in a number"),
        pytest.param("amount", 1.5, id="fraction in a whole number"),
        pytest.param("amount", True, id="truth in a number"),
        pytest.param("amount", 2**63, id="number too large"),
        pytest.param("created", {"x": 1}, id="object in a time"),
        pytest.param("created", 10**17, id="time too far"),
        pytest.param("paid", 7, id="number in a truth"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_object_and_column(
    warehouse: Warehouse, tmp_path: Path, column: str, value: Any
) -> None:
    warehouse.stage(CHARGES, [lines(tmp_path / "1.ndjson", {"id": "ch_1", "amount": 5})])
    merge(warehouse, load_id=1)
    bad = lines(tmp_path / "2.ndjson", {"id": "ch_2"}, {"id": "ch_3", column: value})
    with pytest.raises(RowRefused) as refused:
        warehouse.stage(CHARGES, [bad])
    assert (refused.value.object_id, refused.value.column) == ("ch_3", column)
    assert refused.value.__cause__ is None
    assert f"Shop.charges.{column}" in str(refused.value)
    assert "secret" not in str(refused.value)
    assert merge(warehouse, load_id=2) == Counts()
    with warehouse.reading() as connection:
        assert connection.execute(f"select id, amount from {CHARGES.current}").fetchall() == [("ch_1", 5)]


@pytest.mark.parametrize("text", ["not json", "[1]", '{"id": "ch_1"'])
def test_a_file_that_is_not_one_object_a_line_is_refused_without_its_text(
    warehouse: Warehouse, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "bad.ndjson"
    path.write_text(f'{{"id": "ch_1"}}\n{text}\n')
    with pytest.raises(WarehouseError, match=r"^Staging Shop\.charges failed: a file is not one JSON object a line"):
        warehouse.stage(CHARGES, [path])


def test_an_empty_file_and_no_file_stage_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    assert warehouse.stage(CHARGES, []) == 0
    assert warehouse.stage(CHARGES, [lines(tmp_path / "empty.ndjson")]) == 0
    assert merge(warehouse, load_id=1) == Counts()


def test_a_file_that_is_gone_is_refused(warehouse: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match=r"gone\.ndjson"):
        warehouse.stage(CHARGES, [tmp_path / "gone.ndjson"])


def test_an_object_of_ten_megabytes_is_staged(warehouse: Warehouse, tmp_path: Path) -> None:
    large = {"id": "ch_1", "description": "x" * 10_000_000}
    assert warehouse.stage(CHARGES, [lines(tmp_path / "large.ndjson", large)]) == 1


def test_files_too_large_for_the_memory_of_staging_are_staged_with_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = TABLES["charges"]
    line = RowWriter(table).line
    charges = Account(10, 1, charges=2000).listed("charges")
    file = tmp_path / "charges.ndjson"
    file.write_bytes(b"".join(line(dict(charge), asked_at_us=1) for charge in charges) * 4)
    target = Target("Shop", "charges", table)
    with Warehouse(tmp_path / "shop.duckdb", stage_dir=tmp_path / "stage", memory_mb=32) as warehouse:
        monkeypatch.setattr("stripe_dataflow.warehouse.warehouse._TIGHT_FACTOR", 1)
        with pytest.raises(WarehouseError, match="Out of Memory"):
            warehouse.stage(target, [file, file])
        monkeypatch.undo()
        assert warehouse.stage(target, [file, file]) == 16_000

"""Objects of any kind, from the answer's bytes to the row: equal to what was sent, or one sentence."""

import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stripe_dataflow.catalog import TABLES, stripe_columns
from stripe_dataflow.errors import RowRefused, UnexpectedAnswer
from stripe_dataflow.stripe_api import RowWriter
from stripe_dataflow.stripe_api.answers import parsed
from stripe_dataflow.stripe_api.rows import MAX_LINE_BYTES
from stripe_dataflow.sync.events import EventRouter
from stripe_dataflow.warehouse import Scope, Target, Warehouse, quote
from stripe_dataflow.warehouse.staging import MAX_OBJECT_BYTES

CHARGES = TABLES["charges"]
COLUMNS = {column.name: column for column in stripe_columns(CHARGES)}
NASTY = [
    "\0", "a\0b", "😀", "é", "'; drop table charges; --", 'x"y', "$.a", "null", "{}", " ", "", "\\", "\n", "select",
    "z" * 70_000,
]  # fmt: skip
texts = st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=15)
integers = st.integers(-(2**63), 2**64 - 1) | st.sampled_from([2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1])
values = st.recursive(
    st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=6,
)


def fitting(name: str) -> st.SearchStrategy[Any]:
    """Return values a column of charges can hold, at its limits too."""
    column = COLUMNS[name]
    if column.source == "epoch_s":
        return st.integers(-(10**10), 10**12)
    if column.source == "id":
        return texts | st.fixed_dictionaries({"id": texts}) | st.none()
    kinds = {"BIGINT": st.integers(-(2**63), 2**63 - 1), "BOOLEAN": st.booleans(), "VARCHAR": texts}
    return kinds.get(column.type, values) | st.none()


metadata = st.dictionaries(texts, texts, max_size=50)
good = st.fixed_dictionaries(
    {"object": st.just("charge"), "created": fitting("created"), "metadata": metadata},
    optional={**{name: fitting(name) for name in COLUMNS if name not in {"id", "object", "created", "metadata"}}},
)
strange = st.dictionaries(
    st.sampled_from(sorted(COLUMNS.keys() - {"id"}))
    | texts
    | st.sampled_from(["_load_id", "_extra", "_deleted", "ID"]),
    values,
    max_size=6,
)
batches = st.lists(good | strange | st.builds(lambda a, b: {**a, **b}, good, strange), min_size=1, max_size=4)


def page(objects: list[Any]) -> bytes:
    return json.dumps({"object": "list", "data": objects, "has_more": False, "url": "/v1/charges"}).encode()


def rows_of(warehouse: Warehouse, target: Target) -> dict[str, dict[str, Any]]:
    """Return id -> column -> value as DuckDB writes it in JSON, times as Unix seconds."""
    names = [c.name for c in target.data_columns] + ["_extra"]
    shown = ", ".join(
        f"epoch({quote(n)})::bigint as {quote(n)}" if n in COLUMNS and COLUMNS[n].source == "epoch_s" else quote(n)
        for n in names
    )
    with warehouse.reading() as connection:
        found = connection.execute(f"select {shown} from {target.current}").fetchall()
    rows = [dict(zip(names, row, strict=True)) for row in found]
    return {row["id"]: row for row in rows}


def same(column: str, sent: Any, landed: Any) -> bool:
    """Tell whether a landed value is the one that was sent."""
    if column not in COLUMNS:
        return sent == landed
    kind = COLUMNS[column]
    if kind.source == "id" and isinstance(sent, dict):
        sent = sent.get("id", sent)
    if sent is None or landed is None:
        return sent is None and landed is None
    if kind.type == "JSON":
        return orjson.loads(landed) == sent
    if isinstance(sent, str):  # a number in a text is the number
        return landed == sent or str(landed) == sent.strip()
    if isinstance(landed, str):  # what is no text stands as its JSON in a text column
        return orjson.loads(landed) == sent
    return landed == sent


def check_row(sent: dict[str, Any], landed: dict[str, Any]) -> None:
    extra = {name: value for name, value in sent.items() if name not in COLUMNS and name != "deleted"}
    assert (orjson.loads(landed["_extra"]) if landed["_extra"] else {}) == extra
    wrong = {n: (sent.get(n), landed[n]) for n in COLUMNS if not same(n, sent.get(n), landed[n])}
    assert wrong == {}


def load(warehouse: Warehouse, target: Target, objects: list[Any], load_id: int) -> None:
    """Take objects the way a run does: a page's bytes, lines in a file, staging, merging."""
    answer = parsed("/v1/charges", page(objects), {}, is_list=True)
    writer = RowWriter(target.table)
    file = warehouse.database.with_name("lines.ndjson")
    file.write_bytes(b"".join(writer.line(item, asked_at_us=load_id) for item in answer["data"]))
    warehouse.stage(target, [file])
    with warehouse.transaction() as connection:
        warehouse.merge(connection, target, load_id=load_id, scope=Scope.changes())


def refusal(warehouse: Warehouse, target: Target, objects: list[Any], load_id: int) -> RowRefused | None:
    try:
        load(warehouse, target, objects, load_id)
    except RowRefused as error:
        return error
    return None


TARGETS = [
    pytest.param("Shop", "charges", id="plain names"),
    pytest.param("Select", "order", id="SQL keywords"),
    pytest.param("sho'p", 'x"; drop schema main; --', id="quotes"),
]


@pytest.mark.parametrize(("schema", "name"), TARGETS)
def test_any_objects_land_equal_or_are_refused_with_one_sentence(tmp_path, schema, name):
    target = Target(schema, name, CHARGES)
    truth: dict[str, dict[str, Any]] = {}
    with Warehouse(tmp_path / "fuzz.duckdb", stage_dir=tmp_path / "stage") as warehouse:
        load(warehouse, target, [{"id": "first", "object": "charge", "created": 1}], 1)
        truth["first"] = {"object": "charge", "created": 1}
        loads = iter(range(2, 10_000))

        @settings(
            max_examples=70, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
        )
        @given(batches)
        @example([{"object": "charge", "created": 253402300800, "currency": "zzz", "amount": 2**63 - 1}])
        @example([{"metadata": {f"k{i}": "😀" * 500 for i in range(50)}, "new": [{"a": "\0"}]}])
        def check(objects: list[dict[str, Any]]) -> None:
            load_id = next(loads)
            sent = {f"ch_{load_id}_{number}'\"\0": item for number, item in enumerate(objects)}
            error = refusal(warehouse, target, [{**item, "id": key} for key, item in sent.items()], load_id)
            if error is None:
                truth.update(sent)
                return
            assert error.object_id in sent
            assert error.object_id in str(error)
            assert "charges" in str(error) or name in str(error)
            assert error.column in str(error)
            warehouse.discard(target)

        check()
        landed = rows_of(warehouse, target)
        assert landed.keys() == truth.keys()
        assert len(truth) > 20
        for key, item in truth.items():
            check_row({**item, "id": key}, landed[key])


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        pytest.param({"metadata": nested(300)}, "charges.metadata does not fit: the object ch_1 nests", id="deep"),
        pytest.param({"brand_new": nested(300)}, "the object ch_1 nests too deep", id="deep and unknown"),
        pytest.param({"description": "x" * MAX_LINE_BYTES}, "the object ch_1 is larger than 8 MB", id="large"),
        pytest.param({"id": None}, "charges.id does not fit: the object without id has no id", id="no id"),
    ],
)  # fmt: skip
def test_what_no_line_can_hold_is_refused_by_object_and_column(row, sentence):
    with pytest.raises(RowRefused, match=sentence) as refused:
        RowWriter(CHARGES).line({"id": "ch_1", **row}, asked_at_us=1)
    assert len(str(refused.value)) < 300


def test_an_object_of_megabytes_and_fifty_metadata_keys_lands_whole(tmp_path):
    assert MAX_LINE_BYTES == MAX_OBJECT_BYTES
    large = {f"{i:02}": "é" * 500 for i in range(50)}
    row = {"id": "ch_1", "object": "charge", "created": 5, "description": "x" * (MAX_LINE_BYTES - 60_000)}
    target = Target("Shop", "charges", CHARGES)
    with Warehouse(tmp_path / "fuzz.duckdb", stage_dir=tmp_path / "stage") as warehouse:
        load(warehouse, target, [{**row, "metadata": large, "id": f"ch_{i}"} for i in range(5)], 1)
        landed = rows_of(warehouse, target)
    assert len(landed) == 5
    check_row({**row, "metadata": large, "id": "ch_4"}, landed["ch_4"])


def test_a_reference_without_an_id_is_kept_whole():
    made = orjson.loads(RowWriter(CHARGES).line({"id": "ch_1", "customer": {"new_kind": 1}}, asked_at_us=1))
    assert made["customer"] == {"new_kind": 1}


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40) | values.map(lambda v: json.dumps(v).encode()) | values.map(lambda v: page([v])))
def test_any_answer_is_parsed_or_refused(body):
    with suppress(UnexpectedAnswer, RowRefused):
        answer = parsed("/v1/charges", body, {"Content-Type": "text/x"}, is_list=True)
        assert all(isinstance(item["id"], str) for item in answer["data"])


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["id", "type", "created", "data", "object"]), values, max_size=5) | st.builds(
    lambda payload, kind: {"id": "evt_1", "created": 1, "type": kind, "data": {"object": payload}},
    st.dictionaries(st.sampled_from(["id", "object", "customer", "created"]), values | st.just("customer")),
    st.sampled_from(["customer.updated", "customer.tax_id.created", "x"]) | texts,
))  # fmt: skip
def test_any_event_is_taken_or_refused(event):
    router = EventRouter([TABLES["customers"], TABLES["customer_tax_ids"]])
    with suppress(RowRefused):
        router.accept([event])

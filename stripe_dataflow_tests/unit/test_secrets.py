"""Stripe's secrets land nowhere: each one the package knows is decided on, and none is left in a row's line."""

import re
from pathlib import Path

import orjson
import pytest

from stripe_dataflow.catalog import ANYWHERE, TABLES, UNLISTED, object_names, object_places, stripe_columns
from stripe_dataflow.catalog.sdk import object_classes, read_class
from stripe_dataflow.catalog.secrets import KEPT
from stripe_dataflow.errors import RowRefused
from stripe_dataflow.stripe_api import RowWriter

EACH_TABLE = pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
MARKER = "markedSecret"
PAGE = Path(__file__).parents[2] / "docs" / "secrets.md"

# What a secret's name or Stripe's sentence about it speaks of.
NAME = re.compile(
    r"secret|password|(?:^|_)ur[il]s?(?:_|$)|pdf|cvc|token$|cryptogram|_sdk$|private_key|signature|certificate"
    r"|(?:^|_)native_|^(?:number|pin|payload|data|data_string|sign|qr_code)$"
)
SENTENCE = re.compile(r"\bURLs?\b|\bURI|\bsecret|\bPIN\b|password|\blink to\b", re.IGNORECASE)


def by_kind():
    """Return the `object` of each kind that has secrets of its own -> their paths."""
    found = {kind: set(paths) for kind, paths in UNLISTED.items()}
    for table in TABLES.values():
        for kind in object_names(table):
            found.setdefault(kind, set()).update(table.secrets, table.secrets_in)
    return {kind: sorted(paths) for kind, paths in found.items() if paths}


SECRETS = by_kind()


def fields(sdk_class, above=""):
    """Yield the path of each field of a class, those of its inner classes too, and the field."""
    for field in sdk_class.fields:
        yield f"{above}{field.name}", field
        for word in dict.fromkeys(re.findall(r"\w+", field.annotation)):
            if word in sdk_class.inner:
                yield from fields(sdk_class.inner[word], f"{above}{field.name}.")


def lies_below(path, pattern):
    wanted, given = pattern.split("."), path.split(".")
    return len(wanted) <= len(given) and all(one in {"*", other} for one, other in zip(wanted, given, strict=False))


def test_every_field_of_the_package_that_sounds_like_a_secret_is_dropped_or_kept_for_a_reason():
    undecided, used, reached = [], set(), set()
    for sdk_class in map(read_class, object_classes()):
        kind = sdk_class.object_name
        for path, field in fields(sdk_class):
            dropped = {p for p in SECRETS.get(kind, ()) if lies_below(path, p)} | ANYWHERE & set(path.split("."))
            reached |= {(kind, name) for name in dropped} | {("", name) for name in dropped}
            holds_text = re.search(r"\bstr\b|Untyped", field.annotation) and "Literal" not in field.annotation
            if dropped or not holds_text or not (NAME.search(field.name) or SENTENCE.search(field.description)):
                continue
            reasons = {field.name, f"{kind}.{path}"} & KEPT.keys()
            used |= reasons
            undecided += [] if reasons else [f"{kind}.{path}"]
    assert undecided == []
    assert KEPT.keys() - used == set()
    assert all(KEPT.values())
    # No name is misspelt: `authorize_with_url` is what versions before 2019 say, in which events may still come.
    assert {name for name in ANYWHERE if ("", name) not in reached} == {"authorize_with_url"}
    # Nor is a path, but that a way to pay of one kind of intent may come to the other.
    paths = [(object_names(table), path) for table in TABLES.values() for path in (*table.secrets, *table.secrets_in)]
    paths += [((kind,), path) for kind, paths in UNLISTED.items() for path in paths]
    for kinds, path in paths:
        among = ("payment_intent",) if path.startswith("next_action.*") else kinds
        assert any((kind, path) in reached for kind in among), path


@EACH_TABLE
def test_paths_of_the_catalog_start_in_columns_and_do_not_cross(table):
    columns = {column.name for column in stripe_columns(table)}
    paths = (*table.secrets_in, *object_places(table))
    assert {path.split(".")[0] for path in paths} <= columns
    assert all("." in path for path in table.secrets_in)
    assert not [(one, other) for one in paths for other in paths if other.startswith(f"{one}.")]
    assert not ANYWHERE & columns


def put(row, path, value, *, in_arrays=False):
    """Set the value at a dotted path, `*` being a field of any name, with arrays on the way or without."""
    *above, last = path.replace("*", "any_new_way").split(".")
    for name in above:
        inner = row.setdefault(name, [{}] if in_arrays else {})
        row = inner[0] if isinstance(inner, list) else inner
    row[last] = [value] if in_arrays and isinstance(value, dict) else value


def marked(kind, *, inside=None, in_arrays=False):
    """Return an object of a kind that has the marker at each of its secrets, and `inside` in a field of its own."""
    made = {"object": kind, "id": f"{kind}_kept", "client_secret": MARKER, "inside": [[inside]]}
    for path in SECRETS[kind]:
        put(made, path, MARKER, in_arrays=in_arrays)
    return made


def nested(*, in_arrays):
    """Return objects of all kinds that have secrets, each inside the next."""
    made = {}
    for kind in SECRETS:
        made = marked(kind, inside=made, in_arrays=in_arrays)
    return made


@pytest.mark.parametrize("in_arrays", [False, True], ids=["objects", "arrays"])
@EACH_TABLE
def test_no_line_holds_a_secret_at_any_depth(table, in_arrays):
    row = dict.fromkeys((name for name in table.key if not name.startswith("_")), "key_kept")
    row |= dict.fromkeys((*table.secrets, *ANYWHERE), MARKER)
    for path in table.secrets_in:
        put(row, path, MARKER, in_arrays=in_arrays)
        put(row, f"{path.rpartition('.')[0]}.beside", "beside_kept", in_arrays=in_arrays)
    for path in object_places(table):
        put(row, path, nested(in_arrays=in_arrays), in_arrays=in_arrays)
    references = [column.name for column in stripe_columns(table) if column.source == "id"]
    row |= {name: {key: v for key, v in nested(in_arrays=in_arrays).items() if key != "id"} for name in references}
    row["brand_new"] = {"field": [nested(in_arrays=in_arrays)], "client_secret": MARKER}
    row["metadata"] = {"client_secret": "own_kept", "object": "payment_intent"}
    if table.payload:
        row[table.payload] = {"object": nested(in_arrays=in_arrays), "list": [nested(in_arrays=in_arrays)]}
    assert MARKER in orjson.dumps(row).decode()
    line = RowWriter(table).line(row, asked_at_us=7).decode()
    assert MARKER not in line
    assert all(f"{kind}_kept" in line for kind in SECRETS)
    assert "own_kept" in line
    assert "key_kept" in line
    assert ("beside_kept" in line) is bool(table.secrets_in)


@pytest.mark.parametrize("in_arrays", [False, True], ids=["objects", "arrays"])
@pytest.mark.parametrize("kind", SECRETS)
def test_an_event_holds_no_secret_of_any_kind_of_object_nor_of_its_old_values(kind, in_arrays):
    former = {key: v for key, v in marked(kind, in_arrays=in_arrays).items() if key != "object"}
    data = {"object": marked(kind, in_arrays=in_arrays), "previous_attributes": {**former, "items": [marked(kind)]}}
    line = RowWriter(TABLES["events"]).line({"id": "evt_1", "data": data}, asked_at_us=7).decode()
    assert MARKER not in line
    assert line.count(f"{kind}_kept") == 3


@pytest.mark.parametrize(
    "data", [None, "text", 7, [], [[]], {}, {"object": None}, {"object": {"object": ["a"]}}], ids=str
)
def test_an_event_whose_payload_is_odd_keeps_it(data):
    line = RowWriter(TABLES["events"]).line({"id": "evt_1", "data": data}, asked_at_us=7)
    assert orjson.loads(line)["data"] == data


def test_a_value_nested_deeper_than_python_calls_is_refused_like_any_other():
    deep = []
    for _ in range(2000):
        deep = [deep]
    for column, value in (("links", deep), ("links", {"data": deep}), ("brand_new", deep)):
        with pytest.raises(RowRefused, match="nests too deep"):
            RowWriter(TABLES["files"]).line({"id": "file_1", column: value}, asked_at_us=7)


def test_a_secret_that_is_null_stays_null_as_stripe_sends_it():
    row = {"id": "pi_1", "next_action": {"redirect_to_url": {"url": None, "return_url": "https://shop.example.com"}}}
    made = orjson.loads(RowWriter(TABLES["payment_intents"]).line(dict(row), asked_at_us=7))
    assert made == {**row, "_fetched_at": 7}


def test_the_page_of_what_is_dropped_names_what_the_catalog_names():
    page = PAGE.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", page, flags=re.MULTILINE))
    expected = {t.name: (*t.secrets, *t.secrets_in) for t in TABLES.values() if t.secrets or t.secrets_in} | dict(
        UNLISTED
    )
    assert {name: tuple(re.findall(r"`([^`]+)`", cell)) for name, cell in rows.items()} == expected
    assert set(re.findall(r"`(\w+)`", page.partition("whatever object")[2].partition("\n\n")[0])) == ANYWHERE

"""Write `columns.json`: the columns of every table, read from the installed `stripe` package.

Run it after an upgrade of the package: `python -m stripe_dataflow.catalog.generate`.
Stripe's sentences about the columns are not written: they are read when needed (descriptions.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.catalog.columns import DATA_FILE
from stripe_dataflow.catalog.places import places
from stripe_dataflow.catalog.sdk import SDK_VERSION, Field, api_version, classes_named_in, read_class
from stripe_dataflow.catalog.table import Table

# The SDK types a time as a plain `int`; these names and endings are what its sentences call times.
_TIME_ENDINGS = ("_at", "_on", "_date", "_time", "_until", "_anchor")
_TIMES = frozenset({
    "active_from", "cancel_at", "created", "current_period_end", "current_period_start", "date",
    "deletes_after", "end", "next_payment_attempt", "next_pending_invoice_item_invoice",
    "period_end", "period_start", "redeem_by", "start", "trial_end", "trial_start", "updated",
})  # fmt: skip

Column = tuple[str, str, bool, str]


def main() -> None:
    """Regenerate the data file in place."""
    Path(DATA_FILE).write_text(data_text(), encoding="utf-8")


def data_text() -> str:
    """Return the data file's whole text, one column a line, for a diff that a person can read."""
    tables = ",\n".join(
        f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(column) for column in table_columns(table)) + "\n]"
        for name, table in TABLES.items()
    )
    objects = ",\n".join(f"{json.dumps(name)}: {json.dumps(object_names(table))}" for name, table in TABLES.items())
    found = {name: references(table) for name, table in TABLES.items()}
    refer = ",\n".join(f"{json.dumps(name)}: {json.dumps(columns)}" for name, columns in found.items() if columns)
    held = {name: _places(table) for name, table in TABLES.items()}
    place = ",\n".join(f"{json.dumps(name)}: {json.dumps(paths)}" for name, paths in held.items() if paths)
    head = f'"stripe": {json.dumps(SDK_VERSION)},\n"api_version": {json.dumps(api_version())}'
    parts = f'"objects": {{\n{objects}\n}},\n"references": {{\n{refer}\n}},\n"places": {{\n{place}\n}},\n'
    parts += f'"tables": {{\n{tables}\n}}'
    return f"{{\n{head},\n{parts}\n}}\n"


def _places(table: Table) -> list[str]:
    return places(table, references=frozenset(name for name, _, _, source in table_columns(table) if source == "id"))


def object_names(table: Table) -> list[str]:
    """Return what the `object` field of a table's objects can say, such as `checkout.session`."""
    return [read_class(name).object_name for name in table.classes]


def references(table: Table) -> dict[str, str]:
    """Return column -> the table it refers to, where every object it can refer to is in that one table."""
    found: dict[str, str] = {}
    for name in table.classes:
        for field in read_class(name).fields:
            referred = re.fullmatch(r"(?:Optional\[)?ExpandableField\['(\w+)'\]\]?", field.annotation)
            classes = (classes_named_in(name)[referred[1]],) if referred else ()
            tables = [t.name for t in TABLES.values() if t.classes == classes and not t.snapshot]
            if len(tables) == 1 and field.name not in table.secrets:
                found[field.name] = tables[0]
    return found


def table_columns(table: Table) -> list[Column]:
    """Return (name, DuckDB type, nullable, source) of a table's columns, in the SDK's order.

    `source` tells how the value lies in Stripe's JSON: `value` as it is, `epoch_s` or `epoch_ms`
    a time since 1970, `id` an object or its id.
    """
    columns: dict[str, Column] = {}
    classes = [read_class(name) for name in table.classes]
    for sdk_class in classes:
        for field in sdk_class.fields:
            if field.name in table.secrets or field.name == "deleted":
                continue
            here = (field.name, *_type_and_source(field))
            known = columns.get(field.name)
            columns[field.name] = here if known is None else _wider(known, here)
    return [_in_all(column, [c.fields for c in classes]) for column in columns.values()]


def _type_and_source(field: Field) -> tuple[str, bool, str]:
    bare = re.sub(r"^Optional\[(.*)\]$", r"\1", field.annotation)
    if bare == "int" and (field.name in _TIMES or field.name.endswith(_TIME_ENDINGS)):
        unit = "epoch_ms" if "milliseconds" in field.description else "epoch_s"
        return "TIMESTAMPTZ", field.nullable, unit
    scalar = {
        "int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN", "str": "VARCHAR", "Decimal": "DECIMAL(38,12)",
    }.get(bare)  # fmt: skip
    if scalar:
        return scalar, field.nullable, "value"
    if bare.startswith(("ExpandableField[", "Union[ExpandableField[")):
        return "VARCHAR", field.nullable, "id"
    if re.fullmatch(r"(Union\[)?Literal\[.*\](, str\])?", bare):
        return "VARCHAR", field.nullable, "value"
    return "JSON", field.nullable, "value"


def _wider(one: Column, other: Column) -> Column:
    """Return a column that holds both: of two types, JSON."""
    if one[1:2] + one[3:] == other[1:2] + other[3:]:
        return (one[0], one[1], one[2] or other[2], one[3])
    return (one[0], "JSON", True, "value")


def _in_all(column: Column, classes: Iterable[tuple[Field, ...]]) -> Column:
    """Return the column as nullable where not every class of the table has it."""
    everywhere = all(any(field.name == column[0] for field in fields) for fields in classes)
    return column if everywhere else (column[0], column[1], True, column[3])


if __name__ == "__main__":
    main()

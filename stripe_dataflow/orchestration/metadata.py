"""What a materialization tells: the metadata Dagster's UI knows, and what the load came to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from stripe_dataflow.catalog.descriptions import descriptions
from stripe_dataflow.orchestration.run_session import RunSession
from stripe_dataflow.sync import Loaded
from stripe_dataflow.warehouse import OUR_COMMENTS, TableFacts, Target

_MASK = "•••"
_PREVIEW_COLUMNS = 12
_EXAMPLES = 10


def materialization_metadata(
    context: dg.AssetExecutionContext, session: RunSession, loaded: Loaded
) -> dg.MaterializeResult:
    """Return the step's result.

    A run of many partitions makes a materialization for each: what is the partition's own stands
    with it, what is the table's only with the newest, whose metadata the UI shows for the asset.
    """
    target = loaded.plan.target
    facts = loaded.facts
    everything = {**_table_metadata(session, target, facts), **_load_metadata(loaded)}
    if not loaded.plan.changes_only or loaded.changed:
        # Else it is known: the definition tells the columns too, and an hourly run would fill Dagster's storage.
        everything |= _content_metadata(target, facts)
    if not target.table.created_filter:
        return dg.MaterializeResult(metadata=everything)
    if not (context.has_partition_key or context.has_partition_key_range):
        _log_partitions(context, loaded, facts)
        return dg.MaterializeResult(metadata=everything)
    for key, rows in facts.partition_rows.items():
        context.add_asset_metadata({"dagster/partition_row_count": rows}, partition_key=key)
    context.add_asset_metadata(everything, partition_key=context.partition_keys[-1])
    return dg.MaterializeResult()


def _log_partitions(context: dg.AssetExecutionContext, loaded: Loaded, facts: TableFacts) -> None:
    """Log which partitions a run without a key made current, so that the UI shows them as filled.

    Of a whole list those that hold rows, of changes the newest: one that is empty stays missing, and
    costs a request to fill.
    """
    keys = list(facts.partition_rows)
    plan = loaded.plan
    if plan.changes_only and not loaded.changed and plan.windows[-1].gte < plan.checked:
        return  # nothing changed, and the run before has filled the newest
    full = [] if plan.changes_only else [key for key in keys[:-1] if facts.partition_rows[key]]
    for key in [*full, *keys[-1:]]:
        rows = {"dagster/partition_row_count": facts.partition_rows[key]}
        context.log_event(dg.AssetMaterialization(context.asset_key, partition=key, metadata=rows))


def _table_metadata(session: RunSession, target: Target, facts: TableFacts) -> dict[str, Any]:
    database = session.dataflow.database
    return {
        "dagster/row_count": facts.rows,
        "dagster/table_name": f"{database.stem}.{target.schema}.{target.name}",
        "dagster/uri": f"duckdb://{database}",
        "stripe documentation": dg.MetadataValue.url(target.table.docs_url),
    }


def _content_metadata(target: Target, facts: TableFacts) -> dict[str, Any]:
    return {
        "dagster/column_schema": column_schema(target),
        "preview": dg.MetadataValue.md(preview(target, facts)),
    }


def _load_metadata(loaded: Loaded) -> dict[str, Any]:
    counts = loaded.counts
    return {
        "load id": loaded.load_id,
        "how it was read": loaded.how,
        "rows read": counts.read,
        "rows inserted": counts.inserted,
        "rows updated": counts.updated,
        "rows deleted": counts.deleted,
        "rows unchanged": counts.unchanged,
        "requests": loaded.requests,
        "retries": loaded.retries,
        "bytes": loaded.bytes,
        "seconds": round(loaded.seconds, 3),
        "changed without an event": _some(loaded.missed),
        "unknown fields": ", ".join(loaded.unknown_fields) or "none",
    }


def _some(ids: Sequence[str]) -> str:
    """Return how many ids, and the first of them."""
    more = ", ..." if len(ids) > _EXAMPLES else ""
    return f"{len(ids)}: {', '.join(ids[:_EXAMPLES])}{more}" if ids else "none"


def column_schema(target: Target) -> dg.TableSchema:
    """Return the table's columns with Stripe's own sentences, read from the installed package."""
    sentences = descriptions(target.table)
    pii = frozenset(target.table.pii)
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                column.type,
                description=sentences.get(column.name) or OUR_COMMENTS.get(column.name),
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
                tags={"pii": ""} if column.name in pii else {},
            )
            for column in target.columns
        ]
    )


def preview(target: Target, facts: TableFacts) -> str:
    """Return up to ten rows as a Markdown table, a person's data masked."""
    pii = frozenset(target.table.pii)
    names = [name for name in facts.preview_columns if not name.startswith("_")]
    names = sorted(names, key=lambda name: (name not in target.table.key, name in pii))[:_PREVIEW_COLUMNS]
    if not facts.preview:
        return "No rows."
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    for row in facts.preview:
        cells = dict(zip(facts.preview_columns, row, strict=True))
        lines.append("| " + " | ".join(_cell(cells[name], masked=name in pii) for name in names) + " |")
    return "\n".join(lines)


def _cell(value: object, *, masked: bool) -> str:
    if value is None:
        return ""
    if masked:
        return _MASK
    text = value.isoformat(sep=" ", timespec="seconds") if isinstance(value, datetime) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")[:60]

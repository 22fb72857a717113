"""Partitions: spans of the object's `created` in UTC, the current and unfinished one included."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.stripe_api import Window

PARTITION_TAG = "dagster/partition"
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")

_DEFINITIONS = {
    "monthly": dg.MonthlyPartitionsDefinition,
    "weekly": dg.WeeklyPartitionsDefinition,
    "daily": dg.DailyPartitionsDefinition,
}


def partitions_of(attributes: Attributes) -> dg.TimeWindowPartitionsDefinition:
    """Return the partitions, the first one the whole month, week or day of `start_date`."""
    start = attributes.start_date
    if attributes.partitions == "monthly":
        start = start.replace(day=1)
    elif attributes.partitions == "weekly":
        start -= timedelta(days=(start.weekday() + 1) % 7)  # Dagster's weeks begin on Sunday
    return _DEFINITIONS[attributes.partitions](start_date=start.isoformat(), end_offset=1)


def windows_by_key(definition: dg.TimeWindowPartitionsDefinition, now: int) -> dict[str, Window]:
    """Return partition key -> window of `created`, oldest first, the last one cut off at `now` (Unix seconds)."""
    found: dict[str, Window] = {}
    for key in definition.get_partition_keys(current_time=datetime.fromtimestamp(now, UTC)):
        span = definition.time_window_for_partition_key(key)
        gte, lt = int(span.start.timestamp()), int(span.end.timestamp())
        if gte < now:
            found[key] = Window(gte, min(lt, now))
    return found


def keys_of_run(tags: Mapping[str, str], keys: list[str]) -> list[str]:
    """Return the partition keys a run is for: one, a range, or all when it was launched without any."""
    if PARTITION_TAG in tags:
        return [tags[PARTITION_TAG]]
    if any(tag in tags for tag in RANGE_TAGS):
        first, last = (tags.get(tag, "") for tag in RANGE_TAGS)
        return [key for key in keys if first <= key <= last]
    return keys

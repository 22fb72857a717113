"""A short tag says in Dagster's list of runs, which has no column for it, why a run failed."""

import re

import dagster as dg

WHY = "why"
_LONGEST = 250
_REQUEST = re.compile(r"GET \S+ (?:returned|got no answer)[^:]*: ")  # the list shows the first words alone


def tag_failure(instance: dg.DagsterInstance, run_id: str, description: str) -> None:
    """Add the tag `why` to a failed run: its description, the requests left out, cut to 250 characters."""
    text = _REQUEST.sub("", description)
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    instance.add_run_tags(run_id, {WHY: short})

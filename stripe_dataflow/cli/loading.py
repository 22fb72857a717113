"""Dataflows from a shell: which there are, running one in this process, and what it landed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from stripe_dataflow.component import StripeDataflow
from stripe_dataflow.definitions import defs
from stripe_dataflow.orchestration.dataflow import Dataflow, project_root
from stripe_dataflow.orchestration.dataflow_list import registry
from stripe_dataflow.orchestration.partitions import RANGE_TAGS, partitions_of
from stripe_dataflow.privacy import owner_only_files
from stripe_dataflow.warehouse import landed_rows


@dataclass(frozen=True, slots=True)
class LandedTable:
    """One table of a dataflow; rows is None before its first load, bytes are those read in all loads."""

    name: str
    purpose: str
    rows: int | None
    columns: int
    bytes: int


def dataflows() -> list[Dataflow]:
    """Return every dataflow under `defs/`."""
    root = Path(__file__).parents[1]
    tree = dg.ComponentTree.for_project(root)
    return [Dataflow(component.attributes) for component in tree.get_all_components(StripeDataflow)]


def run_dataflow(dataflow: Dataflow) -> Mapping[str, str]:
    """Run a dataflow's job for all its partitions, in this process; return table -> what failed."""
    keys = partitions_of(dataflow.attributes).get_partition_keys()
    job = defs().resolve_job_def(f"{dataflow.name}__run")
    with _instance() as instance:
        result = job.execute_in_process(
            instance=instance,
            tags={RANGE_TAGS[0]: keys[0], RANGE_TAGS[1]: keys[-1]},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
    return {
        event.step_key: event.step_failure_data.user_failure_data.description or ""
        for event in result.get_step_failure_events()
        if event.step_key and event.step_failure_data.user_failure_data
    }


def _instance() -> dg.DagsterInstance:
    """Return the instance of DAGSTER_HOME, or else of the project's own dagster.yaml."""
    owner_only_files()  # the run history and the logs
    if "DAGSTER_HOME" in os.environ:
        return dg.DagsterInstance.get()
    return dg.DagsterInstance.from_config(str(project_root()))


def landed_tables(dataflow: Dataflow) -> list[LandedTable]:
    """Return the dataflow's tables in the order of the catalog, with what landed of each."""
    with registry(dataflow) as connection:
        rows = landed_rows(connection, dataflow.name) if connection else {}
    return [
        LandedTable(
            chosen.target.name,
            chosen.purpose,
            rows[name][0] if name in rows else None,
            len(chosen.target.columns),
            rows[name][1] if name in rows else 0,
        )
        for name, chosen in dataflow.tables.items()
    ]

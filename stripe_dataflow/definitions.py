"""The one Definitions object: every dataflow under `defs/`, run in one process by default."""

from functools import cache
from pathlib import Path

import dagster as dg

from stripe_dataflow.component import StripeDataflow
from stripe_dataflow.orchestration.alerts import alert_sensors
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.dataflow_list import dataflow_list_definitions
from stripe_dataflow.orchestration.sweeping import sweep_sensor


@dg.definitions
@cache  # Dagster asks five times in a run's process; a reload is a new process
def defs() -> dg.Definitions:
    """Return the definitions of all dataflows; needs no network, no key and no database file."""
    tree = dg.ComponentTree.for_project(Path(__file__).parent)
    known = [Dataflow(component.attributes) for component in tree.get_all_components(StripeDataflow)]
    shared = dg.Definitions(executor=dg.in_process_executor, sensors=[*alert_sensors(), sweep_sensor(known)])
    return dg.Definitions.merge(tree.build_defs(), dataflow_list_definitions(known), shared)

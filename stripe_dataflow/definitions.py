"""The one Definitions object: every dataflow under `defs/`, run in one process by default."""

from pathlib import Path

import dagster as dg

from stripe_dataflow.component import StripeDataflow
from stripe_dataflow.orchestration.alerts import alert_sensors
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.dataflow_list import dataflow_list_definitions
from stripe_dataflow.orchestration.sweeping import sweep_sensor


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of all dataflows; needs no network, no key and no database file."""
    root = Path(__file__).parent
    dataflows = dg.load_from_defs_folder(path_within_project=root)
    components = dg.ComponentTree.for_project(root).get_all_components(StripeDataflow)
    known = [Dataflow(component.attributes) for component in components]
    shared = dg.Definitions(executor=dg.in_process_executor, sensors=[*alert_sensors(), sweep_sensor(known)])
    return dg.Definitions.merge(dataflows, dataflow_list_definitions(known), shared)

"""The one Definitions object: every dataflow under `defs/`, run in one process by default."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of all dataflows; needs no network, no key and no database file."""
    dataflows = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    return dg.Definitions.merge(dataflows, dg.Definitions(executor=dg.in_process_executor))

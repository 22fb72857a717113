"""Dagster alone: as many assets as a dataflow has tables, which do nothing, in one process."""

import os

import dagster as dg


def _asset(number: int) -> dg.AssetsDefinition:
    @dg.asset(name=f"idle_{number}")
    def idle() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"rows": 0})

    return idle


defs = dg.Definitions(
    assets=[_asset(number) for number in range(int(os.environ["BENCH_ASSETS"]))],
    jobs=[dg.define_asset_job("idle", executor_def=dg.in_process_executor)],
)

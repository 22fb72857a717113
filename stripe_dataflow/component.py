"""The Dagster component: one `defs.yaml` makes one dataflow's assets, jobs, schedule and session."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import dagster as dg
from pydantic import BaseModel

from stripe_dataflow.errors import ConfigError
from stripe_dataflow.orchestration.assets import session_key, table_asset
from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.jobs import run_job, run_schedule
from stripe_dataflow.orchestration.run_session import RunSession


@dataclass
class StripeDataflow(dg.Component):
    """A Stripe account in DuckDB: each chosen table is an asset, kept equal to what Stripe lists."""

    attributes: Attributes

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the model of the YAML attributes."""
        return Attributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Return the component for one `defs.yaml`.

        Raises:
            ConfigError: An attribute is wrong; the text is one sentence.
        """
        if not isinstance(attributes, Attributes):
            raise ConfigError(f"{context.path}: a dataflow needs attributes, at least its name.")
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the dataflow's definitions; no network, key or database file is needed."""
        dataflow = Dataflow(self.attributes)
        self._refuse_double(context)
        job = run_job(dataflow)
        schedule = run_schedule(dataflow, job)
        return dg.Definitions(
            assets=[table_asset(dataflow, chosen) for chosen in dataflow.tables.values()],
            jobs=[job],
            schedules=[schedule] if schedule else [],
            resources={session_key(dataflow): _session_resource(dataflow)},
        )

    def _refuse_double(self, context: dg.ComponentLoadContext) -> None:
        """Refuse a second dataflow of the same name; DuckDB's schemas ignore case."""
        name = self.attributes.name.lower()
        all_names = [c.attributes.name for c in context.component_tree.get_all_components(StripeDataflow)]
        if sum(other.lower() == name for other in all_names) > 1:
            raise ConfigError(f"Two dataflows are named {self.attributes.name} (case is ignored); rename one of them.")


def _session_resource(dataflow: Dataflow) -> dg.ResourceDefinition:
    """Return the session of a run: opened when its first table asks, closed when the run ends."""

    @dg.resource(
        config_schema={
            "mode": dg.Field(
                dg.Enum("Mode", [dg.EnumValue("auto"), dg.EnumValue("list")]),
                default_value="auto",
                is_required=False,
                description="auto: the cheapest way that is exact. list: read every list again.",
            )
        },
        description=f"What all steps of one run of {dataflow.title} share.",
    )
    def session(context: dg.InitResourceContext) -> Iterator[RunSession]:
        if context.run is None or context.instance is None:
            raise ConfigError("The session of a dataflow lives in a run.")
        shared = RunSession(dataflow, context.run, context.instance, context.resource_config["mode"])
        try:
            yield shared
        finally:
            shared.close()

    return session

"""The Dagster component: one `defs.yaml` makes one dataflow's assets, jobs, schedule and session."""

from dataclasses import dataclass
from typing import Self

import dagster as dg
from pydantic import BaseModel

from stripe_dataflow.errors import ConfigError
from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.jobs import dataflow_definitions
from stripe_dataflow.orchestration.scaffolding import DataflowScaffolder
from stripe_dataflow.privacy import no_crash_dumps


@dg.scaffold_with(DataflowScaffolder)
@dataclass
class StripeDataflow(dg.Component):
    """A Stripe account in DuckDB: each chosen table is an asset, kept equal to what Stripe lists."""

    attributes: Attributes

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the model of the YAML attributes."""
        return Attributes

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """Return what the UI's Components page says of it."""
        return dg.ComponentTypeSpec(
            description="Loads the tables you choose of one Stripe account into DuckDB, and keeps them current.",
            tags=["stripe", "duckdb", "services and apps"],
            owners=["team:data"],
            produces=["asset", "job", "schedule"],
        )

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Return the component for one `defs.yaml`; any process that gets here may hold the key in its environment.

        Raises:
            ConfigError: An attribute is wrong; the text is one sentence.
        """
        if not isinstance(attributes, Attributes):
            raise ConfigError(f"{context.path}: a dataflow needs attributes, at least its name.")
        no_crash_dumps()
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the dataflow's definitions; no network, key or database file is needed."""
        self._refuse_double(context)
        return dataflow_definitions(Dataflow(self.attributes))

    def _refuse_double(self, context: dg.ComponentLoadContext) -> None:
        """Refuse a second dataflow of the same name; DuckDB's schemas ignore case."""
        name = self.attributes.name.lower()
        all_names = [c.attributes.name for c in context.component_tree.get_all_components(StripeDataflow)]
        if sum(other.lower() == name for other in all_names) > 1:
            raise ConfigError(f"Two dataflows are named {self.attributes.name} (case is ignored); rename one of them.")

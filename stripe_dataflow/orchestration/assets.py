"""One asset per Stripe table, all of a run fed by the one session they share."""

import dagster as dg

from stripe_dataflow.catalog import stripe_columns
from stripe_dataflow.errors import DataflowError, StripeError
from stripe_dataflow.orchestration.dataflow import ChosenTable, Dataflow
from stripe_dataflow.orchestration.metadata import materialization_metadata
from stripe_dataflow.orchestration.partitions import partitions_of
from stripe_dataflow.orchestration.reading import tables_key
from stripe_dataflow.orchestration.run_session import RunSession, asset_key, step_priority

_ONE_PROCESS = frozenset({"in_process", "execute_in_process_executor"})


def session_key(dataflow: Dataflow) -> str:
    """Return the resource that the steps of a run share."""
    return f"{dataflow.name}__session"


def table_asset(
    dataflow: Dataflow, chosen: ChosenTable, *, freshness: dg.FreshnessPolicy | None = None
) -> dg.AssetsDefinition:
    """Return the asset of one table: its step waits for the table's rows and merges them."""
    table = chosen.table

    @dg.asset(
        key=asset_key(dataflow, table.name),
        group_name=dataflow.name,
        description=_description(dataflow, chosen),
        kinds={"stripe", "duckdb"},
        tags={"purpose": chosen.purpose, "tier": table.tier},
        owners=["team:data"],
        metadata=_definition_metadata(dataflow, chosen),
        partitions_def=partitions_of(dataflow.attributes) if table.created_filter else None,
        backfill_policy=dg.BackfillPolicy.single_run(),
        # A passing outage heals without a person: requests are retried within the step, the step once more.
        retry_policy=dg.RetryPolicy(max_retries=1, delay=dataflow.patience.step_wait_s),
        freshness_policy=freshness,
        pool=dataflow.pool,
        io_manager_key=tables_key(dataflow),
        op_tags={"dagster/priority": str(step_priority(dataflow, table.name))},
        required_resource_keys={session_key(dataflow)},
    )
    def load_table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        session: RunSession = getattr(context.resources, session_key(dataflow))
        # With one process per step, each reads only its own table.
        together = context.job_def.executor_def.name in _ONE_PROCESS
        try:
            loaded = session.load(table.name, together=together, log=context.log.info)
        except DataflowError as error:
            raise failure(chosen, error) from None
        return materialization_metadata(context, session, loaded)

    return load_table


def failure(chosen: ChosenTable, error: DataflowError) -> dg.Failure:
    """Return the step's failure: what the error says, and what state the table is in."""
    facts = {"table": chosen.table.name, "error": type(error).__name__}
    if isinstance(error, StripeError):
        facts |= {"request": error.request.url, "request id": error.request.request_id or "none"}
    return dg.Failure(description=error.with_state, metadata=facts, allow_retries=error.retryable)


def _description(dataflow: Dataflow, chosen: ChosenTable) -> str:
    notes = [f"{chosen.table.description}.", f"Part of {dataflow.title}."]
    if dataflow.attributes.description:
        notes.append(dataflow.attributes.description)
    return " ".join([*notes, f"[Stripe's documentation]({chosen.table.docs_url})."])


def _definition_metadata(dataflow: Dataflow, chosen: ChosenTable) -> dict[str, object]:
    """Return what is known before any run: where it lands, its columns, where they come from."""
    columns = [
        dg.TableColumn(column.name, column.type, tags=_pii_tag(chosen, column.name))
        for column in stripe_columns(chosen.table)
        if column.name not in chosen.target.excluded
    ]
    return {
        "dagster/table_name": f"{dataflow.database.stem}.{dataflow.name}.{chosen.target.name}",
        "dagster/column_schema": dg.TableSchema(columns),
        "stripe list": chosen.table.path,
        "stripe documentation": dg.MetadataValue.url(chosen.table.docs_url),
    }


def _pii_tag(chosen: ChosenTable, column: str) -> dict[str, str]:
    return {"pii": ""} if column in chosen.table.pii else {}

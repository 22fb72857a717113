"""What the key may read, on demand: the job `<name>__connect`, and a check for each table.

The checks hang on an asset of their own, the account, which no run materialises: checks on the tables
would be executed whenever the tables are.
"""

from collections.abc import Iterator

import dagster as dg

from stripe_dataflow.errors import DataflowError
from stripe_dataflow.orchestration.connecting import ConnectionReport, TableAccess, connect
from stripe_dataflow.orchestration.dataflow import Dataflow


def connect_job(dataflow: Dataflow) -> dg.JobDefinition:
    """Return the job: its op `connect` writes nothing, so it waits for no other run."""
    text = f"Ask for one object of each table of {dataflow.title}: which ones the key may read, and what it lacks."

    @dg.op(name=f"{dataflow.name}__connect_op", description=text)
    def check_access(context: dg.OpExecutionContext) -> None:
        try:
            report = connect(dataflow)
        except DataflowError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        context.log.info("\n".join(report.lines()))
        context.add_output_metadata({"access": dg.MetadataValue.md(access_markdown(report))})
        if report.unreadable:
            raise dg.Failure(_refusals(dataflow, report), allow_retries=False)

    graph = dg.GraphDefinition(
        name=f"{dataflow.name}__connect",
        node_defs=[check_access],
        dependencies={dg.NodeInvocation(check_access.name, alias="connect"): {}},
    )
    return graph.to_job(description=text, executor_def=dg.in_process_executor, tags={"dataflow": dataflow.name})


def access_markdown(report: ConnectionReport) -> str:
    """Return the report as Markdown: its lines, and a row for each table."""
    rows = [f"| {t.table} | {t.access} | {(t.right or t.answer).replace('|', ' ')} |" for t in report.tables]
    table = ["| table | access | missing right |", "| --- | --- | --- |", *rows]
    return "\n\n".join([*report.lines(), "\n".join(table)])


def _refusals(dataflow: Dataflow, report: ConnectionReport) -> str:
    answers = " ".join(f"{t.table}: {t.answer}" for t in report.tables if t.access != "readable")
    return f"{answers} The next run of {dataflow.name} would fail these tables; nothing was changed."


def account_asset(dataflow: Dataflow) -> dg.AssetSpec:
    """Return the dataflow's Stripe account as an asset that is only looked at."""
    return dg.AssetSpec(
        ["_dataflow", "accounts", dataflow.name],
        group_name="stripe_dataflow",
        kinds={"stripe"},
        description=f"The Stripe account of {dataflow.title}. Execute its checks to see what the key may read.",
    )


def account_checks(dataflow: Dataflow) -> dg.AssetChecksDefinition:
    """Return the checks of the account: one for each table, whether the key may read it."""
    key = account_asset(dataflow).key
    specs = [
        dg.AssetCheckSpec(name, asset=key, description=f"The key may read {name}.") for name in dataflow.tables
    ]  # fmt: skip

    @dg.multi_asset_check(name=f"{dataflow.name}__access", specs=specs, can_subset=True)
    def check_tables(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        try:
            report = connect(dataflow, {check.name for check in context.selected_asset_check_keys})
        except DataflowError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        context.log.info("\n".join(report.lines()))
        for table in report.tables:
            yield _check_result(key, table)

    return check_tables


def _check_result(account: dg.AssetKey, table: TableAccess) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=account,
        check_name=table.table,
        passed=table.access == "readable",
        description=table.answer or "readable",
        metadata={"access": table.access} | ({"missing right": table.right} if table.right else {}),
    )

"""The job `<name>__connect`: what the key may read, on demand, so that no other run is slower for it."""

import dagster as dg

from stripe_dataflow.errors import DataflowError
from stripe_dataflow.orchestration.connecting import ConnectionReport, connect
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

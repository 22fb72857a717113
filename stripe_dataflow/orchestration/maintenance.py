"""What rollback and removal have in common: one op, one run in the history, one transaction."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Any, Literal, Self

import dagster as dg
import duckdb

from stripe_dataflow.errors import ConfigError, DataflowError, refused_by_machine
from stripe_dataflow.orchestration.attributes import nearest
from stripe_dataflow.orchestration.dataflow import ChosenTable, Dataflow
from stripe_dataflow.orchestration.run_session import staging_root
from stripe_dataflow.orchestration.run_tags import tag_failure
from stripe_dataflow.warehouse import Warehouse, end_run, start_run


class Maintenance:
    """One run of a maintenance op: opened, recorded, and closed with what it did or why it did not.

    A dry run only reads, and leaves no trace.
    """

    def __init__(
        self,
        dataflow: Dataflow,
        context: dg.OpExecutionContext,
        *,
        kind: Literal["rollback", "remove"],
        dry_run: bool,
    ) -> None:
        self.dataflow = dataflow
        self.load_id = 0
        self._context = context
        self._kind: Literal["rollback", "remove"] = kind
        self._dry_run = dry_run
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        folder = staging_root(self.dataflow.database)
        wait_s = self.dataflow.patience.database_wait_s
        try:
            warehouse = Warehouse(self.dataflow.database, stage_dir=folder, wait_s=wait_s)
            self.warehouse = self._stack.enter_context(warehouse)
            if not self._dry_run:
                self.load_id = self.warehouse.start(self._start)
        except DataflowError as error:
            self._stack.close()
            text = str(error) if error.tells_state else f"{error} Nothing was changed."
            tag_failure(self._context.instance, self._context.run_id, text)
            raise dg.Failure(description=text, allow_retries=False) from None
        return self

    def _start(self, connection: duckdb.DuckDBPyConnection) -> int:
        return start_run(connection, self._context.run_id, dataflow=self.dataflow.name, kind=self._kind)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._stack:
            if not isinstance(error, (DataflowError, OSError)):
                return
            text = str(refused_by_machine(error) if isinstance(error, OSError) else error)
            tag_failure(self._context.instance, self._context.run_id, text)
            # What keeps the op from its work may keep its end from being recorded: the next run closes it then.
            with suppress(DataflowError):
                if not self._dry_run:
                    with self.warehouse.transaction() as connection:
                        self._end(connection, "Failed", description=text)
        raise dg.Failure(description=text, allow_retries=False) from None

    def connection(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """Return the one transaction of the op; of a dry run a connection that only reads."""
        return self.warehouse.reading() if self._dry_run else self.warehouse.transaction()

    def completed(self, connection: duckdb.DuckDBPyConnection, details: str) -> None:
        """Record what was done, in the transaction that did it."""
        if not self._dry_run:
            self._end(connection, "Completed", details=details)

    def tell(self, lines: Sequence[str]) -> None:
        """Write what was, or would be, done to the run's log."""
        head = "Dry run, nothing was changed:" if self._dry_run else "Done:"
        self._context.log.info("\n".join([head, *lines]))
        self._context.add_output_metadata({"changes": dg.MetadataValue.md("\n".join(f"- {line}" for line in lines))})

    def _end(
        self,
        connection: duckdb.DuckDBPyConnection,
        status: Literal["Completed", "Failed"],
        *,
        details: str = "",
        description: str = "",
    ) -> None:
        end_run(
            connection,
            self._context.run_id,
            dataflow=self.dataflow.name,
            status=status,
            details=details,
            description=description,
        )


def chosen_tables(dataflow: Dataflow, names: Sequence[str]) -> list[ChosenTable]:
    """Return the named tables of a dataflow, by catalog or destination name; all where none is named.

    Raises:
        ConfigError: The dataflow has no such table.
    """
    known = {chosen.target.name: chosen for chosen in dataflow.tables.values()} | dict(dataflow.tables)
    for name in names:
        if name not in known:
            raise ConfigError(f"{dataflow.name} has no table {name!r}{nearest(name, known)} Nothing was changed.")
    return [known[name] for name in names] if names else list(dataflow.tables.values())


def maintenance_job(
    dataflow: Dataflow,
    body: Callable[[dg.OpExecutionContext], None],
    *,
    config: Mapping[str, Any],
    description: str,
) -> dg.JobDefinition:
    """Return the job `<name>__<op>` of one op that waits its turn to write the dataflow's database."""
    name = body.__name__
    # Ops of two dataflows need two names; in their jobs both are called by the body's.
    decorate = dg.op(
        name=f"{dataflow.name}__{name}_op", description=description, config_schema=dict(config), pool=dataflow.pool
    )  # fmt: skip
    op = decorate(body)
    graph = dg.GraphDefinition(name=f"{dataflow.name}__{name}", node_defs=[op], dependencies={
        dg.NodeInvocation(op.name, alias=name): {},
    })  # fmt: skip
    return graph.to_job(
        description=description, executor_def=dg.in_process_executor, tags={"dataflow": dataflow.name}
    )  # fmt: skip

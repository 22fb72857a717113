"""A run in a process of its own, that can be made to die at a certain call, or to get little of something."""

import json
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from types import FrameType
from typing import Any

import dagster as dg
import duckdb

from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.jobs import dataflow_definitions
from stripe_dataflow.patience import Patience

_FAILED = "failures by step:"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
# Forked from a process that has all modules and no threads: a child costs no import.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Moment:
    """When something happens: at the n-th call of, or return from, a function; `of` is its module and name.

    It is a signal, or that from now on there is `most` of a resource (resource -> limit), or that root,
    which may write everything, gives that up, or that the disk of a folder is `filled` with a file.
    """

    of: str
    event: str = "return"
    count: int = 1
    signal: int = signal.SIGKILL
    # Some milliseconds later: in the midst of what follows.
    soon: bool = False
    most: Mapping[int, int] | None = None
    nobody: bool = False
    filled: Path | None = None


@dataclass(frozen=True)
class Job:
    """One job of a dataflow: `op` is `run`, `rollback` or `remove`, `config` of its resource or op.

    `home` is the folder where Dagster keeps the run with its `tags`; without one nothing of it is kept.
    """

    attributes: Mapping[str, Any]
    patience: Patience
    environment: Mapping[str, str]
    op: str = "run"
    config: Mapping[str, Any] | None = None
    tags: Mapping[str, str] | None = None
    home: Path | None = None


def instance_of(home: Path | None) -> dg.DagsterInstance:
    """Return a Dagster instance that keeps its runs in a folder, or in memory."""
    return (
        dg.DagsterInstance.local_temp(str(home), {"telemetry": {"enabled": False}})
        if home
        else dg.DagsterInstance.ephemeral()
    )


def start(job: Job, output: Path, *, moment: Moment | None = None, clock_s: int = 0) -> BaseProcess:
    """Return a started process that runs a job, on a machine whose clock is `clock_s` ahead.

    What it prints goes to the file, at its end the failures by step.
    """
    process = _CONTEXT.Process(target=_execute, args=(job, output, moment, clock_s))
    process.start()
    return process


def holding(database: Path, *, read_only: bool) -> tuple[BaseProcess, Event]:
    """Return a process that has the database open, and what makes it let go."""
    opened, leave = _CONTEXT.Event(), _CONTEXT.Event()
    process = _CONTEXT.Process(target=_hold, args=(database, read_only, opened, leave))
    process.start()
    assert opened.wait(30)
    return process, leave


def _hold(database: Path, read_only: bool, opened: Event, leave: Event) -> None:  # noqa: FBT001 a process's arguments
    with duckdb.connect(str(database), read_only=read_only):
        opened.set()
        leave.wait(60)


def failures(output: Path) -> dict[str, str]:
    """Return table or op -> the sentence its step failed with, of a child that came to its end."""
    lines = output.read_text(encoding="utf-8").splitlines()
    return json.loads(next(line.removeprefix(_FAILED) for line in lines if line.startswith(_FAILED)))


def _execute(job: Job, output: Path, moment: Moment | None, clock_s: int) -> None:
    file = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.update(job.environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a command; Dagster treats SIGTERM the same
    if clock_s:
        now, now_ns = time.time, time.time_ns
        time.time, time.time_ns = lambda: now() + clock_s, lambda: now_ns() + clock_s * 10**9
    dataflow = Dataflow(Attributes(**job.attributes), job.patience)
    definition = dataflow_definitions(dataflow).resolve_job_def(f"{dataflow.name}__{job.op}")
    own = {"config": dict(job.config or {})}
    part = {"resources": {f"{dataflow.name}__session": own}} if job.op == "run" else {"ops": {job.op: own}}
    with instance_of(job.home) as instance:
        if moment:
            _watch_for(moment)
        result = definition.execute_in_process(
            instance=instance, run_config={**QUIET, **(part if own["config"] else {})}, tags=job.tags,
            raise_on_error=False,
        )  # fmt: skip
        failed = {(e.step_key or "").rpartition("__")[2]: _text(e) for e in result.get_step_failure_events()}
        sys.stdout.write(f"{_FAILED}{json.dumps(failed)}\n")
    sys.exit(not result.success)


def _text(event: Any) -> str:
    data = event.step_failure_data
    return data.user_failure_data.description if data.user_failure_data else data.error.to_string()


def fill(folder: Path) -> None:
    """Leave no byte free on the disk of a folder, by a file `filler` in it."""
    file = os.open(folder / "filler", os.O_CREAT | os.O_WRONLY, 0o600)
    for size in (1 << 20, 1 << 12, 1):
        with suppress(OSError):
            while True:
                os.write(file, bytes(size))
    os.close(file)


def _limit(what: int, limit: int) -> None:
    """Set a limit; that of open files on top of those open already."""
    if what == resource.RLIMIT_NOFILE:
        free = os.dup(0)
        os.close(free)
        limit += free
    resource.setrlimit(what, (limit, resource.getrlimit(what)[1]))


def _watch_for(moment: Moment) -> None:
    """Watch all threads' calls, and do what is to be done at the one that was told."""
    module, _, name = moment.of.partition(":")
    left = [moment.count]

    def watch(frame: FrameType, event: str, _: Any) -> None:
        if frame.f_code.co_name != name or event != moment.event or frame.f_globals["__name__"] != module:
            return
        left[0] -= 1
        if left[0]:
            return
        sys.setprofile(None)  # so that what happens meets the program, not this function
        if moment.nobody:
            if os.geteuid() == 0:
                os.seteuid(65534)
            return
        if moment.filled:
            fill(moment.filled)
            return
        if moment.most:
            for what, limit in moment.most.items():
                _limit(what, limit)
            return
        if moment.soon:
            threading.Timer(0.002, os.kill, (os.getpid(), moment.signal)).start()
        else:
            os.kill(os.getpid(), moment.signal)

    threading.setprofile(watch)
    sys.setprofile(watch)

"""A run in a process of its own, that can be made to die at a certain call, or to get little of something."""

import json
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import dagster as dg

from stripe_dataflow.orchestration.attributes import Attributes
from stripe_dataflow.orchestration.dataflow import Dataflow
from stripe_dataflow.orchestration.jobs import dataflow_definitions
from stripe_dataflow.patience import Patience

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
# Forked from a process that has all modules and no threads: a child costs no import.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Moment:
    """When to die: at the n-th call of, or return from, a function; `of` is its module and name."""

    of: str
    event: str = "return"
    count: int = 1
    signal: int = signal.SIGKILL
    # Some milliseconds later: in the midst of what follows.
    soon: bool = False


@dataclass(frozen=True)
class Job:
    """One job of a dataflow: `op` is `run`, `rollback` or `remove`, `config` of its resource or op."""

    attributes: Mapping[str, Any]
    patience: Patience
    environment: Mapping[str, str]
    op: str = "run"
    config: Mapping[str, Any] | None = None


def start(job: Job, output: Path, *, moment: Moment | None = None, most: Mapping[int, int] | None = None) -> BaseProcess:
    """Return a started process that runs a job; `most` is resource -> limit, files on top of those open already.

    What it prints goes to the file: at its end, as JSON, the failures by step.
    """
    process = _CONTEXT.Process(target=_execute, args=(job, output, moment, most or {}))
    process.start()
    return process


def failures(output: Path) -> dict[str, str]:
    """Return table or op -> the sentence its step failed with, of a child that came to its end."""
    return json.loads(output.read_text(encoding="utf-8").splitlines()[-1])


def _execute(job: Job, output: Path, moment: Moment | None, most: Mapping[int, int]) -> None:
    file = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.update(job.environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a command; Dagster treats SIGTERM the same
    dataflow = Dataflow(Attributes(**job.attributes), job.patience)
    definition = dataflow_definitions(dataflow).resolve_job_def(f"{dataflow.name}__{job.op}")
    own = {"config": dict(job.config or {})}
    part = {"resources": {f"{dataflow.name}__session": own}} if job.op == "run" else {"ops": {job.op: own}}
    with dg.DagsterInstance.ephemeral() as instance:
        for what, limit in most.items():
            _limit(what, limit)
        if moment:
            _die_at(moment)
        result = definition.execute_in_process(
            instance=instance, run_config={**QUIET, **(part if own["config"] else {})}, raise_on_error=False
        )
        print(json.dumps({e.step_key.rpartition("__")[2]: _text(e) for e in result.get_step_failure_events()}))
    sys.exit(not result.success)


def _text(event: Any) -> str:
    data = event.step_failure_data
    return data.user_failure_data.description if data.user_failure_data else data.error.to_string()


def _limit(what: int, limit: int) -> None:
    if what == resource.RLIMIT_NOFILE:
        free = os.dup(0)
        os.close(free)
        limit += free
    resource.setrlimit(what, (limit, resource.getrlimit(what)[1]))


def _die_at(moment: Moment) -> None:
    """Watch all threads' calls, and die at the one that was told."""
    module, _, name = moment.of.partition(":")
    left = [moment.count]

    def watch(frame: FrameType, event: str, _: Any) -> None:
        if frame.f_code.co_name != name or event != moment.event or frame.f_globals["__name__"] != module:
            return
        left[0] -= 1
        if left[0]:
            return
        if moment.soon:
            threading.Timer(0.002, os.kill, (os.getpid(), moment.signal)).start()
        else:
            os.kill(os.getpid(), moment.signal)

    threading.setprofile(watch)
    sys.setprofile(watch)

"""`stepwell worker MODULE:ATTR`: execute runs until the process is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from typing import Annotated, Final

import typer

from stepwell.composition import Stepwell
from stepwell.console.cli.backends.local import opened
from stepwell.console.cli.backends.target import Target, load_stepwell
from stepwell.console.cli.supervisor import Report, Stop, Supervisor
from stepwell.console.cli.terminal.logs import (
    LogFormat,
    LogFormatOption,
    LogLevel,
    LogLevelOption,
    configure_logs,
)
from stepwell.console.cli.terminal.output import MISCONFIGURED, say
from stepwell.definition.text import is_own
from stepwell.errors import StepwellError, StoreUnavailable, UnknownWorkflow
from stepwell.people import ready_made
from stepwell.queue.base import check_queue
from stepwell.settings import Settings

_NEW_OBJECTS: Final = 10_000
"""New objects after which the garbage collector runs; Python's default is 700."""


def worker(
    target: Target,
    concurrency: Annotated[int | None, typer.Option("--concurrency", min=1, max=10_000, help="Runs at once.")] = None,
    workflows: Annotated[str | None, typer.Option("--workflows", metavar="A,B", help="Take only these.")] = None,
    processes: Annotated[int, typer.Option("--processes", min=1, max=256, help="The number of worker processes.")] = 1,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = LogFormat.TEXT,
    tied: Annotated[bool, typer.Option("--tied", hidden=True, help="Stop when stdin is closed.")] = False,
    report: Annotated[int | None, typer.Option("--report", hidden=True, help="The supervisor's pipe.")] = None,
    again: Annotated[bool, typer.Option("--again", hidden=True, help="In place of a process that died.")] = False,
) -> None:
    """Execute runs. On SIGTERM or SIGINT the worker claims nothing more, lets transitions finish for
    STEPWELL_DRAIN_SECONDS, hands over the rest and exits with 0; a second signal ends it at once.
    """
    if processes > 1:
        # Only the processes that execute the application import it: it may be large, and start threads.
        configure_logs(log_level, log_format)
        command = ["worker", target, *_options(concurrency, workflows, log_level, log_format)]
        raise typer.Exit(asyncio.run(Supervisor(command, processes).run(tied=tied)))
    supervisor = Report(report) if report is not None else None
    try:
        stepwell = load_stepwell(target)
        configure_logs(log_level, log_format)
        configure(stepwell, concurrency, workflows)
        asyncio.run(_work(stepwell, supervisor, tied=tied, again=again))
    except StepwellError as error:
        if supervisor is None:
            raise
        supervisor.refused(error)
        raise typer.Exit(MISCONFIGURED) from error


def _options(
    concurrency: int | None, workflows: str | None, log_level: LogLevel | None, log_format: LogFormat
) -> list[str]:
    given = {"concurrency": concurrency, "workflows": workflows, "log-level": log_level, "log-format": log_format}
    return [text for name, value in given.items() if value is not None for text in (f"--{name}", str(value))]


def configure(stepwell: Stepwell, concurrency: int | None, workflows: str | None) -> None:
    """Have the worker take so many runs at once, and only of these workflows. Raises UnknownWorkflow."""
    if concurrency is not None:
        stepwell.settings = stepwell.settings.model_copy(update={"worker_concurrency": concurrency})
    if workflows is not None:
        lanes = [lane for name in workflows.split(",") for lane in lanes_of(stepwell, name.strip())]
        # Their children may be ready-made questions, which no worker would take otherwise.
        stepwell.lanes = [
            *lanes,
            *((app, one) for app in dict.fromkeys(app for app, _ in lanes) for one in ready_made()),
        ]


def lanes_of(stepwell: Stepwell, name: str) -> list[tuple[str, str]]:
    """Return every (app, workflow) of that name, which may be APP/WORKFLOW. Raises UnknownWorkflow with the known names."""
    known = [(app.name, workflow) for app in stepwell.apps.values() for workflow in app.definitions]
    found = [(app, workflow) for app, workflow in known if name in (workflow, f"{app}/{workflow}")]
    if not found:
        listed = ", ".join(f"{app}/{workflow}" for app, workflow in known)
        raise UnknownWorkflow(f"--workflows: no workflow {name!r}. Known workflows: {listed or 'none'}.")
    return found


async def _work(stepwell: Stepwell, supervisor: Report | None, *, tied: bool, again: bool) -> None:
    stop = Stop(lambda signum: os._exit(128 + signum))
    if tied:
        stop.ask_when_stdin_closes()
    if not again:
        await reach_queue(stepwell.settings)
    async with opened(stepwell, worker=True):
        process = stepwell.process
        assert process is not None  # it is open
        _collect_less()
        takes = sum(not is_own(name) for _, name in process.lanes)
        say(
            f"worker {process.worker_id} (pid {os.getpid()}) takes {takes} workflows, "
            f"{stepwell.settings.worker_concurrency} runs at once"
        )
        if supervisor is not None:
            supervisor.ready()
        await stop.event.wait()
        say(f"stopping: transitions have {stepwell.settings.drain_seconds:g} s to finish")
    say("stopped")


def _collect_less() -> None:
    """Have the garbage collector skip what the application has loaded, and examine the rest less often.

    A run's rows are freed without it, and what is loaded stays: looking for cycles there only wastes CPU time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])


async def reach_queue(settings: Settings) -> None:
    """Check that Redis answers, and that BullMQ can work with it. Raises ConfigurationError, StoreUnavailable."""
    check_queue(settings)
    if settings.queue_url is None:
        return
    from stepwell.queue.bullmq.client import Away, Bull

    bull = Bull(settings.queue_url, settings.queue_prefix, "", lambda: time.time_ns() // 1000, settings.lease_seconds)
    try:
        await bull.check()
    except Away as error:
        why = str(error).rstrip(".")
        raise StoreUnavailable(
            f"queue_url {bull.url!r} can't be used: {why}. Is a Redis or Valkey running there, is it reachable from "
            "here, and are user and password correct?"
        ) from error
    finally:
        await bull.close()

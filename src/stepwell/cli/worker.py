"""`stepwell worker MODULE:ATTR`: execute runs until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from typing import Annotated, Final

import typer

from stepwell.app import Stepwell
from stepwell.cli.output import MISCONFIGURED, say
from stepwell.cli.reach import reach_queue
from stepwell.cli.stop import Stop
from stepwell.cli.supervisor import Report, Supervisor
from stepwell.cli.target import Target, load_stepwell, opened
from stepwell.errors import StepwellError, UnknownWorkflow

_NEW_OBJECTS: Final = 10_000
"""How many more objects there must be before the garbage collector looks at them; Python's own number is 700."""


def worker(
    target: Target,
    concurrency: Annotated[int | None, typer.Option("--concurrency", min=1, max=10_000, help="Runs at once.")] = None,
    workflows: Annotated[str | None, typer.Option("--workflows", metavar="A,B", help="Take only these.")] = None,
    processes: Annotated[int, typer.Option("--processes", min=1, max=256, help="So many worker processes.")] = 1,
    tied: Annotated[bool, typer.Option("--tied", hidden=True, help="Stop when stdin is closed.")] = False,
    report: Annotated[int | None, typer.Option("--report", hidden=True, help="The supervisor's pipe.")] = None,
    again: Annotated[bool, typer.Option("--again", hidden=True, help="In place of a process that died.")] = False,
) -> None:
    """Execute runs. On SIGTERM or SIGINT it claims nothing more, lets transitions finish for
    STEPWELL_DRAIN_SECONDS, hands over the rest and exits with 0; a second signal ends it at once.
    """
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if processes > 1:
        # The application is imported by those that execute it, and by nobody else: it may be large, and start threads.
        command = ["worker", target, *_options(concurrency, workflows)]
        raise typer.Exit(asyncio.run(Supervisor(command, processes).run(tied=tied)))
    supervisor = Report(report) if report is not None else None
    try:
        stepwell = load_stepwell(target)
        configure(stepwell, concurrency, workflows)
        asyncio.run(_work(stepwell, supervisor, tied=tied, again=again))
    except StepwellError as error:
        if supervisor is None:
            raise
        supervisor.refused(error)
        raise typer.Exit(MISCONFIGURED) from error


def _options(concurrency: int | None, workflows: str | None) -> list[str]:
    options = ["--concurrency", str(concurrency)] if concurrency is not None else []
    return options + (["--workflows", workflows] if workflows is not None else [])


def configure(stepwell: Stepwell, concurrency: int | None, workflows: str | None) -> None:
    """The worker takes so many runs at once, and only of these workflows. Raises UnknownWorkflow."""
    if concurrency is not None:
        stepwell.settings = stepwell.settings.model_copy(update={"worker_concurrency": concurrency})
    if workflows is not None:
        stepwell.lanes = [lane for name in workflows.split(",") for lane in lanes_of(stepwell, name.strip())]


def lanes_of(stepwell: Stepwell, name: str) -> list[tuple[str, str]]:
    """Every (app, workflow) of that name, which may be APP/WORKFLOW. Raises UnknownWorkflow with what there is."""
    known = [(app.name, workflow) for app in stepwell.apps.values() for workflow in app.definitions]
    found = [(app, workflow) for app, workflow in known if name in (workflow, f"{app}/{workflow}")]
    if not found:
        listed = ", ".join(f"{app}/{workflow}" for app, workflow in known)
        raise UnknownWorkflow(f"--workflows: no workflow {name!r}. There is: {listed or 'none'}.")
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
        say(
            f"worker {process.worker_id} (pid {os.getpid()}) takes {len(process.lanes)} workflows, "
            f"{stepwell.settings.worker_concurrency} runs at once"
        )
        if supervisor is not None:
            supervisor.ready()
        await stop.event.wait()
        say(f"stopping: transitions have {stepwell.settings.drain_seconds:g} s to finish")
    say("stopped")


def _collect_less() -> None:
    """The garbage collector passes over what the application has loaded, and looks at the rest less often.

    A run's rows are freed without it, and what is loaded stays: looking for cycles there is CPU for nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])

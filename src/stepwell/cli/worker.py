"""`stepwell worker MODULE:ATTR`: execute runs until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from stepwell.app import Stepwell
from stepwell.cli.output import COMPLETED, FAILED, MISCONFIGURED, say
from stepwell.cli.target import Target, load_stepwell, opened
from stepwell.errors import UnknownWorkflow

_AGAIN = 1.0
"""Seconds before a worker process that died is started anew."""


def worker(
    target: Target,
    concurrency: Annotated[int | None, typer.Option("--concurrency", min=1, max=10_000, help="Runs at once.")] = None,
    workflows: Annotated[str | None, typer.Option("--workflows", metavar="A,B", help="Take only these.")] = None,
    processes: Annotated[int, typer.Option("--processes", min=1, max=256, help="So many worker processes.")] = 1,
    tied: Annotated[bool, typer.Option("--tied", hidden=True, help="Stop when stdin is closed.")] = False,
) -> None:
    """Execute runs. On SIGTERM or SIGINT it claims nothing more, lets transitions finish for
    STEPWELL_DRAIN_SECONDS, hands over the rest and exits with 0; a second signal ends it at once.
    """
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    stepwell = load_stepwell(target)
    configure(stepwell, concurrency, workflows)
    if processes == 1:
        asyncio.run(_work(stepwell, tied))
        return
    options = ["--concurrency", str(concurrency)] if concurrency else []
    options += ["--workflows", workflows] if workflows else []
    raise typer.Exit(asyncio.run(Supervisor(target, options, processes).run()))


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


async def _work(stepwell: Stepwell, tied: bool) -> None:
    stop = Stop(lambda signum: os._exit(128 + signum))
    if tied:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.asked)
    async with opened(stepwell, worker=True):
        process = stepwell.process
        assert process is not None  # it is open
        say(
            f"worker {process.worker_id} (pid {os.getpid()}) takes {len(process.lanes)} workflows, "
            f"{stepwell.settings.worker_concurrency} runs at once"
        )
        await stop.event.wait()
        say(f"stopping: transitions have {stepwell.settings.drain_seconds:g} s to finish")
    say("stopped")


class Stop:
    """The first signal asks to stop, the second does what it was given."""

    def __init__(self, at_once: Callable[[int], object]) -> None:
        self.event = asyncio.Event()
        self._at_once = at_once
        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signum, self._signal, signum)

    def _signal(self, signum: int) -> None:
        if self.event.is_set():
            self._at_once(signum)
        self.event.set()

    def asked(self) -> None:
        """Stop, without a signal."""
        self.event.set()
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())


class Supervisor:
    """Keeps so many worker processes alive, and ends them together. They stop by themselves if it dies."""

    def __init__(self, target: str, options: list[str], count: int) -> None:
        self._command = [sys.executable, "-m", "stepwell.cli", "worker", target, *options, "--tied"]
        self._count = count
        self._children: set[asyncio.subprocess.Process] = set()
        self._code = COMPLETED

    async def run(self) -> int:
        """The exit code: 0 if every process has stopped cleanly."""
        self._stop = Stop(lambda signum: self._tell(signal.SIGKILL))
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._keep())
            group.create_task(self._forward())
        return self._code

    async def _forward(self) -> None:
        await self._stop.event.wait()
        self._tell(signal.SIGTERM)

    def _tell(self, signum: int) -> None:
        for child in self._children:
            if child.returncode is None:
                child.send_signal(signum)

    async def _keep(self) -> None:
        while not self._stop.event.is_set():
            code = await self._child()
            if self._stop.event.is_set():
                self._code = self._code or (FAILED if code else COMPLETED)
            elif code == MISCONFIGURED:
                self._code = MISCONFIGURED
                self._stop.event.set()
            else:
                say(f"a worker process ended with {code}; starting another")
                await asyncio.sleep(_AGAIN)

    async def _child(self) -> int:
        # A session of its own: Ctrl-C reaches it through this process only, and so only once.
        child = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        self._children.add(child)
        if self._stop.event.is_set():
            child.send_signal(signal.SIGTERM)
        try:
            return await child.wait()
        finally:
            self._children.discard(child)

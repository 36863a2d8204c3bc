"""`stepwell worker --processes N`: N worker processes, kept alive and ended together."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from pydantic import BaseModel

from stepwell.cli.output import COMPLETED, FAILED, MISCONFIGURED, say
from stepwell.cli.stop import Stop
from stepwell.errors import StepwellError, StoreUnavailable

log = logging.getLogger("stepwell.cli")

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
"""Seconds before a process that died is started anew: twice as many after each death, until one has lived for `_STEADY`."""
_STEADY: Final = 60.0


class Report:
    """What a worker process tells its supervisor: that it works, or why it can't."""

    def __init__(self, pipe: int) -> None:
        os.set_inheritable(pipe, False)  # not for the processes that a workflow starts
        self._pipe = pipe

    def ready(self) -> None:
        """It takes runs."""
        self._tell(Told(ready=True))

    def refused(self, error: StepwellError) -> None:
        """It can't begin: for now, or however often it is tried."""
        text = " ".join(str(error).split())
        self._tell(Told(error=text, lasting=not isinstance(error, StoreUnavailable)))

    def _tell(self, what: Told) -> None:
        try:
            os.write(self._pipe, what.model_dump_json(exclude_defaults=True).encode() + b"\n")
        except BrokenPipeError:
            log.warning("the supervisor is gone")  # stdin tells the same, and ends this process


class Told(BaseModel):
    """What a supervisor was told."""

    ready: bool = False
    error: str | None = None
    lasting: bool = False
    """Whether it would be the same error again."""


class End(NamedTuple):
    """How a worker process ended."""

    pid: int
    code: int
    seconds: float
    """For how long it lived."""
    told: Told

    def __str__(self) -> str:
        if self.told.error is not None:
            return f"worker process {self.pid} could not begin: {self.told.error}"
        how = f"was ended by {_name(-self.code)}" if self.code < 0 else f"ended with exit code {self.code}"
        return f"worker process {self.pid} {how}" + ("" if self.told.ready else " before it took runs")


def _name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


class Supervisor:
    """Starts so many processes with this command, each a worker of its own, and one anew where one dies.

    They stop by themselves if it dies: their stdin closes.
    """

    def __init__(self, command: Sequence[str], count: int) -> None:
        self._command = [sys.executable, "-m", "stepwell.cli", *command, "--tied"]
        self._count = count
        self._children: set[asyncio.subprocess.Process] = set()
        self._code = COMPLETED

    async def run(self, *, tied: bool) -> int:
        """The exit code: 0 if every process has stopped cleanly, 2 if they can't begin. `tied`: to its own stdin too."""
        self._stop = Stop(self._end_at_once)
        if tied:
            self._stop.ask_when_stdin_closes()
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._keep())
            group.create_task(self._pass_on())
        return self._code

    async def _pass_on(self) -> None:
        await self._stop.event.wait()
        self._tell(signal.SIGTERM)

    def _end_at_once(self, signum: int) -> None:
        self._tell(signal.SIGKILL)
        os._exit(128 + signum)

    def _tell(self, signum: int) -> None:
        for child in self._children:
            if child.returncode is None:
                child.send_signal(signum)

    # -- one of them ----------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """One process works at any time, until all are to stop."""
        pause = _FIRST_PAUSE
        options: list[str] = []
        while not self._stop.asked():
            end = await self._child(options)
            if self._stop.asked():
                return self._stopped(end)
            if end.told.lasting or not (end.told.ready or options):
                return self._give_up(end)
            if end.seconds >= _STEADY:
                pause = _FIRST_PAUSE
            log.warning("%s; another one starts in %g s", end, pause)
            options = ["--again"]
            await self._stop.within(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        return None

    def _stopped(self, end: End) -> None:
        # Before it can take signals, SIGTERM just ends it. Who can't begin at this moment needn't.
        if end.code in (COMPLETED, -signal.SIGTERM) or end.told.error is not None:
            return
        log.warning("%s", end)
        self._code = self._code or FAILED

    def _give_up(self, end: End) -> None:
        """All end, and the first of them says why: what can't begin at first won't begin later."""
        self._code = MISCONFIGURED if end.told.error is not None else FAILED
        say(f"error: {end.told.error or end}")
        self._stop.ask()

    async def _child(self, options: list[str]) -> End:
        mine, its = os.pipe()
        os.set_blocking(mine, False)
        began = time.monotonic()
        try:
            child = await self._start([*options, "--report", str(its)], its)
            code = await child.wait()
            self._children.discard(child)
            return End(child.pid, code, time.monotonic() - began, _read(mine))
        except OSError as error:
            return End(0, FAILED, 0.0, Told(error=f"another process can't be started here: {error}"))
        finally:
            os.close(mine)

    async def _start(self, options: list[str], pipe: int) -> asyncio.subprocess.Process:
        try:
            # A session of its own: Ctrl-C reaches it through this process only, and so only once.
            child = await asyncio.create_subprocess_exec(
                *self._command, *options, stdin=asyncio.subprocess.PIPE, pass_fds=[pipe], start_new_session=True
            )
        finally:
            os.close(pipe)
        self._children.add(child)
        if self._stop.asked():
            child.send_signal(signal.SIGTERM)
        return child


def _read(pipe: int) -> Told:
    try:
        lines = os.read(pipe, 65_536).splitlines()
    except BlockingIOError:  # it said nothing, and somebody that it left behind holds the other end
        lines = []
    return Told.model_validate({key: value for line in lines for key, value in json.loads(line).items()})

"""`stepwell worker --processes N`: N worker processes, kept alive and ended together; and how a process is stopped."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final, NamedTuple

from pydantic import BaseModel

from stepwell.console.cli.terminal.output import COMPLETED, FAILED, MISCONFIGURED, say
from stepwell.errors import StepwellError, StoreUnavailable

log = logging.getLogger("stepwell.cli")
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
"""Seconds before a process that died is restarted, at most: they double with each death, until one has lived for `_STEADY`."""
_LONGEST_AT_WORK: Final = 5.0
"""The same for one that took runs: a run that kills it is found within a few deaths (rule 48), and the other runs wait."""
_STEADY: Final = 60.0


class Report:
    """The messages of a worker process to its supervisor: that it works, or why it can't."""

    def __init__(self, pipe: int) -> None:
        os.set_inheritable(pipe, False)  # not inherited by the processes that a workflow starts
        self._pipe = pipe

    def ready(self) -> None:
        """Report that this process takes runs."""
        self._send(ReportedState(ready=True))

    def refused(self, error: StepwellError) -> None:
        """Report that this process can't begin: for now, or at every attempt."""
        text = " ".join(str(error).split())
        self._send(ReportedState(error=text, lasting=not isinstance(error, StoreUnavailable)))

    def _send(self, what: ReportedState) -> None:
        try:
            os.write(self._pipe, what.model_dump_json(exclude_defaults=True).encode() + b"\n")
        except BrokenPipeError:
            log.warning("the supervisor has gone")  # stdin is closed too, which ends this process


class ReportedState(BaseModel):
    """The state that a worker process has reported."""

    ready: bool = False
    error: str | None = None
    lasting: bool = False
    """Another attempt would fail with the same error."""


class End(NamedTuple):
    """The end of a worker process."""

    pid: int
    code: int
    seconds: float
    """The time that it lived."""
    reported: ReportedState

    def __str__(self) -> str:
        if self.reported.error is not None:
            return f"worker process {self.pid} couldn't start: {self.reported.error}"
        how = f"was killed by {_name(-self.code)}" if self.code < 0 else f"ended with exit code {self.code}"
        return f"worker process {self.pid} {how}" + ("" if self.reported.ready else " before it took runs")


def next_pause(pause: float, end: End) -> float:
    """Return the seconds before the next process is replaced, should it die too."""
    return min(pause * 2, _LONGEST_AT_WORK if end.reported.ready else _LONGEST_PAUSE)


def _name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


class Supervisor:
    """A supervisor of N processes that run this command as workers, and that restarts any that die.

    The workers stop by themselves if the supervisor dies, since their stdin is closed.
    """

    def __init__(self, command: Sequence[str], count: int) -> None:
        self._command = [sys.executable, "-m", "stepwell.console.cli", *command, "--tied"]
        self._count = count
        self._children: set[asyncio.subprocess.Process] = set()
        self._code = COMPLETED

    async def run(self, *, tied: bool) -> int:
        """Run until all processes have ended, and return the exit code.

        0 if every process has stopped cleanly, 2 if they can't begin. `tied`: it stops when its own stdin is closed, too.
        """
        self._stop = Stop(self._end_at_once)
        if tied:
            self._stop.ask_when_stdin_closes()
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._keep())
            await self._stop.event.wait()
            self._signal_all(signal.SIGTERM)
        return self._code

    def _end_at_once(self, signum: int) -> None:
        self._signal_all(signal.SIGKILL)
        os._exit(128 + signum)

    def _signal_all(self, signum: int) -> None:
        for child in self._children:
            if child.returncode is None:
                child.send_signal(signum)

    # -- one of them ----------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Keep one process working, until all are to stop."""
        pause = _FIRST_PAUSE
        options: list[str] = []
        while not self._stop.asked():
            end = await self._child(options)
            if self._stop.asked():
                return self._stopped(end)
            if end.reported.lasting or not (end.reported.ready or options):
                return self._give_up(end)
            if end.seconds >= _STEADY:
                pause = _FIRST_PAUSE
            log.warning("%s; a new one starts in %g s", end, pause)
            options = ["--again"]
            await self._stop.within(pause)
            pause = next_pause(pause, end)
        return None

    def _stopped(self, end: End) -> None:
        # Before it can handle signals, SIGTERM simply ends it. A process that can't begin now needn't any more.
        if end.code in (COMPLETED, -signal.SIGTERM) or end.reported.error is not None:
            return
        log.warning("%s", end)
        self._code = self._code or FAILED

    def _give_up(self, end: End) -> None:
        """Stop all processes and report the error of the first: what can't begin at first won't begin later."""
        self._code = MISCONFIGURED if end.reported.error is not None else FAILED
        say(f"error: {end.reported.error or end}")
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
            return End(0, FAILED, 0.0, ReportedState(error=f"another process can't be started: {error}"))
        finally:
            os.close(mine)

    async def _start(self, options: list[str], pipe: int) -> asyncio.subprocess.Process:
        try:
            # In its own session, Ctrl-C reaches it only through this process, and so only once.
            child = await asyncio.create_subprocess_exec(
                *self._command, *options, stdin=asyncio.subprocess.PIPE, pass_fds=[pipe], start_new_session=True
            )
        finally:
            os.close(pipe)
        self._children.add(child)
        if self._stop.asked():
            child.send_signal(signal.SIGTERM)
        return child


def _read(pipe: int) -> ReportedState:
    try:
        lines = os.read(pipe, 65_536).splitlines()
    except BlockingIOError:  # it wrote nothing, and a process that it left behind holds the other end
        lines = []
    return ReportedState.model_validate({key: value for line in lines for key, value in json.loads(line).items()})


class Stop:
    """A request to stop, by SIGTERM or SIGINT; a second signal calls `at_once` with its number."""

    def __init__(self, at_once: Callable[[int], object]) -> None:
        self.event = asyncio.Event()
        self._at_once = at_once
        self._asked = False
        self._loop = asyncio.get_running_loop()
        # Not the loop's signal handlers: the second signal must reach a process whose loop is blocked.
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._signal)

    def asked(self) -> bool:
        """Return whether this process was asked to stop."""
        return self.event.is_set()

    def ask(self) -> None:
        """Ask this process to stop, without a signal."""
        self.event.set()

    def _signal(self, signum: int, _frame: FrameType | None) -> None:
        if self._asked:
            self._at_once(signum)
        self._asked = True
        self._loop.call_soon_threadsafe(self.event.set)

    def ask_when_stdin_closes(self) -> None:
        """Ask this process to stop when the other end of stdin is closed, or its owner dies."""
        self._loop.add_reader(sys.stdin.fileno(), self._read)

    def _read(self) -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            self._loop.remove_reader(sys.stdin.fileno())
            self.ask()

    async def within(self, seconds: float) -> bool:
        """Return True once this process is asked to stop; False after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self.event.wait()
        except TimeoutError:
            return False
        return True

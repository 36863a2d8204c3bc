"""The parts that exist before the database is open: a runner can be made, and can run stateless, at any time.

An open Stepwell belongs to one process and one event loop: its connections, threads and tasks are nowhere else. A verb
called in another context is refused here, before anything is stored.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stepwell.errors import ConfigurationError, StepwellError
from stepwell.execution.shared import Shared

if TYPE_CHECKING:
    from stepwell.runner.core import Core
    from stepwell.runner.models import Explain

_CLOSED = (
    "This Stepwell isn't open: use it inside `async with stepwell:`, `with stepwell:` or FastAPI's "
    "lifespan=stepwell.lifespan. Only run_sync(..., stateless=True) works before."
)
_IN_THE_WORKER = (
    "Open it in each process that uses it, after the fork: FastAPI(lifespan=stepwell.lifespan) does so in every worker, "
    "with gunicorn's --preload too; for Flask and Django use a hook of the server (docs/hosts.md)."
)


@dataclass(frozen=True, slots=True)
class LoopContext:
    """The process, the thread and the event loop in which a Stepwell was opened."""

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    pid: int = field(default_factory=os.getpid)
    thread: threading.Thread = field(default_factory=threading.current_thread)

    @property
    def forked(self) -> bool:
        """True in a process that was forked off after the opening."""
        return os.getpid() != self.pid

    def __str__(self) -> str:
        return f"the thread {self.thread.name!r} of process {self.pid}"


class Opening:
    """Holds the open parts while there are any."""

    def __init__(self, shared: Shared, explain: Explain) -> None:
        self.shared = shared
        self.explain = explain
        self.context: LoopContext | None = None
        self._core: Core | None = None

    @property
    def core(self) -> Core:
        """The open parts. Raises StepwellError while there are none, ConfigurationError in another process or loop."""
        context = self.context
        if self._core is None or context is None:
            raise StepwellError(_CLOSED)
        if os.getpid() != context.pid or asyncio._get_running_loop() is not context.loop:
            raise _elsewhere(context)
        return self._core

    def blocking(self) -> asyncio.AbstractEventLoop:
        """Return the loop, for a thread that may wait for it. Raises StepwellError, ConfigurationError.

        Refuses a thread whose wait would never end.
        """
        context = self.context
        if self._core is None or context is None:
            raise StepwellError("This Stepwell isn't open: use runner.blocking inside `with stepwell:`.")
        if context.forked:
            raise _elsewhere(context)
        if asyncio._get_running_loop() is context.loop:
            raise StepwellError("runner.blocking was called on the event loop, which it would block: await the runner.")
        if context.loop.is_closed() or (threading.current_thread() is context.thread and not context.loop.is_running()):
            raise ConfigurationError(
                f"runner.blocking: the event loop on which this Stepwell was opened ({context}) has stopped running, so "
                "the call would never return; nothing was stored. Use `with stepwell:`, which has a loop of its own."
            )
        return context.loop

    @property
    def forked(self) -> bool:
        """True in a process that was forked while this was open: the open parts are the other process's."""
        return self.context is not None and self.context.forked

    def fault(self) -> str | None:
        """Return why the open parts can't be used here, in one line for health checks; None if they can."""
        if self.forked:
            return f"this process is a fork of process {self.context.pid if self.context else '?'}, which has it open"
        if self.context is not None and asyncio._get_running_loop() is not self.context.loop:
            return "it was opened on another event loop"
        return None

    def check_closable(self) -> None:
        """Raise ConfigurationError unless this is the loop on which it was opened."""
        if self.context is not None and asyncio._get_running_loop() is not self.context.loop:
            raise ConfigurationError(
                f"This Stepwell was opened on another event loop (in {self.context}): close it there. It is still open."
            )

    def refuse_second(self) -> ConfigurationError:
        """Return the refusal to open it once more."""
        if self.context is None:
            return ConfigurationError("This Stepwell is open already: open it once per process.")
        if self.context.forked:
            return ConfigurationError(
                f"This Stepwell is open already, in process {self.context.pid}, of which process {os.getpid()} is a fork. "
                f"{_IN_THE_WORKER} Or make another Stepwell here."
            )
        return ConfigurationError(
            f"This Stepwell is open already (in {self.context}): open it once per process."
            + (
                " The event loop there has ended without closing it: make a new one."
                if self.context.loop.is_closed()
                else ""
            )
        )

    def open(self, core: Core) -> None:
        """Let the runner work from now on, on this loop."""
        self.context = LoopContext()
        self._core = core

    def close(self) -> None:
        """Let the runner refuse again."""
        self._core = None
        self.context = None


def _elsewhere(context: LoopContext) -> ConfigurationError:
    if context.forked:
        return ConfigurationError(
            f"This Stepwell was opened in process {context.pid} and can't be used in process {os.getpid()}, a fork of it, "
            f"which has none of its threads; nothing was stored. {_IN_THE_WORKER}"
        )
    here = threading.current_thread().name
    what = (
        f"on the one of the thread {here!r}" if asyncio._get_running_loop() else f"in the thread {here!r}, without any"
    )
    return ConfigurationError(
        f"This Stepwell was opened on another event loop ({'which is closed by now; ' if context.loop.is_closed() else ''}"
        f"in {context}) and was called {what}; nothing was stored. Await it on the loop on which it was opened, open it "
        "on this one, or call runner.blocking from other threads."
    )


class LoopThread:
    """An event loop in a thread of its own, for `with stepwell:`: one task enters and leaves the context in it.

    Throwing it away waits for nothing: a fork has a copy of it, without the thread that would answer.
    """

    def __init__(self, context: AbstractAsyncContextManager[Any]) -> None:
        self._context = context
        self._entered: Future[None] = Future()
        self._left: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="stepwell-loop", daemon=True)

    def enter(self) -> None:
        """Enter the context. Raises the error of entering it; the thread has ended then."""
        self._thread.start()
        try:
            self._entered.result()
        except BaseException:
            self.exit()
            raise

    def exit(self) -> None:
        """Leave the context and end the thread. Raises the error of leaving it."""
        if not self._entered.exception():
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._left.result()

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            if self._entered.done():
                self._left.set_exception(error)
            else:
                self._left.set_result(None)
                self._entered.set_exception(error)
        else:
            self._left.set_result(None)

    async def _live(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with self._context:
            self._entered.set_result(None)
            await self._end.wait()

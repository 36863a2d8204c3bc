"""Plain `def` methods and steps run in a bounded pool of Stepwell's own, never in the application's.

Its threads are daemons: one that is stuck in user code can't be stopped, and must not keep the process from its end.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, TypeVar, cast

from stepwell.execution.begun import current_attempt
from stepwell.execution.crew import Crew, Job, Thread

log = logging.getLogger("stepwell.execution")

T = TypeVar("T")

_LONG = 10.0
"""Seconds in the queue after which a lack of threads is logged."""
_STILL = 1.0
"""Seconds after which a call that was given up and still runs is logged."""


class Threads:
    """The pool; its threads are started when they are first needed."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._pool: _Pool | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()

    async def run(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Return what `fn` returned, called in a thread with the caller's context variables.

        A cancelled caller stops waiting; the thread goes on to its end, and what it returns is thrown away. Another
        thread takes its place meanwhile. Raises NoThreadLeft when too many hang.
        """
        return await self.call(partial(fn, *args, **kwargs))

    async def call(self, fn: Callable[[], T], begun: Callable[[], None] | None = None) -> T:
        """As `run`; `begun` is called on the loop when a thread has taken the call."""
        loop = asyncio.get_running_loop()
        context: contextvars.Context | None = contextvars.copy_context()
        late = loop.call_later(_LONG, self._late, fn, context=contextvars.Context())

        def taken() -> None:
            late.cancel()
            if begun is not None:
                begun()

        def in_thread() -> tuple[T, None] | tuple[None, BaseException]:
            # Carried as a value: a future can't hold every exception.
            nonlocal context
            own, context = context, None
            loop.call_soon_threadsafe(taken)
            assert own is not None  # a call is made once
            try:
                return own.run(fn), None
            except BaseException as error:  # noqa: BLE001 - it is the caller's, whatever it is
                return None, error

        job, crew = Job(in_thread), self._opened().crew
        try:
            crew.put(job)
            value, error = await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            if crew.give_up(job, _name(fn)):
                _leave_behind(fn)
                loop.call_later(_STILL, _tell, crew, job, context=contextvars.Context())
            raise
        finally:
            late.cancel()
        if error is not None:
            raise error
        return cast("T", value)

    @property
    def exhausted(self) -> bool:
        """True while so many threads hang that no more take their place: nothing that may need one is to begin."""
        pool = self._pool
        return pool is not None and pool.crew.exhausted

    def faults(self) -> list[str]:
        """Return what is wrong with it now, for health checks."""
        pool = self._pool
        if pool is None or not pool.crew.exhausted:
            return []
        named = ", ".join(sorted(set(pool.crew.stuck.values()))[:5])
        return [f"{len(pool.crew.stuck)} threads hang in calls that were given up ({named}): restart this process"]

    def _opened(self) -> _Pool:
        if self._pid != os.getpid():
            # A fork has none of the threads, and a lock that was held at that moment is held for ever.
            self._pid, self._lock, self._pool = os.getpid(), threading.Lock(), None
        with self._lock:
            if self._pool is None:
                self._pool = _Pool(self._size)
            return self._pool

    def _late(self, fn: Callable[[], Any]) -> None:
        log.warning(
            "%s has waited for %g s for one of %d threads (Settings.sync_threads)", _name(fn), _LONG, self._size
        )

    def close(self) -> None:
        """Refuse new calls; running threads end by themselves."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.crew.refuse(None)
            pool.end()


def _leave_behind(fn: Callable[[], Any]) -> None:
    inside = current_attempt.get()
    if inside is not None:
        inside.attempt.threads += (_name(fn).rpartition(".")[2],)


class _Pool:
    """A pool that ends its threads when it isn't referenced any more."""

    def __init__(self, size: int) -> None:
        self.crew = Crew(size)
        self.end = weakref.finalize(self, self.crew.end)
        self.end.atexit = False


def waiting() -> AbstractContextManager[None]:
    """Let the calling thread wait for another run inside the block: if it is one of a pool, another one takes its place."""
    thread = threading.current_thread()
    return thread.crew.lent() if isinstance(thread, Thread) else nullcontext()


def _name(fn: Callable[..., Any]) -> str:
    while isinstance(fn, partial):
        fn = fn.func
    return str(getattr(fn, "__qualname__", fn))


def _tell(crew: Crew, job: Job) -> None:
    if job.over:
        return
    more = "no more take their place" if crew.exhausted else "another one takes its place"
    log.log(
        logging.ERROR if crew.exhausted else logging.WARNING,
        "%s was given up and still runs in its thread, which can't be stopped: %s (%d of at most %d hang)",
        crew.stuck.get(job, "a call"),
        more,
        len(crew.stuck),
        crew.most,
    )

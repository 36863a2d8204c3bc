"""Plain `def` methods and steps run in a bounded pool of Stepwell's own, never in the application's.

Its threads are daemons: one that is stuck in user code can't be stopped, and must not keep the process from its end.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

log = logging.getLogger("stepwell.execution")

T = TypeVar("T")
_Calls = SimpleQueue[tuple["Future[Any]", Callable[[], Any]] | None]

_LONG = 10.0
"""Seconds in the queue after which it is told that the threads don't suffice."""


class Threads:
    """The pool; its threads are started when they are first needed."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._pool: _Daemons | None = None
        self._lock = threading.Lock()

    async def run(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """What `fn` returned, called in a thread with the caller's context variables.

        A cancelled caller stops waiting; the thread goes on to its end, and what it returns is thrown away.
        """
        return await self.call(partial(fn, *args, **kwargs))

    async def call(self, fn: Callable[[], T], begun: Callable[[], None] | None = None) -> T:
        """As `run`; `begun` is called on the loop when a thread has taken the call."""
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        late = loop.call_later(_LONG, self._late, fn)

        def taken() -> None:
            late.cancel()
            if begun is not None:
                begun()

        def in_thread() -> T:
            loop.call_soon_threadsafe(taken)
            return context.run(fn)

        try:
            return await loop.run_in_executor(self._opened(), in_thread)
        finally:
            late.cancel()

    def _opened(self) -> _Daemons:
        with self._lock:
            if self._pool is None:
                self._pool = _Daemons(self._size)
            return self._pool

    def _late(self, fn: Callable[[], Any]) -> None:
        log.warning("%r waits since %g s for one of %d threads (Settings.sync_threads)", fn, _LONG, self._size)

    def close(self) -> None:
        """No new calls; running threads are left to end by themselves."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()


class _Daemons(Executor):
    """What ThreadPoolExecutor is, but its threads don't outlive the program, or the pool."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._started = 0
        self._lock = threading.Lock()
        self._idle = threading.Semaphore(0)
        self._calls: _Calls = SimpleQueue()
        self._end = weakref.finalize(self, self._calls.put, None)
        self._end.atexit = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        self._calls.put((future, partial(fn, *args, **kwargs)))
        with self._lock:
            if not self._idle.acquire(blocking=False) and self._started < self._size:
                self._started += 1
                name = f"stepwell-sync_{self._started}"
                # Of the pool itself a thread knows nothing: a pool that nobody has any more ends.
                threading.Thread(target=_work, args=(self._calls, self._idle), name=name, daemon=True).start()
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = True) -> None:
        """The threads end when they are idle; what waits for one is cancelled."""
        while cancel_futures:
            try:
                entry = self._calls.get_nowait()
            except Empty:
                break
            if entry is not None:
                entry[0].cancel()
        self._end()


def _work(calls: _Calls, idle: threading.Semaphore) -> None:
    while True:
        try:
            entry = calls.get_nowait()
        except Empty:
            idle.release()
            entry = calls.get()
        if entry is None:
            calls.put(None)  # for the next of them
            return
        _answer(*entry)
        del entry  # while it is idle nothing of a call is kept


def _answer(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001 - it is the caller's, whatever it is
        future.set_exception(error)

"""The threads of a pool: the full number stays available, even if some of them hang or wait.

A thread that was given up (its call timed out), or that waits for another run, is replaced by another one. The numbers of
both are bounded: at the limit there is an error instead of endless waiting.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, Final

from stepwell.errors import StepwellError

_FACTOR: Final = 4
_LEAST: Final = 16


class NoThreadLeft(Exception):
    """All threads hang in calls that were given up, and no more take their place."""


class Job:
    """One call, from the queue to its end."""

    __slots__ = ("begun", "call", "future", "given_up", "over")

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call: Callable[[], Any] | None = call
        self.future: Future[Any] = Future()
        self.begun = False
        self.over = False
        self.given_up = False


class Crew:
    """The state that the threads share. They hold no reference to the pool, so that an unused pool is collected and ends."""

    def __init__(self, size: int) -> None:
        self.most = max(_LEAST, _FACTOR * size)
        """Threads that are replaced: of those that hang, and of those that wait for other runs."""
        self.stuck: dict[Job, str] = {}
        """Calls that were given up and still run, with the names of their methods."""
        self._size = size
        self._lent = 0
        self._alive = 0
        self._started = 0
        self._idle = 0
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()

    @property
    def _wanted(self) -> int:
        return self._size + self._lent + min(len(self.stuck), self.most)

    @property
    def exhausted(self) -> bool:
        """True while no thread that hangs is replaced any more."""
        return len(self.stuck) >= self.most

    def put(self, job: Job) -> None:
        """Hand the call to the next free thread. Raises NoThreadLeft if there will never be one."""
        with self._lock:
            if self._hopeless:
                raise NoThreadLeft
            self._jobs.put(job)
            if self._idle:
                self._idle -= 1
            else:
                self._start()

    @property
    def _hopeless(self) -> bool:
        return len(self.stuck) >= self.most + self._size and self._alive <= len(self.stuck)

    def _start(self) -> None:
        if self._alive < self._wanted:
            self._alive += 1
            self._started += 1
            Thread(self, f"stepwell-sync_{self._started}").start()

    def _grow(self) -> None:
        if not self._jobs.empty():
            self._start()

    def give_up(self, job: Job, name: str) -> bool:
        """Abandon the call; return True if it has begun and still runs: another thread takes its place."""
        with self._lock:
            if not job.begun or job.over:
                return False
            job.given_up = True
            self.stuck[job] = name
            self._grow()
            hopeless = self._hopeless
        if hopeless:
            self.refuse(NoThreadLeft())
        return True

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Let the calling thread wait for something that may need a thread: another one works meanwhile."""
        with self._lock:
            if self._lent >= self.most:
                raise StepwellError(
                    f"{self._lent} threads of this process wait for other runs, which is the limit: "
                    "this call would wait forever. Start children with self.start(..., callback=...) instead, or raise "
                    "Settings.sync_threads."
                )
            self._lent += 1
            self._grow()
        try:
            yield
        finally:
            with self._lock:
                self._lent -= 1

    def end(self) -> None:
        """End each thread when it is idle."""
        self._jobs.put(None)

    def refuse(self, error: Exception | None) -> None:
        """Refuse calls that wait for a thread with this error, or cancel them."""
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return
            if job is None:
                self.end()
                return
            if error is None:
                job.future.cancel()
            elif job.future.set_running_or_notify_cancel():
                job.future.set_exception(error)

    # -- in the threads -------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Make calls until the pool ends, or there is a thread too many."""
        while (job := self._next()) is not None:
            if not job.future.set_running_or_notify_cancel():
                continue
            job.begun = True
            call, job.call = job.call, None
            assert call is not None  # it is called once
            answer, error = _called(call)
            with self._lock:
                job.over = True
                self.stuck.pop(job, None)
                surplus = self._alive > self._wanted
                self._alive -= surplus
            if error is None:
                job.future.set_result(answer)
            else:
                job.future.set_exception(error)
            if surplus:
                return
            del call, job, answer, error  # while it is idle nothing of a call is kept

    def _next(self) -> Job | None:
        try:
            job = self._jobs.get_nowait()
        except Empty:
            with self._lock:
                self._idle += 1
            job = self._jobs.get()
        if job is None:
            self.end()  # for the next of them
        return job


class Thread(threading.Thread):
    """One of them."""

    def __init__(self, crew: Crew, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.crew = crew

    def run(self) -> None:
        self.crew.work()


def _called(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return call(), None
    except BaseException as error:  # noqa: BLE001 - it is the caller's, whatever it is
        return None, error

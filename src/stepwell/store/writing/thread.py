"""A writer in a thread of its own: SQLite's, and the one of PostgreSQL's heartbeats, which a blocked loop can't stop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

from stepwell.errors import StoreUnavailable
from stepwell.store.tx import Answer, Hints
from stepwell.store.writing.flush import Delayed, Flusher
from stepwell.store.writing.writer import BATCH, Entry, Writer, answer_threads

log = logging.getLogger("stepwell.store")

_AT_ONCE: Final = 128
"""Entries that go over before the pass of the loop is at its end."""

Enter = Callable[[], AbstractContextManager[Callable[[Callable[[], Any]], Any]]]
"""The context of the thread while it works: it gives a way to call the flusher."""


class LentLock:
    """The write lock, lent to a transaction of user code."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.granted: Future[None] = Future()
        self.returned = threading.Event()


class ThreadWriter(Writer):
    """A thread with one write connection."""

    def __init__(
        self, flusher: Flusher, loop: asyncio.AbstractEventLoop, enter: Enter, patience: float | None = None
    ) -> None:
        super().__init__(loop)
        self._patience = patience
        """Seconds for which `stop` waits for the thread; None: as long as it takes."""
        self._flusher = flusher
        self._enter = enter
        self._queue: SimpleQueue[list[Entry] | LentLock | None] = SimpleQueue()
        self._gathered: deque[Entry] = deque()
        """The entries of this pass of the loop: they go to the thread in one piece."""
        self._handing = threading.Lock()
        self._left: list[Entry] = []
        """Entries beyond one transaction's limit. Used by the thread only."""
        self._thread = threading.Thread(target=self._run, name="stepwell-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        if self._patience is not None:
            self._flusher.hurry()

    async def stop(self) -> None:
        self._stopping = True
        self._hand_over()
        self._queue.put(None)
        deadline = None if self._patience is None else time.monotonic() + self._patience
        while self._thread.is_alive() and (deadline is None or time.monotonic() < deadline):
            await asyncio.sleep(0.005)

    def lend(self, seconds: float) -> LentLock:
        """Return the write lock, once `granted` is done; nothing else of this process writes until `returned` is set."""
        self._check_running()
        lent = LentLock(seconds)
        self._hand_over()
        self._queue.put(lent)
        return lent

    def _put(self, entry: Entry) -> None:
        if type(entry[0]) is Future:
            # From a thread, and the loop may be blocked: what it has gathered isn't kept back by that, and is written before.
            self._hand_over()
            self._queue.put([entry])
            return
        # Each put wakes the thread, which takes the interpreter from the loop for the first of many.
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(entry)
        if len(self._gathered) >= _AT_ONCE:
            self._hand_over()

    def _hand_over(self) -> None:
        # One at a time, from taking to putting: nothing may come behind the word to end, or before what was asked earlier.
        with self._handing:
            entries = [self._gathered.popleft() for _ in range(len(self._gathered))]
            if entries:
                self._queue.put(entries)

    # -- in the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with self._enter() as call:
            open_ = True
            while open_:
                batch, lent, open_ = self._gather()
                if batch:
                    self._answer(batch, *call(partial(self._flusher.flush, [item for _, item, _ in batch])))
                if lent is not None:
                    self._lend(lent)
            call(self._flusher.disconnect)

    def _gather(self) -> tuple[list[Entry], LentLock | None, bool]:
        batch, self._left = self._left, []
        while len(batch) < BATCH:
            try:
                found = self._queue.get(block=not batch)
            except Empty:
                break
            if found is None:
                return batch, None, False
            if isinstance(found, LentLock):
                return batch, found, True
            batch += found
        self._left = batch[BATCH:]
        return batch[:BATCH], None, True

    @staticmethod
    def _lend(lent: LentLock) -> None:
        if not lent.granted.set_running_or_notify_cancel():
            return  # who asked for it doesn't wait any more
        lent.granted.set_result(None)
        # The borrower ends after `seconds` by itself; the margin is for a loop that is late to say so.
        if not lent.returned.wait(lent.seconds + 30):
            log.error("a transaction held the write lock for %.0f s; continuing without it", lent.seconds + 30)

    def _answer(self, batch: list[Entry], answers: list[Answer], hints: Hints) -> None:
        # Nothing is tried again later here: who writes from this thread comes back by itself.
        answers = [_held(answer) if type(answer) is Delayed else answer for answer in answers]
        answer_threads(batch, answers)
        try:
            self._loop.call_soon_threadsafe(self._deliver, batch, answers, hints)
        except RuntimeError:  # the loop is closed: no task waits any more
            log.debug("the loop closed before %d answers were delivered", len(batch))


def _held(delayed: Delayed) -> StoreUnavailable:
    held = StoreUnavailable("The database can't be written: another transaction holds the row. Nothing was stored.")
    held.__cause__ = delayed
    return held

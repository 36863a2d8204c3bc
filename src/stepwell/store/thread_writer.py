"""A writer in a thread of its own: SQLite's, and the one of PostgreSQL's heartbeats, which a blocked loop can't stop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from stepwell.store.flush import Answer, Flusher
from stepwell.store.tx import Hints
from stepwell.store.writer import BATCH, Entry, Writer, answer_threads

log = logging.getLogger("stepwell.store")

Enter = Callable[[], AbstractContextManager[Callable[[Callable[[], Any]], Any]]]
"""What the thread is inside of while it works: gives a way to call the flusher."""


class Lane:
    """The write lane, lent to a transaction of user code."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.granted: Future[None] = Future()
        self.returned = threading.Event()


class ThreadWriter(Writer):
    """A thread with one write connection."""

    def __init__(
        self, flusher: Flusher, loop: asyncio.AbstractEventLoop, enter: Enter, patience: float | None = None
    ) -> None:
        super().__init__(flusher.applier, loop)
        self._patience = patience
        """Seconds for which `stop` waits for the thread; None: as long as it takes."""
        self._flusher = flusher
        self._enter = enter
        self._queue: SimpleQueue[Entry | Lane | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="stepwell-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        if self._patience is not None:
            self._flusher.hurry()

    async def stop(self) -> None:
        self._stopping = True
        self._queue.put(None)
        deadline = None if self._patience is None else time.monotonic() + self._patience
        while self._thread.is_alive() and (deadline is None or time.monotonic() < deadline):
            await asyncio.sleep(0.005)

    def lend(self, seconds: float) -> Lane:
        """The write lane, once `granted` is done; nothing else of this process writes until `returned` is set."""
        self._check_running()
        lane = Lane(seconds)
        self._queue.put(lane)
        return lane

    def _put(self, entry: Entry) -> None:
        self._queue.put(entry)

    # -- in the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with self._enter() as call:
            open_ = True
            while open_:
                batch, lane, open_ = self._gather()
                if batch:
                    self._answer(batch, *call(partial(self._flusher.flush, [item for _, item, _ in batch])))
                if lane is not None:
                    self._lend(lane)
            call(self._flusher.disconnect)

    def _gather(self) -> tuple[list[Entry], Lane | None, bool]:
        batch: list[Entry] = []
        entry = self._queue.get()
        while True:
            if entry is None:
                return batch, None, False
            if isinstance(entry, Lane):
                return batch, entry, True
            batch.append(entry)
            if len(batch) >= BATCH:
                return batch, None, True
            try:
                entry = self._queue.get_nowait()
            except Empty:
                return batch, None, True

    @staticmethod
    def _lend(lane: Lane) -> None:
        if not lane.granted.set_running_or_notify_cancel():
            return  # who asked for it doesn't wait any more
        lane.granted.set_result(None)
        # The borrower ends after `seconds` by itself; the margin is for a loop that is late to say so.
        if not lane.returned.wait(lane.seconds + 30):
            log.error("a transaction kept the write lane for %.0f s; going on without it", lane.seconds + 30)

    def _answer(self, batch: list[Entry], answers: list[Answer], hints: Hints) -> None:
        answer_threads(batch, answers)
        try:
            self._loop.call_soon_threadsafe(self._deliver, batch, answers, hints)
        except RuntimeError:  # the loop is closed: nobody waits any more
            log.debug("the loop closed before %d answers were delivered", len(batch))

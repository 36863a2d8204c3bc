"""A writer on the event loop: PostgreSQL's. While a flush waits for the database, the loop executes transitions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from sqlalchemy.util import greenlet_spawn

from stepwell.errors import StoreUnavailable
from stepwell.store.base import Item
from stepwell.store.flush import HURRIED, Answer, Delayed, Flusher
from stepwell.store.tx import Hints
from stepwell.store.writer import BATCH, Entry, Writer, answer_threads, given_up

log = logging.getLogger("stepwell.store")

_LATE = 10.0
"""Seconds beyond `busy_seconds` after which something else than a busy database keeps a flush."""
_AGAIN = 0.025
"""Seconds before the second try of what somebody else's row lock keeps waiting; doubled with each."""
_SELDOM = 1.0


class LoopWriter(Writer):
    """Some flushes at once, each on a connection of its own; and one connection for what has to wait for others."""

    def __init__(
        self, flushers: Sequence[Flusher], patient: Flusher, loop: asyncio.AbstractEventLoop, busy_seconds: float
    ) -> None:
        super().__init__(patient.applier, loop)
        self._flushers = flushers
        self._patient = patient
        self._busy_seconds = busy_seconds
        self._pending: deque[Entry] = deque()
        self._delayed: list[_Late] = []
        self._more = asyncio.Event()
        self._late = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._busy = 0
        self._began: dict[Flusher, float] = {}
        self._gone = False

    def start(self) -> None:
        spawn = self._loop.create_task
        self._tasks = [spawn(self._run(flusher)) for flusher in self._flushers]
        self._tasks.append(spawn(self._run_delayed()))

    def faults(self) -> list[str]:
        if any(task.done() for task in self._tasks):
            return ["the writer has ended"]
        late = [began for began in self._began.values() if time.monotonic() - began > self._busy_seconds + _LATE]
        return [f"a write has been under way for {time.monotonic() - min(late):.0f} s"] if late else []

    def hurry(self) -> None:
        for flusher in (*self._flushers, self._patient):
            flusher.hurry()

    async def stop(self) -> None:
        self._stopping = True
        self.hurry()
        deadline = time.monotonic() + 2 * HURRIED
        while (self._pending or self._delayed or self._busy) and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        self._gone = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        left = [*self._pending, *(one.entry for one in self._delayed)]
        self._answer(left, [given_up()] * len(left), Hints())
        for flusher in (*self._flushers, self._patient):
            await greenlet_spawn(flusher.disconnect)

    def _put(self, entry: Entry) -> None:
        if isinstance(entry[0], Future):
            self._loop.call_soon_threadsafe(self._queue, entry)
        else:
            self._queue(entry)

    def _queue(self, entry: Entry) -> None:
        self._pending.append(entry)
        self._more.set()

    async def _run(self, flusher: Flusher) -> None:
        while not self._gone:
            if not self._pending:
                self._more.clear()
                await self._more.wait()
                continue
            batch = [self._pending.popleft() for _ in range(min(BATCH, len(self._pending)))]
            answers, hints = await self._flush(flusher, [item for _, item, _ in batch])
            self._settle(batch, answers, hints, time.monotonic() + self._busy_seconds)

    async def _flush(self, flusher: Flusher, items: Sequence[Item]) -> tuple[list[Answer], Hints]:
        self._busy += 1
        self._began[flusher] = time.monotonic()
        try:
            return await greenlet_spawn(flusher.flush, items)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            return [given_up()] * len(items), Hints()
        except Exception as error:
            log.exception("a flush broke")
            return [StoreUnavailable(f"A flush broke: {error!r}", outcome="unknown")] * len(items), Hints()
        finally:
            self._busy -= 1
            del self._began[flusher]

    def _settle(self, batch: Sequence[Entry], answers: Sequence[Answer], hints: Hints, deadline: float) -> None:
        late = [entry for entry, answer in zip(batch, answers, strict=True) if type(answer) is Delayed]
        if late:
            self._delayed.extend(_Late(deadline, entry) for entry in late)
            self._late.set()
            done = [
                (entry, answer) for entry, answer in zip(batch, answers, strict=True) if type(answer) is not Delayed
            ]
            batch, answers = [entry for entry, _ in done], [answer for _, answer in done]
        self._answer(batch, answers, hints)

    def _answer(self, batch: Sequence[Entry], answers: Sequence[Answer], hints: Hints) -> None:
        answer_threads(batch, answers)
        self._deliver(batch, answers, hints)

    async def _run_delayed(self) -> None:
        """What somebody else's lock keeps waiting is tried again by itself: who was tried least often goes first."""
        while not self._gone:
            if not self._delayed:
                self._late.clear()
                await self._late.wait()
                continue
            one = min(self._delayed, key=_Late.turn)
            pause = one.next - time.monotonic()
            if pause > 0 and not self._stopping:
                self._late.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._late.wait()
                continue
            answers, hints = await self._flush(self._patient, [one.entry[1]])
            if type(answers[0]) is Delayed and time.monotonic() < one.deadline and not self._stopping:
                one.again()
                continue
            self._delayed.remove(one)
            self._answer([one.entry], [_locked() if type(answers[0]) is Delayed else answers[0]], hints)


@dataclass(slots=True, eq=False)
class _Late:
    """A write that waits for somebody else's lock."""

    deadline: float
    entry: Entry
    tries: int = 0
    next: float = 0.0

    def turn(self) -> tuple[float, int]:
        """Whose turn is first: it is due, and was tried least often."""
        return max(self.next - time.monotonic(), 0.0), self.tries

    def again(self) -> None:
        """It has its turn later, the later the more often it was tried."""
        self.tries += 1
        self.next = time.monotonic() + min(_AGAIN * 2**self.tries, _SELDOM)


def _locked() -> StoreUnavailable:
    return StoreUnavailable(
        "The database can't be written: another transaction holds the run's row. Nothing was stored. End that transaction."
    )

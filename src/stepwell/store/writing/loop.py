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
from stepwell.store.tx import Answer, Hints, Item
from stepwell.store.writing.flush import HURRIED, Delayed, Flusher
from stepwell.store.writing.writer import BATCH, Entry, Writer, answer_threads

log = logging.getLogger("stepwell.store")

_LATE = 10.0
"""Seconds beyond `busy_seconds` after which something else than a busy database keeps a flush."""
_AGAIN = 0.025
"""Seconds before the second try of writes that wait for another's row lock; doubled with each."""
_SELDOM = 1.0


class LoopWriter(Writer):
    """One connection for all that gathers, and one for what has to wait for others' locks."""

    def __init__(
        self, flusher: Flusher, patient: Flusher, loop: asyncio.AbstractEventLoop, busy_seconds: float
    ) -> None:
        super().__init__(loop)
        self._flusher = flusher
        self._patient = patient
        self._busy_seconds = busy_seconds
        self._pending: deque[Entry] = deque()
        self._delayed: list[_Late] = []
        self._more = asyncio.Event()
        self._late = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._under_way: dict[Flusher, float] = {}
        """The beginning of the present flush of each."""
        self._gone = False

    def start(self) -> None:
        self._tasks = [self._loop.create_task(self._run()), self._loop.create_task(self._run_delayed())]

    def faults(self) -> list[str]:
        if any(task.done() for task in self._tasks):
            return ["the writer has ended"]
        longest = time.monotonic() - min(self._under_way.values(), default=time.monotonic())
        return [f"a write has been under way for {longest:.0f} s"] if longest > self._busy_seconds + _LATE else []

    def hurry(self) -> None:
        self._flusher.hurry()
        self._patient.hurry()

    async def stop(self) -> None:
        self._stopping = True
        self.hurry()
        deadline = time.monotonic() + 2 * HURRIED
        while (self._pending or self._delayed or self._under_way) and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        self._gone = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        left = [*self._pending, *(one.entry for one in self._delayed)]
        self._answer(left, [_given_up()] * len(left), Hints())
        await greenlet_spawn(self._flusher.disconnect)
        await greenlet_spawn(self._patient.disconnect)

    def _put(self, entry: Entry) -> None:
        if isinstance(entry[0], Future):
            self._loop.call_soon_threadsafe(self._queue, entry)
        else:
            self._queue(entry)

    def _queue(self, entry: Entry) -> None:
        self._pending.append(entry)
        self._more.set()

    async def _run(self) -> None:
        while not self._gone:
            if not self._pending:
                self._more.clear()
                await self._more.wait()
                continue
            batch = [self._pending.popleft() for _ in range(min(BATCH, len(self._pending)))]
            answers, hints = await self._flush(self._flusher, [item for _, item, _ in batch])
            if Delayed in map(type, answers):
                batch, answers = self._put_off(batch, answers)
            self._answer(batch, answers, hints)

    async def _flush(self, flusher: Flusher, items: Sequence[Item]) -> tuple[list[Answer], Hints]:
        self._under_way[flusher] = time.monotonic()
        try:
            return await greenlet_spawn(flusher.flush, items)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            return [_given_up()] * len(items), Hints()
        except Exception as error:
            log.exception("a flush broke")
            return [StoreUnavailable(f"A flush broke: {error!r}", outcome="unknown")] * len(items), Hints()
        finally:
            del self._under_way[flusher]

    def _put_off(self, batch: Sequence[Entry], answers: Sequence[Answer]) -> tuple[list[Entry], list[Answer]]:
        """Leave what waits for others' locks to `_run_delayed`, and return the rest."""
        deadline = time.monotonic() + self._busy_seconds
        done: list[tuple[Entry, Answer]] = []
        for entry, answer in zip(batch, answers, strict=True):
            if type(answer) is Delayed:
                self._delayed.append(_Late(deadline, entry))
            else:
                done.append((entry, answer))
        self._late.set()
        return [entry for entry, _ in done], [answer for _, answer in done]

    def _answer(self, batch: Sequence[Entry], answers: Sequence[Answer], hints: Hints) -> None:
        answer_threads(batch, answers)
        self._deliver(batch, answers, hints)

    async def _run_delayed(self) -> None:
        """Try writes that wait for another's lock again, separately: the least often tried goes first."""
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
            [answer], hints = await self._flush(self._patient, [one.entry[1]])
            if type(answer) is Delayed:
                if time.monotonic() < one.deadline and not self._stopping:
                    one.again()
                    continue
                answer = StoreUnavailable(
                    "The database can't be written: another transaction holds the run's row. Nothing was stored."
                    " End that transaction."
                )
            self._delayed.remove(one)
            self._answer([one.entry], [answer], hints)


@dataclass(slots=True, eq=False)
class _Late:
    """A write that waits for another transaction's lock."""

    deadline: float
    entry: Entry
    tries: int = 0
    next: float = 0.0

    def turn(self) -> tuple[float, int]:
        """Return its place in the order: due first, then tried least often."""
        return max(self.next - time.monotonic(), 0.0), self.tries

    def again(self) -> None:
        """Put it off, the longer the more often it was tried."""
        self.tries += 1
        self.next = time.monotonic() + min(_AGAIN * 2**self.tries, _SELDOM)


def _given_up() -> StoreUnavailable:
    return StoreUnavailable(
        "This Stepwell closed before the database answered: whether it was stored is unknown.", outcome="unknown"
    )

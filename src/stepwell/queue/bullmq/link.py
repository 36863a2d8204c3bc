"""The connection to Redis: changes go out in batches, marks come in; an outage is noticed, logged once, and ended."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from stepwell.queue.bullmq.client import Away, Bull
from stepwell.queue.bullmq.jobs import JobBatch, Marker, Marks, NewJob, TakenJob

log = logging.getLogger("stepwell.queue")


_BATCH: Final = 100
"""Jobs written at once: the event loop isn't kept for longer than a few milliseconds."""
_FULL: Final = 20_000
"""Jobs that wait to be written. Further ones are dropped: the sweep announces them later."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_LAST: Final = 1.0
"""Seconds for the remaining writes when the process ends."""
_LOOK: Final = 5.0
"""Seconds after which all queues are looked at, even without a mark: it may be lost with its taker."""


class RedisLink:
    """A buffer for changes, filled without waiting or failing; while Redis can't be reached they are dropped."""

    def __init__(
        self,
        bull: Bull,
        *,
        on_back: Callable[[], None] = lambda: None,
        on_away: Callable[[], None] = lambda: None,
    ) -> None:
        self.bull = bull
        self._on_back = on_back
        """Called when Redis can be reached, at first and after each outage."""
        self._on_away = on_away
        """Called when an outage begins."""
        self._thin: set[str] = set()
        self._out = JobBatch()
        self._some = asyncio.Event()
        self.up = asyncio.Event()
        self._written = asyncio.Event()
        self._writing = False
        self.away = False
        """True from when Redis could not be reached until it can be."""

    async def reached(self) -> None:
        """Wait until Redis can be reached."""
        await self.up.wait()

    def lost(self, error: Away) -> None:
        """Note that Redis can't be reached, and log it, once per outage."""
        self.up.clear()
        self._some.set()
        self._written.set()
        if not self.away:
            self.away = True
            log.warning(
                "Redis at %s can't be reached (%s): until it can, runs are claimed from the database",
                self.bull.url,
                error,
            )
            self._on_away()

    # -- what is to be written ------------------------------------------------------------------------------------

    def add(self, jobs: Iterable[NewJob]) -> None:
        """Add the jobs soon."""
        for job in jobs:
            if self.away or len(self._out.jobs) >= _FULL:
                self._drop([job])
            else:
                self._out.jobs.append(job)
        self._some.set()

    def _drop(self, jobs: Iterable[NewJob]) -> None:
        # A job that is due now is announced again by the sweep; a delayed one must be looked for.
        self._thin.update(job.queue for job in jobs if job.due)

    def thin(self, queues: Iterable[str]) -> None:
        """Delete the notes of these queues soon: they may lack delayed jobs."""
        self._thin.update(queues)
        self._some.set()

    def finish(self, taken: Iterable[TakenJob], value: Any = None) -> None:
        """Complete the jobs soon."""
        self._out.done += [(one, value) for one in taken]
        self._some.set()

    def put_back(self, taken: Iterable[TakenJob]) -> None:
        """Make the jobs available to others soon."""
        self._out.back += taken
        self._some.set()

    def give_back(self, marks: Iterable[Marker]) -> None:
        """Wake other processes that wait for these queues soon."""
        self._out.marks += marks
        self._some.set()

    async def written(self) -> None:
        """Wait until pending changes are written, or dropped because Redis can't be reached."""
        while (len(self._out) or self._writing) and not self.away:
            self._written.clear()
            await self._written.wait()

    # -- the duty -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write pending changes, until cancelled."""
        while True:
            await self._connect()
            try:
                await self._write()
            except Away as error:
                self.lost(error)

    async def _connect(self) -> None:
        pause = _FIRST_PAUSE
        while not self.up.is_set():
            try:
                await self.bull.check()
            except Away as error:
                self.lost(error)
                self._drop(self._out.jobs)
                self._out = JobBatch()
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            if self.away:
                log.warning("Redis at %s can be reached again", self.bull.url)
            self.away = False
            self.up.set()
            self._on_back()

    async def _write(self) -> None:
        while self.up.is_set():
            while len(self._out):
                await self._write_some()
            if self._thin:
                await self.bull.note(self._thin, None)
                self._thin.clear()
            self._written.set()
            self._some.clear()
            await self._some.wait()

    async def _write_some(self) -> None:
        batch = self._out.split(_BATCH)
        self._writing = True
        try:
            await self.bull.write(batch)
        except Away:
            self._drop(batch.jobs)
            raise
        except asyncio.CancelledError:
            self._out.join(batch)  # to be written by `close`; twice does no harm
            raise
        finally:
            self._writing = False

    async def close(self) -> None:
        """Write the remaining changes, if Redis accepts them in time, and close all connections."""
        with suppress(Away, TimeoutError):
            async with asyncio.timeout(_LAST):
                while self.up.is_set() and len(self._out):
                    await self.bull.write(self._out.split(_BATCH))
        await self.bull.close()


class ToLookAt(NamedTuple):
    """Queues to look at now, and those whose marks only this process knows."""

    queues: Sequence[str]
    marks: Sequence[Marker]


class MarkerListener:
    """A listener for BullMQ's marks of many queues, over one connection.

    Each mark reaches one process of the fleet, which gives it back if it can't act on it.
    """

    def __init__(self, bull: Bull, queues: Sequence[str], now: Callable[[], int]) -> None:
        self._bull = bull
        self._queues = queues
        self._now = now
        self._looked = -math.inf
        self.marks = Marks()

    async def next(self) -> ToLookAt:
        """Return the queues to look at now; maybe none. Raises Away."""
        left = self._looked + _LOOK - time.monotonic()
        if left <= 0:
            self._looked = time.monotonic()
            return ToLookAt(self._queues, ())
        until_next = self.marks.seconds_left(self._now() // 1000, _LOOK)
        mark = await self._bull.listen(self._queues, min(left, until_next))
        if mark is not None:
            self.marks.add(mark)
        ripe = self.marks.take_ripe(self._now() // 1000)
        return ToLookAt([one.queue for one in ripe], ripe)

    def look_again(self) -> None:
        """Look at all queues next, whatever the earlier marks were."""
        self._looked = -math.inf
        self.marks.take_all()

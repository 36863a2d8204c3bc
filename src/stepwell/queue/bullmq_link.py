"""The line to Redis: what is to be written there goes out in batches, and an outage is noticed, told once, and ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from stepwell.queue.bullmq import Away, Batch, Bull, Mark, NewJob, Taken

log = logging.getLogger("stepwell.queue")

_BATCH: Final = 100
"""Jobs written at once: the event loop isn't kept for longer than a few milliseconds."""
_FULL: Final = 20_000
"""Jobs that wait to be written. What comes on top is dropped: the sweep rings for it."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_LAST: Final = 1.0
"""Seconds for what is left when the process ends."""


class Link:
    """Takes what is to be written at any time, without waiting or failing; while Redis is away it is dropped."""

    def __init__(self, bull: Bull) -> None:
        self.bull = bull
        self.on_back: Callable[[], None] = lambda: None
        """Called when Redis can be reached, at first and after each outage."""
        self.on_away: Callable[[], None] = lambda: None
        """Called when an outage begins."""
        self._thin: set[str] = set()
        self._out = Batch()
        self._some = asyncio.Event()
        self._up = asyncio.Event()
        self._written = asyncio.Event()
        self._writing = False
        self.away = False
        """True from when Redis could not be reached until it can be."""

    @property
    def up(self) -> bool:
        """Whether Redis could be reached when it was last tried."""
        return self._up.is_set()

    async def reached(self) -> None:
        """Redis can be reached."""
        await self._up.wait()

    def lost(self, error: Away) -> None:
        """Redis can't be reached: told in the log, once per outage."""
        self._up.clear()
        self._some.set()
        self._written.set()
        if not self.away:
            self.away = True
            log.warning("Redis at %s is away (%s): runs are taken from the database meanwhile", self.bull.url, error)
            self.on_away()

    # -- what is to be written ------------------------------------------------------------------------------------

    def add(self, jobs: Iterable[NewJob]) -> None:
        """The jobs are added soon."""
        for job in jobs:
            if self.away or len(self._out.jobs) >= _FULL:
                self._drop(job)
            else:
                self._out.jobs.append(job)
        self._some.set()

    def _drop(self, job: NewJob) -> None:
        if job.due:
            self._thin.add(job.queue)

    def thin(self, queues: Iterable[str]) -> None:
        """These queues may lack delayed jobs: their notes are gone soon."""
        self._thin.update(queues)
        self._some.set()

    def finish(self, taken: Iterable[Taken], value: Any = None) -> None:
        """The jobs are completed soon."""
        self._out.done += [(one, value) for one in taken]
        self._some.set()

    def put_back(self, taken: Iterable[Taken]) -> None:
        """The jobs can be taken by others soon."""
        self._out.back += taken
        self._some.set()

    def give_back(self, marks: Iterable[Mark]) -> None:
        """Others that wait for these queues are woken soon."""
        self._out.marks += marks
        self._some.set()

    async def written(self) -> None:
        """What was to be written is written, or dropped because Redis is away."""
        while (len(self._out) or self._writing) and not self.away:
            self._written.clear()
            await self._written.wait()

    # -- the duty -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Whatever is to be written is written. Works until it is cancelled."""
        while True:
            await self._connect()
            try:
                await self._write()
            except Away as error:
                self.lost(error)

    async def _connect(self) -> None:
        pause = _FIRST_PAUSE
        while not self.up:
            try:
                await self.bull.check()
            except Away as error:
                self.lost(error)
                self._forget()
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self._came_back()

    def _came_back(self) -> None:
        if self.away:
            log.warning("Redis at %s is back", self.bull.url)
        self.away = False
        self._up.set()
        self.on_back()

    def _forget(self) -> None:
        for job in self._out.jobs:
            self._drop(job)
        self._out = Batch()

    async def _write(self) -> None:
        while self.up:
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
            for job in batch.jobs:
                self._drop(job)
            raise
        except asyncio.CancelledError:
            self._out.join(batch)  # to be written by `close`; twice does no harm
            raise
        finally:
            self._writing = False

    async def close(self) -> None:
        """What was left is written, if Redis takes it in time, and no connection is left."""
        with suppress(Away, TimeoutError):
            async with asyncio.timeout(_LAST):
                while self.up and len(self._out):
                    await self.bull.write(self._out.split(_BATCH))
        await self.bull.close()

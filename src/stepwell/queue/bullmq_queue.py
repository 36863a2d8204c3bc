"""BullMQ as the queue: a job is a doorbell with a run's id, the database stays the truth.

Whoever takes a job claims its run in the database, fenced as any claim, and finishes the job at once: a run's lease
covers its execution. So a lost, late or second job changes nothing. While Redis is away runs are claimed from the database's
own index.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

from stepwell.errors import StoreUnavailable
from stepwell.queue.bullmq import Away, Bull, Mark, NewJob, Taken
from stepwell.queue.bullmq_ear import Ear
from stepwell.queue.bullmq_inbox import Inbox
from stepwell.queue.bullmq_link import Link
from stepwell.queue.bullmq_words import DOORBELL, job_id, job_priority, milliseconds, queue_of
from stepwell.queue.database import DatabaseQueue, with_inboxes
from stepwell.queue.foreign import StartForeign
from stepwell.store import runs
from stepwell.store.base import Claimed
from stepwell.store.store import Store
from stepwell.store.tx import Bell, Lane, Tx

log = logging.getLogger("stepwell.queue")

_PATIENCE: Final = 1_500_000
"""Microseconds for which a ready run's job may be on its way, before it is rung for again."""
_REMINDED: Final = 1000
"""Runs that are rung for again at once; shared by the lanes."""
_OF_A_LANE: Final = 20
_HORIZON: Final = 24 * 3600 * 1_000_000
"""Microseconds: what becomes due later than this isn't in Redis yet."""
_WALK: Final = _HORIZON // 2
"""Microseconds after which what comes into reach meanwhile is put into Redis."""
_PAGE: Final = 1000
_ROW: Final = 0.05
"""Seconds before a job is put back whose run somebody's transaction held."""
_FIRST: Final = 2
"""Jobs asked of a queue at first; four times as many each time it had them all."""
_MOST: Final = 256
_PAUSE: Final = 0.1
_BUSY: Final = 5.0
"""Seconds after which a worker that never has room rings again all the same."""
_TENDED: Final = 5.0
"""Seconds within which it is noticed that Redis was emptied."""
_STALLS: Final = 1_000_000
"""How often a job may be taken by processes that die: its run has a limit of its own."""


class BullQueue:
    """Claims for one worker, from the lanes that it takes."""

    def __init__(
        self,
        store: Store,
        bull: Bull,
        worker_id: str,
        lanes: Sequence[Lane],
        now: Callable[[], int],
        lease_seconds: float,
        start: StartForeign,
    ) -> None:
        self._store = store
        self._bull = bull
        self._link = Link(bull)
        self._inbox = Inbox(self._link, start, self._known, now, lease_seconds)
        self._link.on_back, self._link.on_away = self._reached, self.ring
        self._worker_id = worker_id
        self._now = now
        self._lease = lease_seconds
        self._database = DatabaseQueue(store, worker_id, lanes, now)
        self._queues = {queue_of(lane): lane for lane in lanes}
        self._ear = Ear(bull, list(self._queues), now)
        self._hot: dict[str, int] = {}
        """Queues that may have jobs, with how many to ask of each; the first have waited longest."""
        self._marks: dict[str, Mark] = {}
        """Marks that this process took, and on which it hasn't acted."""
        self._held: list[Taken] = []
        """Jobs taken whose runs aren't claimed yet."""
        self._room = asyncio.Event()
        """Set while this worker could take more than there was."""
        self._unheeded = False
        """True from when it rang for jobs until it claims."""
        self._reminded = asyncio.Event()

    @property
    def lanes(self) -> Sequence[Lane]:
        return self._database.lanes

    def duties(self, *, worker: bool) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """What the process does for this queue for as long as it is open; a worker hears and takes jobs too."""
        if not worker:
            return [self._link.run]
        if not self.lanes:
            return [self._link.run, self._inbox.run]
        return [self._link.run, self.listen, self.ring_again, self.tend, self._inbox.run]

    # -- ringing --------------------------------------------------------------------------------------------------

    def ring(self) -> None:
        self._database.ring()

    def announce(self, ready: Sequence[Bell], due: Sequence[Bell]) -> None:
        soon = self._now() + _HORIZON
        self._link.add([_job(bell) for bell in ready])
        self._link.add([_delayed(bell) for bell in due if bell.at <= soon])
        if ready and self._link.away:
            self.ring()

    def remind(self) -> None:
        """Runs of this worker's lanes are ready and not taken: if that lasts, it is rung for them again."""
        self._reminded.set()
        if self._link.away:
            self.ring()

    # -- claiming -------------------------------------------------------------------------------------------------

    async def claim(self, limit: int) -> list[Claimed]:
        self._unheeded = False
        found: list[Claimed] = []
        if self._hot or self._held:
            found = await self._claim(await self._take(limit))
        if self._link.away and not found:
            found = await self._database.claim(limit)
        # What is claimed is executed first: the next question to Redis may take its time.
        if self._hot or self._held:
            self.ring()
        elif len(found) < limit:
            self._room.set()
        if len(found) == limit:
            self._hand_back()
        return found

    async def _take(self, wanted: int) -> list[Taken]:
        """Doorbells whose runs are to be claimed: in `_held` until they are."""
        if not self._held:
            asked = self._shares(wanted)
            try:
                taken, empty = await self._bull.take(asked)
            except Away as error:
                self._link.lost(error)
                self._hot.clear()
                return []
            self._answered(asked, empty)
            self._held = [one for one in taken if self._is_doorbell(one)]
        return self._held[:wanted]

    def _shares(self, wanted: int) -> list[tuple[str, int]]:
        """How many jobs to ask of each queue: turn by turn, where there are more queues than wanted."""
        names = list(self._hot)[:wanted]
        return [(name, min(self._hot[name], max(wanted // len(names), 1))) for name in names]

    def _answered(self, asked: Sequence[tuple[str, int]], empty: dict[str, int]) -> None:
        for name, count in asked:
            guess = self._hot.pop(name)
            self._marks.pop(name, None)
            if name not in empty:
                self._hot[name] = guess if count < guess else min(guess * 4, _MOST)
        self._ear.empty(empty)

    def _is_doorbell(self, taken: Taken) -> bool:
        if isinstance(taken.data, dict) and isinstance(taken.data.get(DOORBELL), str):
            return True
        self._inbox.handle(taken)
        return False

    async def _claim(self, taken: Sequence[Taken]) -> list[Claimed]:
        ids = list(dict.fromkeys(one.data[DOORBELL] for one in taken))
        if not ids:
            return []
        found, held = await self._store.writer.call(lambda tx: self._claim_ids(tx, ids))
        self._held = self._held[len(taken) :]
        self._link.finish([one for one in taken if one.data[DOORBELL] not in held])
        later = [one for one in taken if one.data[DOORBELL] in held]
        if later:
            asyncio.get_running_loop().call_later(_ROW, self._link.put_back, later)
        return found

    def _claim_ids(self, tx: Tx, ids: Sequence[str]) -> tuple[list[Claimed], set[str]]:
        """What is this worker's now; and what would be, if somebody didn't hold its row: that bell must not be lost."""
        now = self._now()
        found = runs.claim_ids(tx, self.lanes, ids, self._worker_id, len(ids), now)
        left = set(ids) - {run.id for run in found}
        held = runs.claimable(tx, left, now) if left else set()
        return (with_inboxes(tx, found) if found else []), held

    def _hand_back(self) -> None:
        """Others hear of what this worker has no room for."""
        self._room.clear()
        self._link.give_back([*self._marks.values(), *self._ear.forget()])
        self._marks.clear()

    async def wait(self, seconds: float) -> bool:
        if self._unheeded:  # it rang, and nothing was claimed since: there is no slot
            self._unheeded = False
            self._hand_back()
        return await self._database.wait(seconds)

    # -- hearing --------------------------------------------------------------------------------------------------

    async def listen(self) -> None:
        """The loop of this worker is rung for jobs while it has room. Works until it is cancelled."""
        while True:
            await self._link.reached()
            await self._room.wait()
            try:
                queues, marks = await self._ear.hear()
            except Away as error:
                self._link.lost(error)
                continue
            if not self._room.is_set():
                self._link.give_back(marks)
            elif queues:
                self._heard(queues, marks)

    def _heard(self, queues: Iterable[str], marks: Iterable[Mark]) -> None:
        self._hot.update((name, _FIRST) for name in queues if name not in self._hot)
        self._marks.update((mark.queue, mark) for mark in marks)
        # Until the loop has claimed: others hear of what comes meanwhile.
        self._room.clear()
        self._unheeded = True
        self.ring()

    def _reached(self) -> None:
        self._ear.look_again()
        self._room.set()
        self._reminded.set()

    # -- what was lost --------------------------------------------------------------------------------------------

    async def ring_again(self) -> None:
        """Ready runs that nobody takes, and of which Redis knows nothing, are rung for again. Works until it is cancelled."""
        while True:
            await self._reminded.wait()
            await self._link.reached()
            # While Redis has enough for this worker, there is time for what it lacks.
            with suppress(TimeoutError):
                async with asyncio.timeout(_BUSY):
                    await self._room.wait()
            self._reminded.clear()
            if await self._quietly(self._ring_again):
                self._reminded.set()
            await asyncio.sleep(_PAUSE)

    async def _quietly(self, duty: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
        """The duty's answer; False if Redis or the database can't be reached now: the next round tries again."""
        try:
            return await duty()
        except Away as error:
            self._link.lost(error)
        except StoreUnavailable as error:
            log.warning("%s", error)
        return False

    async def _ring_again(self) -> bool:
        """True if there are probably more."""
        now, limit = self._now(), max(_REMINDED // len(self.lanes), _OF_A_LANE)
        bells = await self._store.read(lambda tx: runs.ready_before(tx, self.lanes, now - _PATIENCE, limit))
        period = round(self._lease * 1_000_000)
        lost = await self._bull.missing([_job(bell, (now - bell.at) // period) for bell in bells])
        self._link.add(lost)
        await self._link.written()
        return len(lost) >= limit

    async def tend(self) -> None:
        """Redis has a delayed job for whatever becomes due soon, and nothing hangs there. Works until it is cancelled."""
        while True:
            await self._link.reached()
            await self._quietly(self._tend)
            await asyncio.sleep(min(self._lease / 4, _TENDED))

    async def _tend(self) -> bool:
        await self._bull.recover(list(self._queues), self._lease / 2, _STALLS)
        notes = await self._bull.notes(list(self._queues))
        now = self._now()
        lacking = [name for name in self._queues if now - notes.get(name, 0) > _WALK]
        if lacking:
            await self._bull.note(lacking, now)
            try:
                await self._announce_due({self._queues[name] for name in lacking}, now)
            except BaseException:
                self._link.thin(lacking)
                raise
        return bool(lacking)

    async def _announce_due(self, lanes: set[Lane], after: int) -> None:
        end = after + _HORIZON
        while True:
            page = await self._store.read(lambda tx: runs.due_between(tx, after, end, _PAGE))  # noqa: B023
            self._link.add([_delayed(bell) for bell in page if (bell.app_name, bell.workflow_name) in lanes])
            await self._link.written()
            if len(page) < _PAGE:
                return
            # More than a page at one moment: those behind ring when they are ready.
            after = page[-1].at
            await asyncio.sleep(_PAUSE)

    async def _known(self, lane: Lane) -> bool:
        name = queue_of(lane)
        return self._now() - (await self._bull.notes([name])).get(name, 0) < 2 * _WALK

    async def close(self) -> None:
        """Others hear at once of what this process leaves, if Redis takes it in time."""
        self._link.put_back([*self._held, *await self._inbox.close()])
        self._hand_back()
        await self._link.close()


def _job(bell: Bell, again: int = 0) -> NewJob:
    lane = (bell.app_name, bell.workflow_name)
    return NewJob(
        queue_of(lane), job_id(bell, again), bell.workflow_name, {DOORBELL: bell.run_id}, job_priority(bell.priority)
    )


def _delayed(bell: Bell) -> NewJob:
    return _job(bell)._replace(due=milliseconds(bell.at))

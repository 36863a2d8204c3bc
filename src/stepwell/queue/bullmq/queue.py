"""BullMQ as the queue: a job is a wake-up with a run's id, the database stays the truth.

A worker that takes a job of a workflow's queue claims the best ready run of that workflow in the database, fenced as any
claim, and finishes the job at once: a run's lease covers its execution. So a lost, late or second job changes nothing, and
the order is the database's, in which priorities age and the members of a batch step back. There are as many jobs as ready
runs: which of them a worker takes makes no difference. While Redis can't be reached, runs are claimed from the database's
own index.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

from stepwell.errors import StoreUnavailable
from stepwell.faults import Faults
from stepwell.queue.bullmq.client import Away, Bull
from stepwell.queue.bullmq.inbox import StartInbox
from stepwell.queue.bullmq.jobs import (
    RUN_FIELD,
    Marker,
    NewJob,
    Shares,
    StartRun,
    TakenJob,
    delayed_job,
    queue_of,
    wake_up_job,
)
from stepwell.queue.bullmq.link import MarkerListener, RedisLink
from stepwell.queue.claims import Claims
from stepwell.queue.database import DatabaseQueue
from stepwell.store import runs
from stepwell.store.base import Store
from stepwell.store.inbox import Claimed
from stepwell.store.tables import moment
from stepwell.store.tx import Lane, WakeUp

log = logging.getLogger("stepwell.queue")

_PATIENCE: Final = 1_500_000
"""Microseconds for which a ready run's job may be on its way, before there is another one."""
_REMINDED: Final = 1000
"""Runs that get another job at once; shared by the lanes."""
_OF_A_LANE: Final = 20
_HORIZON: Final = 24 * 3600 * 1_000_000
"""Microseconds: a run that becomes due later than this isn't in Redis yet."""
_WALK: Final = _HORIZON // 2
"""Microseconds after which runs that have come into reach are put into Redis."""
_PAGE: Final = 1000
_ROW: Final = 0.05
"""Seconds before a job is put back whose run another transaction held."""
_PAUSE: Final = 0.1
_BUSY: Final = 5.0
"""Seconds after which a worker that never has room announces runs again anyway."""
_TENDED: Final = 5.0
"""Seconds within which it is noticed that Redis was emptied."""
_PASSED_ON: Final = 10_000
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A run's id, as Stepwell makes them. Redis is writable by other programs, so no other id reaches the database."""
_LAST: Final = 5.0
"""Seconds for the answer of Redis to the last query for jobs, when the process ends."""
_STALLS: Final = 1_000_000
"""The number of times that a job may be taken by processes that die: its run has a limit of its own."""


class BullQueue(DatabaseQueue):
    """Claims for one worker, from the lanes that it takes."""

    def __init__(
        self,
        claims: Claims,
        store: Store,
        bull: Bull,
        now: Callable[[], int],
        lease_seconds: float,
        start: StartRun,
        faults: Faults,
    ) -> None:
        super().__init__(claims)
        self._store = store
        self._faults = faults
        self._bull = bull
        self._link = RedisLink(bull, on_back=self._look_again, on_away=self.wake)
        self._inbox = StartInbox(self._link, start, self._known, now, lease_seconds)
        self._now = now
        self._lease = lease_seconds
        self._queues = {queue_of(lane): lane for lane in self.lanes}
        self._listener = MarkerListener(bull, list(self._queues), now)
        self._shares = Shares()
        self._marks: dict[str, Marker] = {}
        """Marks that this process took, and on which it hasn't acted."""
        self._held: list[TakenJob] = []
        """Jobs taken whose runs aren't claimed yet."""
        self._taking: asyncio.Future[tuple[list[TakenJob], dict[str, int]]] | None = None
        """The last query for jobs. It goes on when the process ends: jobs that Redis has handed out are put back."""
        self._later: list[TakenJob] = []
        """Jobs that are put back in a moment."""
        self._overdue = False
        """True if runs are ready of which Redis knows nothing: they are looked for in the database too."""
        self._passed_on: set[str] = set()
        """Runs left to other code whose wake-ups went back to the queue."""
        self._room = asyncio.Event()
        """Set while this worker could take more than there was."""
        self._unheeded = False
        """True from a wake-up for jobs until the next claim."""
        self._reminded = asyncio.Event()

    def duties(self, *, worker: bool) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Return the duties of the process for this queue while it is open; a worker also listens for jobs and takes them."""
        if not worker:
            return [self._link.run]
        if not self.lanes:
            return [self._link.run, self._inbox.run]
        return [self._link.run, self.listen, self.announce_again, self.tend, self._inbox.run]

    # -- announcing -----------------------------------------------------------------------------------------------

    def announce(self, ready: Sequence[WakeUp], due: Sequence[WakeUp]) -> None:
        soon = self._now() + _HORIZON
        self._link.add(self._jobs(ready, wake_up_job))
        self._link.add(self._jobs([wake_up for wake_up in due if (moment(wake_up.at) or 0) <= soon], delayed_job))
        if ready and self._link.away:
            self.wake()

    def _jobs(self, wake_ups: Sequence[WakeUp], made: Callable[[WakeUp], NewJob]) -> list[NewJob]:
        """Return their jobs; a run for whose row none can be made is left to the sweep."""
        jobs = []
        for wake_up in wake_ups:
            with self._faults.apart(f"run {wake_up.run_id}, which BullMQ is notified of"):
                jobs.append(made(wake_up))
        return jobs

    def remind(self) -> None:
        """Note that runs of this worker's lanes are ready and not taken: if that lasts, they get another job."""
        self._reminded.set()
        if self._link.away or any(self.has_unfit(lane) for lane in self.lanes):
            self.wake()

    def resumed(self) -> None:
        """Claim from the database at once, and announce what is left: jobs of paused runs were finished in vain."""
        self._overdue = True
        self._reminded.set()
        self.wake()

    # -- claiming -------------------------------------------------------------------------------------------------

    async def claim(self, limit: int) -> list[Claimed]:
        self._unheeded = False
        # Wake-ups carry no suspicion, and may be for other code: runs that are claimed apart are found in the database.
        found = await self.claims.apart(limit)
        if not found and (self._shares or self._held):
            found = await self._claim(await self._take(limit))
        if (self._link.away or self._overdue) and not found:
            self._overdue = False
            found = await super().claim(limit)
        # Claimed runs are executed first: the next query to Redis may take its time.
        if self.claims.more:
            self.wake()
        if self._shares or self._held:
            self.wake()
        elif len(found) < limit:
            self._room.set()
        if len(found) == limit:
            self._hand_back()
        return found

    async def _take(self, wanted: int) -> list[TakenJob]:
        """Take wake-ups whose runs are to be claimed: they are in `_held` until then."""
        if not self._held:
            asked = self._shares.of(wanted)
            try:
                self._taking = asyncio.ensure_future(self._bull.take(asked))
                taken, empty = await asyncio.shield(self._taking)
            except Away as error:
                self._taking = None
                self._link.lost(error)
                self._shares.clear()
                return []
            self._shares.answered(asked, empty)
            for name, _ in asked:
                self._marks.pop(name, None)
            self._listener.marks.emptied(empty)
            self._taking = None
            self._held = [one for one in taken if self._is_wake_up(one)]
        return self._held[:wanted]

    def _is_wake_up(self, taken: TakenJob) -> bool:
        named = taken.data.get(RUN_FIELD) if isinstance(taken.data, dict) else None
        if isinstance(named, str) and _ID.fullmatch(named):
            return True
        self._inbox.handle(taken)
        return False

    async def _claim(self, taken: Sequence[TakenJob]) -> list[Claimed]:
        try:
            return await self._claim_all(taken)
        except StoreUnavailable as error:
            if not error.refused or len(taken) < 2:
                raise
        # One that the database refuses must not hold up the others.
        found: list[Claimed] = []
        for one in taken:
            with self._faults.apart(f"job {one.id!r} of queue {one.queue!r}"):
                found += await self._claim_all([one], by_rank=False)
                continue
            self._held.remove(one)
            self._inbox.handle(one)
        return found

    async def _claim_all(self, taken: Sequence[TakenJob], *, by_rank: bool = True) -> list[Claimed]:
        if not taken:
            return []
        counts = Counter(self._queues[one.queue] for one in taken)
        found = await self.claims.claim_of(counts) if by_rank else []
        contended, begun = by_rank and self.claims.contended, {one.run.id for one in found}
        # What is only due, and what can't be claimed by rank, is claimed by its id.
        names = [name for name in dict.fromkeys(one.data[RUN_FIELD] for one in taken) if name not in begun]
        names = names[: len(taken) - len(found)]
        more, held, left = await self._claim_named(names, found)
        if contended:  # each run that stays ready keeps a job, whichever
            held |= set(names) - {one.run.id for one in more}
        found += more
        claimed = set(map(id, taken))
        self._held = [one for one in self._held if id(one) not in claimed]
        # Runs left to others are announced again, once: without any code that fits they would go round forever.
        held |= left - self._passed_on
        self._passed_on = left if len(self._passed_on) > _PASSED_ON else self._passed_on | left
        self._link.finish([one for one in taken if one.data[RUN_FIELD] not in held])
        later = [one for one in taken if one.data[RUN_FIELD] in held]
        if later:
            self._later += later
            asyncio.get_running_loop().call_later(_ROW, self._put_back, later)
        return found

    def _put_back(self, later: Sequence[TakenJob]) -> None:
        gone = set(map(id, later))
        self._later = [one for one in self._later if id(one) not in gone]
        self._link.put_back(later)

    async def _claim_named(
        self, names: Sequence[str], found: Sequence[Claimed]
    ) -> tuple[list[Claimed], set[str], set[str]]:
        if not names:
            return [], set(), set()
        try:
            return await self.claims.claim_ids(names)
        except StoreUnavailable:
            if not found:
                raise
            return [], set(names), set()  # those that are claimed already are executed first

    def _hand_back(self) -> None:
        """Give jobs for which this worker has no room back to others."""
        self._room.clear()
        self._link.give_back([*self._marks.values(), *self._listener.marks.take_all()])
        self._marks.clear()

    async def wait(self, seconds: float) -> bool:
        if self._unheeded:  # no claim since the last wake-up: there is no slot
            self._unheeded = False
            self._hand_back()
        return await super().wait(seconds)

    # -- listening ------------------------------------------------------------------------------------------------

    async def listen(self) -> None:
        """Wake the loop of this worker for jobs while it has room, until cancelled."""
        while True:
            await self._link.reached()
            await self._room.wait()
            try:
                queues, marks = await self._listener.next()
            except Away as error:
                self._link.lost(error)
                continue
            if not self._room.is_set():
                self._link.give_back(marks)
            elif queues:
                self._shares.add(queues)
                self._marks.update((mark.queue, mark) for mark in marks)
                # Until the loop has claimed: others get the jobs that come meanwhile.
                self._room.clear()
                self._unheeded = True
                self.wake()

    def _look_again(self) -> None:
        self._listener.look_again()
        self._room.set()
        self._reminded.set()

    # -- what was lost --------------------------------------------------------------------------------------------

    async def announce_again(self) -> None:
        """Announce ready runs again that no worker takes and that Redis lacks, until cancelled."""
        while True:
            await self._reminded.wait()
            await self._link.reached()
            # While Redis has enough jobs for this worker, there is time for those that it lacks.
            with suppress(TimeoutError):
                async with asyncio.timeout(_BUSY):
                    await self._room.wait()
            self._reminded.clear()
            if await self._quietly(self._announce_page):
                self._reminded.set()
            await asyncio.sleep(_PAUSE)

    async def _quietly(self, duty: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
        """Return the duty's answer; False if Redis or the database can't be reached now: the next round tries again."""
        try:
            return await duty()
        except Away as error:
            self._link.lost(error)
        except StoreUnavailable as error:
            log.warning("%s", error)
        return False

    async def _announce_page(self) -> bool:
        """Announce the next page, and return whether there are probably more."""
        now, limit = self._now(), max(_REMINDED // len(self.lanes), _OF_A_LANE)
        # In lanes that are walked this worker finds its runs by itself; jobs for the others would be in vain.
        lanes = [lane for lane in self.lanes if not self.has_unfit(lane)]
        wake_ups = await self._store.read(lambda tx: runs.ready_before(tx, lanes, now - _PATIENCE, limit))
        period = round(self._lease * 1_000_000)
        lost = await self._bull.missing(
            self._jobs(wake_ups, lambda wake_up: wake_up_job(wake_up, (now - wake_up.at) // period))
        )
        self._link.add(lost)
        await self._link.written()
        if lost:
            # Others get it as well. A worker that doesn't fit takes the job and not the run: this one needn't wait for luck.
            self._overdue = True
            self.wake()
        return len(lost) >= limit

    async def tend(self) -> None:
        """Keep a delayed job in Redis for every run that is due soon, and free stalled jobs, until cancelled."""
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
            ours = [wake_up for wake_up in page if (wake_up.app_name, wake_up.workflow_name) in lanes]
            self._link.add(self._jobs(ours, delayed_job))
            await self._link.written()
            if len(page) < _PAGE:
                return
            # More than a page at one moment: the others are announced when they are ready.
            after = page[-1].at
            await asyncio.sleep(_PAUSE)

    async def _known(self, lane: Lane) -> bool:
        name = queue_of(lane)
        return self._now() - (await self._bull.notes([name])).get(name, 0) < 2 * _WALK

    async def close(self) -> None:
        """Give this process's jobs back to others at once, if Redis accepts them in time."""
        self._link.put_back([*self._held, *self._later, *await self._just_taken(), *await self._inbox.close()])
        self._hand_back()
        await self._link.close()

    async def _just_taken(self) -> list[TakenJob]:
        """Return the jobs that a query has taken which the end of the process has cut off."""
        if self._taking is None:
            return []
        try:
            async with asyncio.timeout(_LAST):
                return (await self._taking)[0]
        except (Away, TimeoutError):
            return []  # they are recovered when their locks have expired

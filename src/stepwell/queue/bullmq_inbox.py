"""Starts that come from elsewhere: a job with app, workflow, user and args, added by any BullMQ, becomes a run.

The run is durable before its job is finished, and has a key of the job's own: a job that comes again starts nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from stepwell.errors import StepwellError, StoreUnavailable, UnknownApp, UnknownWorkflow
from stepwell.queue.bullmq import Away, Batch, NewJob, Taken
from stepwell.queue.bullmq_ear import Ear
from stepwell.queue.bullmq_link import Link
from stepwell.queue.bullmq_words import INBOX, queue_of
from stepwell.queue.foreign import ForeignStart, StartForeign, Unreadable, read
from stepwell.store.tx import Lane

log = logging.getLogger("stepwell.queue")

_BATCH: Final = 50
_STALLS: Final = 10
"""How often a process may die with a start in its hands, before it is left failed."""
_PAUSE: Final = 1.0
"""Seconds before the database is tried again."""

Known = Callable[[Lane], Awaitable[bool]]
"""Whether workers somewhere have taken this lane not long ago: they may be restarting now."""


class Inbox:
    """Makes runs of jobs, in a process that has workflows."""

    def __init__(
        self,
        link: Link,
        start: StartForeign,
        known: Known,
        now: Callable[[], int],
        lease_seconds: float,
    ) -> None:
        self._link = link
        self._bull = link.bull
        self._start = start
        self._known = known
        self._lease = lease_seconds
        self._ear = Ear(link.bull, [INBOX], now)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hands: dict[tuple[str, str], Taken] = {}
        """Jobs of which it isn't decided what they come to."""

    async def run(self) -> None:
        """Starts are made as they come. Works until it is cancelled."""
        while True:
            await self._link.reached()
            try:
                await self._bull.recover([INBOX], self._lease / 2, _STALLS)
                if (await self._ear.hear()).queues:
                    await self._empty()
            except Away as error:
                self._link.lost(error)
                self._ear.look_again()

    async def _empty(self) -> None:
        empty: dict[str, int] = {}
        while not empty:
            taken, empty = await self._bull.take([(INBOX, _BATCH)])
            self._hands.update(((one.queue, one.id), one) for one in taken)
            await asyncio.gather(*(self._become_run(one) for one in taken))
        self._ear.empty(empty)

    def handle(self, taken: Taken) -> None:
        """The job, found in another queue, becomes a run soon."""
        self._hands[taken.queue, taken.id] = taken
        task = asyncio.get_running_loop().create_task(self._become_run(taken))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _become_run(self, taken: Taken) -> None:
        try:
            await self._try(taken)
        except StoreUnavailable as error:
            log.warning("the start of job %s has to wait: %s", taken.id, error)
            await asyncio.sleep(_PAUSE)
            self._decided(taken)
            self._link.put_back([taken])
        except Away as error:
            self._link.lost(error)
        except Unreadable as error:
            await self._fail(taken, str(error))
        except StepwellError as error:
            await self._fail(taken, f"{type(error).__name__}: {error}")
        except Exception as error:  # a validator of a model is anybody's code
            log.warning("the start of job %s failed", taken.id, exc_info=True)
            await self._fail(taken, f"{type(error).__name__}: {error}")

    async def _try(self, taken: Taken) -> None:
        start = read(taken.data)
        try:
            begun = await self._start(start, _key(taken))
        except (UnknownApp, UnknownWorkflow):
            if not await self._forwarded(taken, start):
                raise
        else:
            self._finish(taken, {"runId": begun.run_id, "created": begun.created})

    async def _forwarded(self, taken: Taken, start: ForeignStart) -> bool:
        """True if workers of another kind take this workflow: the start is in their own queue now."""
        lane = (start.app, start.workflow)
        if taken.queue != INBOX or not await self._known(lane):
            return False
        # Under the same key, should the job come again.
        data = {**taken.data, "idempotencyKey": start.idempotency_key or _key(taken)}
        new = NewJob(queue_of(lane), f"start-{taken.id}-{taken.added}", "start", data, kept=True)
        await self._bull.write(Batch(jobs=[new]))  # this one may not be lost: nothing else knows of it
        self._finish(taken, {"forwarded": queue_of(lane)})
        return True

    def _finish(self, taken: Taken, value: dict[str, Any]) -> None:
        self._decided(taken)
        self._link.finish([taken], value)

    def _decided(self, taken: Taken) -> None:
        self._hands.pop((taken.queue, taken.id), None)

    async def _fail(self, taken: Taken, reason: str) -> None:
        self._decided(taken)
        try:
            await self._bull.fail(taken, reason)
        except Away as error:
            self._link.lost(error)

    async def close(self) -> list[Taken]:
        """Nothing is started any more; the jobs that others may take again at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return list(self._hands.values())


def _key(taken: Taken) -> str:
    # The numbers of jobs begin again when Redis is emptied.
    return f"bullmq:{taken.queue}:{taken.id}:{taken.added}"

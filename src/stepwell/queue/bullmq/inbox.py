"""Starts from elsewhere: a job with app, workflow, user and args, added by any BullMQ, becomes a run.

The run is durable before its job is finished, and has a key of the job's own: a job that comes again starts nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stepwell.errors import StepwellError, StoreUnavailable, UnknownApp, UnknownWorkflow
from stepwell.queue.bullmq.client import Away
from stepwell.queue.bullmq.jobs import INBOX, RUN_FIELD, JobBatch, NewJob, StartRun, TakenJob, queue_of
from stepwell.queue.bullmq.link import MarkerListener, RedisLink
from stepwell.store.tx import Lane

log = logging.getLogger("stepwell.queue")

_BATCH: Final = 50
_STALLS: Final = 10
"""The number of processes that may die with a start in their hands, before it is left failed."""
_PAUSE: Final = 1.0
"""Seconds before the database is tried again."""
MAX_DELAY: Final = 366 * 1000 * 24 * 3600 * 1000
"""A thousand years, in milliseconds."""


class ForeignStart(BaseModel):
    """The data of such a job. Names are those of JavaScript, as in `idempotencyKey`; Python's are taken too."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    app: str
    workflow: str
    user: str
    args: Any = None
    labels: list[str] = []
    priority: int | None = None
    delay: Annotated[float, Field(ge=0, le=MAX_DELAY, allow_inf_nan=False)] | None = None
    """Milliseconds, as everywhere in BullMQ."""
    idempotency_key: str | None = Field(default=None, alias="idempotencyKey")


class Unreadable(Exception):
    """The data of a job can't be a start; the text says why."""


def read(data: Any) -> ForeignStart:
    """Return the start that the data describes. Raises Unreadable with all its faults."""
    if isinstance(data, dict) and data.keys() == {RUN_FIELD}:
        raise Unreadable(f"The job names no run: {RUN_FIELD}={_short(data[RUN_FIELD])} isn't the id of a run.")
    if not isinstance(data, dict):
        raise Unreadable(f"The job's data is {_short(data)}: give an object with app, workflow, user and args.")
    try:
        return ForeignStart.model_validate(data)
    except ValidationError as error:
        raise Unreadable(
            "The job's data isn't a valid start: " + "; ".join(map(_fault, error.errors())) + "."
        ) from None


def _fault(error: Any) -> str:
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        return f"{name} is missing"
    if error["type"] == "extra_forbidden":
        return f"{name} isn't known ({', '.join(_KNOWN)} are)"
    return f"{name}={_short(error['input'])}: {error['msg']}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "..."


_KNOWN: Final = [field.alias or name for name, field in ForeignStart.model_fields.items()]

Known = Callable[[Lane], Awaitable[bool]]
"""Return whether workers of any process have taken this lane recently: they may be restarting now."""


class StartInbox:
    """Makes runs of jobs, in a process that has workflows."""

    def __init__(
        self,
        link: RedisLink,
        start: StartRun,
        known: Known,
        now: Callable[[], int],
        lease_seconds: float,
    ) -> None:
        self._link = link
        self._bull = link.bull
        self._start = start
        self._known = known
        self._lease = lease_seconds
        self._listener = MarkerListener(link.bull, [INBOX], now)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hands: dict[tuple[str, str], TakenJob] = {}
        """Jobs that aren't decided yet."""

    async def run(self) -> None:
        """Make starts as they come, until cancelled."""
        while True:
            await self._link.reached()
            try:
                await self._bull.recover([INBOX], self._lease / 2, _STALLS)
                if (await self._listener.next()).queues:
                    await self._empty()
            except Away as error:
                self._link.lost(error)
                self._listener.look_again()

    async def _empty(self) -> None:
        empty: dict[str, int] = {}
        while not empty:
            taken, empty = await self._bull.take([(INBOX, _BATCH)])
            self._hands.update(((one.queue, one.id), one) for one in taken)
            await asyncio.gather(*(self._become_run(one) for one in taken))
        self._listener.marks.emptied(empty)

    def handle(self, taken: TakenJob) -> None:
        """Turn the job, found in another queue, into a run soon."""
        self._hands[taken.queue, taken.id] = taken
        task = asyncio.get_running_loop().create_task(self._become_run(taken))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _become_run(self, taken: TakenJob) -> None:
        try:
            await self._try(taken)
        except StoreUnavailable as error:
            if error.refused:  # and would be each time
                return await self._fail(taken, f"{type(error).__name__}: {error}")
            log.warning("the start of job %r has to wait: %s", taken.id, error)
            await asyncio.sleep(_PAUSE)
            self._decided(taken)
            self._link.put_back([taken])
        except Away as error:
            self._link.lost(error)
        except Unreadable as error:
            await self._fail(taken, str(error))
        except StepwellError as error:
            await self._fail(taken, f"{type(error).__name__}: {error}")
        except Exception as error:  # a validator of a model may raise anything
            log.warning("the start of job %r failed", taken.id, exc_info=True)
            await self._fail(taken, f"{type(error).__name__}: {error}")

    async def _try(self, taken: TakenJob) -> None:
        start = read(taken.data)
        key = start.idempotency_key or _key(taken)
        try:
            begun = await self._start(
                start.workflow,
                start.args,
                app_name=start.app,
                user_id=start.user,
                labels=start.labels,
                priority=start.priority,
                delay=None if start.delay is None else timedelta(milliseconds=start.delay),
                idempotency_key=key,
            )
        except (UnknownApp, UnknownWorkflow):
            if not await self._forwarded(taken, start, key):
                raise
        else:
            self._finish(taken, {"runId": begun.workflow_id, "created": begun.created})

    async def _forwarded(self, taken: TakenJob, start: ForeignStart, key: str) -> bool:
        """Return whether workers of another kind take this workflow: the start is in their own queue now."""
        lane = (start.app, start.workflow)
        if taken.queue != INBOX or not await self._known(lane):
            return False
        # Under the same key, should the job come again.
        data = {**taken.data, "idempotencyKey": key}
        data.pop("idempotency_key", None)  # the same field by Python's name
        new = NewJob(queue_of(lane), f"start-{taken.id}-{taken.added}", "start", data, kept=True)
        await self._bull.write(JobBatch(jobs=[new]))  # this one may not be lost: nothing else knows of it
        self._finish(taken, {"forwarded": queue_of(lane)})
        return True

    def _finish(self, taken: TakenJob, value: dict[str, Any]) -> None:
        self._decided(taken)
        self._link.finish([taken], value)

    def _decided(self, taken: TakenJob) -> None:
        self._hands.pop((taken.queue, taken.id), None)

    async def _fail(self, taken: TakenJob, reason: str) -> None:
        self._decided(taken)
        try:
            await self._bull.fail(taken, reason)
        except Away as error:
            self._link.lost(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this job only
            self._bull.odd(error)

    async def close(self) -> list[TakenJob]:
        """Start nothing any more; return the jobs that others may take again at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return list(self._hands.values())


def _key(taken: TakenJob) -> str:
    # The numbers of jobs begin again when Redis is emptied.
    return f"bullmq:{taken.queue}:{taken.id}:{taken.added}"

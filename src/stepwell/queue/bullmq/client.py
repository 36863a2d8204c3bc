"""BullMQ on one Redis or Valkey: jobs are added, taken and finished in bulk. The only importer of `bullmq`.

BullMQ's own Lua scripts do all of it, so that Node, bull-board and every other BullMQ see familiar data. Its Worker isn't
used: it takes one job per round trip and holds each until the work is done. Here a job is only a wake-up, and is finished
as soon as the run is claimed in the database.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import msgpack
from bullmq import Job
from bullmq.backends import RedisBackend
from bullmq.redis_connection import RedisConnection
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from stepwell.faults import Faults
from stepwell.queue.bullmq.jobs import JobBatch, Marker, NewJob, TakenJob, data_of, keep, misleading, whole
from stepwell.queue.bullmq.url import checked_url, shown

_COMMANDS: Final = 4
"""Connections for commands; what takes more waits for its turn."""
_LISTENING: Final = 2
"""Connections that wait for jobs."""
_ANSWER: Final = 2.0
"""Seconds within which Redis has to answer."""
_OLDEST: Final = (6, 2)
_REASON: Final = 2_000
"""Characters of the reason for which a job failed."""
_NOTED_AHEAD: Final = 60_000_000
_READY = "0"
"""The marker that BullMQ sets when a job is ready. `1` says when the next delayed one will be."""
_PASS: Final = (RedisError, OSError)
"""The errors that mean that Redis can't be used."""
_OF_ALL: Final = ("OOM", "READONLY", "MISCONF", "NOSCRIPT", "LOADING", "MASTERDOWN", "NOREPLICAS", "NOAUTH", "NOPERM")

_TO_ACTIVE: Final = [
    *("wait", "active", "prioritized", "events", "stalled", "limiter", "delayed", "paused", "meta", "pc", "marker")
]
_SCRIPTS: Final = [
    *("addStandardJob", "addPrioritizedJob", "addDelayedJob", "moveToActive", "moveToFinished"),
    *("moveStalledJobsToWait", "retryJob"),
]
_STALLED: Final = ["stalled", "wait", "active", "stalled-check", "meta", "paused", "marker", "events", "repeat"]
_NOTE: Final = "stepwell"


class Away(Exception):
    """Redis can't be reached, or refuses to work. The caller continues without it."""


@dataclass(frozen=True)
class _Queue:
    """The attributes of a queue that the library's Job uses."""

    name: str
    backend: RedisBackend
    opts: dict[str, Any]

    @cached_property
    def plain(self) -> Any:
        return Job(self, "", None, {"removeOnComplete": True})

    @property
    def qualifiedName(self) -> str:
        return str(self.backend.qualifiedName)


class Bull:
    """The queues below one prefix. All methods that talk to Redis raise Away if it can't be used now."""

    def __init__(
        self,
        url: str,
        prefix: str,
        token: str,
        now: Callable[[], int],
        lock_seconds: float,
        faults: Faults | None = None,
    ) -> None:
        self.url = shown(url)
        self._faults = faults or Faults()
        self._now = now
        self._token = token
        self._prefix = prefix
        self._queues: dict[str, _Queue] = {}
        self._options = {"lockDuration": round(lock_seconds * 1000)}
        given = checked_url(url)
        self._client = _client(given, _COMMANDS, _ANSWER)
        self._listener = _client(given, _LISTENING, None)
        self._connection = RedisConnection(self._client)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose(close_connection_pool=True)
        await self._listener.aclose(close_connection_pool=True)

    async def check(self) -> None:
        """Check that Redis answers, and that BullMQ can work with it."""
        async with self._reaching():
            version = str((await self._client.info("server")).get("redis_version", "0"))
            # A full, read-only or broken Redis answers, but accepts nothing.
            await self._client.set(f"{self._prefix}:{_NOTE}-check", 1, px=1000)
            for name in _SCRIPTS:
                await self._client.script_load(self._connection.commands[name].script)
        if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
            raise Away(f"it is version {version}; BullMQ needs {'.'.join(map(str, _OLDEST))}: update it")

    @asynccontextmanager
    async def _reaching(self) -> AsyncIterator[None]:
        before = _cancelled()
        try:
            yield
        except (RedisError, OSError, TimeoutError) as error:
            if _cancelled() == before:
                raise Away(str(error) or type(error).__name__) from error
        # The client swallows a cancellation that comes while it connects.
        if _cancelled() > before:
            raise asyncio.CancelledError

    def _queue(self, name: str) -> _Queue:
        found = self._queues.get(name)
        if found is None:
            backend = RedisBackend(name, self._connection, None, self._prefix, owns_connection=False)
            found = self._queues[name] = _Queue(name, backend, self._options)
        return found

    def _milliseconds(self) -> int:
        return self._now() // 1000

    @asynccontextmanager
    async def _pipeline(self) -> AsyncIterator[Any]:
        async with self._reaching(), self._client.pipeline(transaction=False) as pipe:
            yield pipe

    async def _answers(self, pipe: Any) -> list[Any]:
        # The scripts were loaded by `check`: the client needn't ask each time.
        pipe.scripts.clear()
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception):
                if not of_one_key(answer):
                    raise answer
                self.odd(answer)
        return [None if isinstance(answer, Exception) else answer for answer in answers]

    def odd(self, error: BaseException) -> None:
        """Report data in Redis that can't be worked with; the rest continues."""
        if isinstance(error, Exception):
            self._faults.set_apart(f"the data in Redis at {self.url}", error)

    # -- writing --------------------------------------------------------------------------------------------------

    async def write(self, batch: JobBatch) -> None:
        """Make all changes of the batch; a job of which the id exists isn't added again.

        What is put back stands at the head of its queue.
        """
        async with self._pipeline() as pipe:
            for new in batch.jobs:
                with self._faults.apart(f"job {new.id!r} of queue {new.queue!r}", but=_PASS):
                    await self._add(pipe, new)
            for taken, value in batch.done:
                await self._finish(pipe, taken, value)
            for taken in batch.back:
                scripts = self._queue(taken.queue).backend.scripts
                keys, args = scripts.retryJobArgs(taken.id, True, self._token)
                await scripts.commands["retryJob"](keys=keys, args=args, client=pipe)
            for mark in batch.marks:
                member = "1" if mark.at else _READY
                pipe.zadd(self._queue(mark.queue).backend.keys["marker"], {member: mark.at})
            await self._answers(pipe)

    async def _add(self, pipe: Any, new: NewJob) -> None:
        now = self._milliseconds()
        options: dict[str, Any] = {"jobId": new.id, "timestamp": now}
        if not new.kept:
            options |= {"removeOnComplete": True, "removeOnFail": True}
        if new.priority:
            options["priority"] = new.priority
        if new.due > now:
            options["delay"] = new.due - now
        queue = self._queue(new.queue)
        await queue.backend.scripts.addJob(Job(queue, new.name, new.data, options), pipe)

    async def _finish(self, pipe: Any, taken: TakenJob, value: Any) -> None:
        self._mend(pipe, taken)
        scripts = self._queue(taken.queue).backend.scripts
        try:
            keys, args = self._completed(self._job(taken, plain=value is None), value)
        except Exception:  # noqa: BLE001 - its options are whatever others have put there
            keys, args = self._completed(self._job(taken, plain=True), value)
        await scripts.commands["moveToFinished"](keys=keys, args=args, client=pipe)

    def _completed(self, job: Job, value: Any) -> Any:
        kept = keep(job.opts.get("removeOnComplete"))
        return job.queue.backend.scripts.moveToCompletedArgs(job, value, kept, self._token, False)

    def _mend(self, pipe: Any, taken: TakenJob) -> None:
        if odd := misleading(taken.fields):
            pipe.hdel(self._queue(taken.queue).backend.toKey(taken.id), *odd)
            self.odd(ValueError(f"{', '.join(odd)} of a job can't be what BullMQ wrote; they are removed from it"))

    async def fail(self, taken: TakenJob, reason: str) -> None:
        """Fail the job for good, with this reason; without its options where Redis can't work with those."""
        text = reason[:_REASON].encode(errors="backslashreplace").decode().replace("\0", "\\x00")
        if not await self._fail(taken, text, plain=False):
            await self._fail(taken, text, plain=True)

    async def _fail(self, taken: TakenJob, reason: str, *, plain: bool) -> bool:
        scripts = self._queue(taken.queue).backend.scripts
        try:
            job = self._job(taken, plain=plain)
            kept = keep(job.opts.get("removeOnFail"))
            fields = {"failedReason": reason, "stacktrace": json.dumps([reason])}
            keys, args = scripts.moveToFailedArgs(job, reason, kept, self._token, False, fields)
            async with self._pipeline() as pipe:
                self._mend(pipe, taken)
                await scripts.commands["moveToFinished"](keys=keys, args=args, client=pipe)
                *_, answer = await self._answers(pipe)
        except Away:
            raise
        except Exception as error:  # noqa: BLE001 - its options are whatever others have put there
            self.odd(error)
            return False
        return answer is not None

    # -- taking ---------------------------------------------------------------------------------------------------

    async def take(self, wanted: Sequence[tuple[str, int]]) -> tuple[list[TakenJob], dict[str, int]]:
        """Take up to so many jobs of each queue; return them, and when emptied queues have their next job (0: unknown)."""
        options = msgpack.packb({"token": self._token, **self._options, "limiter": None})
        async with self._pipeline() as pipe:
            for name, count in wanted:
                scripts = self._queue(name).backend.scripts
                keys, args = scripts.getKeys(_TO_ACTIVE), [scripts.keys[""], self._milliseconds(), options]
                for _ in range(count):
                    await scripts.commands["moveToActive"](keys=keys, args=args, client=pipe)
            answers = iter(await self._answers(pipe))
        taken: list[TakenJob] = []
        empty: dict[str, int] = {}
        for name, count in wanted:
            for _ in range(count):
                fields, job_id, _, due = next(answers) or (None, "", 0, 0)
                if fields:
                    raw = dict(zip(fields[::2], fields[1::2], strict=True))
                    taken.append(TakenJob(name, job_id, data_of(raw), raw))
                else:
                    empty[name] = whole(due)
        return taken, empty

    def _job(self, taken: TakenJob, *, plain: bool = False) -> Job:
        """Return the library's view of the job; a plain one only has the option to be removed when it is finished."""
        queue = self._queue(taken.queue)
        if not plain:
            with suppress(Exception):  # other programs may have put anything there
                return Job.fromJSON(queue, {**taken.fields, "data": "null"}, taken.id)
        queue.plain.id = taken.id
        return queue.plain

    async def listen(self, queues: Sequence[str], seconds: float) -> Marker | None:
        """Return the next mark of one of the queues; None after `seconds`."""
        keys = {self._queue(name).backend.keys["marker"]: name for name in queues}
        async with self._reaching(), asyncio.timeout(seconds + _ANSWER):
            try:
                found = await self._listener.bzpopmin(list(keys), max(seconds, 0.001))
            except ResponseError as error:
                if not of_one_key(error):
                    raise
                self.odd(error)
                await asyncio.sleep(min(seconds, 1.0))  # all queues are looked at now and then
                return None
        if not found:
            return None
        key, member, score = found
        return Marker(keys[key], 0 if member == _READY else whole(score))

    async def recover(self, queues: Sequence[str], every: float, times: int) -> None:
        """Make jobs of processes that died available again; each queue is looked at once per `every`."""
        async with self._pipeline() as pipe:
            for name in queues:
                scripts = self._queue(name).backend.scripts
                keys = scripts.getKeys(_STALLED)
                args = [times, scripts.keys[""], self._milliseconds(), round(every * 1000)]
                await scripts.commands["moveStalledJobsToWait"](keys, args, client=pipe)
            await self._answers(pipe)

    # -- inspecting -----------------------------------------------------------------------------------------------

    async def missing(self, jobs: Sequence[NewJob]) -> list[NewJob]:
        """Return those of the jobs that aren't in Redis."""
        async with self._pipeline() as pipe:
            for new in jobs:
                pipe.exists(self._queue(new.queue).backend.toKey(new.id))
            found = await self._answers(pipe)
        return [new for new, there in zip(jobs, found, strict=True) if not there]

    async def notes(self, queues: Sequence[str]) -> dict[str, int]:
        """Return the value left by `note` in each queue's meta key; it is lost with the queue."""
        async with self._pipeline() as pipe:
            for name in queues:
                pipe.hget(self._queue(name).backend.keys["meta"], _NOTE)
            found = await self._answers(pipe)
        # One of the future isn't ours: it would hold back forever what is announced once in a while.
        latest = self._now() + _NOTED_AHEAD
        noted = {name: whole(value) for name, value in zip(queues, found, strict=True) if value is not None}
        return {name: at for name, at in noted.items() if 0 < at <= latest}

    async def note(self, queues: Iterable[str], value: int | None) -> None:
        """Set this note of the queues, or remove it."""
        async with self._pipeline() as pipe:
            for name in queues:
                key = self._queue(name).backend.keys["meta"]
                if value is None:
                    pipe.hdel(key, _NOTE)
                else:
                    pipe.hset(key, _NOTE, value)
            await self._answers(pipe)


def _cancelled() -> int:
    """Return how often the current task was asked to end."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def _client(url: str, connections: int, answer: float | None) -> Any:
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=_ANSWER,
        decode_responses=True,
        # Bytes that aren't UTF-8 come back unchanged: their meaning isn't ours to decide.
        encoding_errors="surrogateescape",
        socket_connect_timeout=_ANSWER,
        socket_timeout=answer,
        # A connection that the server has closed meanwhile is replaced; anything else is for the caller to decide.
        retry=Retry(NoBackoff(), 1),
        client_name="stepwell",
    )
    return Redis(connection_pool=pool)


def of_one_key(error: BaseException) -> bool:
    """Return whether an error of Redis is about the value of one key, and not about Redis."""
    text = str(error)
    about = "WRONGTYPE" in text or "user_script" in text or "not a valid float" in text or "not an integer" in text
    return isinstance(error, ResponseError) and about and not any(one in text for one in _OF_ALL)

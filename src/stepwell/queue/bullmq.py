"""BullMQ on one Redis or Valkey: jobs are added, taken and finished in bulk. The only importer of `bullmq`.

BullMQ's own Lua scripts do all of it, so that Node, bull-board and every other BullMQ see what they know. Its Worker isn't
used: it takes one job per round trip and holds each until the work is done. Here a job is only a doorbell, and is finished
as soon as the run is claimed in the database.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgpack
from bullmq import Job
from bullmq.backends import RedisBackend
from bullmq.redis_connection import RedisConnection
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from stepwell.errors import ConfigurationError

_COMMANDS: Final = 4
"""Connections for commands; what takes more waits for its turn."""
_LISTENING: Final = 2
"""Connections that wait for jobs."""
_ANSWER: Final = 2.0
"""Seconds for Redis to answer."""
_OLDEST: Final = (6, 2)
_KEPT: Final = 1000
"""Finished starts that stay to be looked at, where who added them didn't say."""
_READY = "0"
"""The marker that BullMQ sets when a job is ready. `1` says when the next delayed one will be."""
_SCHEMES: Final = ("redis", "rediss", "unix")


class Away(Exception):
    """Redis can't be reached, or refuses to work. The caller goes on without it."""


class NewJob(NamedTuple):
    """A job to be added."""

    queue: str
    id: str
    name: str
    data: dict[str, Any]
    priority: int = 0
    due: int = 0
    """Milliseconds since 1970; 0: now."""
    kept: bool = False
    """Whether it stays to be looked at when it is finished."""


class Mark(NamedTuple):
    """A queue has a job, or will have one at a moment. Whoever takes a mark looks there, or gives it back."""

    queue: str
    at: int
    """Milliseconds since 1970; 0: now."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A job in this process's hands, to be finished or put back."""

    queue: str
    id: str
    data: Any
    fields: Mapping[str, str]
    """All that Redis has of it."""

    @property
    def added(self) -> int:
        """When it was added, in milliseconds."""
        return int(self.fields.get("timestamp", 0))


@dataclass(slots=True)
class Batch:
    """What is to be written; all of it in one go."""

    jobs: list[NewJob] = field(default_factory=list)
    done: list[tuple[Taken, Any]] = field(default_factory=list)
    back: list[Taken] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.jobs) + len(self.done) + len(self.back) + len(self.marks)

    def join(self, other: Batch) -> None:
        """What is in the other is in here too."""
        self.jobs += other.jobs
        self.done += other.done
        self.back += other.back
        self.marks += other.marks

    def split(self, size: int) -> Batch:
        """Up to `size` of each kind, which are gone from here."""
        part = Batch(self.jobs[:size], self.done[:size], self.back[:size], self.marks[:size])
        del self.jobs[:size], self.done[:size], self.back[:size], self.marks[:size]
        return part


@dataclass(frozen=True)
class _Queue:
    """What a Job of the library asks of its queue."""

    name: str
    backend: RedisBackend
    opts: dict[str, Any]

    @cached_property
    def plain(self) -> Any:
        return Job(self, "", None, {"removeOnComplete": True})

    @property
    def qualifiedName(self) -> str:
        return str(self.backend.qualifiedName)


def checked(url: str) -> str:
    """The URL as the client wants it. Raises ConfigurationError."""
    given = url.replace("valkey", "redis", 1) if url.startswith(("valkey://", "valkeys://")) else url
    try:
        parts = urlsplit(given)
        parse_url(given)
        database = parts.path.strip("/")
        fits = parts.scheme in _SCHEMES and (parts.scheme == "unix" or (parts.hostname and (database or "0").isdigit()))
    except ValueError:
        fits = False
    if not fits:
        raise ConfigurationError(
            f"queue_url {shown(url)!r} isn't the URL of a Redis or Valkey. Example: 'redis://localhost:6379/0'."
        )
    return given


def shown(url: str) -> str:
    """The URL without what is secret in it."""
    head, at, tail = url.rpartition("@")
    scheme, slashes, _ = head.partition("://")
    return f"{scheme}{slashes}***@{tail}" if at else url


class Bull:
    """The queues below one prefix. Whatever talks to Redis raises Away if that can't be had now."""

    def __init__(self, url: str, prefix: str, token: str, now: Callable[[], int], lock_seconds: float) -> None:
        self.url = shown(url)
        self._now = now
        self._token = token
        self._prefix = prefix
        self._queues: dict[str, _Queue] = {}
        self._options = {"lockDuration": round(lock_seconds * 1000)}
        given = checked(url)
        self._client = _client(given, _COMMANDS, _ANSWER)
        self._listener = _client(given, _LISTENING, None)
        self._connection = RedisConnection(self._client)

    async def close(self) -> None:
        """No connection is left."""
        await self._client.aclose(close_connection_pool=True)
        await self._listener.aclose(close_connection_pool=True)

    async def check(self) -> None:
        """Redis answers, and BullMQ can work with it."""
        async with self._reaching():
            version = str((await self._client.info("server")).get("redis_version", "0"))
            # A full, read-only or broken Redis answers, and takes nothing.
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
        answers: list[Any] = await pipe.execute()
        return answers

    # -- writing --------------------------------------------------------------------------------------------------

    async def write(self, batch: Batch) -> None:
        """Jobs are added unless one of their id is there, finished ones are finished, others are next in their queues
        again, and marks are set."""
        async with self._pipeline() as pipe:
            for new in batch.jobs:
                await self._add(pipe, new)
            for taken, value in batch.done:
                await self._finish(pipe, taken, value)
            for taken in batch.back:
                await self._put_back(pipe, taken)
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

    async def _finish(self, pipe: Any, taken: Taken, value: Any) -> None:
        scripts = self._queue(taken.queue).backend.scripts
        job = self._job(taken, plain=value is None)
        keep = job.opts.get("removeOnComplete", {"count": _KEPT})
        keys, args = scripts.moveToCompletedArgs(job, value, keep, self._token, False)
        await scripts.commands["moveToFinished"](keys=keys, args=args, client=pipe)

    async def fail(self, taken: Taken, reason: str) -> None:
        """The job is failed, for good, with this reason."""
        scripts = self._queue(taken.queue).backend.scripts
        job = self._job(taken)
        keep = job.opts.get("removeOnFail", {"count": _KEPT})
        fields = {"failedReason": reason, "stacktrace": json.dumps([reason])}
        keys, args = scripts.moveToFailedArgs(job, reason, keep, self._token, False, fields)
        async with self._reaching():
            await scripts.commands["moveToFinished"](keys=keys, args=args)

    async def _put_back(self, pipe: Any, taken: Taken) -> None:
        scripts = self._queue(taken.queue).backend.scripts
        keys, args = scripts.retryJobArgs(taken.id, True, self._token)
        await scripts.commands["retryJob"](keys=keys, args=args, client=pipe)

    # -- taking ---------------------------------------------------------------------------------------------------

    async def take(self, wanted: Iterable[tuple[str, int]]) -> tuple[list[Taken], dict[str, int]]:
        """Up to so many jobs of each queue; and of each that has no more now, when it will have one (0: unknown)."""
        wanted = list(wanted)
        async with self._pipeline() as pipe:
            for name, count in wanted:
                await self._move(pipe, name, count)
            answers = await self._answers(pipe)
        taken: list[Taken] = []
        empty: dict[str, int] = {}
        at = iter(answers)
        for name, count in wanted:
            for _ in range(count):
                fields, job_id, _, due = next(at)
                if fields:
                    taken.append(self._taken(name, fields, job_id))
                else:
                    empty[name] = int(due or 0)
        return taken, empty

    async def _move(self, pipe: Any, name: str, count: int) -> None:
        scripts = self._queue(name).backend.scripts
        keys = scripts.getKeys(_TO_ACTIVE)
        options = msgpack.packb({"token": self._token, **self._options, "limiter": None})
        args = [scripts.keys[""], self._milliseconds(), options]
        for _ in range(count):
            await scripts.commands["moveToActive"](keys=keys, args=args, client=pipe)

    def _taken(self, name: str, fields: Sequence[str], job_id: str) -> Taken:
        raw = dict(zip(fields[::2], fields[1::2], strict=True))
        return Taken(name, job_id, _data(raw), raw)

    def _job(self, taken: Taken, *, plain: bool = False) -> Job:
        """The library's view of the job; a plain one has no options but to be gone when it is finished."""
        queue = self._queue(taken.queue)
        if not plain:
            with suppress(ValueError, TypeError, AttributeError):  # whatever others have put there
                return Job.fromJSON(queue, {**taken.fields, "data": "null"}, taken.id)
        queue.plain.id = taken.id
        return queue.plain

    async def listen(self, queues: Sequence[str], seconds: float) -> Mark | None:
        """The next mark of one of the queues; None after `seconds`."""
        keys = {self._queue(name).backend.keys["marker"]: name for name in queues}
        async with self._reaching(), asyncio.timeout(seconds + _ANSWER):
            found = await self._listener.bzpopmin(list(keys), max(seconds, 0.001))
        if not found:
            return None
        key, member, score = found
        return Mark(keys[key], 0 if member == _READY else int(float(score)))

    async def recover(self, queues: Sequence[str], every: float, times: int) -> None:
        """Jobs whose process died with them in its hands can be taken again; each queue is looked at once per `every`."""
        async with self._pipeline() as pipe:
            for name in queues:
                scripts = self._queue(name).backend.scripts
                keys = scripts.getKeys(_STALLED)
                args = [times, scripts.keys[""], self._milliseconds(), round(every * 1000)]
                await scripts.commands["moveStalledJobsToWait"](keys, args, client=pipe)
            await self._answers(pipe)

    # -- looking --------------------------------------------------------------------------------------------------

    async def missing(self, jobs: Sequence[NewJob]) -> list[NewJob]:
        """Those of the jobs that aren't in Redis."""
        async with self._pipeline() as pipe:
            for new in jobs:
                pipe.exists(self._queue(new.queue).backend.toKey(new.id))
            found = await self._answers(pipe)
        return [new for new, there in zip(jobs, found, strict=True) if not there]

    async def notes(self, queues: Sequence[str]) -> dict[str, int]:
        """What `note` has left in each queue's meta key; it is lost with the queue."""
        async with self._pipeline() as pipe:
            for name in queues:
                pipe.hget(self._queue(name).backend.keys["meta"], _NOTE)
            found = await self._answers(pipe)
        return {name: int(value) for name, value in zip(queues, found, strict=True) if value is not None}

    async def note(self, queues: Iterable[str], value: int | None) -> None:
        """The queues have this note, or none."""
        async with self._pipeline() as pipe:
            for name in queues:
                key = self._queue(name).backend.keys["meta"]
                if value is None:
                    pipe.hdel(key, _NOTE)
                else:
                    pipe.hset(key, _NOTE, value)
            await self._answers(pipe)


_TO_ACTIVE: Final = [
    *("wait", "active", "prioritized", "events", "stalled", "limiter", "delayed", "paused", "meta", "pc", "marker")
]
_SCRIPTS: Final = [
    *("addStandardJob", "addPrioritizedJob", "addDelayedJob", "moveToActive", "moveToFinished"),
    *("moveStalledJobsToWait", "retryJob"),
]
_STALLED: Final = ["stalled", "wait", "active", "stalled-check", "meta", "paused", "marker", "events", "repeat"]
_NOTE: Final = "stepwell"


def _data(fields: Mapping[str, str]) -> Any:
    try:
        return json.loads(fields["data"])
    except (KeyError, ValueError):
        return None


def _cancelled() -> int:
    """How often the current task was asked to end."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def _client(url: str, connections: int, answer: float | None) -> Any:
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=_ANSWER,
        decode_responses=True,
        socket_connect_timeout=_ANSWER,
        socket_timeout=answer,
        # A connection that the server has closed meanwhile is made anew; more is the caller's to decide.
        retry=Retry(NoBackoff(), 1),
        client_name="stepwell",
    )
    return Redis(connection_pool=pool)

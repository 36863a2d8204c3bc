"""Everything that is read from Redis may be anything: the job is failed, and the rest goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from bullmq import Queue

from conformance.support import ME, StepwellOn, until
from stepwell import END, Stepwell, Workflow, transition
from stepwell.queue.bullmq.jobs import whole

QueueNamed = Callable[[str], Queue]
DEEP = "[" * 100_000 + "]" * 100_000
NESTED = "[" * 500 + "]" * 500


@pytest.fixture(params=["postgres", "sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    """The database behind it: what it refuses differs."""
    return str(request.param)


class Work(Workflow[int]):
    @transition(target=END)
    async def work(self) -> int:
        return self.args


RAW: dict[str, bytes] = {
    "half a surrogate pair": b'{"run": "\\ud800"}',
    "NUL": b'{"run": "a\\u0000b"}',
    "no id": b'{"run": "no-such-run"}',
    "upper case": b'{"run": "01A22B63-3F61-7613-944B-8847E4591D7C"}',
    "empty": b'{"run": ""}',
    "long": b'{"run": "' + b"x" * 2_000_000 + b'"}',
    "number": b'{"run": 7}',
    "list": b'{"run": ["a"]}',
    "deep": b'{"run": ' + DEEP.encode() + b"}",
    "nested": b'{"run": ' + NESTED.encode() + b"}",
    "digits": b'{"run": ' + b"9" * 5_000 + b"}",
    "unknown fields": b'{"ran": "x", "\\ud800": "\\ud800"}',
    "no JSON": b"{no json",
    "no UTF-8": b'{"run": "\xff\xfe"}',
    "null": b"null",
    "nothing": b"",
    "a start of nobody's": b'{"app": "\\ud800", "workflow": "\\ud800", "user": "u"}',
    "a start with NUL": b'{"app": "shop", "workflow": "work", "user": "a\\u0000", "args": 1}',
    "a start with half a pair": b'{"app": "shop", "workflow": "work", "user": "\\udc80", "args": 1}',
    "a key with NUL": b'{"app": "shop", "workflow": "work", "user": "u", "args": 1, "idempotencyKey": "a\\u0000"}',
    "a label with half a pair": b'{"app": "shop", "workflow": "work", "user": "u", "args": 1, "labels": ["\\ud800"]}',
    "args that are deep": b'{"app": "shop", "workflow": "work", "user": "u", "args": ' + NESTED.encode() + b"}",
}
FIELDS: dict[str, dict[str, Any]] = {
    "odd options": {"opts": "[]"},
    "options that choose": {"opts": '{"removeOnFail": "\\ud800", "removeOnComplete": ["x"], "attempts": "many"}'},
    "huge options": {"opts": '{"attempts": ' + "9" * 40 + ', "removeOnFail": {"count": ' + "9" * 40 + "}}"},
    "deep options": {"opts": DEEP},
    "odd time": {"timestamp": "yesterday"},
    "odd counters": {"atm": "x", "stc": "[]"},
    "odd parent": {"parent": "x"},
    "a parent that is no job": {"parent": "{}", "parentKey": "bull:x:1"},
    "infinite time": {"timestamp": "1e999"},
    "odd stack": {"stacktrace": "{", "progress": "{", "returnvalue": "{"},
}


async def put(queue: Queue, data: bytes, **fields: Any) -> str:
    """The id of a job as somebody else has written it."""
    job = await queue.add("run", {"run": "x"}, {"delay": 3_600_000})
    key = queue.toKey(job.id)
    await queue.client.hset(key, mapping={"data": data, **fields})
    await job.promote()
    return str(job.id)


async def settled(queue: Queue, id_: str) -> bool:
    """Whether the job isn't taken up any more, and is there to be looked at."""
    left = await queue.getJobCounts("waiting", "prioritized", "active", "delayed")
    failed = await queue.client.zscore(queue.toKey("failed"), id_)
    return not any(left.values()) and failed is not None


async def works(stepwell: Stepwell, client: Stepwell) -> None:
    """The worker still takes what is added."""
    handles = [await client.runner.run(Work, n, **ME) for n in range(3)]
    assert await asyncio.gather(*(handle.result(60) for handle in handles)) == [0, 1, 2]
    condition = await stepwell.condition()
    assert condition.ready, condition


@pytest.mark.parametrize("name", ["stepwell", "stepwell.shop.work"])
async def test_whatever_a_job_holds_it_is_failed_and_the_rest_goes_on(
    bull_on: StepwellOn, queue_named: QueueNamed, name: str
) -> None:
    queue = queue_named(name)
    async with bull_on([Work], embedded_worker=False) as client, bull_on([Work]) as worker:
        jobs = {what: await put(queue, data) for what, data in RAW.items()}
        jobs |= {what: await put(queue, b'{"run": "x"}', **fields) for what, fields in FIELDS.items()}
        for what, job in jobs.items():
            await until(lambda: settled(queue, job), what)  # noqa: B023
        await works(worker, client)
        reasons = {what: await queue.client.hget(queue.toKey(job), "failedReason") for what, job in jobs.items()}
        assert all(reasons.values()), reasons
        assert reasons["NUL"] == "The job names no run: run='a\\x00b' isn't the id of a run."
        assert not (await worker.runner.list(user_id="u")).items


async def test_odd_ids_odd_keys_and_odd_marks_keep_nothing_back(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    queue, inbox = queue_named("stepwell.shop.work"), queue_named("stepwell")
    async with bull_on([Work], embedded_worker=False) as client, bull_on([Work]) as worker:
        start = {"app": "shop", "workflow": "work", "user": "u2", "args": 1}
        odd = ["a\0b", "x" * 5_000, "ünï ☃", "\x01"]
        for id_ in odd:
            await inbox.add("start", start, {"jobId": id_})
        for one in (queue, inbox):
            for score in ("inf", "-inf", 1e300, -5.5):
                await one.client.zadd(one.toKey("marker"), {f"odd {score}": float(score)})
            await one.client.hset(one.toKey("meta"), "stepwell", "9" * 30)

        async def taken() -> bool:
            return not any((await inbox.getJobCounts("waiting", "active")).values())

        await until(taken, "the end of the starts")
        await works(worker, client)


@pytest.mark.parametrize("key", ["marker", "meta", "wait", "prioritized", "delayed"])
async def test_a_key_of_another_type_stops_no_other_queue_and_no_claims(
    bull_on: StepwellOn, queue_named: QueueNamed, key: str
) -> None:
    class Other(Workflow[int]):
        @transition(target=END)
        async def other(self) -> int:
            return self.args

    queue = queue_named("stepwell.shop.other")
    async with bull_on([Work, Other], embedded_worker=False) as client, bull_on([Work, Other]) as worker:
        await queue.client.delete(queue.toKey(key))
        await queue.client.set(queue.toKey(key), "odd")
        await works(worker, client)


def test_a_number_from_redis_fits_a_column() -> None:
    assert [whole(one) for one in ("7", "7.9", 3, None, "x", "inf", "nan", "1e999", "9" * 30, [], b"7")] == [
        *(7, 7, 3, 0, 0, 0, 0, 0, 0, 0, 0)
    ]

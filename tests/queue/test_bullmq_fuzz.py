"""Whatever others write into Redis: each job is failed with a reason or has become the run that it describes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from bullmq import Queue
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from conformance.support import ME, StepwellOn, until
from stepwell import END, Stepwell, Workflow, transition

ROUNDS = 12
JOBS = 25
INBOX = "stepwell"
LANE = "stepwell.shop.take"
COUNTED = "ats"
"""A field that BullMQ counts up when a job is taken: where it isn't a number, nobody can take the job."""
LIMIT = 100_000
"""The value of `max_args_bytes`, so that some args are over it."""


class Take(Workflow[Any]):
    @transition(target=END)
    async def take(self) -> Any:
        return self.args


odd_text = st.text(max_size=40) | st.sampled_from(
    ["\0", "\ud800", "a" * 2_000, "__proto__", "1e999", " shop", "SHOP", ""]
)
numbers = st.integers() | st.floats() | st.sampled_from([2**63, -(2**63) - 1, 1e308, -0.0, 10**400])
scalars = st.none() | st.booleans() | numbers | odd_text
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(odd_text, inner, max_size=4))
starts = st.fixed_dictionaries(
    {"app": st.just("shop") | values, "workflow": st.just("take") | values, "user": st.just("u") | values},
    optional={
        "args": values | st.just("x" * LIMIT),
        "labels": st.lists(odd_text, max_size=4) | values,
        "priority": st.integers(-(2**31), 2**31) | values,
        "delay": st.just(0) | values,
        "idempotencyKey": odd_text | values,
        "idempotency_key": odd_text,
        "runs": values,
    },
)
good = st.fixed_dictionaries(
    {"app": st.just("shop"), "workflow": st.just("take"), "user": st.text(st.characters(codec="ascii"), min_size=1)},
    optional={"args": values},
)
wake_ups = st.fixed_dictionaries({"run": st.uuids().map(str) | values})
texts = (good | starts | wake_ups | values).map(lambda one: json.dumps(one).encode(errors="surrogatepass"))
data = texts | st.binary(max_size=200)
fields = st.fixed_dictionaries(
    {},
    optional={
        name: values.map(json.dumps).map(lambda text: text.encode(errors="surrogatepass")) | st.binary(max_size=60)
        for name in ("opts", "timestamp", "priority", "atm", "ats", "stc", "parent", "returnvalue", "progress", "name")
    },
)
foreign_jobs = st.lists(st.tuples(data, fields), min_size=JOBS, max_size=JOBS)


async def put(queue: Queue, written: bytes, mapping: dict[str, Any]) -> str:
    """Add a job, and return its id; before a worker sees it, its fields are those of somebody else."""
    job = await queue.add("start", {}, {"delay": 3_600_000})
    await queue.client.hset(queue.toKey(job.id), mapping={**mapping, "data": written})
    await job.promote()
    return str(job.id)


async def outcomes(queue: Queue, ids: list[str], stuck: set[str]) -> dict[str, str]:
    """Return the state of each job, once none waits any more. The stuck ones may stay where they are."""

    async def settled() -> dict[str, str] | None:
        found = {one: str(await queue.getJobState(one)) for one in ids}
        waiting = {one for one, state in found.items() if state not in ("failed", "completed", "unknown")}
        return found if waiting <= stuck else None

    return await until(settled, "the end of all jobs") or {}


async def check(stepwell: Stepwell, client: Stepwell, queue: Queue, jobs: list[tuple[bytes, dict[str, Any]]]) -> None:
    ids = [await put(queue, *job) for job in jobs]
    stuck = {id_ for id_, (_, others) in zip(ids, jobs, strict=True) if COUNTED in others}
    found = await outcomes(queue, ids, stuck)
    for id_, (written, others) in zip(ids, jobs, strict=True):
        key = queue.toKey(id_)
        if found[id_] == "failed":
            assert await queue.client.hget(key, "failedReason"), (written, others)
        elif found[id_] == "completed":
            value = json.loads(await queue.client.hget(key, "returnvalue"))
            run = await stepwell.runner.get(value["runId"])
            described = json.loads(written)
            assert (run.app_name, run.workflow_name, run.user_id) == ("shop", "take", described["user"])
            args = {} if described.get("args") is None else described["args"]
            assert not value["created"] or run.args == args, (written, others)
        elif id_ not in stuck:
            removed = "only a wake-up, and a job whose fields can't be read, is removed when it is finished"
            assert others or written.startswith(b'{"run"'), removed
    handle = await client.runner.run(Take, "one of ours", **ME)
    assert await handle.result(60) == "one of ours"
    condition = await stepwell.condition()
    assert condition.ready, condition


@pytest.mark.parametrize("name", [INBOX, LANE])
def test_whatever_is_in_redis_is_failed_or_becomes_the_run_that_it_describes(
    bull_on: StepwellOn, redis_url: str, name: str
) -> None:
    async def opened() -> tuple[Stepwell, Stepwell, Queue]:
        limits = {"max_args_bytes": LIMIT}
        stepwell, client = bull_on([Take], **limits), bull_on([Take], embedded_worker=False, **limits)
        await stepwell.__aenter__()
        await client.__aenter__()
        return stepwell, client, Queue(name, {"connection": redis_url})

    with asyncio.Runner() as loop:
        stepwell, client, queue = loop.run(opened())

        @settings(max_examples=ROUNDS, derandomize=True, database=None, phases=[Phase.generate])
        @given(foreign_jobs)
        def rounds(jobs: list[tuple[bytes, dict[str, Any]]]) -> None:
            loop.run(check(stepwell, client, queue, jobs))

        try:
            rounds()
        finally:
            loop.run(queue.close())
            loop.run(client.__aexit__())
            loop.run(stepwell.__aexit__())

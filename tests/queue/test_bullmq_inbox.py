"""Starts that another service adds as jobs: durable once, refused readably, wherever the workflow is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from bullmq import FlowProducer, Job, Queue
from pydantic import BaseModel

from conformance.support import ME, StepwellOn, until
from stepwell import END, App, Stepwell, Workflow, transition

QueueNamed = Callable[[str], Queue]
calls: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()


class Order(BaseModel):
    order_id: str
    amount: int = 1


class Ship(Workflow[Order]):
    @transition(target=END)
    async def ship(self) -> str:
        calls.append(self.args.order_id)
        return f"{self.args.order_id} shipped"


class Bill(Workflow[Order]):
    @transition(target=END)
    async def bill(self) -> str:
        calls.append(f"bill {self.args.order_id}")
        return "billed"


def start(**given: Any) -> dict[str, Any]:
    return {"app": "shop", "workflow": "ship", "user": "u1", "args": {"order_id": "A1"}, **given}


async def ends(queue: Queue, job: Job, state: str) -> Job:
    """The job, once it is in this state."""

    async def look() -> bool:
        return bool(await queue.getJobState(job.id) == state)

    await until(look, f"{state} for job {job.id}")
    found = await queue.getJob(job.id)
    assert found is not None
    return found


async def known(stepwell: Stepwell) -> bool:
    """Whether the workers' queues are known in Redis."""
    queue: Any = stepwell.process.queue  # type: ignore[union-attr]
    return bool(await queue._bull.notes(list(queue._queues)))


async def add(queue: Queue, data: Any, options: dict[str, Any] | None = None) -> Job:
    return await queue.add("start", data, options or {})


async def test_a_job_becomes_a_run(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    inbox = queue_named("stepwell")
    async with bull_on([Ship]) as stepwell:
        job = await ends(inbox, await add(inbox, start(labels=["node"], priority=3)), "completed")
        run = await stepwell.runner.get(job.returnvalue["runId"])
        assert job.returnvalue["created"] is True
        assert (run.app_name, run.workflow_name, run.user_id, run.args) == (
            "shop",
            "ship",
            "u1",
            {"order_id": "A1", "amount": 1},
        )
        assert (run.labels, run.priority) == (("node",), 3)
        assert await stepwell.runner.handle(run.workflow_id).result(60) == "A1 shipped"


async def test_many_jobs_become_runs(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    inbox = queue_named("stepwell")
    jobs = [{"name": "start", "data": start(args={"order_id": str(n)})} for n in range(200)]
    async with bull_on([Ship]), bull_on([Ship]):
        await inbox.addBulk(jobs)

        async def all_called() -> bool:
            return len(calls) >= 200

        await until(all_called, "the runs")
    assert sorted(calls, key=int) == [str(n) for n in range(200)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (start(args={"amount": 2}), "InvalidArgs: The args of Ship don't fit Order: order_id: Field required"),
        (start(app="nowhere"), "UnknownApp: No app 'nowhere'. Registered: shop."),
        (start(workflow="sail"), "UnknownWorkflow: The app 'shop' doesn't list the workflow 'sail'."),
        (start(user=""), "InvalidArgs: user_id=''"),
        (start(priority=2**40), "InvalidArgs: priority="),
        ({"workflow": "ship"}, "The job's data isn't a valid start: app is missing; user is missing."),
        (start(argz={}), "The job's data isn't a valid start: argz isn't known (app, workflow, user, args, labels, "),
        (start(delay=-1), "The job's data isn't a valid start: delay=-1: Input should be greater than or equal to 0."),
        (start(labels="vip"), "The job's data isn't a valid start: labels='vip': Input should be a valid list."),
        (["ship"], "The job's data is ['ship']: give an object with app, workflow, user and args."),
    ],
    ids=["args", "app", "workflow", "user", "priority", "missing", "unknown", "delay", "labels", "list"],
)
async def test_what_cannot_start_fails_with_the_reason_at_once(
    bull_on: StepwellOn, queue_named: QueueNamed, data: Any, reason: str
) -> None:
    inbox = queue_named("stepwell")
    async with bull_on([Ship]) as stepwell:
        job = await ends(inbox, await add(inbox, data, {"attempts": 5}), "failed")
        assert job.failedReason.startswith(reason)
        assert "\n" not in job.failedReason.strip()
        assert not (await stepwell.runner.list()).items


async def test_a_job_that_comes_again_starts_nothing_twice(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    inbox = queue_named("stepwell")
    async with bull_on([Ship]) as stepwell:
        job = await ends(inbox, await add(inbox, start()), "completed")
        first = job.returnvalue["runId"]
        await stepwell.runner.handle(first).result(60)
        await job.retry("completed")

        async def again() -> bool:
            found = await inbox.getJob(job.id)
            return found is not None and found.returnvalue == {"runId": first, "created": False}

        await until(again, "the second delivery")
        assert calls == ["A1"]


async def test_numbers_of_jobs_that_begin_again_are_other_jobs(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    inbox = queue_named("stepwell")
    async with bull_on([Ship]):
        one = await ends(inbox, await add(inbox, start()), "completed")
        await inbox.client.flushdb()
        other = await ends(inbox, await add(inbox, start()), "completed")
        assert one.id == other.id
        assert one.returnvalue["runId"] != other.returnvalue["runId"]


async def test_a_key_of_the_caller_stands_for_one_run(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    inbox = queue_named("stepwell")
    async with bull_on([Ship]) as stepwell:
        mine = await stepwell.runner.run(Ship, {"order_id": "A1"}, **ME, idempotency_key="order-A1")
        job = await ends(inbox, await add(inbox, start(idempotencyKey="order-A1")), "completed")
        assert job.returnvalue == {"runId": mine.workflow_id, "created": False}
        other = start(idempotencyKey="order-A1", args={"order_id": "A2"})
        job = await ends(inbox, await add(inbox, other), "failed")
        assert job.failedReason.startswith("IdempotencyConflict: ")


async def test_a_delay_is_the_runs_or_the_jobs(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    inbox = queue_named("stepwell")
    async with bull_on([Ship]) as stepwell:
        job = await ends(inbox, await add(inbox, start(delay=3_600_000)), "completed")
        run = await stepwell.runner.get(job.returnvalue["runId"])
        assert run.status == "pending"
        assert run.due_at is not None
        assert 3590 < (run.due_at - run.created_at).total_seconds() < 3610
        await ends(inbox, await add(inbox, start(args={"order_id": "later"}), {"delay": 300}), "completed")


async def test_a_start_finds_the_workers_that_know_its_workflow(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    inbox = queue_named("stepwell")
    async with bull_on([App("shop", workflows=[Ship])]):
        async with bull_on([App("office", workflows=[Bill])]) as office:
            await until(lambda: known(office), "the office's queue")
        # They have gone, but not for long.
        for n in range(10):
            key = {"idempotency_key": f"key {n}"} if n % 2 else {}
            await add(inbox, start(app="office", workflow="bill", args={"order_id": str(n)}, **key))
        own = queue_named("stepwell.office.bill")

        async def forwarded() -> bool:
            return bool(await own.getJobCountByTypes("waiting") == 10)

        await until(forwarded, "the starts in the office's own queue")
    async with bull_on([App("office", workflows=[Bill])]) as office:

        async def all_called() -> bool:
            return len(calls) >= 10

        await until(all_called, "the runs")
        assert sorted(calls) == [f"bill {n}" for n in range(10)]
        assert len((await office.runner.list(app_name="office")).items) == 10


async def test_refused_where_it_was_sent_on_it_stays_to_be_seen(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    own = queue_named("stepwell.shop.ship")
    async with bull_on([Ship]):
        job = await ends(own, await add(own, start(args={})), "failed")
        assert job.failedReason.startswith("InvalidArgs: ")
        job = await ends(own, await add(own, start()), "completed")
        assert job.returnvalue["created"] is True


async def test_starts_wait_in_redis_until_a_worker_comes(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    inbox = queue_named("stepwell")
    async with bull_on([Ship], embedded_worker=False):
        job = await add(inbox, start())
        await asyncio.sleep(0)
        assert await inbox.getJobState(job.id) == "waiting"
        async with bull_on([Ship]):
            await ends(inbox, job, "completed")


@pytest.mark.parametrize("name", ["stepwell", "stepwell.shop.ship"])
async def test_a_job_that_nobody_can_read_holds_nothing_up(
    bull_on: StepwellOn, queue_named: QueueNamed, name: str
) -> None:
    queue = queue_named(name)
    broken, good = await add(queue, start()), await add(queue, start(args={"order_id": "A2"}))
    await queue.client.hset(queue.toKey(broken.id), mapping={"data": "{no json", "opts": "[]"})
    async with bull_on([Ship]):

        async def failed() -> bool:
            return bool(await queue.getFailedCount() == 1)

        await until(failed, "the end of the broken job")
        await ends(queue, good, "completed")
        reason = await queue.client.hget(queue.toKey(broken.id), "failedReason")
        assert reason == "The job's data is None: give an object with app, workflow, user and args."


async def test_starts_that_a_closing_worker_had_taken_go_on_elsewhere_at_once(
    bull_on: StepwellOn, queue_named: QueueNamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = queue_named("stepwell")
    reached, never = asyncio.Event(), asyncio.Event()

    async def hangs(*_: Any, **given: Any) -> Any:
        reached.set()
        await never.wait()

    leaving = bull_on([Ship])
    await leaving.__aenter__()
    monkeypatch.setattr(leaving.process.queue._inbox, "_start", hangs)  # type: ignore[union-attr]
    jobs = [await add(inbox, start(args={"order_id": str(n)})) for n in range(3)]
    await asyncio.wait_for(reached.wait(), 60)
    async with bull_on([Ship]):
        await asyncio.wait_for(leaving.__aexit__(), 60)
        for job in jobs:
            await ends(inbox, job, "completed")


@pytest.mark.parametrize("kept", [("parent", "parentKey"), ("parentKey",)], ids=" and ".join)
@pytest.mark.parametrize("good", [True, False], ids=["a start", "no start"])
async def test_a_start_may_be_a_child_of_a_flow(
    bull_on: StepwellOn, queue_named: QueueNamed, redis_url: str, kept: tuple[str, ...], good: bool
) -> None:
    """Whichever fields name its parent: that hears of its end."""
    inbox, orders = queue_named("stepwell"), queue_named("orders")
    flows = FlowProducer({"connection": redis_url})
    data = start() if good else {"no": "start"}
    child = {"name": "start", "queueName": "stepwell", "data": data, "opts": {"delay": 3_600_000}}
    made = await flows.add({"name": "order", "queueName": "orders", "data": {}, "children": [child]})
    parent, job = made["job"], made["children"][0]["job"]
    for name in {"parent", "parentKey"} - set(kept):
        await inbox.client.hdel(inbox.toKey(job.id), name)
    async with bull_on([Ship]):
        await job.promote()
        await ends(inbox, job, "completed" if good else "failed")
        if good:
            await ends(orders, parent, "waiting")
    assert await inbox.client.hget(inbox.toKey(job.id), "parentKey") == f"bull:orders:{parent.id}"
    await flows.close()

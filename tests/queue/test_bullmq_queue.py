"""BullMQ as the queue, with two processes: one starts, another works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from bullmq import Queue

from backends import Database
from conformance.support import ME, Gate, StepwellOn, everything, reaches, until
from stepwell import END, App, Group, Retry, RunHandle, Signal, Start, Stepwell, Workflow, transition
from stepwell.store.tables import runs
from stepwell.store.tx import WakeUp

QueueNamed = Callable[[str], Queue]
gate = Gate()
calls: list[Any] = []
OWNER = [column.name for column in runs.columns].index("owner")


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    calls.clear()


class Work(Workflow[int]):
    @transition(target=END)
    async def work(self) -> int:
        calls.append(self.args)
        return self.args


class Held(Workflow[int]):
    @transition(target=END)
    async def hold(self) -> int:
        calls.append(self.args)
        await gate.pass_through()
        return self.args


class Flaky(Workflow[int]):
    @transition(target=END, retry=Retry(retries=2, delay=timedelta(milliseconds=200)))
    async def work(self) -> int:
        calls.append(self.info.attempt)
        if self.info.attempt < 3:
            raise OSError("not yet")
        return self.info.attempt


class Patient(Workflow[None, None, str]):
    @transition(target="asked")
    async def ask(self) -> None: ...

    @transition("asked", END, wait=True)
    async def answer(self, text: str) -> str:
        return text

    @transition("asked", END, after=timedelta(milliseconds=300))
    async def give_up(self) -> str:
        return "nobody answered"


class Caller(Workflow[None, None, str]):
    @transition(target="asked")
    async def ask(self) -> None: ...

    @transition("asked", END, wait=True)
    async def answer(self, text: str) -> str:
        return text


class Family(Workflow[int, None, int]):
    @transition(target="waits")
    async def begin(self) -> None:
        await self.start(Work, self.args, callback="done")

    @transition("waits", END, wait=True)
    async def done(self, result: int) -> int:
        return result * 2


async def ended(handles: Sequence[RunHandle[Any]]) -> list[Any]:
    """Their results."""
    return await asyncio.gather(*(handle.result(60) for handle in handles))


def bull(stepwell: Stepwell) -> Any:
    assert stepwell.process is not None
    return stepwell.process.queue


# -- what runs ----------------------------------------------------------------------------------------------------------


async def test_runs_started_here_are_executed_there(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    async with bull_on([Work], embedded_worker=False) as web, bull_on([Work]):
        handles = await asyncio.gather(*(web.runner.run(Work, n, **ME) for n in range(300)))
        assert await ended(handles) == list(range(300))
        assert len(calls) == 300

    queue = queue_named("stepwell.shop.work")
    assert set((await queue.getJobCounts()).values()) == {0}


async def test_signals_timers_retries_and_children_go_through_the_queue(bull_on: StepwellOn) -> None:
    async with (
        bull_on([Work, Flaky, Caller, Patient, Family], embedded_worker=False) as web,
        bull_on([Work, Flaky, Caller, Patient, Family]),
    ):
        flaky = await web.runner.run(Flaky, 1, **ME)
        asked = await web.runner.run(Caller, **ME)
        alone = await web.runner.run(Patient, **ME)
        family = await web.runner.run(Family, 21, **ME)
        await reaches(web.runner, asked.workflow_id, "waiting", "asked")
        await web.runner.signal(asked.workflow_id, "answer", "42")
        assert await asked.result(60) == "42"
        assert await alone.result(60) == "nobody answered"
        assert await family.result(60) == 42
        assert await flaky.result(60) == 3
        assert [call for call in calls if call != 21] == [1, 2, 3]


async def test_a_delayed_start_is_a_delayed_job(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    queue = queue_named("stepwell.shop.work")
    async with bull_on([Work], embedded_worker=False) as web:
        run = await web.runner.run(Work, 1, **ME, delay=timedelta(hours=1), priority=7)
        [job] = await until(queue.getDelayed, "the delayed job")
        assert job.data == {"run": run.workflow_id}
        assert 0 <= 3_600_000 - job.delay < 60_000
        assert job.priority == 2**20 - 7
        assert (await queue.getJobCounts("waiting", "prioritized", "active")) == {
            "waiting": 0,
            "prioritized": 0,
            "active": 0,
        }


async def test_a_delayed_start_comes_when_it_is_due(bull_on: StepwellOn) -> None:
    async with bull_on([Work], embedded_worker=False) as web, bull_on([Work]):
        run = await web.runner.run(Work, 1, **ME, delay=timedelta(milliseconds=400))
        assert await run.result(60) == 1
        [created, ended] = [entry.finished_at for entry in await web.runner.history(run.workflow_id)]
        assert ended - created >= timedelta(milliseconds=400)


async def test_priorities_pass_through_then_age(bull_on: StepwellOn) -> None:
    gate.open()
    async with bull_on([Held], embedded_worker=False) as web:
        given = [(1, None), (2, 5), (3, -5), (4, None), (5, 5), (6, 2**31 - 1), (7, -(2**31))]
        handles = [await web.runner.run(Held, n, **ME, priority=priority) for n, priority in given]
        await bull(web)._link.written()
        async with bull_on([Held], worker_concurrency=1):
            await ended(handles)
    assert calls == [6, 2, 5, 1, 4, 3, 7]


# -- who takes it --------------------------------------------------------------------------------------------------------


async def test_a_worker_of_other_lanes_takes_nothing(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    shop, store = App("shop", workflows=[Work]), App("store", workflows=[Work])
    async with bull_on([shop, store], embedded_worker=False) as web, bull_on([store]):
        mine = await web.runner.run(Work, 1, app_name="store", user_id="u1")
        other = await web.runner.run(Work, 2, **ME)
        assert await mine.result(60) == 1
        assert (await queue_named("stepwell.shop.work").getJobCounts("prioritized")) == {"prioritized": 1}
        async with bull_on([shop]):
            assert await other.result(60) == 2


async def test_a_full_worker_leaves_the_rest_to_others(bull_on: StepwellOn) -> None:
    async with (
        bull_on([Held], embedded_worker=False) as web,
        bull_on([Held], worker_concurrency=1),
        bull_on([Held], worker_concurrency=1),
    ):
        handles = [await web.runner.run(Held, n, **ME) for n in range(3)]
        await gate.reached()
        await gate.reached()
        owners = {row[OWNER] for row in (await everything(web))["stepwell_runs"] if row[OWNER]}
        assert len(owners) == 2
        gate.open()
        assert await ended(handles) == [0, 1, 2]


async def test_workers_share_a_burst(bull_on: StepwellOn) -> None:
    async with bull_on([Work], embedded_worker=False) as web, bull_on([Work]), bull_on([Work]), bull_on([Work]):
        handles = await asyncio.gather(*(web.runner.run(Work, n, **ME) for n in range(200)))
        assert sorted(await ended(handles)) == list(range(200))
    assert sorted(calls) == list(range(200))


# -- doorbells that don't fit -----------------------------------------------------------------------------------------


async def test_second_late_and_foreign_doorbells_change_nothing(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    queue = queue_named("stepwell.shop.patient")
    async with bull_on([Patient, Work], embedded_worker=False) as web, bull_on([Patient, Work]) as worker:
        ended = await web.runner.run(Work, 1, **ME)
        await ended.result(60)
        later = await web.runner.run(Work, 2, **ME, delay=timedelta(hours=1))
        before = await everything(web)
        for run_id in (ended.workflow_id, later.workflow_id, "no-such-run"):
            for name in ("stepwell.shop.patient", "stepwell.shop.work"):
                await queue_named(name).add("run", {"run": run_id}, {})
        bull(worker).announce([WakeUp(ended.workflow_id, "shop", "work", 0, 1)] * 3, [])

        async def taken() -> bool:
            return not any((await queue.getJobCounts("waiting", "prioritized", "active")).values())

        await until(taken, "the end of the doorbells")
        assert await everything(web) == before
        assert calls == [1]


async def test_a_doorbell_rung_twice_is_one_job(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    queue = queue_named("stepwell.shop.work")
    async with bull_on([Work], embedded_worker=False) as web:
        wake_up = WakeUp("a-run", "shop", "work", 0, 1)
        bull(web).announce([wake_up, wake_up], [])
        bull(web).announce([wake_up], [wake_up])
        await bull(web)._link.written()
        assert (await queue.getJobCounts("prioritized", "delayed")) == {"prioritized": 1, "delayed": 0}


async def test_what_is_due_after_tomorrow_isnt_in_redis_yet(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    async with bull_on([Work], embedded_worker=False) as web:
        await web.runner.run(Work, 1, **ME, delay=timedelta(days=30))
        await web.runner.run(Work, 2, **ME, delay=timedelta(hours=20))
        await bull(web)._link.written()
        assert (await queue_named("stepwell.shop.work").getJobCounts("delayed")) == {"delayed": 1}


async def test_a_queue_paused_by_an_operator_gives_nothing(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    queue = queue_named("stepwell.shop.work")
    await queue.pause()
    async with bull_on([Work, Held], embedded_worker=False) as web, bull_on([Work, Held]):
        paused = await web.runner.run(Work, 1, **ME)
        gate.open()
        assert await (await web.runner.run(Held, 2, app_name="shop", user_id="u1")).result(60) == 2
        assert calls == [2]
        await queue.resume()
        assert await paused.result(60) == 1


async def test_all_that_is_in_redis_has_the_prefix(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    redis = queue_named("any").client
    async with (
        bull_on([Work], queue_prefix="mine", embedded_worker=False) as web,
        bull_on([Work], queue_prefix="mine"),
    ):
        assert await (await web.runner.run(Work, 1, **ME)).result(60) == 1
        await web.runner.run(Work, 2, **ME, delay=timedelta(hours=1))
        await bull(web)._link.written()
        keys = await redis.keys("*")
        assert keys
        assert [key for key in keys if not key.startswith("mine:")] == []


async def test_a_process_holds_few_connections(bull_on: StepwellOn, queue_named: QueueNamed) -> None:
    redis = queue_named("any").client
    async with bull_on([Work, Held, Flaky, Patient, Family]) as stepwell:
        await asyncio.gather(*(stepwell.runner.run(Work, n, **ME) for n in range(500)))

        async def executed() -> bool:
            return len(calls) == 500

        await until(executed, "the runs")
        assert len([one for one in await redis.client_list() if one["name"] == "stepwell"]) <= 6

    async def closed() -> bool:
        return not [one for one in await redis.client_list() if one["name"] == "stepwell"]

    await until(closed, "the end of the connections")


# -- the order is the database's ---------------------------------------------------------------------------------------


class Many(Workflow[int, dict[str, Any]]):
    @transition(target="waits")
    async def begin(self) -> None:
        starts = [Start(Held, n) for n in range(self.args)]
        self.state["group"] = await self.start_many(starts, callback="done", until="all_ended")

    @transition("waits", END, wait=True)
    async def done(self, end: Signal[Group[int]]) -> None: ...


async def test_a_run_beside_a_large_group_begins_among_its_first(bull_on: StepwellOn) -> None:
    """Members of a group step back one behind the other; the jobs of all of them are in Redis before the run's own."""
    async with bull_on([Many, Held], worker_concurrency=1) as stepwell:
        parent = await stepwell.runner.run(Many, 300, **ME)
        await gate.reached()
        alone = await stepwell.runner.run(Held, -1, **ME)
        await _ready_since_the_beginning(stepwell)
        await bull(stepwell)._link.written()
        gate.open()
        assert await alone.result(60) == -1
        await parent.result(60)
    assert calls.index(-1) <= 8
    assert sorted(calls) == [-1, *range(300)]


async def _ready_since_the_beginning(web: Stepwell) -> None:
    """All runs are ready since the same moment, however long the test took to start them."""
    assert web.process is not None
    sql = "UPDATE stepwell_runs SET ready_at=(SELECT min(ready_at) FROM stepwell_runs) WHERE ready_at IS NOT NULL"
    await web.process.store.writer.call(lambda tx: tx.run(sql))


async def test_a_run_beside_a_large_batch_begins_among_its_first(bull_on: StepwellOn) -> None:
    async with bull_on([Work], embedded_worker=False) as web:
        batch = await web.runner.run_batch([Start(Work, n) for n in range(300)], **ME)
        alone = await web.runner.run(Work, -1, **ME)
        await _ready_since_the_beginning(web)
        await bull(web)._link.written()
        async with bull_on([Work], worker_concurrency=4):
            assert await alone.result(60) == -1
            assert (await batch.result(60)).completed == 300
    assert calls.index(-1) <= 8


async def test_priorities_age(bull_on: StepwellOn, database: Database) -> None:
    """A run that has waited for longer than a level of priority is worth goes before one of that level."""
    async with bull_on([Work], embedded_worker=False, priority_ageing=60) as web:
        old = await web.runner.run(Work, 1, **ME)
        database.execute("UPDATE stepwell_runs SET ready_at=ready_at-? WHERE id=?", 61_000_000, old.workflow_id)
        new = await web.runner.run(Work, 2, **ME, priority=1)
        await bull(web)._link.written()
        async with bull_on([Work], worker_concurrency=1, priority_ageing=60):
            await ended([old, new])
    assert calls == [1, 2]


async def test_nothing_is_left_in_redis_once_all_have_ended_in_another_order(
    bull_on: StepwellOn, queue_named: QueueNamed
) -> None:
    async with bull_on([Work], embedded_worker=False) as web:
        handles = [await web.runner.run(Work, n, **ME, priority=n % 7) for n in range(60)]
        await _ready_since_the_beginning(web)
        async with bull_on([Work], worker_concurrency=3), bull_on([Work], worker_concurrency=3):
            await ended(handles)
            queue = queue_named("stepwell.shop.work")

            async def empty() -> bool:
                return set((await queue.getJobCounts()).values()) == {0}

            await until(empty, "an empty queue")
    assert sorted(calls) == list(range(60))

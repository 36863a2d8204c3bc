"""Redis forgets, dies, hangs or was never there: no run is lost, and none waits for long."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from bullmq import Queue

from conformance.support import ME, Gate, StepwellOn, until
from servers.proxy import TcpProxy
from servers.valkey import ValkeyServer
from stepwell import END, RunHandle, Stepwell, Workflow, transition
from stepwell.queue.bullmq.client import Bull
from stepwell.queue.bullmq.jobs import NewJob
from stepwell.queue.bullmq.link import RedisLink

calls: list[int] = []
gate = Gate()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()
    gate.clear()


class Work(Workflow[int]):
    @transition(target="more")
    async def work(self) -> None:
        calls.append(self.args)

    @transition("more", END)
    async def end(self) -> int:
        return self.args


class Held(Workflow[int]):
    @transition(target=END)
    async def hold(self) -> int:
        await gate.pass_through()
        return self.args


async def ended(handles: Sequence[RunHandle[Any]]) -> list[Any]:
    """Their results."""
    return await asyncio.gather(*(handle.result(60) for handle in handles))


async def started(web: Stepwell, numbers: Sequence[int]) -> tuple[list[RunHandle[Any]], list[float]]:
    """Runs that were started one after another, and how long each start took."""
    handles, took = [], []
    for n in numbers:
        began = time.monotonic()
        handles.append(await web.runner.run(Work, n, **ME))
        took.append(time.monotonic() - began)
    return handles, took


def link(stepwell: Stepwell) -> Any:
    assert stepwell.process is not None
    return stepwell.process.queue._link  # type: ignore[attr-defined]


def outages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "stepwell.queue"]


async def test_starts_lost_with_redis_are_rung_for_again(stepwell_on: StepwellOn, own_redis: ValkeyServer) -> None:
    async with stepwell_on([Work], queue_url=own_redis.url, embedded_worker=False) as web:
        handles = [await web.runner.run(Work, n, **ME) for n in range(50)]
        await link(web).written()
        own_redis.flush()
        async with stepwell_on([Work], queue_url=own_redis.url):
            assert await ended(handles) == list(range(50))
    assert sorted(calls) == list(range(50))


async def test_runs_go_on_while_redis_is_emptied_again_and_again(
    stepwell_on: StepwellOn, own_redis: ValkeyServer
) -> None:
    async with (
        stepwell_on([Work], queue_url=own_redis.url, embedded_worker=False) as web,
        stepwell_on([Work], queue_url=own_redis.url, worker_concurrency=5),
        stepwell_on([Work], queue_url=own_redis.url, worker_concurrency=5),
    ):
        handles = []
        for n in range(300):
            handles.append(await web.runner.run(Work, n, **ME, delay=timedelta(milliseconds=n % 7) if n % 3 else None))
            if n % 50 == 49:
                own_redis.flush()
        assert await ended(handles) == list(range(300))
    assert sorted(calls) == list(range(300))


async def test_redis_dies_and_comes_back_empty(
    stepwell_on: StepwellOn, own_redis: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "stepwell")
    async with (
        stepwell_on([Work], queue_url=own_redis.url, embedded_worker=False) as web,
        stepwell_on([Work], queue_url=own_redis.url) as worker,
    ):
        before = [await web.runner.run(Work, n, **ME) for n in range(20)]
        later = await web.runner.run(Work, 20, **ME, delay=timedelta(seconds=1))
        own_redis.kill()
        during = [await web.runner.run(Work, n, **ME) for n in range(21, 41)]
        assert await ended([*before, *during, later]) == [*range(20), *range(21, 41), 20]
        own_redis.start()
        await asyncio.wait_for(asyncio.gather(link(web).reached(), link(worker).reached()), 60)
        after = [await web.runner.run(Work, n, **ME) for n in range(41, 61)]
        assert await ended(after) == list(range(41, 61))
    assert sorted(calls) == list(range(61))
    told = outages(caplog)
    assert sum("can't be reached" in text for text in told) == 2, told
    assert sum("reached again" in text for text in told) == 2, told


async def test_starts_are_accepted_and_executed_with_no_redis_at_all(
    stepwell_on: StepwellOn, own_redis: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    own_redis.kill()
    async with (
        stepwell_on([Work], queue_url=own_redis.url, embedded_worker=False) as web,
        stepwell_on([Work], queue_url=own_redis.url),
    ):
        handles, took = await started(web, range(20))
        assert min(took) < 1, "each of 20 starts waits for Redis"
        assert await ended(handles) == list(range(20))
        assert len([text for text in outages(caplog) if "can't be reached" in text]) == 2
        own_redis.start()
        await asyncio.wait_for(link(web).reached(), 60)
        assert await (await web.runner.run(Work, 20, **ME)).result(60) == 20


async def test_a_redis_that_hangs_holds_nothing_up_for_long(stepwell_on: StepwellOn, own_redis: ValkeyServer) -> None:
    with TcpProxy(own_redis.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        async with (
            stepwell_on([Work], queue_url=url, embedded_worker=False) as web,
            stepwell_on([Work], queue_url=url) as worker,
        ):
            await ended([await web.runner.run(Work, 0, **ME)])
            proxy.drop()
            handles, took = await started(web, range(1, 20))
            assert min(took) < 1, "each of 19 starts waits for Redis"
            await ended(handles)
            proxy.passes()
            await asyncio.wait_for(asyncio.gather(link(web).reached(), link(worker).reached()), 60)
            await ended([await web.runner.run(Work, 20, **ME)])
    assert sorted(calls) == list(range(21))


async def test_delayed_jobs_are_there_again_after_redis_was_emptied(
    stepwell_on: StepwellOn, own_redis: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue("stepwell.shop.work", {"connection": own_redis.url})

    async def rebuilt() -> bool:
        return bool(await queue.getDelayedCount() == 30)

    async with stepwell_on([Work], queue_url=own_redis.url, lease_seconds=2) as stepwell:
        for n in range(30):
            await stepwell.runner.run(Work, n, **ME, delay=timedelta(hours=1 + n / 10))
        await until(rebuilt, "the delayed jobs")
        own_redis.flush()
        await until(rebuilt, "the delayed jobs again")
        own_redis.restart()
        await until(rebuilt, "the delayed jobs once more")
    await queue.close()


async def test_what_a_database_queue_left_is_found_by_a_bullmq_worker(
    stepwell_on: StepwellOn, own_redis: ValkeyServer
) -> None:
    async with stepwell_on([Work], embedded_worker=False) as web:
        handles = [await web.runner.run(Work, n, **ME) for n in range(10)]
        handles.append(await web.runner.run(Work, 10, **ME, delay=timedelta(seconds=2)))
    async with stepwell_on([Work], queue_url=own_redis.url) as stepwell:
        await ended([stepwell.runner.handle(handle.workflow_id) for handle in handles])
    assert sorted(calls) == list(range(11))


async def test_a_job_whose_taker_died_is_taken_by_another(stepwell_on: StepwellOn, own_redis: ValkeyServer) -> None:
    url = own_redis.url
    async with stepwell_on([Work], queue_url=url, embedded_worker=False, lease_seconds=2) as web:
        run = await web.runner.run(Work, 1, **ME)
        await link(web).written()
        taken, _ = await link(web).bull.take([("stepwell.shop.work", 1)])
        assert [one.data for one in taken] == [{"run": run.workflow_id}]
        async with stepwell_on([Work], queue_url=url, lease_seconds=2):
            assert await run.result(60) == 1
            queue = Queue("stepwell.shop.work", {"connection": url})

            async def gone() -> bool:
                return bool(await queue.getJobCountByTypes() == 0)

            await until(gone, "the end of the job that was left")
            await queue.close()


async def test_what_a_leaving_worker_held_goes_on_elsewhere_at_once(
    stepwell_on: StepwellOn, own_redis: ValkeyServer
) -> None:
    url = own_redis.url
    async with stepwell_on([Held], queue_url=url, embedded_worker=False) as web:
        leaving = stepwell_on([Held], queue_url=url, drain_seconds=0, lease_seconds=3_600)
        await leaving.__aenter__()
        handles = [await web.runner.run(Held, n, **ME) for n in range(5)]
        for _ in handles:
            await gate.reached()
        async with stepwell_on([Held], queue_url=url) as staying:
            await asyncio.wait_for(link(staying).reached(), 60)
            await leaving.__aexit__()
            for _ in handles:
                await gate.reached()  # long before the end of the lease
            gate.open()
            assert await ended(handles) == list(range(5))


async def test_a_line_that_is_cut_at_any_moment_ends_and_loses_nothing_it_was_given(own_redis: ValkeyServer) -> None:
    name = "stepwell.shop.work"
    queue = Queue(name, {"connection": own_redis.url})
    for steps in range(0, 60, 3):
        line = RedisLink(Bull(own_redis.url, "bull", "token", lambda: time.time_ns() // 1000, 30))
        line.add([NewJob(name, f"{steps}-{n}", "work", {"run": "none"}) for n in range(150)])
        duty = asyncio.ensure_future(line.run())
        for _ in range(steps):
            await asyncio.sleep(0)
        duty.cancel()
        done, _ = await asyncio.wait([duty], timeout=60)
        assert done, f"after {steps} steps of the loop"
        was_up = line.up.is_set()
        await line.close()
        assert await queue.getJobCountByTypes("waiting") == (150 if was_up else 0)
        own_redis.flush()
    await queue.close()


async def test_what_is_claimed_is_executed_while_redis_hangs(
    stepwell_on: StepwellOn, own_redis: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stepwell_on([Work], queue_url=own_redis.url, embedded_worker=False) as web:
        handles = [await web.runner.run(Work, n, **ME) for n in range(3)]
        await link(web).written()
        take, hanging, goes_on = Bull.take, asyncio.Event(), asyncio.Event()

        async def takes_two_and_hangs(bull: Bull, wanted: Any) -> Any:
            if [name for name, _ in wanted] == ["stepwell.shop.work"]:
                if calls or hanging.is_set():
                    await goes_on.wait()
                hanging.set()
            return await take(bull, wanted)

        monkeypatch.setattr(Bull, "take", takes_two_and_hangs)
        async with stepwell_on([Work], queue_url=own_redis.url):
            assert await ended(handles[:2]) == [0, 1]
            assert sorted(calls) == [0, 1]
            goes_on.set()
            assert await ended(handles) == [0, 1, 2]


async def test_a_job_that_is_being_taken_when_the_process_closes_is_put_back(
    bull_on: StepwellOn, queue_named: Callable[[str], Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be active for a worker that is gone, and its run unclaimed until the job's lock has expired."""
    take, taken, answer = Bull.take, asyncio.Event(), asyncio.Event()

    async def slow(self: Bull, wanted: Sequence[tuple[str, int]]) -> tuple[list[Any], dict[str, int]]:
        found = await take(self, wanted)
        if found[0]:
            taken.set()
            await answer.wait()
        return found

    monkeypatch.setattr(Bull, "take", slow)
    queue = queue_named("stepwell.shop.work")
    async with bull_on([Work], embedded_worker=False) as web:
        worker = bull_on([Work])
        await worker.__aenter__()
        process = worker.process
        assert process is not None
        run = await web.runner.run(Work, 1, **ME)
        await taken.wait()
        closing = asyncio.create_task(worker.__aexit__(None, None, None))

        async def over() -> bool:
            return process.duties.over

        await until(over)
        answer.set()
        await closing
        monkeypatch.undo()
        assert await queue.getJobCounts("prioritized", "active") == {"prioritized": 1, "active": 0}
        async with bull_on([Work]):
            assert await run.result(60) == 1
    assert calls == [1]

"""Limits: slots while a run executes or until it ends, rates, and turns (rule 54)."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from conformance.support import ME, Gate, HarnessOn, StepwellOn, buried, die, reaches, until
from stepwell import END, App, Concurrency, RateLimit, Retry, Start, Stepwell, Workflow, transition
from stepwell.engine.run import RunRow

gate = Gate()
log: list[str] = []


class Item(BaseModel):
    key: str = "a"
    n: int = 0


class Busy(Workflow[Item], concurrency=Concurrency(2, key="args.key")):
    @transition(target=END)
    async def work(self) -> None:
        await at_work(self.args)


class Whole(Workflow[Item], concurrency=Concurrency(1, key="args.key", holds="run")):
    @transition(target="asked")
    async def begin(self) -> None:
        log.append(f"{self.args.key}{self.args.n}")

    @transition("asked", END, wait=True)
    async def answer(self) -> None: ...


class Free(Workflow[Item]):
    @transition(target=END)
    async def work(self) -> None:
        await at_work(self.args)


class Waits(Workflow[Item], concurrency=Concurrency(1)):
    @transition(target="asked")
    async def begin(self) -> None:
        await at_work(self.args)

    @transition("asked", END, wait=True)
    async def answer(self) -> None:
        await at_work(self.args)


class Fails(Workflow[Item], concurrency=Concurrency(1, holds="run")):
    @transition(target=END)
    async def work(self) -> None:
        await at_work(self.args)
        if self.args.n == 0:
            raise ValueError("no")


class Rated(Workflow[Item], rate_limit=RateLimit(2, timedelta(minutes=1), key="args.key")):
    @transition(target=END, retry=Retry(retries=1, delay=timedelta(seconds=1)))
    async def work(self) -> None:
        log.append(f"{self.args.key}{self.args.n}")
        if self.args.n == 0 and self.info.attempt == 1:
            raise ValueError("once")


class Both(Workflow[Item], concurrency=[Concurrency(3, key="args.key"), Concurrency(4, name="all")]):
    @transition(target=END)
    async def work(self) -> None:
        await at_work(self.args)


class Turns(Workflow[Item], fair_by="args.key", concurrency=Concurrency(1)):
    @transition(target=END)
    async def work(self) -> None:
        log.append(self.args.key)


class Again(Workflow[Item], concurrency=Concurrency(1)):
    @transition(target=END, retry=Retry(retries=1, delay=timedelta(seconds=0.5)))
    async def work(self) -> None:
        await at_work(self.args)
        if self.args.n == 0 and self.info.attempt == 1:
            raise ValueError("once")


ALL = [Again, Busy, Whole, Free, Waits, Fails, Rated, Both, Turns]
now: Counter[str] = Counter()
most: Counter[str] = Counter()


async def at_work(item: Item) -> None:
    """Where a method works until the test lets it go on; `most` says how many of a key ever did so at once."""
    log.append(f"{item.key}{item.n}")
    for name in (item.key, "*"):
        now[name] += 1
        most[name] = max(most[name], now[name])
    try:
        await gate.pass_through()
    finally:
        for name in (item.key, "*"):
            now[name] -= 1


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    log.clear()
    now.clear()
    most.clear()


def starts(workflow: type[Workflow[Any, Any, Any]], *keys: str) -> list[Start]:
    return [Start(workflow, Item(key=key, n=n)) for n, key in enumerate(keys)]


async def slots(stepwell: Stepwell) -> int:
    assert stepwell.process is not None
    found = await stepwell.process.store.read(lambda tx: tx.scalar("SELECT count(*) FROM stepwell_slots"))
    return int(found)


async def held(stepwell: Stepwell) -> int:
    assert stepwell.process is not None
    sql = "SELECT count(*) FROM stepwell_runs WHERE held_by IS NOT NULL"
    return int(await stepwell.process.store.read(lambda tx: tx.scalar(sql)))


async def test_no_more_execute_at_once_than_their_key_allows(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([App("shop", workflows=ALL)]) as stepwell:
        runs = await stepwell.runner.run_many(starts(Busy, *"aaaaabbb"), **ME)
        for _ in range(4):
            await gate.reached()
        await asyncio.sleep(0)
        assert most == {"a": 2, "b": 2, "*": 4}
        assert await held(stepwell) == 4
        gate.open()
        for run in runs:
            await run.result(timeout=60)
        assert most == {"a": 2, "b": 2, "*": 4}
        assert await slots(stepwell) == 0


async def test_those_that_wait_are_let_through_in_the_order_of_their_starts(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([App("shop", workflows=ALL)]) as stepwell:
        gate.open()
        runs = [await stepwell.runner.run(Waits, Item(n=n), **ME) for n in range(6)]
        await until(lambda: _said(6))
        assert log == [f"a{n}" for n in range(6)]
        for run in reversed(runs):
            await reaches(stepwell.runner, run.workflow_id, "waiting")
            await run.signal("answer")
        for run in runs:
            await run.result(timeout=60)
        assert most["*"] == 1


async def _are_held(stepwell: Stepwell, count: int) -> bool:
    return await held(stepwell) == count


async def _said(count: int) -> bool:
    return len(log) >= count


async def test_a_run_that_waits_has_no_slot(stepwell_on: StepwellOn) -> None:
    gate.open()
    async with stepwell_on([App("shop", workflows=ALL)]) as stepwell:
        one, other = await stepwell.runner.run_many(starts(Waits, "a", "b"), **ME)
        for run in (one, other):
            await reaches(stepwell.runner, run.workflow_id, "waiting")


async def test_a_slot_for_the_whole_run_is_held_through_its_waits_until_it_ends(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([App("shop", workflows=ALL)]) as stepwell:
        one, other, third = await stepwell.runner.run_many(starts(Whole, "a", "a", "b"), **ME)
        await reaches(stepwell.runner, one.workflow_id, "waiting")
        await reaches(stepwell.runner, third.workflow_id, "waiting")
        assert (await other.get()).status == "pending"
        assert sorted(log) == ["a0", "b2"]
        await one.signal("answer")
        await reaches(stepwell.runner, other.workflow_id, "waiting")
        await other.cancel()
        fourth = await stepwell.runner.run(Whole, Item(n=3), **ME)
        await reaches(stepwell.runner, fourth.workflow_id, "waiting")


async def test_a_failed_run_frees_its_slot_and_waits_for_one_when_it_is_retried(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([App("shop", workflows=ALL)]) as stepwell:
        failing = await stepwell.runner.run(Fails, Item(n=0), **ME)
        other = await stepwell.runner.run(Fails, Item(n=1), **ME)
        await gate.reached()
        gate.open()
        await reaches(stepwell.runner, failing.workflow_id, "failed")
        await other.result(timeout=60)
        gate.clear()
        third = await stepwell.runner.run(Fails, Item(n=2), **ME)
        await gate.reached()
        await stepwell.runner.retry(failing.workflow_id)
        assert await held(stepwell) == 1
        gate.open()
        await third.result(timeout=60)
        await reaches(stepwell.runner, failing.workflow_id, "failed")
        assert most["*"] == 1
        assert log == ["a0", "a1", "a2", "a0"]


async def test_several_limits_hold_together(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([App("shop", workflows=ALL)]) as stepwell:
        runs = await stepwell.runner.run_many(starts(Both, *"aaaaabbbbb"), **ME)
        for _ in range(4):
            await gate.reached()
        gate.open()
        for run in runs:
            await run.result(timeout=60)
        assert most["*"] == 4
        assert most["a"] <= 3
        assert most["b"] <= 3
        assert await held(stepwell) == await slots(stepwell) == 0


async def test_what_a_dead_worker_held_is_free_once_it_is_taken_over(stepwell_on: StepwellOn) -> None:
    dead: Stepwell
    async with stepwell_on([App("shop", workflows=ALL)], lease_seconds=60.0) as dead:
        one = await dead.runner.run(Waits, Item(n=0), **ME)
        await gate.reached()
        other = await dead.runner.run(Waits, Item(n=1), **ME)
        await die(dead)
        gate.open()
        async with stepwell_on([App("shop", workflows=ALL)]) as stepwell:
            assert (await stepwell.runner.get(one.workflow_id)).status == "running"
            assert (await stepwell.runner.get(other.workflow_id)).status == "pending"
            await buried(stepwell)
            for run in (one, other):
                await reaches(stepwell.runner, run.workflow_id, "waiting")
            assert most["*"] == 1


async def test_others_pay_nothing_for_those_that_wait(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([App("shop", workflows=ALL)]) as stepwell:
        await stepwell.runner.run_many(starts(Busy, *"a" * 300), **ME)
        await gate.reached()
        free = await stepwell.runner.run(Free, Item(key="free"), **ME)
        other = await stepwell.runner.run(Busy, Item(key="b"), **ME)
        for _ in range(3):
            await gate.reached()
        assert most["b"] == most["free"] == 1
        assert await held(stepwell) == 298
        assert stepwell.process is not None
        ready = "SELECT count(*) FROM stepwell_runs WHERE ready_at IS NOT NULL"
        assert await stepwell.process.store.read(lambda tx: tx.scalar(ready)) == 0
        assert {free.workflow_id, other.workflow_id} <= set(stepwell.process.passes.executing)


async def test_a_call_that_waits_for_the_result_waits_for_its_slot(stepwell_on: StepwellOn) -> None:
    apps = [App("shop", workflows=ALL)]
    async with stepwell_on(apps, embedded_worker=False) as stepwell:
        first = asyncio.create_task(stepwell.runner.run_sync(Waits, Item(n=0), **ME))
        await gate.reached()
        second = asyncio.create_task(stepwell.runner.run_sync(Waits, Item(n=1), **ME))
        await until(lambda: _are_held(stepwell, 1))
        third = await stepwell.runner.run_sync(Waits, Item(n=2), timeout=0.2, **ME)
        assert third.status == "pending"
        assert log == ["a0"]
        gate.open()
        assert [(await first).status, (await second).status] == ["waiting", "waiting"]
        assert third.workflow_id is not None
        await reaches(stepwell.runner, third.workflow_id, "waiting")
        assert log == ["a0", "a1", "a2"]


async def test_a_call_returns_the_result_of_its_held_run_that_another_process_executes(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pid(Workflow[Item, None, str], concurrency=Concurrency(1, holds="run")):
        @transition(target=END)
        async def work(self) -> str:
            await gate.pass_through()
            return f"n={self.args.n}"

    apps = [App("shop", workflows=[Pid])]
    async with stepwell_on(apps, embedded_worker=False) as here, stepwell_on(apps) as there:
        first = await there.runner.run(Pid, Item(n=0), **ME)
        await gate.reached()
        assert here.process is not None

        async def too_late(run: RunRow) -> None:
            """The other process has claimed it."""

        monkeypatch.setattr(here.process.queue, "claim_one", too_late)
        called = asyncio.create_task(here.runner.run_sync(Pid, Item(n=1), timeout=60, **ME))
        await until(lambda: _are_held(here, 1))
        gate.open()
        done = await called
        assert (done.status, done.result) == ("completed", "n=1")
        assert await first.result(60) == "n=0"
        assert await slots(here) == 0


async def test_no_more_begin_in_a_time_than_the_rate_allows(harness_on: HarnessOn) -> None:
    async with harness_on([Rated]) as harness:
        for n in range(1, 6):
            await harness.runner.run(Rated, Item(n=n), **ME)
        await harness.runner.run(Rated, Item(key="b", n=0), **ME)
        await harness.drain()
        assert sorted(log) == ["a1", "a2", "b0"]
        await harness.advance(timedelta(seconds=59))
        assert sorted(log) == ["a1", "a2", "b0", "b0"]  # retries don't count
        await harness.advance(timedelta(seconds=1))
        assert sorted(log) == ["a1", "a2", "a3", "a4", "b0", "b0"]
        await harness.runner.run(Rated, Item(n=6), **ME)
        await harness.advance(timedelta(minutes=2))
        assert log[-2:] == ["a5", "a6"]


async def test_keys_take_turns(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([App("shop", workflows=ALL)], worker_concurrency=1) as stepwell:
        blocker = await stepwell.runner.run(Free, **ME)
        await gate.reached()
        runs = await stepwell.runner.run_many(starts(Turns, *"aaaaaaaaabbbc"), **ME)
        gate.open()
        await blocker.result(timeout=60)
        for run in runs:
            await run.result(timeout=60)
        assert "".join(log[1:]) == "abcababaaaaaa"
        assert await slots(stepwell) == await held(stepwell) == 0


async def test_keys_take_turns_while_the_clock_stands_still(harness_on: HarnessOn) -> None:
    async with harness_on(ALL, worker_concurrency=1) as harness:
        await harness.runner.pause()
        await harness.runner.run_many(starts(Turns, *"aaaabbc"), **ME)
        await harness.runner.resume()
        await harness.drain()
        assert "".join(log) == "abcabaa"


async def test_processes_share_their_limits(stepwell_on: StepwellOn) -> None:
    apps = [App("shop", workflows=ALL)]
    async with stepwell_on(apps) as one, stepwell_on(apps) as other:
        found = await asyncio.gather(
            *(stepwell.runner.run(Busy, Item(n=n), **ME) for n in range(10) for stepwell in (one, other))
        )
        for _ in range(2):
            await gate.reached()
        gate.open()
        for run in found:
            await run.result(timeout=60)
        assert most["a"] == 2
        assert await slots(one) == await held(one) == 0


async def test_a_call_that_waits_goes_on_after_the_delay_of_a_retry_and_has_no_slot_meanwhile(
    stepwell_on: StepwellOn,
) -> None:
    async with stepwell_on([App("shop", workflows=ALL)], embedded_worker=False) as stepwell:
        gate.open()
        first = asyncio.create_task(stepwell.runner.run_sync(Again, Item(n=0), **ME))
        await until(lambda: _said(1))
        assert (await stepwell.runner.run_sync(Again, Item(n=1), **ME)).status == "completed"
        assert (await first).status == "completed"
        assert sorted(log) == ["a0", "a0", "a1"]

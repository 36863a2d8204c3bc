"""Who executes what: lanes, priorities, take-overs, code that no longer fits, retention (rules 28 to 34, 42)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from conformance.support import ME, Gate, HarnessOn, StepwellOn, buried, counts, die, everything, reaches, until
from stepwell import END, App, Message, Retry, Settings, Stepwell, Workflow, transition
from stepwell.store import runs, workers

gate = Gate()
calls: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    calls.clear()


class Work(Workflow[int]):
    @transition(target="second")
    async def first(self) -> None:
        self.state["first"] = True
        calls.append(("first", self.args))

    @transition("second", END)
    async def second(self) -> int:
        calls.append(("second", self.args, self.info.attempt))
        await gate.pass_through()
        return self.args


# -- lanes and order --------------------------------------------------------------------------------------------------


async def test_a_worker_takes_only_what_it_registers_and_explain_says_so(stepwell_on: StepwellOn) -> None:
    gate.open()
    shop, store = App("shop", workflows=[Work]), App("store", workflows=[Work])
    async with stepwell_on([shop, store], embedded_worker=False) as web, stepwell_on([store]) as worker:
        mine = await web.runner.run(Work, 1, app_name="store", user_id="u1")
        other = await web.runner.run(Work, 2, **ME)
        assert await mine.result(60) == 1
        assert (await other.get()).status == "pending"
        assert "No live worker registers shop/work" in str(await web.runner.explain(other.workflow_id))
        assert "No app in this process registers shop/work" in str(await worker.runner.explain(other.workflow_id))
        async with stepwell_on([shop]):
            assert await other.result(60) == 2


async def test_higher_priority_goes_first_then_age(stepwell_on: StepwellOn) -> None:
    gate.open()
    async with stepwell_on([Work], embedded_worker=False) as web:
        handles = [
            await web.runner.run(Work, n, **ME, priority=priority)
            for n, priority in ((1, None), (2, 5), (3, -5), (4, None), (5, 5))
        ]
        async with stepwell_on([Work], worker_concurrency=1):
            await asyncio.gather(*(handle.result(60) for handle in handles))
    assert [call[1] for call in calls if call[0] == "first"] == [2, 5, 1, 4, 3]


async def test_the_class_keyword_is_the_default_priority(stepwell_on: StepwellOn) -> None:
    class Urgent(Workflow, priority=9):
        @transition(target=END)
        async def go(self) -> None: ...

    async with stepwell_on([Urgent]) as stepwell:
        assert (await (await stepwell.runner.run(Urgent, **ME)).get()).priority == 9
        assert (await (await stepwell.runner.run(Urgent, **ME, priority=1)).get()).priority == 1


async def test_a_worker_runs_no_more_than_its_slots(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Work], worker_concurrency=2) as stepwell:
        handles = [await stepwell.runner.run(Work, n, **ME) for n in range(5)]
        await gate.reached()
        await gate.reached()
        await asyncio.sleep(0.05)
        assert gate.arrivals == 2
        gate.open()
        await asyncio.gather(*(handle.result(60) for handle in handles))


async def test_fault_14_sibling_runs_of_one_user_dont_wait_for_each_other(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Work]) as stepwell:
        for n in range(6):
            await stepwell.runner.run(Work, n, **ME)
        for _ in range(6):
            await gate.reached()
        gate.open()


# -- the death of a process -------------------------------------------------------------------------------------------


async def test_fault_01_a_run_whose_process_died_goes_on_from_its_last_checkpoint(stepwell_on: StepwellOn) -> None:
    dead = stepwell_on([Work])
    async with dead:
        handle = await dead.runner.run(Work, 7, **ME)
        await gate.reached()
        await die(dead)
        async with stepwell_on([Work]) as alive:
            run = await alive.runner.get(handle.workflow_id)
            assert (run.status, run.place) == ("running", "second")
            await buried(alive)
            gate.open()
            assert await alive.runner.handle(handle.workflow_id).result(60) == 7
            assert calls.count(("first", 7)) == 1
            assert calls.count(("second", 7, 1)) == 2, "a take-over is not an attempt"
            assert len(await alive.runner.history(handle.workflow_id)) == 3


async def test_a_run_whose_workers_keep_dying_fails(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Work], embedded_worker=False) as web:
        handle = await web.runner.run(Work, 1, **ME)
        for _ in range(2):
            dead = stepwell_on([Work], max_takeovers=2)
            async with dead:
                await buried(dead)
                await gate.reached()
                await die(dead)
        async with stepwell_on([Work], max_takeovers=2) as last:
            await buried(last)
            run = await reaches(last.runner, handle.workflow_id, "failed")
            assert "its worker died 2 times here" in (run.error or "")


async def test_a_process_that_closes_hands_its_runs_over_at_once(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Work], drain_seconds=0) as one:
        handle = await one.runner.run(Work, 1, **ME)
        await gate.reached()
    gate.open()
    async with stepwell_on([Work]) as two:
        assert await two.runner.handle(handle.workflow_id).result(60) == 1


async def test_fault_07_two_processes_never_both_commit_a_transition(stepwell_on: StepwellOn) -> None:
    # The lease is long: one that lapses for a moment, and is renewed, would let them accept runs again.
    async with stepwell_on([Work], lease_seconds=30) as zombie, stepwell_on([Work], lease_seconds=30) as other:
        handle = await zombie.runner.run(Work, 1, **ME)
        await gate.reached()

        process = zombie.process
        assert process is not None
        process.passes.accepting = other.process.passes.accepting = False  # type: ignore[union-attr]
        await other.process.store.writer.call(  # type: ignore[union-attr]
            lambda connection: workers.take_over(connection, process.worker_id, process.shared.clock.now())
        )
        gate.open()

        async def ended() -> bool:
            return not process.passes.executing

        await until(ended)
        run = await other.runner.get(handle.workflow_id)
        assert (run.status, run.place, run.version) == ("pending", "second", 1), "what the zombie did is lost"
        other.process.passes.accepting = True  # type: ignore[union-attr]
        assert await other.runner.handle(handle.workflow_id).result(60) == 1
        assert [row.version for row in await other.runner.history(handle.workflow_id)] == [0, 1, 2]


# -- doorbells --------------------------------------------------------------------------------------------------------


async def test_fault_02_doorbells_change_nothing_that_isnt_due(stepwell_on: StepwellOn) -> None:
    class Parks(Workflow):
        @transition(target="open")
        async def begin(self) -> None: ...

        @transition("open", END, wait=True)
        async def close(self) -> None: ...

    async with stepwell_on([Parks, Work]) as stepwell:
        await stepwell.runner.run_sync(Parks, **ME)
        await stepwell.runner.run(Work, 1, **ME, delay=timedelta(hours=1))
        before = await everything(stepwell)
        for _ in range(20):
            stepwell.process.queue.wake()  # type: ignore[union-attr]
            stepwell.process.sweep.due_changed()  # type: ignore[union-attr]
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        assert await everything(stepwell) == before


async def test_fault_03_a_run_whose_doorbell_was_lost_is_found(stepwell_on: StepwellOn) -> None:
    gate.open()
    async with stepwell_on([Work]) as stepwell:
        process = stepwell.process
        assert process is not None
        process.queue.wake = lambda: None  # type: ignore[method-assign]
        process.passes.accepting = False
        handle = await stepwell.runner.run(Work, 1, **ME)
        process.passes.accepting = True
        assert await handle.result(60) == 1


async def test_fault_13_a_delayed_run_survives_a_restart(stepwell_on: StepwellOn) -> None:
    gate.open()
    async with stepwell_on([Work]) as one:
        handle = await one.runner.run(Work, 1, **ME, delay=timedelta(milliseconds=150))
    async with stepwell_on([Work]) as two:
        assert await two.runner.handle(handle.workflow_id).result(60) == 1


# -- code that doesn't fit --------------------------------------------------------------------------------------------


class Before(Workflow, name="changing"):
    @transition(target="old place")
    async def begin(self) -> None:
        self.state["n"] = "many"

    @transition("old place", END, wait=True)
    async def go(self) -> str:
        return "before"


class Renamed(Workflow, name="changing"):
    @transition(target="new place")
    async def begin(self) -> None: ...

    @transition("new place", END, wait=True)
    async def go(self) -> str:
        return "renamed"


class Numbers(BaseModel):
    n: int = 0


class Retyped(Workflow[None, Numbers], name="changing"):
    @transition(target="old place")
    async def begin(self) -> None: ...

    @transition("old place", END, wait=True)
    async def go(self) -> str:
        return "retyped"


@pytest.mark.parametrize(("code", "text"), [(Renamed, "no place 'old place'"), (Retyped, "can't read its state")])
async def test_a_run_that_the_code_doesnt_fit_is_left_as_it_is_until_it_does(
    stepwell_on: StepwellOn, code: Any, text: str
) -> None:
    async with stepwell_on([Before], embedded_worker=False) as web:
        parked = await web.runner.run_sync(Before, **ME)
        run_id = parked.workflow_id or ""
        await web.runner.signal(run_id, "go")
        before = await web.runner.get(run_id)
        async with stepwell_on([code]) as unfit:
            await _left(unfit, run_id)
            run = await unfit.runner.get(run_id)
            unchanged = ("status", "place", "state", "version", "error", "attempt", "due_at")
            assert [getattr(run, name) for name in unchanged] == [getattr(before, name) for name in unchanged]
            assert text in str(await unfit.runner.explain(run_id))
            assert len(await unfit.runner.history(run_id)) == 2
            async with stepwell_on([Before]) as fit:
                assert await fit.runner.handle(run_id).result(60) == "before", "at once, while the other is there"


async def _left(stepwell: Stepwell, run_id: str) -> None:
    """This process has looked at the run, and leaves it to others."""
    process = stepwell.process
    assert process is not None

    async def left() -> bool:
        if not process.queue.has_unfit(("shop", "changing")):
            return False
        row = await process.store.read(lambda tx: runs.load_one(tx, run_id))
        assert row is not None
        return row.owner is None and process.queue.is_unfit(row)

    await until(left)


# -- storage ----------------------------------------------------------------------------------------------------------


class Leaves(Workflow):
    """Leaves something in every table."""

    @transition(target="open", retry=Retry(retries=1, delay=timedelta(0)))
    async def begin(self) -> None:
        await self.step("one", len, "abc")
        await self.documents.save(Message(role="app", text="a"))
        if self.info.attempt == 1:
            raise ValueError

    @transition("open", END, wait=True)
    async def close(self) -> None: ...


async def test_fault_18_retention_deletes_finished_runs_with_all_they_own(harness_on: HarnessOn) -> None:
    async with harness_on([Leaves], retention=timedelta(days=7)) as harness:
        done = await harness.runner.run(Leaves, **ME, idempotency_key="k")
        await harness.drain()
        await done.signal("close")
        await harness.drain()
        open_ = await harness.runner.run(Leaves, **ME)
        await harness.drain()
        await harness.advance(timedelta(days=6, hours=23))
        assert len((await harness.runner.list()).items) == 2
        await harness.advance(timedelta(hours=2))

        async def gone() -> bool:
            # A look that finds the database's clock not confirmed yet deletes nothing: the next one does.
            await harness.advance(timedelta(minutes=1))
            return len((await harness.runner.list()).items) == 1

        await until(gone)
        assert (await open_.get()).status == "waiting", "what isn't finished stays"
        left = await everything(harness.stepwell)
        assert not [row for rows in left.values() for row in rows if done.workflow_id in row]
        assert (await harness.runner.run(Leaves, **ME, idempotency_key="k")).created, "a key lives as long as its run"


async def test_nothing_is_deleted_by_default(harness_on: HarnessOn) -> None:
    gate.open()
    async with harness_on([Work]) as harness:
        await harness.runner.run(Work, 1, **ME)
        await harness.drain()
        before = await counts(harness.stepwell)
        await harness.advance(timedelta(days=3650))
        assert await counts(harness.stepwell) == before


class Grows(Workflow):
    @transition(target="round")
    async def begin(self) -> None:
        self.state["n"] = 0

    def goes_on(self) -> bool:
        return self.state["n"] < 20

    @transition("round", "round", when=goes_on)
    async def turn(self) -> None:
        self.state["n"] += 1

    @transition("round", END)
    async def stop(self) -> None: ...


async def test_fault_18_only_the_last_states_are_kept(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Grows], history_states=5) as stepwell:
        done = await stepwell.runner.run_sync(Grows, **ME)
        rows = await stepwell.runner.history(done.workflow_id or "")
        assert len(rows) == 23
        assert [row.state and row.state.get("n") for row in rows][-6:] == [16, 17, 18, 19, 20, 20]
        assert {row.state is None for row in rows[:10]} == {True}
        stored = [row for row in (await everything(stepwell))["stepwell_history"] if '{"n":' in repr(row)]
        assert len(stored) <= 6


async def test_a_state_that_didnt_change_is_stored_once(stepwell_on: StepwellOn) -> None:
    gate.open()
    async with stepwell_on([Work]) as stepwell:
        await stepwell.runner.run_sync(Work, 1, **ME)
        stored = [row for row in (await everything(stepwell))["stepwell_history"] if '{"first":true}' in row]
        assert len(stored) == 1


@pytest.mark.parametrize("retention", [timedelta(0), timedelta(days=-1)])
def test_a_retention_that_keeps_nothing_is_refused(retention: timedelta) -> None:
    with pytest.raises(ValidationError, match="retention"):
        Settings(_env_file=None, retention=retention)


async def test_the_shortest_retention_looks_once_a_second_and_deletes_in_small_transactions(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.open()
    async with stepwell_on([Work]) as stepwell:
        handles = [await stepwell.runner.run(Work, 1, **ME) for _ in range(250)]
        await asyncio.gather(*(handle.result(60) for handle in handles))
    deleted: list[int] = []
    delete = runs.delete

    def counted(connection: Any, ids: list[str]) -> None:
        deleted.append(len(ids))
        delete(connection, ids)

    looks: list[int] = []
    expired = runs.expired

    def looked(connection: Any, before: int, limit: int) -> list[str]:
        looks.append(limit)
        return expired(connection, before, limit)

    monkeypatch.setattr(runs, "delete", counted)
    monkeypatch.setattr(runs, "expired", looked)
    async with stepwell_on([Work], retention=timedelta(microseconds=1)) as stepwell:

        async def gone() -> bool:
            return not (await stepwell.runner.list()).items

        await until(gone)
    assert deleted == [100, 100, 50]
    assert len(looks) <= 6

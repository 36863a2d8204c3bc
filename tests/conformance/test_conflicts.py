"""Starts for a key of which unfinished runs exist: `on_conflict="skip"` and `"replace"` (rule 54)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine

from backends import Database
from conformance.support import ME, Gate, HarnessOn, StepwellOn, everything, reaches, until
from stepwell import END, App, Concurrency, Event, Retry, Signal, Start, Stepwell, Workflow, transition
from stepwell.errors import IdempotencyConflict

HOUR = timedelta(hours=1)
gate = Gate()


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _closed_gate() -> None:
    gate.clear()


class Page(BaseModel):
    host: str = "a"
    n: int = 0
    fails: bool = False


class Base(Workflow[Page, dict[str, Any], str]):
    @transition(target="open")
    async def begin(self) -> None:
        if self.args.fails:
            raise RuntimeError("no luck")

    @transition("open", END, wait=True)
    async def close(self) -> str:
        return self.args.host


class Skip(Base, concurrency=Concurrency(1, key="args.host", holds="run", on_conflict="skip")): ...


class SkipThird(Base, concurrency=Concurrency(2, key="args.host", holds="run", on_conflict="skip")): ...


class Replace(Base, concurrency=Concurrency(1, key="args.host", holds="run", on_conflict="replace")): ...


class ReplaceThird(Base, concurrency=Concurrency(2, key="args.host", holds="run", on_conflict="replace")): ...


class Incremental(Base, concurrency=Concurrency(1, key="args.host", name="sync", holds="run", on_conflict="skip")): ...


class Full(Base, concurrency=Concurrency(1, key="args.host", name="sync", holds="run", on_conflict="replace")): ...


class Listed(Base, concurrency=Concurrency(1, key="args.host", name="sync", holds="run")): ...


class Executing(Base, concurrency=Concurrency(1, key="args.host", name="sync")): ...


class Slow(Workflow[Page], concurrency=Concurrency(1, key="args.host", holds="run", on_conflict="replace")):
    @transition(target=END)
    async def work(self) -> None:
        await gate.pass_through()


ALL = [Skip, SkipThird, Replace, ReplaceThird, Incremental, Full, Listed, Slow]


async def statuses(stepwell: Stepwell) -> Counter[str]:
    """How many runs have each status."""
    page = await stepwell.runner.list(limit=1000)
    return Counter(run.status for run in page.items)


# -- skip -------------------------------------------------------------------------------------------------------------


async def test_a_start_is_skipped_to_the_unfinished_run_of_its_key(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        runner = stepwell.runner
        first = await runner.run(Skip, {"host": "a", "n": 1}, **ME)
        await reaches(runner, first.workflow_id, "waiting")
        again = await runner.run(Skip, {"host": "a", "n": 2}, **ME)
        other = await runner.run(Skip, {"host": "b"}, **ME)
        assert (again.workflow_id, again.created, first.created, other.created) == (
            first.workflow_id,
            False,
            True,
            True,
        )
        assert (await again.get()).args == {"host": "a", "n": 1, "fails": False}
        await runner.signal(first.workflow_id, "close")
        assert await again.result(60) == "a"
        new = await runner.run(Skip, {"host": "a"}, **ME)
        assert new.created
        assert await statuses(stepwell) == {"completed": 1, "waiting": 1, "pending": 1} or new.created


async def test_delayed_runs_count_and_the_oldest_is_the_one(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        runner = stepwell.runner
        first = await runner.run(SkipThird, **ME, delay=HOUR)
        second = await runner.run(SkipThird, **ME)
        await reaches(runner, second.workflow_id, "waiting")
        third = await runner.run(SkipThird, **ME)
        assert (second.created, third.created, third.workflow_id) == (True, False, first.workflow_id)
        await runner.cancel(first.workflow_id)
        assert (await runner.run(SkipThird, **ME)).created
        assert (await runner.run(SkipThird, **ME)).workflow_id == second.workflow_id


async def test_keys_are_per_user_unless_the_rule_has_a_name(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL, embedded_worker=False) as stepwell:
        runner = stepwell.runner
        mine = await runner.run(Skip, app_name="shop", user_id="u1")
        assert (await runner.run(Skip, app_name="shop", user_id="u2")).created
        assert not (await runner.as_user("u1").run(Skip, app_name="shop")).created
        shared = await runner.run(Incremental, app_name="shop", user_id="u1")
        theirs = await runner.run(Incremental, app_name="shop", user_id="u2")
        assert (theirs.created, theirs.workflow_id) == (False, shared.workflow_id)
        assert mine.created


@pytest.mark.parametrize("listed", [Listed, Executing])
async def test_a_name_is_shared_by_workflows_and_apps(stepwell_on: StepwellOn, listed: type[Base]) -> None:
    apps = [App("shop", workflows=[listed, Full]), App("store", workflows=[Incremental])]
    async with stepwell_on(apps, embedded_worker=False) as stepwell:
        runner = stepwell.runner
        first = await runner.run(listed, user_id="u1")
        skipped = await runner.run(Incremental, user_id="u1")
        assert (skipped.created, skipped.workflow_id) == (False, first.workflow_id)
        full = await runner.run(Full, user_id="u1")
        assert full.created
        assert (await first.get()).status == "canceled"
        queued = await runner.run(listed, user_id="u1")
        assert queued.created
        assert (await runner.run(Incremental, user_id="u1")).workflow_id == full.workflow_id


async def test_the_starts_own_key_is_looked_at_first_and_a_skipped_start_is_not_remembered(
    stepwell_on: StepwellOn,
) -> None:
    async with stepwell_on(ALL, embedded_worker=False) as stepwell:
        runner = stepwell.runner
        a = await runner.run(Skip, {"host": "a"}, **ME, idempotency_key="ka")
        b = await runner.run(Skip, {"host": "b"}, **ME, idempotency_key="kb")
        again = await runner.run(Skip, {"host": "b"}, **ME, idempotency_key="kb")
        assert (again.workflow_id, again.created) == (b.workflow_id, False)
        with pytest.raises(IdempotencyConflict):
            await runner.run(Skip, {"host": "a"}, **ME, idempotency_key="kb")
        skipped = await runner.run(Skip, {"host": "a"}, **ME, idempotency_key="kc")
        assert (skipped.workflow_id, skipped.created) == (a.workflow_id, False)
        await runner.cancel(a.workflow_id)
        new = await runner.run(Skip, {"host": "a"}, **ME, idempotency_key="kc")
        assert new.created
        assert not (await runner.run(Skip, {"host": "a"}, **ME, idempotency_key="kc")).created


async def test_a_failed_run_is_neither_skipped_to_nor_replaced_and_counts_again_when_it_is_retried(
    stepwell_on: StepwellOn,
) -> None:
    async with stepwell_on(ALL) as stepwell:
        runner = stepwell.runner
        for workflow in (Skip, Replace):
            failed = await runner.run(workflow, {"fails": True}, **ME)
            await reaches(runner, failed.workflow_id, "failed")
            second = await runner.run(workflow, {"n": 2}, **ME)
            assert second.created
            assert (await failed.get()).status == "failed"
            await reaches(runner, second.workflow_id, "waiting")
            await runner.signal(second.workflow_id, "close")
            await second.result(60)
        failed = (await runner.list(workflow=Skip, status="failed")).items[0]
        assert failed.workflow_id
    async with stepwell_on(ALL, embedded_worker=False) as stepwell:
        await stepwell.runner.retry(failed.workflow_id)
        skipped = await stepwell.runner.run(Skip, **ME)
        assert (skipped.created, skipped.workflow_id) == (False, failed.workflow_id)


async def test_starts_of_one_call_see_each_other(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL, embedded_worker=False) as stepwell:
        runner = stepwell.runner
        starts = [
            Start(Skip, {"host": "a"}, idempotency_key="k"),
            Start(Skip, {"host": "b"}),
            Start(Skip, {"host": "a", "n": 5}),
            Start(Skip, {"host": "a"}, idempotency_key="k"),
        ]
        handles = await runner.run_many(starts, **ME)
        assert [one.created for one in handles] == [True, True, False, False]
        assert handles[2].workflow_id == handles[3].workflow_id == handles[0].workflow_id
        # Two with one key of their own, which are both skipped.
        again = await runner.run_many([Start(Skip, idempotency_key="x"), Start(Skip, idempotency_key="x")], **ME)
        assert {(one.workflow_id, one.created) for one in again} == {(handles[0].workflow_id, False)}


async def test_a_refused_group_replaces_nothing(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL, embedded_worker=False) as stepwell:
        runner = stepwell.runner
        first = await runner.run(Replace, **ME)
        await runner.run(Skip, {"n": 1}, **ME, idempotency_key="k")
        before = await everything(stepwell)
        with pytest.raises(IdempotencyConflict):
            await runner.run_many([Start(Replace), Start(Skip, {"n": 2}, idempotency_key="k")], **ME)
        assert await everything(stepwell) == before
        assert (await first.get()).status == "pending"


@pytest.mark.parametrize("workflow", [Skip, SkipThird])
async def test_of_200_starts_at_once_exactly_the_limit_is_new(stepwell_on: StepwellOn, workflow: type[Base]) -> None:
    limit = 1 if workflow is Skip else 2
    async with (
        stepwell_on(ALL, embedded_worker=False) as one,
        stepwell_on(ALL, embedded_worker=False) as two,
        stepwell_on(ALL) as three,
    ):
        starts = [
            stepwell.runner.run(workflow, {"host": "a", "n": n}, **ME)
            for n in range(67)
            for stepwell in (one, two, three)
        ]
        handles = await asyncio.gather(*starts)
        created = [handle.workflow_id for handle in handles if handle.created]
        assert len(created) == limit
        assert {handle.workflow_id for handle in handles} == set(created)
        assert len((await one.runner.list(limit=1000)).items) == limit


async def test_run_sync_is_skipped_too(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        first = await stepwell.runner.run(Skip, **ME)
        done = await stepwell.runner.run_sync(Skip, **ME, timeout=60)
        assert (done.workflow_id, done.status) == (first.workflow_id, "waiting")


# -- replace ----------------------------------------------------------------------------------------------------------


async def test_a_start_replaces_the_unfinished_run_of_its_key(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        runner = stepwell.runner
        first = await runner.run(Replace, **ME)
        await reaches(runner, first.workflow_id, "waiting")
        second = await runner.run(Replace, {"n": 2}, **ME)
        assert second.created
        old = await first.get()
        assert old.status == "canceled"
        assert f"replaced by run {second.workflow_id}" in (old.error or "")
        assert (await runner.history(first.workflow_id))[-1].status == "canceled"
        await reaches(runner, second.workflow_id, "waiting")


async def test_as_many_of_the_oldest_as_needed_are_replaced(stepwell_on: StepwellOn) -> None:
    class Wide(Base, name="wide", concurrency=Concurrency(5, holds="run", on_conflict="replace")): ...

    class Narrow(Base, name="wide", concurrency=Concurrency(2, holds="run", on_conflict="replace")): ...

    async with stepwell_on([Wide], embedded_worker=False) as stepwell:
        ids = [(await stepwell.runner.run(Wide, **ME, delay=HOUR if n % 2 else None)).workflow_id for n in range(5)]
    async with stepwell_on([Narrow], embedded_worker=False) as stepwell:
        new = await stepwell.runner.run(Narrow, **ME)
        left = {run.workflow_id: run.status for run in (await stepwell.runner.list(limit=100)).items}
        assert left == {**dict.fromkeys(ids[:4], "canceled"), ids[4]: "pending", new.workflow_id: "pending"}


async def test_what_executes_is_stopped_and_its_history_names_it(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL, embedded_worker=False) as application, stepwell_on(ALL) as worker:
        first = await worker.runner.run(Slow, **ME)
        await gate.reached()
        second = await application.runner.run(Slow, **ME)
        await gate.reached()

        async def stopped() -> bool:
            return gate.cancelled == 1

        await until(stopped, "the end of the replaced method")
        old = await worker.runner.get(first.workflow_id)
        assert old.status == "canceled"
        last = (await worker.runner.history(first.workflow_id))[-1]
        assert (last.transition, last.status) == ("work", "canceled")
        gate.open()
        await second.result(60)


async def test_of_many_starts_at_once_only_the_last_is_left(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL, embedded_worker=False) as one, stepwell_on(ALL, embedded_worker=False) as two:
        starts = [stepwell.runner.run(Replace, {"n": n}, **ME) for n in range(25) for stepwell in (one, two)]
        handles = await asyncio.gather(*starts)
        assert all(handle.created for handle in handles)
        assert await statuses(one) == {"canceled": 49, "pending": 1}


async def test_a_replaced_child_is_told_to_its_parent(stepwell_on: StepwellOn) -> None:
    class Parent(Workflow[Page, dict[str, Any], str]):
        @transition(target="open")
        async def begin(self) -> None:
            self.state["child"] = await self.start(Replace, self.args, callback="done")

        @transition("open", END, wait=True)
        async def done(self, end: Signal[str]) -> str:
            return f"{end.status}: {end.error}"

    async with stepwell_on([*ALL, Parent]) as stepwell:
        parent = await stepwell.runner.run(Parent, {"n": 1}, **ME)
        run = await reaches(stepwell.runner, parent.workflow_id, "waiting")
        await stepwell.runner.run(Replace, {"n": 2}, **ME)
        assert "canceled: " in str(await parent.result(60))
        child = await stepwell.runner.get(run.state["child"])
        assert child.status == "canceled"


# -- children and events ----------------------------------------------------------------------------------------------


class Mother(Workflow[Page, dict[str, Any], str]):
    @transition(target="open", retry=Retry(retries=1, delay=timedelta(seconds=5)))
    async def begin(self) -> None:
        self.state["child"] = await self.start(Skip, self.args)

    @transition("open", END, wait=True)
    async def close(self) -> None: ...


async def test_a_child_that_would_be_skipped_fails_the_attempt(harness_on: HarnessOn) -> None:
    async with harness_on([*ALL, Mother]) as harness:
        first = await harness.runner.run(Skip, {"host": "a"}, **ME)
        mother = await harness.runner.run(Mother, {"host": "a"}, **ME)
        await harness.drain()
        run = await mother.get()
        assert run.status == "retrying"
        assert "IdempotencyConflict: 'skip' can't start as a child" in (run.error or "")
        assert first.workflow_id in (run.error or "")
        await harness.runner.cancel(first.workflow_id)
        await harness.advance(timedelta(seconds=5))
        run = await mother.get()
        assert run.status == "waiting"
        assert (await harness.runner.get(run.state["child"])).parent_id == run.workflow_id


class Twins(Workflow[Page, dict[str, Any], str]):
    """Its second child would be skipped to its first: that one has its own callback, which comes once."""

    @transition(target="one")
    async def begin(self) -> None:
        self.state["first"] = await self.start(Skip, self.args, callback="done")

    @transition("one", "two", wait=True)
    async def again(self) -> None:
        await self.start(Skip, self.args, callback="done")

    @transition("one", END, wait=True)
    @transition("two", END, wait=True)
    async def done(self, end: Signal[Any]) -> str:
        return end.status


async def test_a_child_that_would_be_skipped_to_its_sibling_fails_the_attempt(harness_on: HarnessOn) -> None:
    async with harness_on([*ALL, Twins]) as harness:
        twins = await harness.runner.run(Twins, {"host": "a"}, **ME)
        await harness.drain()
        await harness.runner.signal(twins.workflow_id, "again")
        await harness.drain()
        run = await twins.get()
        assert (run.status, run.place) == ("failed", "one")
        assert "a child of this run too" in (run.error or "")
        assert run.state["first"] in (run.error or "")
        # Once the first has ended, the same attempt starts another.
        await harness.runner.cancel(run.state["first"])
        await harness.runner.retry(twins.workflow_id)
        await harness.drain()
        assert (await twins.get()).status != "failed"


async def test_a_neighbours_child_is_not_hindered(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([*ALL, Mother]) as stepwell:
        runner = stepwell.runner
        await runner.run(Skip, {"host": "h3"}, **ME)
        handles = await asyncio.gather(*(runner.run(Mother, {"host": f"h{n}"}, **ME) for n in range(8)))
        for n, handle in enumerate(handles):
            await reaches(runner, handle.workflow_id, "retrying" if n == 3 else "waiting")


async def test_an_event_is_skipped_too(stepwell_on: StepwellOn) -> None:
    class Listens(Base, on=Event("seen"), concurrency=Concurrency(1, holds="run", on_conflict="skip")): ...

    async with stepwell_on([Listens], embedded_worker=False) as stepwell:
        first = await stepwell.runner.emit("seen", {}, user_id="u1")
        second = await stepwell.runner.emit("seen", {}, user_id="u1")
        assert len(first.started) == 1
        assert first.started == second.started
        assert await statuses(stepwell) == {"pending": 1}


# -- the caller's transaction -----------------------------------------------------------------------------------------


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    made = database.engine()
    yield made
    await made.dispose()


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("workflow", [Skip, Replace])
async def test_in_the_callers_transaction(
    stepwell_on: StepwellOn, engine: AsyncEngine, workflow: type[Base], commits: bool
) -> None:
    async with stepwell_on(ALL, embedded_worker=False) as stepwell:
        runner = stepwell.runner
        old = await runner.run(workflow, **ME)
        async with engine.connect() as connection:
            again = await runner.run(workflow, {"n": 2}, **ME, connection=connection)
            new = await runner.run(workflow, {"host": "b"}, **ME, connection=connection)
            newer = await runner.run(workflow, {"host": "b"}, **ME, connection=connection)
            await (connection.commit() if commits else connection.rollback())
        created = workflow is Replace
        assert (again.created, new.created, newer.created) == (created, True, created)
        found = {run.workflow_id: run.status for run in (await runner.list(limit=100)).items}
        if not commits:
            assert found == {old.workflow_id: "pending"}
        elif workflow is Skip:
            assert found == {old.workflow_id: "pending", new.workflow_id: "pending"}
        else:
            assert found == {
                old.workflow_id: "canceled", again.workflow_id: "pending",
                new.workflow_id: "canceled", newer.workflow_id: "pending",
            }  # fmt: skip


async def test_another_start_waits_for_the_callers_transaction(stepwell_on: StepwellOn, engine: AsyncEngine) -> None:
    async with stepwell_on(ALL, embedded_worker=False) as stepwell:
        runner = stepwell.runner
        async with engine.connect() as connection:
            first = await runner.run(Skip, **ME, connection=connection)
            other = asyncio.ensure_future(runner.run(Skip, **ME))
            await asyncio.sleep(0.3)
            assert not other.done()
            await connection.commit()
        second = await other
        assert (second.created, second.workflow_id) == (False, first.workflow_id)


# -- what is kept ------------------------------------------------------------------------------------------------------


async def test_nothing_is_left_of_runs_that_have_ended(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        for workflow in (Skip, Replace, Incremental):
            one = await stepwell.runner.run(workflow, **ME)
            await reaches(stepwell.runner, one.workflow_id, "waiting")
            await stepwell.runner.signal(one.workflow_id, "close")
            await one.result(60)
            two = await stepwell.runner.run(workflow, **ME)
            await stepwell.runner.cancel(two.workflow_id)
        assert (await everything(stepwell))["stepwell_slots"] == []


async def test_runs_from_before_the_rule_are_not_counted(stepwell_on: StepwellOn) -> None:
    class Before(Base, name="skip"): ...

    async with stepwell_on([Before], embedded_worker=False) as stepwell:
        await stepwell.runner.run(Before, **ME)
    async with stepwell_on([Skip], embedded_worker=False) as stepwell:
        assert (await stepwell.runner.run(Skip, **ME)).created
        assert not (await stepwell.runner.run(Skip, **ME)).created

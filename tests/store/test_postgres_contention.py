"""Rows that somebody else's open transaction holds: only what needs them waits (rules 33, 36)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from backends import PostgresDatabase
from conformance.support import ME, Gate, StepwellOn, reaches, until
from stepwell import END, Workflow, transition
from stepwell.errors import AlreadyAnswered, RunFinished, StoreUnavailable

gate = Gate()
calls: list[str] = []

HELD = "SELECT 1 FROM stepwell_runs WHERE id=? FOR UPDATE"
STALL = 2.0
"""Seconds that others may lose once, until what waits is set apart."""


class Quick(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


class Ask(Workflow[None, None, str]):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def answer(self, text: str) -> str:
        return text


class Slow(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        calls.append("go")
        await gate.pass_through()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    calls.clear()


@pytest.fixture
def database(postgres_database_: PostgresDatabase) -> PostgresDatabase:
    return postgres_database_


@pytest.fixture
async def engine(database: PostgresDatabase) -> AsyncIterator[AsyncEngine]:
    made = database.engine()
    yield made
    await made.dispose()


async def busy(stepwell: Any, count: int = 200) -> None:
    """So many runs have ended; none of them waited for what is held."""
    handles = await asyncio.gather(*(stepwell.runner.run(Quick, **ME) for _ in range(count)))
    await asyncio.gather(*(handle.result(60) for handle in handles))


async def test_a_caller_that_holds_a_run_keeps_only_that_run_waiting(
    stepwell_on: StepwellOn, engine: AsyncEngine
) -> None:
    async with stepwell_on([Quick, Ask]) as stepwell:
        run_id = (await stepwell.runner.run_sync(Ask, **ME)).workflow_id or ""
        async with engine.begin() as connection:
            await stepwell.runner.signal(run_id, "answer", "mine", connection=connection)
            theirs = asyncio.ensure_future(stepwell.runner.signal(run_id, "answer", "theirs"))
            await busy(stepwell)
            await busy(stepwell)  # it waits by itself now
            assert not theirs.done()
        assert await stepwell.runner.handle(run_id).result(60) == "mine"
        with contextlib.suppress(RunFinished, AlreadyAnswered):  # as it came: after the end of the run, or before
            await asyncio.wait_for(theirs, 60)


async def test_a_row_held_for_too_long_is_told_and_nothing_is_stored(
    stepwell_on: StepwellOn, database: PostgresDatabase
) -> None:
    async with stepwell_on([Quick, Ask], busy_seconds=0.5) as stepwell:
        run_id = (await stepwell.runner.run_sync(Ask, **ME)).workflow_id or ""
        with database.holding(HELD, run_id):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match=r"holds the run's row.*Nothing was stored") as caught:
                await stepwell.runner.signal(run_id, "answer", "lost")
            assert time.monotonic() - began > 0.4
            assert caught.value.outcome == "nothing"
        await stepwell.runner.signal(run_id, "answer", "kept")
        assert await stepwell.runner.handle(run_id).result(60) == "kept"


async def test_a_checkpoint_waits_for_its_row_and_is_made_once(
    stepwell_on: StepwellOn, database: PostgresDatabase
) -> None:
    async with stepwell_on([Quick, Slow], busy_seconds=0.3) as stepwell:
        handle = await stepwell.runner.run(Slow, **ME)
        await gate.reached()
        with database.holding(HELD, handle.workflow_id):
            gate.open()
            await busy(stepwell, 20)
            await asyncio.sleep(0.8)  # past what the writer waits for by itself
            assert (await handle.get()).status == "running"
        await handle.result(60)
        assert calls == ["go"]
        rows = await stepwell.runner.history(handle.workflow_id)
        assert [(row.version, row.status) for row in rows] == [(0, "committed"), (1, "committed")]


async def test_a_worker_claims_past_what_others_hold(stepwell_on: StepwellOn, database: PostgresDatabase) -> None:
    async with stepwell_on([Quick], embedded_worker=False) as starter:
        held = await starter.runner.run(Quick, **ME, priority=5)
        async with stepwell_on([Quick]) as worker:
            with database.holding(HELD, held.workflow_id):
                await busy(worker, 20)
                assert (await held.get()).status == "pending"
            await held.result(60)


@pytest.mark.parametrize("patiently", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("commits", [True, False], ids=["commits", "rolls back"])
async def test_a_start_waits_for_whoever_has_its_key_in_an_open_transaction(
    stepwell_on: StepwellOn, database: PostgresDatabase, engine: AsyncEngine, commits: bool, patiently: bool
) -> None:
    async with stepwell_on([Quick]) as stepwell, engine.connect() as connection:
        mine = await stepwell.runner.run(Quick, **ME, idempotency_key="k", connection=connection)
        theirs = asyncio.ensure_future(stepwell.runner.run(Quick, **ME, idempotency_key="k"))
        await until(database.blocked, "the second start")
        if patiently:
            await busy(stepwell, 20)
        assert not theirs.done()
        await (connection.commit() if commits else connection.rollback())
        handle = await asyncio.wait_for(theirs, 60)
        assert (handle.workflow_id == mine.workflow_id, handle.created) == (commits, not commits)
        await handle.result(60)


async def test_a_new_users_workspace_keeps_nobody_waiting(stepwell_on: StepwellOn, engine: AsyncEngine) -> None:
    new: dict[str, Any] = {"app_name": "shop", "user_id": "new"}
    async with (
        stepwell_on([Quick]) as stepwell,
        stepwell_on([Quick], embedded_worker=False) as other,
        engine.connect() as connection,
    ):
        await stepwell.runner.run(Quick, **new, connection=connection)
        for one in (stepwell, other):
            await (await one.runner.run(Quick, **new)).result(60)
        await connection.rollback()


async def test_callers_that_wait_for_each_other_are_told_apart(stepwell_on: StepwellOn, engine: AsyncEngine) -> None:
    async with stepwell_on([Ask]) as stepwell:
        runs = [(await stepwell.runner.run_sync(Ask, **ME)).workflow_id or "" for _ in range(2)]
        both = asyncio.Barrier(2)

        async def caller(order: list[str]) -> None:
            async with engine.begin() as connection:
                await stepwell.runner.signal(order[0], "answer", "x", connection=connection)
                await both.wait()
                await stepwell.runner.signal(order[1], "answer", "x", connection=connection)

        answers = await asyncio.gather(caller(runs), caller(runs[::-1]), return_exceptions=True)
        failed = [answer for answer in answers if answer is not None]
        assert len(failed) == 1, answers
        assert "deadlock detected" in str(failed[0])
        for run_id in runs:
            assert await stepwell.runner.handle(run_id).result(60) == "x"


async def test_two_writers_on_the_same_runs_break_no_deadlock(stepwell_on: StepwellOn) -> None:
    """Both change many runs in one statement, in whatever order they were asked."""
    async with stepwell_on([Ask]) as one, stepwell_on([Ask]) as other:
        handles = await asyncio.gather(*(one.runner.run(Ask, **ME) for _ in range(100)))
        for handle in handles:
            await reaches(one.runner, handle.workflow_id, "waiting")
        signals = [one.runner.signal(handle.workflow_id, "answer", "x") for handle in handles]
        cancels = [other.runner.cancel(handle.workflow_id) for handle in reversed(handles)]
        answers = await asyncio.gather(*signals, *cancels, return_exceptions=True)
        assert all(not isinstance(answer, BaseException) or isinstance(answer, RunFinished) for answer in answers)
        runs = [await handle.get() for handle in handles]
        assert {run.status for run in runs} <= {"completed", "canceled"}

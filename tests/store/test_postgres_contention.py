"""Rows that somebody else's open transaction holds: only what needs them waits (rules 33, 36)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from backends import PostgresDatabase
from conformance.support import ME, Gate, StepwellOn, reaches, until
from stepwell import END, Concurrency, Debounce, NonRetryable, Start, Workflow, transition
from stepwell.errors import AlreadyAnswered, RunFinished, StoreUnavailable
from stepwell.worker.groups import GroupDuty

gate = Gate()
calls: list[str] = []
flaws: list[str] = []

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


class Flawed(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        if flaws:
            raise NonRetryable(flaws[0])


class Latest(Workflow[int], debounce=Debounce(timedelta(hours=1), key=lambda number: number)):
    @transition(target=END)
    async def go(self) -> None: ...


class Only(Workflow[int], concurrency=Concurrency(1, key=lambda number: number, holds="run", on_conflict="replace")):
    @transition(target=END)
    async def go(self) -> None: ...


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    calls.clear()
    flaws.clear()


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


async def test_a_member_retried_while_its_batch_is_being_finished_gets_its_turn(
    stepwell_on: StepwellOn, database: PostgresDatabase, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has written that the batch is finished, and not committed it yet."""
    flaws.append("broken")
    async with stepwell_on([Flawed]) as stepwell:
        batch = await stepwell.runner.run_batch([Start(Flawed)], **ME, max_in_flight=1)
        assert (await batch.result(60)).failed == 1
        [run_id] = [item.workflow_id async for item in batch.items()]
        flaws.clear()

        async def busy_elsewhere(*_: Any) -> int:
            return 0

        with monkeypatch.context() as patch:
            patch.setattr(GroupDuty, "_take", busy_elsewhere)
            database.execute("UPDATE stepwell_groups SET finished_at=NULL")
            async with engine.begin() as connection:
                await connection.exec_driver_sql("UPDATE stepwell_groups SET finished_at=1")
                retried = asyncio.ensure_future(stepwell.runner.retry(run_id))
                await until(database.blocked, "the retry")
        assert (await retried).status == "retrying"
        assert (await batch.result(60)).completed == 1


@pytest.mark.parametrize("keyed", [Latest, Only])
async def test_a_batch_of_many_keys_leaves_room_for_the_locks_of_others(
    stepwell_on: StepwellOn, engine: AsyncEngine, keyed: type[Workflow[int]]
) -> None:
    """The server keeps all locks in one table of a fixed size."""
    async with stepwell_on([Latest, Only], embedded_worker=False) as stepwell, engine.begin() as connection:
        await stepwell.runner.run_batch([Start(keyed, n) for n in range(3_000)], **ME, connection=connection)
        locks = "SELECT count(*) FROM pg_locks WHERE locktype='advisory' AND pid=pg_backend_pid()"
        taken = (await connection.exec_driver_sql(locks)).scalar_one()
        assert 0 < taken <= 1_024


async def test_a_batch_has_all_its_keys_before_it_writes_a_run(
    stepwell_on: StepwellOn, database: PostgresDatabase, engine: AsyncEngine
) -> None:
    """So two with the same keys, in whatever order, never wait for each other."""
    waiting = "SELECT pid FROM pg_locks WHERE NOT granted"
    written = f"l.relation=c.oid AND l.mode='RowExclusiveLock' AND l.pid IN ({waiting}) AND c.relname='stepwell_runs'"
    async with stepwell_on([Latest, Only], embedded_worker=False) as stepwell:
        async with engine.begin() as connection:
            last = await stepwell.runner.run(Only, 1_499, **ME, connection=connection)
            starts = [Start(Only, n) for n in range(1_500)]
            batch = asyncio.ensure_future(stepwell.runner.run_batch(starts, **ME))
            await until(database.blocked, "the batch")
            assert database.read(f"SELECT count(*) FROM pg_locks l, pg_class c WHERE {written}") == [(0,)]
        assert (await (await batch).progress()).pending == 1_500
        assert (await last.get()).status == "canceled"


async def test_batches_with_the_same_keys_in_opposite_order_are_both_made(stepwell_on: StepwellOn) -> None:
    starts = [Start(Only, n) for n in range(1_500)]
    async with (
        stepwell_on([Latest, Only], embedded_worker=False) as one,
        stepwell_on([Latest, Only], embedded_worker=False) as other,
    ):
        made = await asyncio.gather(one.runner.run_batch(starts, **ME), other.runner.run_batch(starts[::-1], **ME))
        ends = sorted([(found.pending, found.canceled) for found in [await handle.progress() for handle in made]])
        assert ends == [(0, 1_500), (1_500, 0)]

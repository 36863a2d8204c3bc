"""Reads for users beside all others: bounded in time, and neither health checks nor the process's own work wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy.util import await_only

from backends import Database
from stepwell import END, Stepwell, Workflow, transition
from stepwell.errors import ReadTooLong
from stepwell.store.base import Store
from stepwell.store.tx import Tx

StepwellOn = Callable[..., Stepwell]
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n"
SOME = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200000) SELECT count(*) FROM n"


class Sleep(Workflow[None, dict[str, Any], str]):
    """A timer, a step and a signal: whatever a worker reads."""

    @transition(target="asleep")
    async def begin(self) -> None: ...

    @transition("asleep", "asking", after=timedelta(milliseconds=10))
    async def wake(self) -> None:
        await self.step("count", len, "abc")

    @transition("asking", END, wait=True)
    async def answer(self, text: str) -> str:
        return text


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


def application(store: Store) -> Callable[[Callable[[Tx], Any]], Coroutine[Any, Any, Any]]:
    return partial(store.read_for, None)


@asynccontextmanager
async def reading(count: int, read: Callable[[Callable[[Tx], Any]], Coroutine[Any, Any, Any]]) -> AsyncIterator[None]:
    """Inside, so many of these reads are under way, each with a reader."""
    go, entered = asyncio.Event(), 0

    def hold(tx: Tx) -> None:
        nonlocal entered
        tx.scalar("SELECT 1")
        entered += 1
        await_only(go.wait())

    tasks = [asyncio.create_task(read(hold)) for _ in range(count)]
    try:
        await until(lambda: entered == count)
        yield
    finally:
        go.set()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def held(store: Store, *, own: bool) -> AsyncIterator[None]:
    """Inside, every reader for users is held until the end of the block; with `own`, the process's and application's too."""
    go, entered = asyncio.Event(), 0

    def hold(tx: Tx) -> None:
        nonlocal entered
        tx.scalar("SELECT 1")
        entered += 1
        await_only(go.wait())

    tasks = [asyncio.create_task(store.read_for(f"u{n}", hold)) for n in range(20)]
    if own:
        tasks += [asyncio.create_task(read(hold)) for read in (store.read, application(store)) for _ in range(20)]
    gate: Any = store
    own_readers = [getattr(one, "free", one) for one in (gate._own, gate._of_application)]
    try:
        await until(lambda: not store.reader_queue._free and (not own or all(one.locked() for one in own_readers)))
        await until(lambda: entered >= 2)
        yield
    finally:
        go.set()
        await asyncio.gather(*tasks)


async def test_health_answers_while_every_other_reader_is_held(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepwell.process._READ_WITHIN", 60)
    async with stepwell_on([Sleep], embedded_worker=False) as stepwell:
        assert stepwell.process is not None
        store = stepwell.process.store
        async with held(store, own=True):
            for _ in range(3):
                assert (await stepwell.condition()).ready, await stepwell.faults()
            assert await store.answers()


async def test_the_application_has_as_many_readers_as_before_users_had_theirs(
    stepwell_on: StepwellOn, database: Database
) -> None:
    """All at once, and while users hold every reader of theirs: one slow read doesn't delay another."""
    readers = {"sqlite": 3, "postgres": 5}[database.kind]
    async with stepwell_on([Sleep], embedded_worker=False, read_seconds=600) as stepwell:
        assert stepwell.process is not None
        store = stepwell.process.store
        run = await stepwell.runner.run(Sleep, app_name="shop", user_id="u1")
        async with held(store, own=False), reading(readers - 1, application(store)), asyncio.timeout(60):
            assert (await run.get()).workflow_id == run.workflow_id
            async with reading(1, application(store)):
                pass


async def test_neither_users_nor_the_process_wait_for_the_application(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Sleep], embedded_worker=False, read_seconds=600) as stepwell:
        assert stepwell.process is not None
        store = stepwell.process.store
        go = asyncio.Event()
        tasks = [asyncio.create_task(store.read_for(None, lambda _: await_only(go.wait()))) for _ in range(20)]
        gate: Any = store
        free = getattr(gate._of_application, "free", gate._of_application)
        try:
            async with asyncio.timeout(60):
                await until(free.locked)
                assert await store.read(lambda tx: tx.scalar("SELECT 1")) == 1
                assert await store.read_for("u1", lambda tx: tx.scalar("SELECT 1")) == 1
                assert await store.answers()
        finally:
            go.set()
            await asyncio.gather(*tasks)


async def test_many_health_checks_at_once_are_one_read(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stepwell_on([Sleep], embedded_worker=False) as stepwell:
        assert stepwell.process is not None
        store, reads = stepwell.process.store, 0
        real, go = store._probe, asyncio.Event()

        async def counted() -> None:
            nonlocal reads
            reads += 1
            await go.wait()
            await real()

        monkeypatch.setattr(store, "_probe", counted)
        checks = [asyncio.create_task(store.probe()) for _ in range(200)]
        await until(lambda: reads)
        checks[0].cancel()
        go.set()
        found = await asyncio.gather(*checks, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert found[1:] == [None] * 199, "one that is given up ends no other"
        assert reads == 1


async def test_a_worker_goes_on_while_users_hold_all_their_readers(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Sleep]) as stepwell:
        assert stepwell.process is not None
        async with held(stepwell.process.store, own=False):
            run = await stepwell.runner.run(Sleep, app_name="shop", user_id="u1")
            # The run claims, its timer fires and its end is found; `signal` itself reads for a user, so it is sent after.
            async with asyncio.timeout(60):
                await stepwell.process.ends.wait(run.workflow_id, parked=True)
        await until_place(stepwell, run.workflow_id, "asking")
        await stepwell.runner.signal(run.workflow_id, "answer", "yes")
        assert await run.result(timeout=timedelta(seconds=60)) == "yes"


async def until_place(stepwell: Stepwell, run_id: str, place: str) -> None:
    async with asyncio.timeout(60):
        while (await stepwell.runner.get(run_id)).place != place:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("sql", [ENDLESS, SOME])
async def test_a_read_that_takes_too_long_is_stopped_and_harms_no_other(stepwell_on: StepwellOn, sql: str) -> None:
    """Also one of many statements, none of which takes long."""

    def for_ever(tx: Tx) -> None:
        while True:
            tx.scalar(sql)

    async with stepwell_on([Sleep], embedded_worker=False, read_seconds=0.5) as stepwell:
        assert stepwell.process is not None
        store = stepwell.process.store
        slow = [asyncio.create_task(store.read_for("slow", for_ever)) for _ in range(6)]
        async with asyncio.timeout(120):
            assert await store.read(lambda tx: tx.scalar("SELECT 1")) == 1
            found = await asyncio.gather(*slow, return_exceptions=True)
        assert {type(one) for one in found} == {ReadTooLong}, found
        assert "read_seconds=0.5" in str(found[0])
        assert "Narrow the filter" in str(found[0])
        # Each connection is as good as before, and none is lost.
        ones = await asyncio.gather(*(store.read_for("slow", lambda tx: tx.scalar("SELECT 1")) for _ in range(20)))
        assert ones == [1] * 20


async def test_a_read_that_is_given_up_is_stopped(stepwell_on: StepwellOn, database: Database) -> None:
    """A client that is gone holds no reader: nothing here ends the statement but that."""
    active = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname=current_database() AND query LIKE '%n(i) AS%' AND state='active'"
    )
    async with stepwell_on([Sleep], embedded_worker=False, read_seconds=600) as stepwell:
        assert stepwell.process is not None
        store = stepwell.process.store
        started = asyncio.Event()

        def for_ever(tx: Tx) -> None:
            started.set()
            tx.scalar(ENDLESS)

        for _ in range(10):
            started.clear()
            given_up = asyncio.create_task(store.read_for("gone", for_ever))
            async with asyncio.timeout(60):
                await started.wait()
                await asyncio.sleep(0.05)  # so that the statement is under way, mostly
                given_up.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await given_up
                assert await store.read_for("gone", lambda tx: tx.scalar("SELECT 1")) == 1
                while database.kind == "postgres" and database.read(active) != [(1,)]:  # which is this one
                    await asyncio.sleep(0.02)


async def test_behind_a_pooler_a_read_is_stopped_too(pooled_database: Database) -> None:
    from stepwell import App, Settings

    settings = Settings(_env_file=None, **pooled_database.settings, read_seconds=0.5)
    async with Stepwell([App("shop", workflows=[Sleep])], settings=settings, embedded_worker=False) as stepwell:
        assert stepwell.process is not None
        store = stepwell.process.store
        async with asyncio.timeout(120):
            with pytest.raises(ReadTooLong):
                await store.read_for("slow", lambda tx: tx.scalar(ENDLESS))
            # The limit was the transaction's own: the session, which is another's next, has none.
            assert await store.read(lambda tx: tx.scalar("SHOW statement_timeout")) == "0"

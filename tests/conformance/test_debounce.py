"""Debounced starts: of those that follow each other only the last is executed (rule 54)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine

from backends import Database
from conformance.support import ME, HarnessOn, StepwellOn, everything, until
from stepwell import END, App, Concurrency, Debounce, Event, Start, Stepwell, Workflow, transition
from stepwell.engine.gates import gates_of, parts_of
from stepwell.errors import IdempotencyConflict
from stepwell.testing import Harness

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
executed: list[tuple[str, int]] = []


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    executed.clear()


class Page(BaseModel):
    host: str = "a"
    n: int = 0


class Base(Workflow[Page]):
    @transition(target="open")
    async def begin(self) -> None:
        executed.append((self.args.host, self.args.n))

    @transition("open", END, wait=True)
    async def close(self) -> None: ...


class Index(Base, debounce=Debounce(10 * SECOND, key="args.host", max_wait=25 * SECOND)): ...


class Plain(Base, debounce=Debounce(10 * SECOND)): ...


ALL = [Index, Plain]


async def due(harness: Harness, workflow_id: str) -> float | None:
    """In how many seconds the run is due."""
    run = await harness.runner.get(workflow_id)
    return None if run.due_at is None else (run.due_at - harness.clock.now_datetime()).total_seconds()


async def test_a_first_start_is_put_off_by_the_delay(harness_on: HarnessOn) -> None:
    async with harness_on(ALL) as harness:
        handle = await harness.runner.run(Index, {"n": 1}, **ME)
        assert handle.created
        assert await due(harness, handle.workflow_id) == 10
        await harness.advance(9 * SECOND)
        assert executed == []
        await harness.advance(SECOND)
        assert executed == [("a", 1)]


async def test_a_start_replaces_the_args_and_moves_the_run(harness_on: HarnessOn) -> None:
    async with harness_on(ALL) as harness:
        first = await harness.runner.run(Index, {"n": 1}, **ME)
        await harness.advance(6 * SECOND)
        second = await harness.runner.run(Index, {"n": 2}, **ME)
        assert (second.workflow_id, second.created) == (first.workflow_id, False)
        assert await due(harness, first.workflow_id) == 10
        assert (await first.get()).args == {"host": "a", "n": 2}
        await harness.advance(9 * SECOND)
        assert executed == []
        await harness.advance(SECOND)
        assert executed == [("a", 2)]
        assert len((await harness.runner.list()).items) == 1


async def test_it_is_put_off_no_longer_than_max_wait_after_the_first_start(harness_on: HarnessOn) -> None:
    async with harness_on(ALL) as harness:
        first = await harness.runner.run(Index, {"n": 0}, **ME)
        for n in range(1, 4):
            await harness.advance(8 * SECOND)
            again = await harness.runner.run(Index, {"n": n}, **ME)
            assert again.workflow_id == first.workflow_id
            assert await due(harness, first.workflow_id) == min(10, 25 - 8 * n)
        await harness.advance(SECOND)
        assert executed == [("a", 3)]


async def test_without_max_wait_it_is_put_off_again_and_again(harness_on: HarnessOn) -> None:
    async with harness_on(ALL) as harness:
        for n in range(20):
            await harness.runner.run(Plain, {"n": n}, **ME)
            await harness.advance(9 * SECOND)
        assert executed == []
        await harness.advance(SECOND)
        assert executed == [("a", 19)]


async def test_a_run_that_has_begun_is_left_alone(harness_on: HarnessOn) -> None:
    async with harness_on(ALL) as harness:
        first = await harness.runner.run(Index, {"n": 1}, **ME)
        await harness.advance(10 * SECOND)
        assert (await first.get()).status == "waiting"
        second = await harness.runner.run(Index, {"n": 2}, **ME)
        assert second.created
        assert (await first.get()).args["n"] == 1
        await harness.advance(10 * SECOND)
        assert executed == [("a", 1), ("a", 2)]


async def test_a_run_that_was_cancelled_is_left_alone(harness_on: HarnessOn) -> None:
    async with harness_on(ALL) as harness:
        first = await harness.runner.run(Index, **ME)
        await first.cancel() if hasattr(first, "cancel") else await harness.runner.cancel(first.workflow_id)
        assert (await harness.runner.run(Index, {"n": 2}, **ME)).created


async def test_keys_and_users_are_apart(harness_on: HarnessOn) -> None:
    async with harness_on(ALL) as harness:
        runner = harness.runner
        handles = [
            await runner.run(Index, {"host": host}, app_name="shop", user_id=user)
            for host in ("a", "b")
            for user in ("u1", "u2")
        ]
        handles.append(await runner.run(Plain, app_name="shop", user_id="u1"))
        assert all(handle.created for handle in handles)
        assert not (await runner.run(Plain, {"host": "other"}, app_name="shop", user_id="u1")).created


async def test_a_ready_run_that_no_worker_has_claimed_is_put_off_too(
    stepwell_on: StepwellOn, database: Database
) -> None:
    async with stepwell_on(ALL, embedded_worker=False) as stepwell:
        first = await stepwell.runner.run(Plain, {"n": 1}, **ME)
        database.execute("UPDATE stepwell_runs SET ready_at=created_at, due_at=NULL")
        second = await stepwell.runner.run(Plain, {"n": 2}, **ME)
        assert (second.workflow_id, second.created) == (first.workflow_id, False)
        assert database.read("SELECT ready_at FROM stepwell_runs") == [(None,)]
        run = await first.get()
        assert run.due_at is not None
        assert run.due_at - run.updated_at == 10 * SECOND


async def test_a_delay_of_its_own_counts_where_it_is_longer(harness_on: HarnessOn) -> None:
    async with harness_on(ALL) as harness:
        first = await harness.runner.run(Plain, **ME, delay=MINUTE)
        assert await due(harness, first.workflow_id) == 60
        await harness.runner.run(Plain, **ME, delay=SECOND)
        assert await due(harness, first.workflow_id) == 10


async def test_the_starts_own_key_is_looked_at_first(harness_on: HarnessOn) -> None:
    async with harness_on(ALL) as harness:
        runner = harness.runner
        first = await runner.run(Plain, {"n": 1}, **ME, idempotency_key="k1")
        await harness.advance(5 * SECOND)
        again = await runner.run(Plain, {"n": 1}, **ME, idempotency_key="k1")
        assert (again.workflow_id, again.created) == (first.workflow_id, False)
        assert await due(harness, first.workflow_id) == 5
        with pytest.raises(IdempotencyConflict):
            await runner.run(Plain, {"n": 2}, **ME, idempotency_key="k1")
        other = await runner.run(Plain, {"n": 3}, **ME, idempotency_key="k2")
        assert (other.workflow_id, other.created) == (first.workflow_id, False)
        assert await due(harness, first.workflow_id) == 10
        # The first call again, although other args have taken the place of its own; and others with its key.
        again = await runner.run(Plain, {"n": 1, "host": "a"}, **ME, idempotency_key="k1")
        assert (again.workflow_id, again.created) == (first.workflow_id, False)
        for n in (2, 3):
            with pytest.raises(IdempotencyConflict):
                await runner.run(Plain, {"n": n}, **ME, idempotency_key="k1")
        await runner.run(Plain, {"n": 4}, **ME)
        assert not (await runner.run(Plain, {"n": 1}, **ME, idempotency_key="k1")).created
        await harness.advance(10 * SECOND)
        assert executed == [("a", 4)]
        assert (await runner.run(Plain, {"n": 3}, **ME, idempotency_key="k2")).created


class Keyed(
    Base,
    debounce=Debounce(10 * SECOND),
    concurrency=Concurrency(1, key="args.host"),
    fair_by="args.n",
    expires=MINUTE,
    run_timeout=5 * MINUTE,
): ...


async def test_all_its_keys_and_moments_are_worked_out_anew(harness_on: HarnessOn, database: Database) -> None:
    async with harness_on([Keyed]) as harness:
        first = await harness.runner.run(Keyed, {"host": "a", "n": 1}, **ME)
        await harness.advance(5 * SECOND)
        await harness.runner.run(Keyed, {"host": "b", "n": 2}, **ME)
        [(text, expires, deadline, due_at)] = database.read(
            "SELECT gates, expires_at, deadline, due_at FROM stepwell_runs"
        )
        assert [parts.key for gate in gates_of(text) if (parts := parts_of(gate.id))] == ['"b"', "2"]
        assert (expires - due_at, deadline - due_at) == (60_000_000, 300_000_000)
        assert due_at == harness.clock.now() + 10_000_000
        await harness.advance(10 * SECOND)
        assert executed == [("b", 2)]
        assert (await first.get()).status == "waiting"


async def test_a_key_that_moves_takes_the_run_along(harness_on: HarnessOn) -> None:
    """Two rules: the debounce's own key stays, while that of a skip changes with the args."""

    class Both(
        Base,
        debounce=Debounce(10 * SECOND),
        concurrency=Concurrency(1, key="args.host", holds="run", on_conflict="skip"),
    ): ...

    async with harness_on([Both]) as harness:
        runner = harness.runner
        first = await runner.run(Both, {"host": "a"}, **ME)
        moved = await runner.run(Both, {"host": "b"}, **ME)
        assert moved.workflow_id == first.workflow_id
        await harness.advance(10 * SECOND)
        skipped = await runner.run(Both, {"host": "b"}, **ME)
        assert (skipped.workflow_id, skipped.created) == (first.workflow_id, False)
        assert (await runner.run(Both, {"host": "a"}, **ME)).created


async def test_a_run_that_is_held_back_is_put_off_as_well(harness_on: HarnessOn) -> None:
    async with harness_on([Keyed, Slot]) as harness:
        runner = harness.runner
        holder = await runner.run(Slot, {"n": 1}, app_name="shop", user_id="u1")
        await harness.advance(10 * SECOND)
        held = await runner.run(Slot, {"n": 2}, app_name="shop", user_id="u2")
        await harness.advance(10 * SECOND)
        assert (await held.get()).status == "pending"
        again = await runner.run(Slot, {"n": 3}, app_name="shop", user_id="u2")
        assert (again.workflow_id, again.created) == (held.workflow_id, False)
        await runner.signal(holder.workflow_id, "close")
        await harness.drain()
        assert executed == [("a", 1)]
        await harness.advance(10 * SECOND)
        assert executed == [("a", 1), ("a", 3)]


async def test_what_it_was_promised_is_given_back(stepwell_on: StepwellOn, database: Database) -> None:
    class Moves(Base, debounce=Debounce(timedelta(milliseconds=1)), concurrency=Concurrency(1, key="args.host")): ...

    promised = "SELECT run_id FROM stepwell_slots WHERE taken=0"
    async with stepwell_on([Moves], embedded_worker=False) as stepwell:
        first = await stepwell.runner.run(Moves, {"host": "a"}, **ME)

        async def ready() -> bool:
            return database.read(promised) == [(first.workflow_id,)]

        await until(ready, "its promise")
        again = await stepwell.runner.run(Moves, {"host": "b"}, **ME, delay=MINUTE)
        assert again.workflow_id == first.workflow_id
        assert database.read(promised) == []
        other = await stepwell.runner.run(Moves, {"host": "a"}, app_name="shop", user_id="u2")
        assert other.created


class Slot(Base, debounce=Debounce(10 * SECOND), concurrency=Concurrency(1, holds="run")): ...


async def test_its_listeners_follow_the_args(harness_on: HarnessOn) -> None:
    class Listens(Workflow[Page, dict[str, Any], str], debounce=Debounce(10 * SECOND)):
        @transition(target="open")
        async def begin(self) -> None: ...

        @transition("open", END, on=Event("gone", match={"host": "args.host"}))
        async def gone(self) -> str:
            return self.args.host

    async with harness_on([Listens]) as harness:
        handle = await harness.runner.run(Listens, {"host": "a"}, **ME)
        await harness.runner.run(Listens, {"host": "b"}, **ME)
        await harness.advance(10 * SECOND)
        assert (await harness.runner.emit("gone", {"host": "a"})).resumed == ()
        assert (await harness.runner.emit("gone", {"host": "b"})).resumed == (handle.workflow_id,)
        await harness.drain()
        assert await handle.result(60) == "b"


async def test_many_starts_of_one_call(harness_on: HarnessOn) -> None:
    async with harness_on(ALL) as harness:
        handles = await harness.runner.run_many([Start(Plain, {"n": n}) for n in range(5)], **ME)
        assert [handle.created for handle in handles] == [True, False, False, False, False]
        assert len({handle.workflow_id for handle in handles}) == 1
        await harness.advance(10 * SECOND)
        assert executed == [("a", 4)]


async def test_of_many_starts_at_once_one_is_new(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL, embedded_worker=False) as one, stepwell_on(ALL, embedded_worker=False) as two:
        starts = [stepwell.runner.run(Plain, {"n": n}, **ME) for n in range(50) for stepwell in (one, two)]
        handles = await asyncio.gather(*starts)
        assert sum(handle.created for handle in handles) == 1
        assert len({handle.workflow_id for handle in handles}) == 1


async def test_an_event_is_debounced(harness_on: HarnessOn) -> None:
    class Seen(Base, on=Event("seen"), debounce=Debounce(10 * SECOND, key="args.host")): ...

    async with harness_on([Seen]) as harness:
        found = [await harness.runner.emit("seen", {"host": host, "n": n}) for n in (1, 2) for host in ("a", "b")]
        assert [len(one.started) for one in found] == [1, 1, 1, 1]
        await harness.advance(10 * SECOND)
        assert sorted(executed) == [("a", 2), ("b", 2)]


async def test_a_schedules_tick_is_debounced(harness_of: Callable[..., Harness]) -> None:
    class Tidy(Base, debounce=Debounce(90 * SECOND)): ...

    app = App("shop", workflows=[Tidy])
    app.schedule("tidy", workflow=Tidy, every=MINUTE, overlap="allow")
    async with harness_of([app]) as harness:
        await harness.advance(5 * MINUTE)
        assert executed == []
        assert len((await harness.runner.list()).items) == 1


async def test_a_child_that_would_be_debounced_fails_the_attempt(harness_on: HarnessOn) -> None:
    class Parent(Workflow[Page]):
        @transition(target=END)
        async def go(self) -> None:
            await self.start(Plain, self.args)

    async with harness_on([*ALL, Parent]) as harness:
        first = await harness.runner.run_sync(Parent, {"n": 1}, **ME)
        assert first.status == "completed"
        second = await harness.runner.run_sync(Parent, {"n": 2}, **ME)
        assert second.status == "failed"
        assert "IdempotencyConflict: 'plain' can't start as a child" in (second.error or "")
        await harness.advance(10 * SECOND)
        assert executed == [("a", 1)]


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    made = database.engine()
    yield made
    await made.dispose()


@pytest.mark.parametrize("commits", [True, False])
async def test_in_the_callers_transaction(stepwell_on: StepwellOn, engine: AsyncEngine, commits: bool) -> None:
    async with stepwell_on(ALL, embedded_worker=False) as stepwell:
        first = await stepwell.runner.run(Plain, {"n": 1}, **ME)
        async with engine.connect() as connection:
            again = await stepwell.runner.run(Plain, {"n": 2}, **ME, connection=connection)
            assert (again.workflow_id, again.created) == (first.workflow_id, False)
            await (connection.commit() if commits else connection.rollback())
        assert (await first.get()).args["n"] == (2 if commits else 1)


async def test_run_sync_waits_for_the_delay(stepwell_on: StepwellOn) -> None:
    class Soon(Base, debounce=Debounce(timedelta(milliseconds=300))): ...

    async with stepwell_on([Soon]) as stepwell:
        done = await stepwell.runner.run_sync(Soon, {"n": 7}, **ME, timeout=60)
        assert (done.status, executed) == ("waiting", [("a", 7)])


async def test_nothing_is_left_of_it(stepwell_on: StepwellOn) -> None:
    class Soon(Base, debounce=Debounce(timedelta(milliseconds=10))): ...

    async with stepwell_on([Soon]) as stepwell:
        done = await stepwell.runner.run_sync(Soon, **ME, timeout=60)
        assert done.workflow_id is not None
        await stepwell.runner.signal(done.workflow_id, "close")
        await stepwell.runner.handle(done.workflow_id).result(60)
        assert await slots_of(stepwell) == []


async def slots_of(stepwell: Stepwell) -> list[tuple[Any, ...]]:
    return (await everything(stepwell))["stepwell_slots"]

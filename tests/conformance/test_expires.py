"""`expires=`: a run that hasn't begun by then is cancelled, and never executed after it (rule 54)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backends import Database
from conformance.support import ME, HarnessOn, StepwellOn, reaches, until
from stepwell import END, Concurrency, Debounce, Event, Signal, Workflow, transition
from stepwell.errors import RunFailed
from stepwell.store.writing import expiry
from stepwell.worker.sweep import Sweep

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
executed: list[int] = []


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    executed.clear()


class Base(Workflow[dict[str, int]]):
    @transition(target="open")
    async def begin(self) -> None:
        executed.append(self.args.get("n", 0))

    @transition("open", END, wait=True)
    async def close(self) -> None: ...


class Offer(Base, expires=MINUTE): ...


class Single(Base, expires=MINUTE, concurrency=Concurrency(1, holds="run")): ...


class Paused(Base, expires=MINUTE): ...


class Late(Base, expires=MINUTE, debounce=Debounce(10 * SECOND)): ...


ALL = [Offer, Single, Paused, Late]


async def test_a_run_that_begins_in_time_does_not_expire(harness_on: HarnessOn, database: Database) -> None:
    async with harness_on(ALL) as harness:
        handle = await harness.runner.run(Offer, {"n": 1}, **ME)
        inline = await harness.runner.run_sync(Offer, {"n": 2}, **ME)
        assert inline.status == "waiting"
        await harness.drain()
        assert database.read("SELECT expires_at FROM stepwell_runs") == [(None,), (None,)]
        await harness.advance(HOUR)
        assert (await handle.get()).status == "waiting"
        assert sorted(executed) == [1, 2]


async def test_a_run_that_is_held_back_expires(harness_on: HarnessOn) -> None:
    async with harness_on(ALL) as harness:
        runner = harness.runner
        first = await runner.run(Single, {"n": 1}, **ME)
        await harness.drain()
        second = await runner.run(Single, {"n": 2}, **ME)
        await harness.advance(59 * SECOND)
        assert (await second.get()).status == "pending"
        third = await runner.run(Single, {"n": 3}, **ME)
        await harness.advance(SECOND)
        run = await second.get()
        assert (run.status, run.place) == ("canceled", "start")
        assert "expired before it began" in (run.error or "")
        assert run.finished_at == harness.clock.now_datetime()
        assert [row.status for row in await runner.history(second.workflow_id)] == ["committed", "canceled"]
        with pytest.raises(RunFailed, match="expired before it began") as caught:
            await second.result(60)
        assert caught.value.status == "canceled"
        # The next one isn't hindered by it.
        await runner.signal(first.workflow_id, "close")
        await harness.drain()
        assert (await third.get()).status == "waiting"
        assert executed == [1, 3]


class Cleared(Base, expires=MINUTE, on_cancel="leaving"):
    @transition("leaving", END)
    async def leave(self) -> None:
        executed.append(-1)


async def test_a_run_that_has_not_begun_has_nothing_to_clear_up(harness_on: HarnessOn) -> None:
    """A cancel leads to `on_cancel=` (rule 62), and the end of the time to begin doesn't."""
    async with harness_on([Cleared]) as harness:
        await harness.runner.pause(workflow=Cleared)
        run = await harness.runner.run(Cleared, **ME)
        await harness.advance(HOUR)
        found = await run.get()
        assert (found.status, found.place, found.canceling) == ("canceled", "start", False)
        await harness.runner.resume(workflow=Cleared)
        await harness.drain()
        assert executed == []
        begun = await harness.runner.run(Cleared, {"n": 1}, **ME)
        await harness.drain()
        await begun.cancel()
        await harness.drain()
        assert ((await begun.get()).status, executed) == ("canceled", [1, -1])


async def test_the_clock_of_a_harness_stops_where_a_run_expires(harness_on: HarnessOn) -> None:
    async with harness_on(ALL) as harness:
        await harness.runner.pause(workflow=Paused)
        run = await harness.runner.run(Paused, **ME)
        begun = harness.clock.now_datetime()
        await harness.advance(HOUR)
        found = await run.get()
        assert (found.status, found.finished_at) == ("canceled", begun + MINUTE)
        await harness.runner.resume(workflow=Paused)
        await harness.drain()
        assert executed == []


async def test_it_counts_from_the_end_of_a_delay(harness_on: HarnessOn) -> None:
    async with harness_on(ALL) as harness:
        await harness.runner.pause(app_name="shop")
        handle = await harness.runner.run(Offer, **ME, delay=HOUR)
        await harness.advance(HOUR + 59 * SECOND)
        assert (await handle.get()).status == "pending"
        await harness.advance(SECOND)
        assert (await handle.get()).status == "canceled"


async def test_a_debounced_start_begins_its_time_anew(harness_on: HarnessOn) -> None:
    async with harness_on(ALL) as harness:
        await harness.runner.pause(app_name="shop")
        handle = await harness.runner.run(Late, {"n": 1}, **ME)
        await harness.advance(40 * SECOND)
        again = await harness.runner.run(Late, {"n": 2}, **ME)
        assert again.workflow_id == handle.workflow_id
        await harness.advance(69 * SECOND)
        assert (await handle.get()).status == "pending"
        await harness.advance(SECOND)
        assert (await handle.get()).status == "canceled"
        assert (await harness.runner.run(Late, {"n": 3}, **ME)).created


async def test_a_claim_sees_that_it_is_too_late(
    stepwell_on: StepwellOn, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although no sweep looks."""

    async def nothing(self: Sweep) -> int:
        return 0

    monkeypatch.setattr(Sweep, "expire_unbegun", nothing)
    async with stepwell_on(ALL, embedded_worker=False) as stepwell:
        late = await stepwell.runner.run(Offer, {"n": 1}, **ME)
        held = await stepwell.runner.run(Single, {"n": 2}, **ME)
        database.execute("UPDATE stepwell_runs SET expires_at=created_at+1")
        fine = await stepwell.runner.run(Offer, {"n": 3}, **ME)
    async with stepwell_on(ALL) as stepwell:
        for handle in (late, held):
            run = await reaches(stepwell.runner, handle.workflow_id, "canceled")
            assert "expired before it began" in (run.error or "")
        await reaches(stepwell.runner, fine.workflow_id, "waiting")
        assert executed == [3]
        assert (await stepwell.runner.run(Single, {"n": 4}, **ME)).created


async def test_a_process_without_a_worker_expires_runs_too(stepwell_on: StepwellOn, database: Database) -> None:
    async with stepwell_on(ALL, embedded_worker=False) as stepwell:
        handle = await stepwell.runner.run(Offer, **ME)
        database.execute("UPDATE stepwell_runs SET expires_at=created_at+1")
        await reaches(stepwell.runner, handle.workflow_id, "canceled")


async def test_one_that_cannot_be_expired_does_not_hinder_the_others(
    stepwell_on: StepwellOn, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import IntegrityError

    cancel = expiry.cancel
    broken: list[str] = []

    def breaking(run: Any, *args: Any) -> Any:
        if run.id in broken:
            raise IntegrityError("", {}, Exception("refused"))
        return cancel(run, *args)

    monkeypatch.setattr(expiry, "cancel", breaking)
    async with stepwell_on(ALL, embedded_worker=False) as stepwell:
        first = await stepwell.runner.run(Offer, **ME)
        broken.append(first.workflow_id)
        others = [await stepwell.runner.run(Offer, **ME) for _ in range(3)]
        database.execute("UPDATE stepwell_runs SET expires_at=created_at+1")
        for handle in others:
            await reaches(stepwell.runner, handle.workflow_id, "canceled")
        assert (await first.get()).status == "pending"

        async def told() -> bool:
            return any(first.workflow_id in fault for fault in await stepwell.faults())

        await until(told)


async def test_the_parent_of_a_child_that_expires_is_told(harness_on: HarnessOn) -> None:
    class Parent(Workflow[None, dict[str, Any], str]):
        @transition(target="open")
        async def begin(self) -> None:
            await self.start(Paused, {}, callback="done")

        @transition("open", END, wait=True)
        async def done(self, end: Signal[Any]) -> str:
            return f"{end.status}: {end.error}"

    async with harness_on([*ALL, Parent]) as harness:
        await harness.runner.pause(workflow=Paused)
        parent = await harness.runner.run(Parent, **ME)
        await harness.advance(MINUTE)
        assert "canceled: " in await parent.result(60)
        assert "expired before it began" in await parent.result(60)


async def test_an_event_starts_runs_that_expire(harness_on: HarnessOn) -> None:
    class Seen(Base, on=Event("seen"), expires=MINUTE): ...

    async with harness_on([Seen]) as harness:
        await harness.runner.pause(workflow=Seen)
        [started] = (await harness.runner.emit("seen", {})).started
        await harness.advance(MINUTE)
        assert (await harness.runner.get(started)).status == "canceled"


async def test_what_is_cancelled_before_does_not_expire_again(harness_on: HarnessOn, database: Database) -> None:
    async with harness_on(ALL) as harness:
        await harness.runner.pause(workflow=Offer)
        handle = await harness.runner.run(Offer, **ME)
        await harness.runner.cancel(handle.workflow_id, reason="not wanted")
        await harness.advance(HOUR)
        assert (await handle.get()).error == "canceled: not wanted"
        assert database.read("SELECT expires_at FROM stepwell_runs") == [(None,)]


def test_the_reason_is_that_of_the_contract() -> None:
    assert expiry.EXPIRED == "expired before it began"


async def test_what_a_clock_that_was_ahead_has_stored_expires_by_the_right_time(
    stepwell_on: StepwellOn, database: Database
) -> None:
    """Ready and held runs too: they aren't due at any moment, and no claim has touched them."""
    year = 365 * 86_400 * 1_000_000
    async with stepwell_on([Offer, Single], embedded_worker=False) as stepwell:
        assert stepwell.process is not None
        runs = [await stepwell.runner.run(workflow, **ME) for workflow in (Offer, Single, Single)]
        columns = "id, expires_at, ready_at, held_rank, updated_at, held_by"
        before = database.read(f"SELECT {columns} FROM stepwell_runs ORDER BY id")
        assert [row[0] for row in before] == [run.workflow_id for run in runs]
        assert before[2][5] is not None
        database.execute(
            "UPDATE stepwell_runs SET expires_at=expires_at+?, ready_at=ready_at+?, held_rank=held_rank+?,"
            " updated_at=updated_at+?",
            *[year] * 4,
        )
        assert await stepwell.process.sweep.bring_back() in (0, 3)  # the duty may have been quicker
        after = database.read(f"SELECT {columns} FROM stepwell_runs ORDER BY id")
        for was, is_ in zip(before, after, strict=True):
            for one, other in zip(was[1:5], is_[1:5], strict=True):
                assert (one is None) == (other is None)
                assert one is None or abs(other - one) < HOUR // timedelta(microseconds=1)
            assert is_[1] - is_[4] == was[1] - was[4]
        assert await stepwell.process.sweep.bring_back() == 0

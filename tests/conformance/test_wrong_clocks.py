"""A clock that is wrong for seconds stops nothing for longer than it was wrong (rule 51)."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from backends import Database
from conformance.support import ME, StepwellOn, reaches, until
from stepwell import END, App, Stepwell, Workflow, transition
from stepwell.execution.clock import SystemClock, to_datetime
from stepwell.store import schedules
from stepwell.worker import timekeeper

YEAR = 365 * 86_400 * 1_000_000


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    """The database; what stands beside it has no part in this."""
    return str(request.param)


class Machine:
    """A machine whose clock somebody sets."""

    ahead = 0

    def __call__(self) -> int:
        return time.time_ns() + self.ahead * 1000


class Quick(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


class Hour(Workflow):
    @transition(target="waiting")
    async def begin(self) -> None: ...

    @transition("waiting", END, after=timedelta(hours=1))
    async def wake(self) -> None: ...


def shop() -> App:
    app = App("shop", workflows=[Quick, Hour])
    app.schedule("each second", workflow=Quick, every=timedelta(seconds=1), overlap="allow", user_id="clock")
    return app


async def ticks(stepwell: Stepwell) -> list[schedules.TickRow]:
    assert stepwell.process is not None
    return await stepwell.process.store.read(lambda tx: schedules.ticks_of(tx, "shop", "each second"))


@pytest.mark.parametrize("ahead", [YEAR, -YEAR])
async def test_a_machine_that_is_wrong_for_seconds_changes_nothing(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    monkeypatch.setattr(timekeeper, "_EVERY", 0.02)
    machine = Machine()
    # So that runs of now are old only by a clock that is ahead.
    async with stepwell_on([shop()], clock=SystemClock(machine), retention=timedelta(days=30)) as stepwell:
        hour = await stepwell.runner.run(Hour, **ME)
        await reaches(stepwell.runner, hour.workflow_id, "waiting")
        machine.ahead = ahead

        async def told() -> bool:
            return any("the clock of this machine: it jumped" in one for one in await stepwell.faults())

        await until(told, "the fault")
        assert (await stepwell.condition()).ready
        before = len(await ticks(stepwell))

        async def ticked() -> bool:
            return len(await ticks(stepwell)) >= before + 2

        await until(ticked, "ticks while the clock is wrong")
        quick = await stepwell.runner.run(Quick, **ME)
        await quick.result(60)
        assert abs((await quick.get()).created_at.timestamp() - time.time()) < 3_600
        machine.ahead = 0

        async def well() -> bool:
            return not await stepwell.faults()

        await until(well, "no fault")
        before = len(await ticks(stepwell))
        await until(ticked, "ticks afterwards")
        assert (await hour.get()).status == "waiting"
        assert (await quick.get()).status == "completed"
        assert all(abs(tick.scheduled_at / 1e6 - time.time()) < 3_600 for tick in await ticks(stepwell))


async def test_moments_that_a_clock_ahead_has_left_are_counted_from_now(
    stepwell_on: StepwellOn, database: Database
) -> None:
    async with stepwell_on([shop()], embedded_worker=False) as stepwell:
        late = await stepwell.runner.run(Quick, delay=timedelta(hours=2), **ME)
        fine = await stepwell.runner.run(Quick, delay=timedelta(days=400), **ME)
        process = stepwell.process
        assert process is not None
        database.execute(
            "UPDATE stepwell_runs SET updated_at=updated_at+?, entered_at=entered_at+?, due_at=due_at+? WHERE id=?",
            YEAR,
            YEAR,
            YEAR,
            late.workflow_id,
        )
        assert await process.sweep.bring_back() in (0, 1)  # the duty may have been quicker
        due = (await late.get()).due_at
        assert due is not None
        assert abs(due.timestamp() - time.time() - 7200) < 3_600
        [(entered, updated)] = database.read(
            "SELECT entered_at, updated_at FROM stepwell_runs WHERE id=?", late.workflow_id
        )
        assert max(entered, updated) / 1e6 < time.time() + 3_600
        due = (await fine.get()).due_at
        assert due is not None
        assert due > to_datetime(process.shared.clock.now()) + timedelta(days=399)
        assert await process.sweep.bring_back() == 0


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_process_that_begins_a_year_ahead_acts_on_nothing(
    stepwell_on: StepwellOn, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine()
    async with stepwell_on([shop()], lease_seconds=1) as right:
        hour = await right.runner.run(Hour, **ME)
        await reaches(right.runner, hour.workflow_id, "waiting")
        quick = await right.runner.run(Quick, **ME)
        await quick.result(60)
        machine.ahead = YEAR
        wrong = stepwell_on([shop()], clock=SystemClock(machine), lease_seconds=60, retention=timedelta(days=30))
        async with wrong:
            keeper = wrong.process.timekeeper if wrong.process else None
            assert keeper is not None
            assert not keeper.may_delete()

            async def confirmed() -> bool:
                return keeper.confirmed.is_set()

            await until(confirmed, "the time of the other process")
            assert wrong.process is not None
            assert abs(wrong.process.shared.clock.now() / 1e6 - time.time()) < 3_600
            machine.ahead = 0
            before = len(await ticks(right))

            async def ticked() -> bool:
                return len(await ticks(right)) >= before + 2

            await until(ticked, "ticks afterwards")
            assert (await hour.get()).status == "waiting"
            assert (await quick.get()).status == "completed"

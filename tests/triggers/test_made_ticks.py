"""Ticks of schedules made at run time: once for all processes, through restarts and deployments. Fault 13."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from backends import Database
from conformance.support import until
from stepwell import END, App, Run, Settings, Stepwell, Tick, Workflow, WorkflowRunner, transition
from stepwell.errors import UnknownWorkflow
from stepwell.execution.clock import microseconds
from stepwell.store import schedules
from stepwell.store.schedules import TickRow
from stepwell.testing import Harness, VirtualClock

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
U1: dict[str, Any] = {"app_name": "office", "user_id": "u1"}
Opened = Callable[..., AbstractAsyncContextManager[Stepwell]]


class Job(BaseModel):
    name: str = "r"


class Report(Workflow[Job, None, str]):
    @transition(target=END)
    async def write(self) -> str:
        return self.args.name


class Other(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


class Asked(Workflow):
    @transition(target="open")
    async def ask(self) -> None: ...

    @transition("open", END, wait=True)
    async def answer(self) -> None: ...


def office(*workflows: Any) -> App:
    return App("office", workflows=workflows or [Report])


@pytest.fixture
def opened(database: Database) -> Opened:
    """`async with opened(app, clock) as stepwell`: always on the same database."""

    @asynccontextmanager
    async def open_(app: App, clock: VirtualClock, **options: Any) -> AsyncIterator[Stepwell]:
        settings = Settings(_env_file=None, drain_seconds=0, **database.settings)
        async with Stepwell([app], settings=settings, clock=clock, **options) as stepwell:
            yield stepwell

    return open_


def moved(clock: VirtualClock, by: timedelta) -> None:
    clock.move_to(clock.now() + microseconds(by))


async def reports(stepwell: Stepwell) -> list[Run]:
    return sorted((await stepwell.runner.list(workflow="report", limit=1000)).items, key=lambda run: run.created_at)


async def fire(stepwell: Stepwell) -> None:
    assert stepwell.process is not None
    await stepwell.process.scheduler.fire_due()


async def ticks(stepwell: Stepwell, database: Database) -> list[TickRow]:
    assert stepwell.process is not None
    [(found,)] = database.read("SELECT id FROM stepwell_made_schedules")
    return await stepwell.process.store.read(lambda tx: schedules.ticks_of(tx, "office", found)[::-1])


async def create(stepwell: Stepwell, name: str = "s", **given: Any) -> None:
    """Make a schedule whose ticks fire although a worker may not have ended the run of the tick before by then."""
    await stepwell.runner.schedules.create(name, "report", **{**U1, "every": HOUR, "overlap": "allow", **given})


# -- processes --------------------------------------------------------------------------------------------------------


async def test_fault_13_several_processes_fire_each_tick_once(opened: Opened) -> None:
    clock = VirtualClock(NOON)
    async with opened(office(), clock) as one, opened(office(), clock) as two, opened(office(), clock) as three:
        all_ = [one, two, three]
        for n in range(20):
            await create(all_[n % 3], f"s{n}")
        for _ in range(3):
            moved(clock, HOUR)
            await asyncio.gather(*(fire(each) for each in all_ for _ in range(2)))
        async with asyncio.timeout(60):  # what one process had in hand was left to it
            while len(await reports(one)) < 60:
                await asyncio.gather(*map(fire, all_))
        found = await reports(one)
        assert len(found) == len({run.idempotency_key for run in found}) == 60


async def test_a_running_process_hears_of_what_another_one_makes_and_changes(database: Database) -> None:
    """With the real clock, and nothing but what the processes do by themselves."""
    settings = Settings(_env_file=None, **database.settings)

    async def fired(stepwell: Stepwell, count: int) -> None:
        async with asyncio.timeout(120):
            while len(await reports(stepwell)) < count:
                await asyncio.sleep(0.05)

    async with (
        Stepwell([office()], settings=settings) as works,
        Stepwell([office()], settings=settings, embedded_worker=False) as makes,
    ):
        await create(makes, every=None, at=datetime.now(UTC) + timedelta(seconds=0.5))
        await fired(works, 1)
        await makes.runner.schedules.update("s", **U1, every=timedelta(seconds=1))
        await fired(works, 3)
        assert {run.user_id for run in await reports(works)} == {"u1"}


async def test_schedules_made_elsewhere_are_noticed_by_a_hint_or_by_the_next_look(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock stands still, so that nothing but the hint can be the reason; and then without the hint."""
    clock = VirtualClock(NOON)
    async with opened(office(), clock) as works, opened(office(), clock, embedded_worker=False) as makes:
        assert works.process is not None
        made, sweep = works.process.scheduler.made, works.process.sweep

        async def knows(at: datetime) -> None:
            wanted = microseconds(at - datetime(1970, 1, 1, tzinfo=UTC))

            async def look() -> bool:
                return made.next_at == wanted

            await until(look, f"a tick at {at}")

        await create(makes)
        await knows(NOON + HOUR)
        await makes.runner.schedules.update("s", **U1, every=MINUTE)
        await knows(NOON + MINUTE)
        monkeypatch.setattr(sweep, "due_changed", lambda: None)
        await create(makes, "sooner", every=timedelta(seconds=30))
        moved(clock, timedelta(seconds=5))
        await knows(NOON + timedelta(seconds=30))


async def test_a_process_fires_by_itself_what_was_queued_behind_a_run(opened: Opened) -> None:
    clock = VirtualClock(NOON)
    async with opened(office(Asked), clock) as stepwell:
        schedules = stepwell.runner.schedules
        await schedules.create("s", "asked", every=HOUR, overlap="queue", **U1)

        async def waits(*, but: str = "") -> str:
            async def look() -> str:
                found = (await stepwell.runner.list(workflow="asked", status="waiting")).items
                return next((str(run.workflow_id) for run in found if run.workflow_id != but), "")

            return await until(look, "a run that waits")

        moved(clock, HOUR)
        first = await waits()
        moved(clock, HOUR)

        async def queued() -> bool:
            last = (await schedules.get("s", **U1)).last
            return last == NOON + 2 * HOUR

        await until(queued, "the second tick")
        await stepwell.runner.signal(first, "answer")
        await waits(but=first)


async def test_a_process_without_a_worker_fires_nothing(opened: Opened) -> None:
    clock = VirtualClock(NOON)
    async with opened(office(), clock, embedded_worker=False) as stepwell:
        await create(stepwell)
        moved(clock, 2 * HOUR)
        await asyncio.sleep(1.5)  # longer than a worker leaves the database alone
        assert await reports(stepwell) == []


@pytest.mark.parametrize(
    ("misfire", "catch_up", "fired"),
    [
        ("latest", timedelta(days=1), [5]),
        ("latest", timedelta(minutes=10), []),
        ("all", timedelta(days=1), [1, 2, 3, 4, 5]),
        ("all", timedelta(hours=2), [4, 5]),
        ("skip", timedelta(days=1), []),
    ],
)
async def test_fault_13_a_restart_loses_no_tick(
    opened: Opened, database: Database, misfire: str, catch_up: timedelta, fired: list[int]
) -> None:
    async with opened(office(), VirtualClock(NOON)) as stepwell:
        await create(stepwell, misfire=misfire, catch_up=catch_up)
    async with opened(office(), VirtualClock(NOON + 5 * HOUR + 30 * MINUTE)) as stepwell:
        await fire(stepwell)
        found = [tick.scheduled_at for tick in await ticks(stepwell, database)]
        assert found == [microseconds(NOON + n * HOUR - datetime(1970, 1, 1, tzinfo=UTC)) for n in fired]
    async with opened(office(), VirtualClock(NOON + 5 * HOUR + 31 * MINUTE)) as stepwell:
        await fire(stepwell)
        assert len(await reports(stepwell)) == len(fired)


async def test_a_clock_that_was_ahead_does_not_silence_it(opened: Opened) -> None:
    async with opened(office(), VirtualClock(NOON)) as stepwell:
        await create(stepwell)
    async with opened(office(), VirtualClock(NOON + timedelta(days=365))) as stepwell:
        await fire(stepwell)
        assert len(await reports(stepwell)) == 1
    clock = VirtualClock(NOON)
    async with opened(office(), clock) as stepwell:
        await fire(stepwell)
        moved(clock, HOUR)
        await fire(stepwell)
        assert len(await reports(stepwell)) == 2


# -- deployments ------------------------------------------------------------------------------------------------------


async def test_a_process_that_lacks_the_workflow_leaves_its_ticks_to_one_that_has_it(
    opened: Opened, database: Database
) -> None:
    clock = VirtualClock(NOON)
    async with opened(office(), clock) as knows, opened(office(Other), clock) as lacks:
        await create(knows)
        for _ in range(3):
            moved(clock, HOUR)
            await fire(lacks)
        await fire(knows)
        assert (await knows.runner.schedules.get("s", **U1)).last == NOON + 3 * HOUR
        assert {tick.outcome for tick in await ticks(knows, database)} == {"fired"}
        with pytest.raises(UnknownWorkflow):
            await lacks.runner.schedules.fire("s", **U1)


async def test_a_process_that_lacks_the_app_leaves_its_ticks_alone(opened: Opened) -> None:
    async with opened(office(), VirtualClock(NOON)) as stepwell:
        await create(stepwell)
    clock = VirtualClock(NOON)
    async with opened(App("annex", workflows=[Report]), clock) as lacks:
        await fire(lacks)
        moved(clock, 3 * HOUR)
        await fire(lacks)
    async with opened(office(), VirtualClock(NOON + 3 * HOUR)) as stepwell:
        await fire(stepwell)
        assert len(await reports(stepwell)) == 1


async def test_a_workflow_that_nobody_has_any_more_refuses_its_ticks_and_the_schedule_stays(
    opened: Opened, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(office(), VirtualClock(NOON)) as stepwell:
        await create(stepwell)
    clock = VirtualClock(NOON + 3 * HOUR)
    async with opened(office(Other), clock) as renamed:
        await fire(renamed)
        assert await ticks(renamed, database) == [], "another process may have it"
        moved(clock, 2 * MINUTE)
        await fire(renamed)
        assert [tick.outcome for tick in await ticks(renamed, database)] == ["refused"]
        assert "schedule 's' of user 'u1' in app 'office' could not fire its tick" in caplog.text
    clock = VirtualClock(NOON + 3 * HOUR + 10 * MINUTE)
    async with opened(office(), clock) as again:
        await fire(again)
        moved(clock, HOUR)
        await fire(again)
        assert [tick.outcome for tick in await ticks(again, database)] == ["refused", "fired"]


async def test_args_that_no_longer_validate_refuse_the_tick_and_the_schedule_stays(
    opened: Opened, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    class Newer(Workflow[dict[str, int], None, None], name="report"):
        @transition(target=END)
        async def write(self) -> None: ...

    async with opened(office(), VirtualClock(NOON)) as stepwell:
        await create(stepwell)
    clock = VirtualClock(NOON + HOUR)
    async with opened(office(Newer), clock) as newer:
        await fire(newer)
        assert [tick.outcome for tick in await ticks(newer, database)] == ["refused"]
        assert "could not fire its tick" in caplog.text
        tick = await newer.runner.schedules.fire("s", **U1)
        assert (tick.outcome, tick.workflow_id) == ("refused", None)
        await newer.runner.schedules.update("s", **U1, args={"n": 1})
        moved(clock, HOUR)
        await fire(newer)
        assert (await reports(newer))[-1].args == {"n": 1}


# -- neighbours -------------------------------------------------------------------------------------------------------


async def test_one_that_cannot_be_evaluated_holds_no_other_up_and_is_reported(
    opened: Opened, database: Database
) -> None:
    clock = VirtualClock(NOON)
    async with opened(office(), clock) as stepwell:
        await create(stepwell, "broken", every=None, cron="0 * * * *")
        await create(stepwell, "good")
        database.execute("UPDATE stepwell_made_schedules SET cron='nonsense' WHERE name='broken'")
        moved(clock, HOUR)
        await fire(stepwell)
        assert len(await reports(stepwell)) == 1
        assert any("schedule 'broken' of user 'u1'" in fault for fault in await stepwell.faults())
        assert {one.name: one.next is None for one in (await stepwell.runner.schedules.list()).items} == {
            "broken": True,
            "good": False,
        }
        await stepwell.runner.schedules.pause("broken", **U1)
        await stepwell.runner.schedules.update("broken", **U1, cron="30 * * * *", paused=False)
        moved(clock, 30 * MINUTE)
        async with asyncio.timeout(60):  # it is left alone for a second, by the real clock
            while len(await reports(stepwell)) < 2:
                await fire(stepwell)
                await asyncio.sleep(0.05)


async def test_many_that_are_due_at_once_all_fire(opened: Opened) -> None:
    clock = VirtualClock(NOON)
    async with opened(office(), clock) as stepwell:
        await asyncio.gather(*(create(stepwell, f"s{n}", user_id=f"u{n}") for n in range(450)))
        moved(clock, HOUR)
        await fire(stepwell)
        assert len({run.user_id for run in await reports(stepwell)}) == 450


async def test_ticks_are_pruned_and_those_of_a_deleted_schedule_all(opened: Opened, database: Database) -> None:
    def kept() -> int:
        [(count,)] = database.read("SELECT count(*) FROM stepwell_ticks")
        return int(count)

    clock = VirtualClock(NOON)
    async with opened(office(), clock) as stepwell:
        assert stepwell.process is not None
        await create(stepwell, "kept", misfire="all")
        await create(stepwell, "gone")
        moved(clock, 3 * HOUR)
        await fire(stepwell)
        assert kept() == 4
        for name in ("kept", "gone"):
            await stepwell.runner.schedules.pause(name, **U1)
        await stepwell.runner.schedules.delete("gone", **U1)
        moved(clock, timedelta(days=31))
        assert await stepwell.process.scheduler.clean() == 3
        assert kept() == 1
        assert len(await reports(stepwell)) == 4


# -- handlers ---------------------------------------------------------------------------------------------------------


async def test_a_handler_that_runs_again_finds_the_schedule_that_it_made(harness_of: Callable[..., Harness]) -> None:
    app = App("office", workflows=[Report])
    attempts: list[int] = []

    @app.cron("0 1 * * *")
    async def signed_up(runner: WorkflowRunner, tick: Tick) -> None:
        attempts.append(1)
        await runner.schedules.create("weekly", Report, app_name="office", user_id="u9", every=HOUR)
        if len(attempts) == 1:
            raise RuntimeError("once")

    @app.cron("30 1 * * *")
    def plainly(runner: Any, tick: Tick) -> None:
        assert runner.schedules.get("weekly", app_name="office").user_id == "u9"
        attempts.append(3)

    async with harness_of([app]) as harness:
        await harness.advance(150 * MINUTE)
        assert attempts == [1, 1, 3]
        assert [run.user_id for run in await reports(harness.stepwell)] == ["u9"]

"""Schedules that run: which ticks fire, once, and what their handlers may rely on. Fault 13."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import uuid4

import pytest
from pydantic import BaseModel, Field

from backends import Database
from stepwell import (
    END,
    App,
    Depends,
    Event,
    Run,
    Settings,
    Start,
    Stepwell,
    Tick,
    Workflow,
    WorkflowRunner,
    transition,
)
from stepwell.errors import StepwellError, StoreUnavailable
from stepwell.execution.clock import to_datetime
from stepwell.store import schedules
from stepwell.testing import Harness, VirtualClock
from stepwell.triggers import scheduler
from stepwell.triggers.scheduler import Scheduler

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Job(BaseModel):
    name: str


class Report(Workflow[Job, None, str]):
    @transition(target=END)
    async def write(self) -> str:
        return self.args.name


class Ask(Workflow[None, None, str]):
    @transition(target="asked")
    async def ask(self) -> None: ...

    @transition("asked", END, wait=True)
    async def answer(self) -> None: ...


async def reports(runner: WorkflowRunner) -> list[Run]:
    return sorted((await runner.list(workflow=Report, limit=1000)).items, key=lambda run: run.created_at)


async def ticks(stepwell: Stepwell, app: str, name: str) -> list[schedules.TickRow]:
    assert stepwell.process is not None
    return await stepwell.process.store.read(lambda tx: schedules.ticks_of(tx, app, name)[::-1])


def hourly(handler: Callable[..., Any], **options: Any) -> App:
    app = App("office", workflows=[Report, Ask])
    app.cron("0 * * * *", **options)(handler)
    return app


@pytest.fixture
def opened(database: Database) -> Callable[..., Any]:
    """`async with opened(app, clock) as stepwell`: always on the same database."""

    @asynccontextmanager
    async def open_(app: App, clock: VirtualClock, **options: Any) -> AsyncIterator[Stepwell]:
        settings = Settings(_env_file=None, drain_seconds=0, **database.settings)
        async with Stepwell([app], settings=settings, clock=clock, **options) as stepwell:
            yield stepwell

    return open_


async def settled(stepwell: Stepwell) -> None:
    """Everything that is ready was executed."""
    process = stepwell.process
    assert process is not None
    async with asyncio.timeout(60):
        while True:
            busy = await process.store.read(
                lambda tx: tx.scalar(
                    "SELECT count(*) FROM stepwell_runs WHERE owner IS NOT NULL OR ready_at IS NOT NULL"
                )
            )
            if not busy:
                return
            await asyncio.sleep(0.01)


class Heard(Workflow[dict[str, Any], None, str], on=Event("office.opened")):
    @transition(target=END)
    async def note(self) -> str:
        return str(self.args["at"])


# -- what a handler gets ----------------------------------------------------------------------------------------------


async def test_a_handler_gets_its_tick_and_a_runner_and_stays_out_of_lists(harness_of: Callable[..., Harness]) -> None:
    seen: list[Tick] = []
    app = App("office", workflows=[Report])

    @app.cron("0 9 * * *", timezone="Europe/Berlin")
    async def daily(runner: WorkflowRunner, tick: Tick) -> None:
        seen.append(tick)
        await runner.run(Report, {"name": str(tick.scheduled_at.date())}, app_name="office", user_id="u1")

    async with harness_of([app]) as harness:
        await harness.advance(timedelta(days=2))
        assert [str(tick.scheduled_at) for tick in seen] == ["2026-01-05 09:00:00+01:00", "2026-01-06 09:00:00+01:00"]
        assert [tick.fired_at for tick in seen] == [tick.scheduled_at for tick in seen]
        assert {tick.schedule for tick in seen} == {"daily"}
        assert [run.result for run in (await harness.runner.list()).items] == ["2026-01-06", "2026-01-05"]


async def test_a_plain_function_runs_in_a_thread_with_a_blocking_runner(harness_of: Callable[..., Harness]) -> None:
    def write(runner: Any, tick: Tick) -> None:
        runner.run(Report, {"name": tick.schedule}, app_name="office", user_id="u1")

    async with harness_of([hourly(write)]) as harness:
        await harness.advance(HOUR)
        assert [run.result for run in await reports(harness.runner)] == ["write"]


def the_name() -> Iterator[str]:
    yield "injected"


async def test_further_parameters_are_injected(harness_of: Callable[..., Harness]) -> None:
    async def write(
        name: Annotated[str, Depends(the_name)], tick: Tick, anything: WorkflowRunner, spare: int = 1
    ) -> None:
        await anything.run(Report, Job(name=name), app_name="office", user_id="u1")

    def write_too(runner: Any, name: Annotated[str, Depends(the_name)]) -> None:
        runner.run(Report, Job(name=name), app_name="office", user_id="u2")

    app = hourly(write)
    app.cron("0 * * * *")(write_too)
    async with harness_of([app]) as harness:
        await harness.advance(HOUR)
        assert [run.result for run in await reports(harness.runner)] == ["injected"] * 2


async def test_a_schedule_starts_its_workflow_with_its_args_for_its_user(harness_of: Callable[..., Harness]) -> None:
    app = App("office", workflows=[Report])
    app.schedule("nightly", workflow="report", args={"name": "n"}, user_id="u7", every=timedelta(hours=6))
    async with harness_of([app]) as harness:
        await harness.advance(timedelta(days=1))
        found = await reports(harness.runner)
        assert [run.created_at.hour for run in found] == [6, 12, 18, 0]
        assert {(run.user_id, run.result) for run in found} == {("u7", "n")}
        assert len({run.idempotency_key for run in found}) == 4


# -- a handler that runs again ----------------------------------------------------------------------------------------


class Dated(BaseModel):
    id: str = Field(default_factory=lambda: uuid4().hex)


class Dating(Workflow[Dated, None, str]):
    @transition(target=END)
    async def note(self) -> str:
        return self.args.id


async def test_a_handler_that_fails_is_tried_again_and_starts_nothing_twice(
    caplog: pytest.LogCaptureFixture, harness_of: Callable[..., Harness]
) -> None:
    attempts: list[datetime] = []
    app = App("office", workflows=[Report, Dating])

    @app.cron("0 * * * *")
    async def write(runner: WorkflowRunner, tick: Tick) -> None:
        attempts.append(tick.fired_at)
        for _ in range(2):  # two equal calls are meant
            await runner.run(Report, {"name": "a"}, app_name="office", user_id="u1")
        await runner.as_user("u1").run(Report, Job(name="b"), app_name="office")
        await runner.run_many(
            [Start(Report, {"name": "c"}), Start(Report, {"name": "c"})], app_name="office", user_id="u1"
        )
        for _ in range(2):
            await runner.run_batch([Start(Report, {"name": "f"})] * 3, app_name="office", user_id="u1")
        for _ in range(2):
            await runner.workspaces.create("office", "u1", "January")
        await runner.run(Dating, app_name="office", user_id="u1")
        await runner.run_many([Start(Dating, Dated())], app_name="office", user_id="u1")
        await runner.run_sync(Report, {"name": "d"}, app_name="office", user_id="u1")
        await runner.run(Report, {"name": "e"}, app_name="office", user_id="u1", idempotency_key=f"own-{len(attempts)}")
        if len(attempts) < 4:
            raise RuntimeError("not yet")

    async with harness_of([app]) as harness:
        await harness.advance(HOUR + timedelta(minutes=1))
        assert attempts == [datetime(2026, 1, 5, 1, tzinfo=UTC)] * 4
        found = Counter(run.result for run in await reports(harness.runner))
        assert found == {"a": 2, "b": 1, "c": 2, "d": 1, "e": 4, "f": 6}
        assert len((await harness.runner.list(workflow=Dating)).items) == 2
        made = (await harness.runner.workspaces.list(user_id="u1")).items
        assert sorted(one.title or "" for one in made) == ["", "January", "January"]
    assert caplog.text.count("the handler of tick:office:write:2026-01-05T01:00:00+00:00 failed") == 3


async def test_a_signal_and_an_event_of_a_handler_count_once(harness_of: Callable[..., Harness]) -> None:
    tries = []
    app = App("office", workflows=[Ask, Heard])

    @app.cron("0 * * * *")
    async def write(runner: WorkflowRunner, tick: Tick) -> None:
        tries.append(tick)
        [waiting] = (await runner.list(workflow=Ask)).items
        await runner.signal(waiting.workflow_id, "answer")
        await runner.emit("office.opened", {"at": "nine"})
        if len(tries) == 1:
            raise RuntimeError("once more")

    async with harness_of([app]) as harness:
        await harness.runner.run(Ask, app_name="office", user_id="u1")
        await harness.advance(HOUR + timedelta(minutes=1))
        assert len(tries) == 2
        assert len((await harness.runner.list(workflow=Heard)).items) == 1
        [asked] = (await harness.runner.list(workflow=Ask)).items
        assert asked.status == "completed"


async def _exit(tick: Tick) -> None:
    raise SystemExit(3)


async def _leave(tick: Tick) -> None:
    raise GeneratorExit("left")


def _stop(tick: Tick) -> None:
    raise StopIteration("no more")


def _dependency() -> Iterator[str]:
    yield "given"
    raise KeyboardInterrupt("cleaning up")


async def _injected(tick: Tick, given: str = Depends(_dependency)) -> None:
    assert given == "given"


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (_exit, "SystemExit: 3"),
        (_leave, "GeneratorExit: left"),
        (_stop, "StopIteration: no more"),
        (_injected, "KeyboardInterrupt: cleaning up"),
    ],
)
async def test_whatever_a_handler_raises_is_told_and_other_schedules_go_on(
    harness_of: Callable[..., Harness], caplog: pytest.LogCaptureFixture, handler: Any, text: str
) -> None:
    app, fired = App("office", workflows=[Report]), []
    app.cron("0 * * * *", name="breaks")(handler)

    @app.cron("0 * * * *")
    async def works(tick: Tick) -> None:
        fired.append(tick)

    async with harness_of([app]) as harness:
        await harness.advance(HOUR + timedelta(minutes=1))
        assert len(fired) == 1
        await harness.advance(HOUR)
        assert len(fired) == 2
    assert f"the handler of tick:office:breaks:2026-01-05T01:00:00+00:00 failed: {text}" in caplog.text


# -- which ticks fire -------------------------------------------------------------------------------------------------


async def quiet(tick: Tick) -> None: ...


async def test_a_schedule_counts_from_the_moment_it_is_seen_first(opened: Any) -> None:
    clock = VirtualClock(NOON + timedelta(minutes=30))
    app = hourly(quiet)
    async with opened(app, clock) as stepwell:
        own = stepwell.process.scheduler
        assert await own.fire_due() == 0
        assert to_datetime(await own.next_wake()) == NOON + HOUR
        clock.move_to(clock.now() + 1_800_000_000)
        assert await ticked(stepwell, "quiet", 1) == [NOON + HOUR]
        assert to_datetime(await own.next_wake()) == NOON + 2 * HOUR


async def ticked(stepwell: Stepwell, name: str, count: int, app: str = "office") -> list[datetime]:
    """The ticks that have fired, once there are `count` of them; the scheduler of the process fires too."""
    assert stepwell.process is not None
    await stepwell.process.scheduler.fire_due()
    found = await ticks(stepwell, app, name)
    assert len(found) == count, found
    await settled(stepwell)
    return [to_datetime(tick.scheduled_at) for tick in found]


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
    opened: Any, misfire: str, catch_up: timedelta, fired: list[int]
) -> None:
    app = hourly(quiet, misfire=misfire, catch_up=catch_up)
    async with opened(app, VirtualClock(NOON)) as stepwell:
        await ticked(stepwell, "quiet", 0)
    async with opened(app, VirtualClock(NOON + 5 * HOUR + timedelta(minutes=30))) as stepwell:
        assert await ticked(stepwell, "quiet", len(fired)) == [NOON + n * HOUR for n in fired]
    async with opened(app, VirtualClock(NOON + 5 * HOUR + timedelta(minutes=31))) as stepwell:
        assert len(await ticked(stepwell, "quiet", len(fired))) == len(fired)


async def test_fault_13_two_processes_fire_a_tick_once(opened: Any) -> None:
    clock = VirtualClock(NOON)
    seen: list[datetime] = []

    def app() -> App:
        async def note(tick: Tick) -> None:
            seen.append(tick.scheduled_at)

        made = hourly(note)
        made.schedule("report", workflow=Report, args={"name": "r"}, every=HOUR)
        return made

    async with opened(app(), clock) as one, opened(app(), clock) as two:
        both = [one.process.scheduler, two.process.scheduler]
        for _ in range(5):
            await asyncio.gather(*(scheduler.next_wake() for scheduler in both))
            clock.move_to(clock.now() + 3_600_000_000)
            await asyncio.gather(*(scheduler.fire_due() for scheduler in both))
            await settled(one)
        assert sorted(seen) == [NOON + n * HOUR for n in range(1, 6)]
        assert len(await reports(one.runner)) == 5


async def test_a_process_without_a_worker_fires_nothing(opened: Any) -> None:
    clock = VirtualClock(NOON)
    async with opened(hourly(quiet), clock, embedded_worker=False) as stepwell:
        clock.move_to(clock.now() + 7_200_000_000)
        await asyncio.sleep(0.1)
        assert await ticks(stepwell, "office", "quiet") == []


@pytest.mark.parametrize(("overlap", "while_busy", "afterwards"), [("skip", 1, 2), ("allow", 3, 4), ("queue", 1, 2)])
async def test_overlap(
    overlap: Any, while_busy: int, afterwards: int, caplog: pytest.LogCaptureFixture, harness_of: Callable[..., Harness]
) -> None:
    app = App("office", workflows=[Ask])
    app.schedule("ask", workflow=Ask, every=HOUR, overlap=overlap)
    async with harness_of([app]) as harness:

        async def asked() -> list[Run]:
            return list((await harness.runner.list(workflow=Ask)).items)

        async def answered(run: Run) -> None:
            await harness.runner.signal(run.workflow_id, "answer")
            await harness.drain()

        await harness.advance(3 * HOUR)
        assert len(await asked()) == while_busy
        await answered((await asked())[-1])
        if overlap == "queue":  # those that came due meanwhile fire one after the other
            assert len(await asked()) == 2
            await answered((await asked())[0])
            assert len(await asked()) == 3
        else:
            await harness.advance(HOUR)
            assert len(await asked()) == afterwards
    assert ("skips 1 ticks: overlap='skip'" in caplog.text) == (overlap == "skip")


async def test_a_paused_schedule_fires_nothing_and_catches_nothing_up(harness_of: Callable[..., Harness]) -> None:
    app = App("office", workflows=[Report])
    app.schedule("report", workflow=Report, args={"name": "r"}, every=HOUR, misfire="all")
    async with harness_of([app]) as harness:
        assert harness.stepwell.process is not None
        own = harness.stepwell.process.scheduler
        await own.pause("office", "report")
        await harness.advance(3 * HOUR + timedelta(minutes=30))
        assert await reports(harness.runner) == []
        await own.pause("office", "report", False)
        await harness.advance(HOUR)
        assert [run.created_at.hour for run in await reports(harness.runner)] == [4]
        with pytest.raises(StepwellError, match="No schedule 'other' in app 'office'"):
            await own.pause("office", "other")


async def test_another_rule_catches_nothing_up_of_before(opened: Any) -> None:
    async with opened(hourly(quiet), VirtualClock(NOON)) as stepwell:
        await ticked(stepwell, "quiet", 0)
    changed = App("office")
    changed.cron("*/5 * * * *", misfire="all")(quiet)
    async with opened(changed, VirtualClock(NOON + HOUR)) as stepwell:
        assert await ticked(stepwell, "quiet", 1) == [NOON + HOUR]


async def test_a_tick_that_its_workflow_refuses_does_not_stop_the_schedule(
    opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualClock(NOON)
    app = App("office", workflows=[Report])
    app.schedule("report", workflow=Report, args={"name": "x" * 2_000_000}, every=HOUR)
    async with opened(app, clock) as stepwell:
        for _ in range(2):
            await stepwell.process.scheduler.next_wake()
            clock.move_to(clock.now() + 3_600_000_000)
            await stepwell.process.scheduler.fire_due()
        assert [tick.outcome for tick in await ticks(stepwell, "office", "report")] == ["refused"] * 2
    assert "schedule 'report' of app 'office' could not fire its tick" in caplog.text


async def test_old_ticks_go_with_the_runs_of_their_handlers(opened: Any) -> None:
    clock = VirtualClock(NOON)
    app = App("office", workflows=[Report])
    app.cron("0 0 * * *")(quiet)
    app.schedule("report", workflow=Report, args={"name": "r"}, cron="0 0 * * *")
    async with opened(app, clock) as stepwell:
        own = stepwell.process.scheduler
        for _ in range(3):
            await own.next_wake()
            clock.move_to(clock.now() + 86_400_000_000)
            await own.fire_due()
            await settled(stepwell)
        clock.move_to(clock.now() + 40 * 86_400_000_000)
        while await own.clean():
            pass
        # The newest stays: the next tick asks for its run.
        kept = [await ticks(stepwell, "office", name) for name in ("quiet", "report")]
        assert [len(found) for found in kept] >= [1, 1]
        internal = await stepwell.process.store.read(
            lambda tx: tx.scalar("SELECT count(*) FROM stepwell_runs WHERE internal=1")
        )
        assert internal == len(kept[0])
        assert len(await reports(stepwell.runner)) >= 3  # runs of users are theirs to delete


async def test_a_look_that_fails_is_repeated(
    opened: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, fails = Scheduler._look, [RuntimeError("once"), StoreUnavailable("twice")]

    async def broken_twice(self: Scheduler, name: Any) -> Any:
        if fails:
            raise fails.pop(0)
        return await look(self, name)

    monkeypatch.setattr(Scheduler, "_look", broken_twice)
    monkeypatch.setattr(scheduler, "_AGAIN", 0.01)
    async with opened(hourly(quiet), VirtualClock(NOON)) as stepwell:
        async with asyncio.timeout(60):
            while not stepwell.process.scheduler._wakes:
                await asyncio.sleep(0.01)
    assert "schedule 'quiet' of app 'office': RuntimeError: once" in caplog.text
    assert "schedules are waiting for the database: twice" in caplog.text

"""The harness: what is due is executed, what isn't waits for the clock, and what never rests is named."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel

from stepwell import END, App, Event, Retry, Settings, Start, Tick, Workflow, WorkflowRunner, transition
from stepwell.errors import StepwellError
from stepwell.testing import Harness, VirtualClock

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)


class Seen(BaseModel):
    at: list[str] = []


class Invoice(Workflow[None, Seen]):
    @transition(target="open")
    async def send(self) -> None: ...

    @transition("open", "open", after=timedelta(days=14))
    async def remind(self) -> None:
        self.state.at.append(self.info.place)

    @transition("open", END, wait=True)
    async def paid(self) -> int:
        return len(self.state.at)


class Flaky(Workflow):
    @transition(target=END, retry=Retry(retries=3, delay=timedelta(seconds=10)))
    async def work(self) -> int:
        if self.info.attempt < 4:
            raise ValueError("not yet")
        return self.info.attempt


class Blocking(Workflow):
    @transition(target=END)
    def work(self) -> str:
        return "done in a thread"


class Parent(Workflow):
    @transition(target="open")
    async def begin(self) -> None:
        for n in range(3):
            await self.start(Invoice, label=f"invoice {n}", callback="paid")

    @transition("open", "open", wait=True, keep=True)
    async def paid(self) -> None: ...

    @transition("open", END, after=timedelta(days=30))
    async def close(self) -> None: ...


class Told(Workflow, on=Event("invoice.sent")):
    @transition(target=END)
    async def note(self) -> None: ...


class Stuck(Workflow):
    release: asyncio.Event

    @transition(target=END)
    async def wait_for_the_test(self) -> None:
        await Stuck.release.wait()


class Spinning(Workflow):
    @transition(target="here")
    async def begin(self) -> None: ...

    @transition("here", "here", after=timedelta(0))
    async def again(self) -> None: ...

    @transition("here", END, wait=True)
    async def stop(self) -> None: ...


app = App("books", workflows=[Invoice, Flaky, Blocking, Parent, Told, Stuck, Spinning])


async def test_time_begins_on_a_monday_and_stands_still() -> None:
    async with Harness(apps=[app]) as harness:
        assert isinstance(harness.clock, VirtualClock)
        assert harness.clock.now_datetime() == BEGIN
        run = await harness.runner.run(Blocking, app_name="books", user_id="u1")
        await harness.drain()
        found = await run.get()
        assert (found.status, found.created_at, found.finished_at) == ("completed", BEGIN, BEGIN)


async def test_time_begins_when_the_test_says() -> None:
    now = datetime(2030, 6, 1, 12, tzinfo=UTC)
    async with Harness(apps=[app], now=now) as harness:
        assert harness.clock.now_datetime() == now


def test_a_naive_now_names_no_moment() -> None:
    with pytest.raises(ValueError, match="no timezone"):
        Harness(apps=[app], now=datetime(2030, 6, 1))


async def test_advance_goes_from_one_due_moment_to_the_next() -> None:
    async with Harness(apps=[app]) as harness:
        run = await harness.runner.run(Invoice, app_name="books", user_id="u1")
        await harness.advance(timedelta(days=365))
        assert harness.clock.now_datetime() == BEGIN + timedelta(days=365)
        history = await harness.runner.history(run.workflow_id)
        reminded = [row.finished_at - BEGIN for row in history if row.transition == "remind"]
        assert reminded == [timedelta(days=14 * n) for n in range(1, 27)]


async def test_what_is_due_at_the_target_itself_is_executed() -> None:
    async with Harness(apps=[app]) as harness:
        run = await harness.runner.run(Invoice, app_name="books", user_id="u1")
        await harness.advance(timedelta(days=14) - timedelta(microseconds=1))
        assert (await run.get()).state == {"at": []}
        await harness.advance(timedelta(microseconds=1))
        assert (await run.get()).state == {"at": ["open"]}


async def test_retries_wait_for_the_clock() -> None:
    async with Harness(apps=[app]) as harness:
        run = await harness.runner.run(Flaky, app_name="books", user_id="u1")
        await harness.drain()
        assert (await run.get()).status == "retrying"
        await harness.advance(timedelta(seconds=10))
        assert (await run.get()).attempt == 2
        await harness.advance(timedelta(minutes=5))
        assert await run.result() == 4


async def test_retries_that_run_sync_waits_out_wait_for_the_clock() -> None:
    async with Harness(apps=[app]) as harness:
        calling = asyncio.create_task(harness.runner.run_sync(Flaky, app_name="books", user_id="u1"))
        await harness.drain()
        assert not calling.done()
        await harness.advance(timedelta(minutes=5))
        assert (await calling).result == 4


async def test_delayed_runs_wait_for_the_clock() -> None:
    async with Harness(apps=[app]) as harness:
        run = await harness.runner.run(Blocking, app_name="books", user_id="u1", delay=timedelta(hours=1))
        await harness.drain()
        assert (await run.get()).status == "pending"
        await harness.advance(timedelta(hours=1))
        assert await run.result() == "done in a thread"


async def test_advance_fires_ticks() -> None:
    fired: list[datetime] = []
    ticking = App("ticking", workflows=[Blocking])

    @ticking.cron("0 9 * * *")
    async def daily(runner: WorkflowRunner, tick: Tick) -> None:
        fired.append(tick.scheduled_at)
        await runner.run(Blocking, app_name="ticking", user_id="u1")

    ticking.schedule("often", workflow=Blocking, every=timedelta(hours=12))
    async with Harness(apps=[ticking]) as harness:
        await harness.advance(timedelta(days=3))
        assert fired == [BEGIN + timedelta(days=n, hours=9) for n in range(3)]
        runs = (await harness.runner.list()).items
        assert [run.status for run in runs] == ["completed"] * (3 + 6)


async def test_drain_executes_children_events_and_endings() -> None:
    async with Harness(apps=[app]) as harness:
        run = await harness.runner.run(Parent, app_name="books", user_id="u1")
        await harness.drain()
        children = (await harness.runner.list(parent_id=run.workflow_id)).items
        assert [child.status for child in children] == ["waiting"] * 3
        await harness.runner.emit("invoice.sent")
        await harness.drain()
        [told] = (await harness.runner.list(workflow=Told)).items
        assert told.status == "completed"
        await harness.advance(timedelta(days=30))
        children = (await harness.runner.list(parent_id=run.workflow_id)).items
        assert [child.status for child in children] == ["canceled"] * 3


async def test_drain_sees_what_other_tasks_have_begun() -> None:
    async with Harness(apps=[app]) as harness:
        starting = asyncio.create_task(harness.runner.run(Blocking, app_name="books", user_id="u1"))
        await harness.drain()
        assert (await (await starting).get()).status == "completed"


async def test_drain_executes_more_than_there_are_slots() -> None:
    async with Harness(apps=[app], settings=Settings(worker_concurrency=3)) as harness:
        starts = [Start(Blocking) for _ in range(40)]
        runs = await harness.runner.run_many(starts, app_name="books", user_id="u1")
        await harness.drain()
        assert {(await run.get()).status for run in runs} == {"completed"}


async def test_a_drain_without_an_end_names_what_is_still_busy() -> None:
    Stuck.release = asyncio.Event()
    async with Harness(apps=[app]) as harness:
        run = await harness.runner.run(Stuck, app_name="books", user_id="u1")
        async with asyncio.timeout(60):
            while run.workflow_id not in harness.stepwell.process.passes.executing:  # type: ignore[union-attr]
                await asyncio.sleep(0.01)
        with pytest.raises(AssertionError, match=r"The process didn't come to rest within 0\.2 s") as failure:
            await harness.drain(timeout=0.2)
        assert f"run {run.workflow_id} (stuck) running at 'start', executing 'wait_for_the_test'" in str(failure.value)
        Stuck.release.set()
        await harness.drain()
        assert (await run.get()).status == "completed"


async def test_a_timer_that_is_always_due_ends_with_a_failure() -> None:
    async with Harness(apps=[app]) as harness:
        await harness.runner.run(Spinning, app_name="books", user_id="u1")
        with pytest.raises(AssertionError, match="didn't come to rest"):
            await harness.drain(timeout=0.3)


async def test_time_goes_forward_only() -> None:
    async with Harness(apps=[app]) as harness:
        with pytest.raises(ValueError, match="forward only"):
            await harness.advance(timedelta(seconds=-1))


async def test_a_harness_that_is_not_open_says_so() -> None:
    harness = Harness(apps=[app])
    with pytest.raises(StepwellError, match="isn't open"):
        await harness.drain()


async def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_QUEUE_URL", "redis://nowhere")
    monkeypatch.setenv("STEPWELL_DATABASE_URL", "sqlite:///not-here/at-all.db")
    async with Harness(apps=[app]) as harness:
        await harness.drain()


async def test_what_a_test_leaves_executing_is_not_waited_for() -> None:
    Stuck.release = asyncio.Event()
    async with asyncio.timeout(60):
        async with Harness(apps=[app]) as harness:
            await harness.runner.run(Stuck, app_name="books", user_id="u1")


async def test_the_plugin_offers_harnesses(stepwell_harness: Callable[..., Harness]) -> None:
    async with stepwell_harness(apps=[app]) as harness:
        await harness.drain()


def test_the_plugin_loads_nothing_heavy() -> None:
    code = "import sys, stepwell.testing.plugin; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=os.environ)
    assert not {"sqlalchemy", "pydantic", "fastapi"} & set(loaded.stdout.split())

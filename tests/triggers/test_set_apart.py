"""A schedule that can't be looked at keeps no other back, and whoever looks is told of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from backends import Database
from conformance.support import StepwellOn, until
from stepwell import END, App, Stepwell, Tick, Workflow, transition
from stepwell.console.http.access.principal import Principal
from stepwell.console.reading.schedules import Schedules
from stepwell.definition.schedules.schedule_times import IntervalRule, due_ticks
from stepwell.execution.clock import to_moment
from stepwell.store import schedules
from stepwell.testing import Harness

SECOND = timedelta(seconds=1)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    """The database; what stands beside it has no part in this."""
    return str(request.param)


class Note(Workflow):
    @transition(target=END)
    async def note(self) -> None: ...


class Odd:
    """A rule that raises until it is mended."""

    broken = True

    def after(self, moment: datetime) -> datetime:
        if self.broken:
            raise OverflowError("date value out of range")
        return IntervalRule(SECOND).after(moment)


def shop(rule: Odd) -> App:
    app = App("shop", workflows=[Note])
    for name in ("first", "odd", "last"):
        app.schedule(name, workflow=Note, every=SECOND, overlap="allow")
    app.schedules[1] = replace(app.schedules[1], rule=rule)
    return app


async def fired(stepwell: Stepwell, name: str) -> list[schedules.TickRow]:
    assert stepwell.process is not None
    return await stepwell.process.store.read(lambda tx: schedules.ticks_of(tx, "shop", name))


def views(stepwell: Stepwell) -> Schedules:
    return Schedules(stepwell.runner, stepwell.scheduler)


async def test_a_bad_schedule_is_set_apart_told_and_mended(
    stepwell_on: StepwellOn, caplog: pytest.LogCaptureFixture
) -> None:
    rule = Odd()
    stepwell = stepwell_on([shop(rule)])
    web = FastAPI()
    stepwell.mount(web, user=lambda: Principal("admin", role="admin"))
    async with stepwell, httpx.AsyncClient(transport=httpx.ASGITransport(web), base_url="http://test") as client:
        for name in ("first", "last"):
            await until(lambda: fired(stepwell, name), f"a tick of {name!r}")  # noqa: B023
        told = "schedule 'odd' of app 'shop': OverflowError"
        assert await stepwell.faults() == [f"{told}: date value out of range"]

        health = await client.get("/api/v1/health")
        assert (health.status_code, health.json()["ready"]) == (200, True)
        assert health.json()["faults"] == [told]  # everybody may ask: what an error says isn't for everybody

        listed = {one["name"]: one["error"] for one in (await client.get("/api/v1/schedules")).json()}
        assert listed == {"first": None, "last": None, "odd": "OverflowError: date value out of range"}
        assert (await client.get("/api/v1/schedules/shop/odd")).json()["error"] == listed["odd"]

        rule.broken = False
        await until(lambda: fired(stepwell, "odd"), "a tick of the mended one")
        assert await stepwell.faults() == []
        assert {one.error for one in (await views(stepwell).page()).items} == {None}
    logged = [one for one in caplog.records if one.levelno >= logging.ERROR and "odd" in one.getMessage()]
    assert len(logged) == 1, [one.getMessage() for one in logged]


async def test_a_bad_schedule_does_not_stop_a_harness(harness_of: Callable[..., Harness]) -> None:
    async with harness_of([shop(Odd())]) as harness:
        await harness.advance(timedelta(seconds=10))
        assert len(await fired(harness.stepwell, "last")) == 10
        assert await fired(harness.stepwell, "odd") == []


@pytest.mark.parametrize("option", [{"catch_up": timedelta.max}, {"jitter": timedelta.max}])
@pytest.mark.parametrize("misfire", ["latest", "all", "skip"])
async def test_the_longest_spans_are_as_good_as_any(
    harness_of: Callable[..., Harness], option: dict[str, Any], misfire: str
) -> None:
    app = App("shop", workflows=[Note])
    app.schedule("long", workflow=Note, every=SECOND, overlap="allow", misfire=misfire, **option)  # type: ignore[arg-type]
    async with harness_of([app]) as harness:
        await harness.advance(timedelta(seconds=5))
        assert 4 <= len(await fired(harness.stepwell, "long")) <= 5
        assert await harness.stepwell.faults() == []


def test_however_late_is_allowed_everything_is_caught_up() -> None:
    rule = IntervalRule(timedelta(days=1))
    due = due_ticks(rule, NOON, NOON + timedelta(days=800), "all", timedelta.max)
    assert len(due.fire) == 800


ODD_ROWS = [
    ("rule='*/5 garbage ((('", "another rule"),
    ("next_at=NULL", "no next tick"),
    (f"next_at={-(2**62)}", "a next tick before time"),
    (f"next_at={2**62}", "a next tick after time"),
    (f"since={-(2**62)}", "settled before time"),
    ("since=0", "settled half a century ago"),
    (f"since={2**62}", "settled after time"),
    ("paused=-7, paused=0", "paused oddly"),
    ("updated_at=-1", "changed before time"),
]


@pytest.mark.parametrize("change", [sql for sql, _ in ODD_ROWS], ids=[name for _, name in ODD_ROWS])
async def test_a_row_edited_by_hand_stops_no_schedule(stepwell_on: StepwellOn, database: Database, change: str) -> None:
    app = App("shop", workflows=[Note])
    for name in ("edited", "other"):
        app.schedule(name, workflow=Note, every=SECOND, overlap="allow")
    change = change.split(", ")[-1]
    async with stepwell_on([app], embedded_worker=False) as stepwell:
        await stepwell.scheduler.fire_due()
    database.execute(f"UPDATE stepwell_schedules SET {change} WHERE name='edited'")
    async with stepwell_on([app]) as stepwell:
        for name in ("edited", "other"):
            await until(lambda: fired(stepwell, name), f"a tick of {name!r}")  # noqa: B023
        assert await stepwell.faults() == []
        assert {one.error for one in (await views(stepwell).page()).items} == {None}


async def test_a_clock_that_was_ahead_stops_a_schedule_no_longer_than_it_was(
    stepwell_on: StepwellOn, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async def wait(tick: Tick) -> None: ...

    app = App("shop", workflows=[Note])
    app.cron("* * * * *", name="handled")(wait)
    app.schedule("started", workflow=Note, every=SECOND)
    async with stepwell_on([app], embedded_worker=False) as stepwell:
        await stepwell.scheduler.fire_due()
        year = to_moment(datetime.now(UTC) + timedelta(days=365))
        database.execute("UPDATE stepwell_schedules SET since=?, next_at=?", year, year + 1)
        for scheduled_at, outcome in ((year, "fired"), (year + 1, "queued"), (year + 2, "refused")):
            database.execute(
                "INSERT INTO stepwell_ticks (app_name, schedule, scheduled_at, fired_at, outcome, run_id)"
                " VALUES ('shop', 'started', ?, ?, ?, NULL)",
                scheduled_at,
                year,
                outcome,
            )
    async with stepwell_on([app]) as stepwell:
        await until(lambda: fired(stepwell, "started"), "a tick")

        async def again() -> bool:
            ticks = await fired(stepwell, "started")
            return len(ticks) >= 4 and ticks[0].run_id is not None

        await until(again, "ticks of now")
        assert all(tick.scheduled_at < year - 3_600_000_000 for tick in await fired(stepwell, "started"))
        [handled, started] = (await views(stepwell).page()).items
        assert handled.next[0] - datetime.now(UTC) <= timedelta(minutes=1, seconds=5)
        assert started.last is not None
        assert started.last.scheduled_at <= datetime.now(UTC) + timedelta(seconds=5)
    assert caplog.text.count("a clock was ahead") == 2


async def test_a_tick_that_cannot_be_made_stops_none_after_it(
    harness_of: Callable[..., Harness], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App("shop", workflows=[Note])
    app.schedule("broken", workflow=Note, every=SECOND, overlap="allow")
    with monkeypatch.context() as patch:
        async with harness_of([app]) as harness:

            def raises(*_: object, **__: object) -> Any:
                raise KeyError("a validator's own")

            await harness.advance(SECOND)
            patch.setattr("stepwell.triggers.firing.prepare", raises)
            await harness.advance(SECOND)
            patch.undo()
            await harness.advance(SECOND)
            outcomes = [tick.outcome for tick in await fired(harness.stepwell, "broken")]
            assert outcomes == ["fired", "refused", "fired"]

"""A clock that is wrong for seconds changes nothing, and one that stays where it jumped to is followed (rule 51)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from stepwell.execution.clock import SystemClock
from stepwell.faults import Faults
from stepwell.store.workers import WorkerRow
from stepwell.worker import timekeeper
from stepwell.worker.timekeeper import Timekeeper

SECOND = 1_000_000
YEAR = 365 * 86_400 * SECOND
NOW = 1_800_000_000 * SECOND


class World:
    """What the witnesses say: the time that has passed, and by how much each clock is wrong."""

    def __init__(self, *, keeps_time: bool) -> None:
        self.keeps_time = keeps_time
        self.passed = 0
        self.machine = 0
        self.database = 0
        self.last: int | None = None
        self.rows: list[WorkerRow] = []
        self.clock = SystemClock(
            lambda: (NOW + self.passed + self.machine) * 1000, lambda: (12 * SECOND + self.passed) * 1000
        )
        self.faults = Faults(lambda: self.passed / SECOND)
        self.backs = 0
        self.keeper = Timekeeper(self, self.clock, self.faults, "me", 5.0, self._back)  # type: ignore[arg-type]

    def _back(self) -> None:
        self.backs += 1

    async def lag(self, now: Callable[[], int]) -> int:
        return NOW + self.passed + self.database - now()

    async def read(self, query: Any) -> Any:
        return query(self)

    @property
    def wrong_by(self) -> int:
        """Microseconds by which this process's time is wrong."""
        return self.clock.now() - NOW - self.passed

    async def pass_(self, seconds: float, step: float = 2.0) -> None:
        """The keeper looks now and then, as `run` has it."""
        until = self.passed + round(seconds * SECOND)
        while self.passed < until:
            self.passed += round(step * SECOND)
            await self.keeper.look()


@pytest.fixture(autouse=True)
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timekeeper.workers, "last_trace", lambda world, now: world.last)
    monkeypatch.setattr(timekeeper.workers, "all_of", lambda world: list(world.rows))


@pytest.fixture(params=[False, True], ids=["machine", "database"])
async def world(request: pytest.FixtureRequest) -> World:
    made = World(keeps_time=request.param)
    await made.keeper.begin()
    return made


@pytest.mark.parametrize("by", [YEAR, -YEAR, 3600 * SECOND, -90 * SECOND])
async def test_a_machine_that_is_wrong_for_seconds_changes_nothing_and_is_told(
    world: World, by: int, caplog: pytest.LogCaptureFixture
) -> None:
    world.machine = by
    await world.pass_(6)
    assert world.wrong_by == 0
    [told] = world.faults.listed(brief=True)
    assert told.startswith("the clock of this machine: it jumped by")
    assert not world.keeper.may_delete()
    assert len([one for one in caplog.records if one.levelname == "ERROR" and "it jumped" in one.getMessage()]) == 1
    world.machine = 0
    await world.pass_(4)
    assert (world.wrong_by, world.backs, world.faults.listed()) == (0, 0, [])
    assert world.keeper.may_delete()


@pytest.mark.parametrize("by", [YEAR, -YEAR])
async def test_a_server_that_is_wrong_for_seconds_changes_nothing_and_is_told(by: int) -> None:
    world = World(keeps_time=True)
    await world.keeper.begin()
    world.database = by
    await world.pass_(70)
    assert world.wrong_by == 0
    assert "the clock of the database: it jumped by" in world.faults.listed()[0]
    assert not world.keeper.may_delete()
    world.database = 0
    await world.pass_(4)
    assert (world.wrong_by, world.faults.listed()) == (0, [])


@pytest.mark.parametrize("by", [YEAR, -YEAR, 40 * SECOND])
async def test_a_machine_that_was_set_for_good_is_followed(by: int) -> None:
    world = World(keeps_time=False)
    await world.keeper.begin()
    world.machine = by
    await world.pass_(290)
    assert world.wrong_by == 0
    await world.pass_(20)
    assert (world.wrong_by, world.faults.listed()) == (by, [])
    assert world.backs == (1 if by < 0 else 0)


async def test_a_server_that_was_set_for_good_is_followed() -> None:
    world = World(keeps_time=True)
    await world.keeper.begin()
    world.database = YEAR
    await world.pass_(420)
    assert (world.wrong_by, world.faults.listed()) == (YEAR, [])


async def test_a_clock_that_goes_on_jumping_is_not_followed() -> None:
    world = World(keeps_time=False)
    await world.keeper.begin()
    for n in range(10):
        world.machine = YEAR + n * 60 * SECOND
        await world.pass_(200)
    assert world.wrong_by == 0


async def test_where_machine_and_server_agree_they_are_followed_at_once() -> None:
    world = World(keeps_time=True)
    await world.keeper.begin()
    world.machine = world.database = 3600 * SECOND  # as after a machine was paused
    await world.pass_(2)
    assert (world.wrong_by, world.faults.listed()) == (3600 * SECOND, [])


async def test_a_machine_that_stays_wrong_beside_a_server_is_told_for_some_minutes() -> None:
    world = World(keeps_time=True)
    await world.keeper.begin()
    world.machine = YEAR
    await world.pass_(310)
    assert (world.wrong_by, world.faults.listed()) == (0, [])
    world.machine = 0  # and back: that is a jump too
    await world.pass_(2)
    assert len(world.faults.listed()) == 1
    assert world.wrong_by == 0


async def test_a_drift_is_followed(world: World) -> None:
    for _ in range(100):
        world.machine += 10_000
        world.database += 10_000
        await world.pass_(60, 20)
    assert abs(world.wrong_by - SECOND) <= 20_000
    assert world.faults.listed() == []


async def test_a_process_that_begins_with_a_wrong_clock_has_the_servers() -> None:
    world = World(keeps_time=True)
    world.machine = YEAR
    await world.keeper.begin()
    assert world.wrong_by == 0
    assert world.keeper.confirmed.is_set()
    await world.pass_(60)
    assert world.faults.listed() == []


async def test_a_process_that_begins_a_year_ahead_waits_for_the_others_and_takes_their_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(keeps_time=False)
    world.machine = YEAR
    world.last = NOW - SECOND
    await world.keeper.begin()
    assert not world.keeper.confirmed.is_set()
    assert not world.keeper.may_delete()
    counter = 0

    async def sleep(_: float) -> None:
        nonlocal counter
        counter += 1
        world.passed += SECOND
        world.rows = [WorkerRow("other", counter, "host", 1, "[]", 0, NOW + world.passed)]

    monkeypatch.setattr(timekeeper.asyncio, "sleep", sleep)
    await world.keeper._confirm()
    assert world.keeper.confirmed.is_set()
    assert abs(world.wrong_by) <= SECOND
    assert world.backs == 1


async def test_others_that_are_ahead_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(keeps_time=False)
    world.last = NOW + YEAR
    await world.keeper.begin()
    assert not world.keeper.confirmed.is_set()

    async def sleep(_: float) -> None:
        world.passed += SECOND
        world.rows = [WorkerRow("other", world.passed, "host", 1, "[]", 0, NOW + YEAR + world.passed)]

    monkeypatch.setattr(timekeeper.asyncio, "sleep", sleep)
    await world.keeper._confirm()
    assert world.wrong_by == 0


async def test_after_a_long_pause_the_machine_is_believed_and_deletes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(keeps_time=False)
    world.last = NOW - YEAR
    await world.keeper.begin()

    async def sleep(_: float) -> None:
        world.passed += SECOND

    monkeypatch.setattr(timekeeper.asyncio, "sleep", sleep)
    await world.keeper._confirm()
    assert world.keeper.confirmed.is_set()
    assert world.passed <= 6 * SECOND
    assert not world.keeper.may_delete()
    await world.pass_(600)
    assert world.keeper.may_delete()


async def test_who_sleeps_wakes_when_the_clock_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepwell.execution.clock._LOOK", 0.01)
    clock = SystemClock()
    sleeping = asyncio.ensure_future(clock.sleep_until(clock.now() + YEAR))
    await asyncio.sleep(0)
    clock.correct(-YEAR)
    async with asyncio.timeout(60):
        await sleeping

"""Schedules made at run time: their verbs, what they refuse, and whose they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from backends import Database
from stepwell import END, App, Run, Schedule, Settings, Stepwell, Tick, Workflow, WorkflowRunner, transition
from stepwell.errors import (
    InvalidArgs,
    PayloadTooLarge,
    ScheduleExists,
    ScheduleNotFound,
    StepwellError,
    UnknownApp,
    UnknownWorkflow,
)
from stepwell.testing import Harness

START = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
U1: dict[str, Any] = {"app_name": "office", "user_id": "u1"}
ANY: dict[str, Any] = {"app_name": "office"}


class Job(BaseModel):
    name: str = "default"
    day: datetime | None = None


class Report(Workflow[Job, None, str]):
    @transition(target=END)
    async def write(self) -> str:
        return self.args.name


class Precise(BaseModel):
    model_config = ConfigDict(strict=True)

    on: datetime
    words: set[str] = set()


class Strict(Workflow[Precise, None, str]):
    @transition(target=END)
    async def write(self) -> str:
        return f"{self.args.on.isoformat()} {sorted(self.args.words)}"


class Ask(Workflow[None, None, None]):
    @transition(target="asked")
    async def ask(self) -> None: ...

    @transition("asked", END, wait=True)
    async def answer(self) -> None: ...


async def nightly(tick: Tick) -> None: ...


def office() -> App:
    app = App("office", workflows=[Report, Strict, Ask])
    app.cron("0 3 * * *")(nightly)
    return app


@pytest.fixture
def harness(harness_of: Callable[..., Harness]) -> Harness:
    return harness_of([office(), App("annex", workflows=[Report])])


async def started(runner: WorkflowRunner, workflow: Any = Report, **given: Any) -> list[Run]:
    """The runs, the oldest first."""
    return list((await runner.list(workflow=workflow, limit=1000, **given)).items)[::-1]


async def made(runner: WorkflowRunner, name: str = "s", **given: Any) -> Schedule:
    return await runner.schedules.create(name, Report, {"name": name}, **{**U1, "every": HOUR, **given})


# -- the rules --------------------------------------------------------------------------------------------------------


async def test_an_interval_counts_from_when_it_is_made(harness: Harness) -> None:
    async with harness:
        await harness.advance(10 * MINUTE)
        schedule = await harness.runner.schedules.create("hourly", Report, Job(name="r"), **U1, every=HOUR)
        assert (schedule.name, schedule.app_name, schedule.user_id) == ("hourly", "office", "u1")
        assert (schedule.workflow_name, schedule.args) == ("report", {"name": "r", "day": None})
        assert (schedule.overlap, schedule.misfire, schedule.catch_up) == ("skip", "latest", timedelta(days=1))
        assert (schedule.jitter, schedule.timezone, schedule.paused) == (timedelta(0), "UTC", False)
        assert (schedule.next, schedule.last) == (START + 70 * MINUTE, None)
        assert schedule.created_at == START + 10 * MINUTE
        await harness.advance(3 * HOUR)
        runs = await started(harness.runner)
        assert [run.created_at for run in runs] == [START + 10 * MINUTE + n * HOUR for n in (1, 2, 3)]
        assert {(run.user_id, run.result, run.status) for run in runs} == {("u1", "r", "completed")}
        found = await harness.runner.schedules.get("hourly", **U1)
        assert (found.last, found.next) == (START + 190 * MINUTE, START + 250 * MINUTE)


async def test_a_cron_expression_ticks_in_its_timezone(harness: Harness) -> None:
    async with harness:
        schedule = await made(harness.runner, every=None, cron="0 9 * * *", timezone="Europe/Berlin")
        assert schedule.timezone == "Europe/Berlin"
        assert schedule.rule == "0 9 * * * (Europe/Berlin)"
        assert schedule.next == START + 8 * HOUR
        await harness.advance(timedelta(days=2))
        assert [run.created_at for run in await started(harness.runner)] == [START + 8 * HOUR, START + 32 * HOUR]


async def test_a_moment_fires_once(harness: Harness) -> None:
    async with harness:
        at = datetime(2026, 1, 5, 3, tzinfo=timezone(timedelta(hours=2)))
        schedule = await made(harness.runner, every=None, at=at, jitter=MINUTE)
        assert schedule.next == at
        await harness.advance(timedelta(days=30))
        [run] = await started(harness.runner)
        assert START + HOUR <= run.created_at < START + HOUR + MINUTE
        found = await harness.runner.schedules.get("s", **U1)
        assert (found.next, found.last) == (None, at)


async def test_args_come_back_as_they_were_given(harness: Harness) -> None:
    async with harness:
        args = Precise(on=START, words={"b", "a"})
        await harness.runner.schedules.create("s", Strict, args, **U1, every=HOUR)
        await harness.advance(HOUR)
        [run] = await started(harness.runner, Strict)
        assert run.result == "2026-01-05T00:00:00+00:00 ['a', 'b']"


@pytest.mark.parametrize(("overlap", "while_busy"), [("skip", 1), ("allow", 3), ("queue", 1)])
async def test_overlap(harness: Harness, overlap: Any, while_busy: int) -> None:
    async with harness:
        await harness.runner.schedules.create("s", Ask, **U1, every=HOUR, overlap=overlap)
        await harness.advance(3 * HOUR)
        runs = await started(harness.runner, Ask)
        assert len(runs) == while_busy
        if overlap == "queue":  # those that came due meanwhile fire one after the other
            for count in (2, 3):
                await harness.runner.signal(runs[-1].workflow_id, "answer")
                await harness.drain()
                runs = await started(harness.runner, Ask)
                assert len(runs) == count


async def test_jitter_delays_each_tick_by_a_part_of_its_own(harness: Harness) -> None:
    async with harness:
        await made(harness.runner, jitter=30 * MINUTE)
        await harness.advance(4 * HOUR + 30 * MINUTE)
        late = [run.created_at - START - n * HOUR for n, run in enumerate(await started(harness.runner), start=1)]
        assert len(late) == len(set(late)) == 4
        assert all(timedelta(0) <= one < 30 * MINUTE for one in late)


# -- names ------------------------------------------------------------------------------------------------------------


async def test_a_name_belongs_to_an_app_and_a_user(harness: Harness) -> None:
    async with harness:
        schedules = harness.runner.schedules
        await made(harness.runner)
        with pytest.raises(ScheduleExists, match="User 'u1' has a schedule 's' in app 'office' already"):
            await made(harness.runner, every=MINUTE)
        await made(harness.runner, user_id="u2")
        await made(harness.runner, app_name="annex")
        assert (await schedules.get("s", **U1)).rule.startswith("every 1:00:00")
        with pytest.raises(InvalidArgs, match="Several users have a schedule 's' in app 'office'"):
            await schedules.get("s", app_name="office")
        assert (await schedules.get("s", app_name="annex")).user_id == "u1"
        await schedules.delete("s", **U1)
        assert (await schedules.get("s", app_name="office")).user_id == "u2"
        await made(harness.runner)


async def test_a_declared_name_is_taken(harness: Harness) -> None:
    async with harness:
        with pytest.raises(ScheduleExists, match="The app 'office' declares a schedule 'nightly' in its code"):
            await made(harness.runner, "nightly")
        await made(harness.runner, "nightly", app_name="annex")
        with pytest.raises(ScheduleNotFound, match="declared in the app's code"):
            await harness.runner.schedules.pause("nightly", **U1)


async def test_of_many_that_make_it_one_wins(harness: Harness) -> None:
    async with harness:
        calls = [made(harness.runner, every=n * MINUTE) for n in range(1, 201)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        [won] = [one for one in answers if isinstance(one, Schedule)]
        assert sum(isinstance(one, ScheduleExists) for one in answers) == 199
        assert await harness.runner.schedules.get("s", **U1) == won


async def test_what_is_missing_is_not_found(harness: Harness) -> None:
    async with harness:
        schedules = harness.runner.schedules
        for verb in (
            schedules.get,
            schedules.pause,
            schedules.resume,
            schedules.fire,
            schedules.delete,
            schedules.update,
        ):
            with pytest.raises(ScheduleNotFound, match="No schedule 'none' of user 'u1' was made in app 'office'"):
                await verb("none", **U1)  # type: ignore[operator]


# -- what can't be ----------------------------------------------------------------------------------------------------

WRONG: list[tuple[dict[str, Any], type[StepwellError], str]] = [
    ({"every": None}, InvalidArgs, "give one of cron=, every= and at=, not none of them"),
    ({"cron": "@daily"}, InvalidArgs, "give one of cron=, every= and at=, not cron= and every="),
    ({"at": START + HOUR}, InvalidArgs, "not every= and at="),
    ({"every": timedelta(0)}, InvalidArgs, "from 1 second to 366 days"),
    ({"every": 60}, InvalidArgs, "every=60 must be a timedelta"),
    ({"every": None, "cron": "* * *"}, InvalidArgs, "has 3 fields"),
    ({"every": None, "cron": "0 0 30 2 *"}, InvalidArgs, "'0 0 30 2 \\*'"),
    ({"every": None, "cron": "@daily", "timezone": "Europe/Berln"}, InvalidArgs, "did you mean Europe/Berlin"),
    ({"timezone": "Europe/Berlin"}, InvalidArgs, "timezone='Europe/Berlin' does nothing with every="),
    ({"every": None, "at": START - HOUR}, InvalidArgs, "at=2026-01-04T23:00:00\\+00:00 is in the past"),
    ({"every": None, "at": START}, InvalidArgs, "is in the past"),
    ({"every": None, "at": datetime(2027, 1, 1)}, InvalidArgs, "must be an aware datetime"),
    ({"every": None, "at": "tomorrow"}, InvalidArgs, "must be an aware datetime"),
    ({"overlap": "skipp"}, InvalidArgs, "Did you mean 'skip'"),
    ({"misfire": "lastest"}, InvalidArgs, "Did you mean 'latest'"),
    ({"catch_up": -HOUR}, InvalidArgs, "catch_up="),
    ({"jitter": timedelta.max}, InvalidArgs, "jitter=.* must be at most"),
    ({"paused": "no"}, InvalidArgs, "paused='no' is neither"),
    ({"name": ""}, InvalidArgs, "name=''"),
    ({"name": "  "}, InvalidArgs, "name='  '"),
    ({"name": "a\0"}, InvalidArgs, "name="),
    ({"name": 5}, InvalidArgs, "name=5"),
    ({"name": "x" * 201}, InvalidArgs, "name="),
    ({"user_id": None}, InvalidArgs, "user_id is missing"),
    ({"user_id": "a\0"}, InvalidArgs, "user_id="),
    ({"app_name": "shop"}, UnknownApp, "No app 'shop'"),
    ({"workflow": "other"}, UnknownWorkflow, "doesn't list the workflow 'other'"),
    ({"workflow": "schedule:nightly"}, UnknownWorkflow, "can't be scheduled"),
    ({"args": {"name": 5}}, InvalidArgs, "The args of Report don't fit Job"),
    ({"args": {"name": "x" * 2_000_000}}, PayloadTooLarge, "the limit is"),
    ({"workflow": Ask, "args": {"a": 1}}, InvalidArgs, "Ask takes no args"),
]


@pytest.mark.parametrize(("given", "error", "text"), WRONG)
async def test_what_cannot_be_is_refused_before_anything_is_stored(
    harness: Harness, given: dict[str, Any], error: type[StepwellError], text: str
) -> None:
    call: dict[str, Any] = {"name": "s", "workflow": Report, "args": {}, **U1, "every": HOUR, **given}
    async with harness:
        with pytest.raises(error, match=text):
            await harness.runner.schedules.create(**call)
        assert (await harness.runner.schedules.list()).items == ()


async def test_an_unknown_keyword_is_refused(harness: Harness) -> None:
    async with harness:
        await made(harness.runner)
        with pytest.raises(TypeError, match="evry= is unknown; did you mean every="):
            await harness.runner.schedules.update("s", **U1, evry=MINUTE)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="evry"):
            await harness.runner.schedules.create("t", Report, **U1, evry=MINUTE)  # type: ignore[call-arg]


# -- changes ----------------------------------------------------------------------------------------------------------


async def test_another_rule_counts_from_now(harness: Harness) -> None:
    async with harness:
        await made(harness.runner, misfire="all")
        await harness.advance(90 * MINUTE)
        changed = await harness.runner.schedules.update("s", **U1, every=2 * HOUR)
        assert (changed.next, changed.last) == (START + 210 * MINUTE, START + HOUR)
        await harness.advance(3 * HOUR)
        assert [run.created_at for run in await started(harness.runner)] == [START + HOUR, START + 210 * MINUTE]
        changed = await harness.runner.schedules.update("s", **U1, cron="0 * * * *", timezone="Asia/Kolkata")
        assert (changed.rule, changed.next) == ("0 * * * * (Asia/Kolkata)", START + 270 * MINUTE + timedelta(hours=1))
        assert (await harness.runner.schedules.update("s", **U1, cron="30 * * * *")).timezone == "Asia/Kolkata"
        changed = await harness.runner.schedules.update("s", **U1, timezone="UTC")
        assert changed.rule == "30 * * * * (UTC)"
        at = START + 10 * HOUR
        assert (await harness.runner.schedules.update("s", **U1, at=at)).next == at


async def test_other_changes_leave_the_rule(harness: Harness) -> None:
    async with harness:
        await made(harness.runner)
        await harness.advance(30 * MINUTE)
        update = harness.runner.schedules.update
        changed = await update("s", **U1, args={"name": "new"}, overlap="allow", catch_up=HOUR, jitter=MINUTE)
        assert (changed.args, changed.overlap, changed.next) == ({"name": "new", "day": None}, "allow", START + HOUR)
        assert (changed.catch_up, changed.jitter) == (HOUR, MINUTE)
        await update("s", **U1, catch_up=None, jitter=timedelta(0), workflow="report")
        await harness.advance(HOUR)
        assert [run.result for run in await started(harness.runner)] == ["new"]
        changed = await update("s", **U1, workflow=Ask, args=None)
        assert (changed.workflow_name, changed.args, changed.catch_up) == ("ask", None, timedelta(days=1))
        await harness.advance(HOUR)
        assert len(await started(harness.runner, Ask)) == 1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"every": HOUR, "cron": "@daily"}, "not cron= and every="),
        ({"every": None}, "not none of them"),
        ({"timezone": "Europe/Berlin"}, "does nothing with every="),
        ({"cron": "nonsense"}, "has 1 fields"),
        ({"at": START}, "is in the past"),
        ({"args": {"name": 5}}, "don't fit Job"),
        ({"overlap": "never"}, "must be one of"),
        ({"workflow": Strict}, "The args of Strict don't fit Precise"),
    ],
)
async def test_a_change_that_cannot_be_changes_nothing(harness: Harness, changes: dict[str, Any], text: str) -> None:
    async with harness:
        before = await made(harness.runner)
        await harness.advance(MINUTE)
        with pytest.raises(InvalidArgs, match=text):
            await harness.runner.schedules.update("s", **U1, misfire="all", **changes)
        assert await harness.runner.schedules.get("s", **U1) == before


async def test_changes_at_the_same_time_are_all_made(harness: Harness) -> None:
    async with harness:
        await made(harness.runner)
        update = harness.runner.schedules.update
        changes: list[dict[str, Any]] = [
            {"args": {"name": "new"}},
            {"overlap": "allow"},
            {"jitter": MINUTE},
            {"every": MINUTE},
        ]
        await asyncio.gather(*(update("s", **U1, **change) for change in changes))
        found = await harness.runner.schedules.get("s", **U1)
        assert (found.args["name"], found.overlap, found.jitter, found.rule[:13]) == (
            "new",
            "allow",
            MINUTE,
            "every 0:01:00",
        )


async def test_a_paused_schedule_fires_nothing_and_catches_nothing_up(harness: Harness) -> None:
    async with harness:
        schedules = harness.runner.schedules
        await made(harness.runner, misfire="all", paused=True)
        await harness.advance(90 * MINUTE)
        assert (await schedules.resume("s", **U1)).paused is False
        await harness.advance(HOUR)
        assert (await schedules.pause("s", **U1)).paused is True
        await harness.advance(2 * HOUR)
        assert (await schedules.update("s", **U1, paused=False)).paused is False
        await harness.advance(HOUR)
        assert [run.created_at for run in await started(harness.runner)] == [START + n * HOUR for n in (2, 5)]


async def test_fired_by_hand(harness: Harness) -> None:
    async with harness:
        await made(harness.runner, paused=True)
        fire = harness.runner.schedules.fire
        tick = await fire("s", **U1)
        assert (tick.outcome, tick.scheduled_at) == ("fired", START)
        await harness.drain()
        assert tick.workflow_id is not None
        assert (await harness.runner.get(tick.workflow_id)).result == "s"
        first = await fire("s", **U1, idempotency_key="k")
        again = await fire("s", app_name="office", idempotency_key="k")
        assert first.workflow_id == again.workflow_id != tick.workflow_id
        assert (await harness.runner.schedules.get("s", **U1)).last is not None


async def test_each_call_fires_a_tick_of_its_own(harness: Harness) -> None:
    async with harness:
        await made(harness.runner, overlap="allow")
        await harness.advance(HOUR)
        fire = harness.runner.schedules.fire
        ticks = [await fire("s", **U1), await fire("s", **U1, idempotency_key="k"), await fire("s", **U1)]
        assert len({tick.scheduled_at for tick in ticks} - {START + HOUR}) == 3
        assert len({tick.workflow_id for tick in ticks}) == 3
        assert len(await started(harness.runner)) == 4


async def test_deleted_it_fires_nothing_and_its_runs_stay(harness: Harness) -> None:
    async with harness:
        schedules = harness.runner.schedules
        await schedules.create("s", Ask, **U1, every=HOUR, overlap="queue")
        await harness.advance(3 * HOUR)
        await schedules.delete("s", **U1)
        [run] = await started(harness.runner, Ask)
        await harness.runner.signal(run.workflow_id, "answer")
        await harness.advance(3 * HOUR)
        assert [one.status for one in await started(harness.runner, Ask)] == ["completed"]
        # The same name is another schedule: nothing of the first one counts for it.
        await schedules.create("s", Report, {"name": "second"}, **U1, every=HOUR)
        await harness.advance(HOUR)
        assert [one.result for one in await started(harness.runner)] == ["second"]


# -- whose they are ---------------------------------------------------------------------------------------------------


async def test_a_restricted_runner_has_its_users_schedules_only(harness: Harness) -> None:
    async with harness:
        await made(harness.runner, "mine")
        await made(harness.runner, "theirs", user_id="u2")
        own = harness.runner.as_user("u1").schedules
        assert (await own.create("new", Report, app_name="office", every=HOUR)).user_id == "u1"
        assert (await own.get("mine", app_name="office")).user_id == "u1"
        assert {one.name for one in (await own.list()).items} == {"mine", "new"}
        for given in ({"app_name": "office"}, {"app_name": "office", "user_id": "u2"}):
            for verb in (own.get, own.pause, own.resume, own.fire, own.delete, own.update):
                with pytest.raises(ScheduleNotFound):
                    await verb("theirs", **given)  # type: ignore[operator]
        with pytest.raises(ScheduleNotFound):
            await own.list(user_id="u2")
        with pytest.raises(ScheduleNotFound):
            await own.create("new", Report, app_name="office", user_id="u2", every=HOUR)
        assert (await harness.runner.schedules.get("theirs", **ANY)).paused is False


async def test_pages(harness: Harness) -> None:
    async with harness:
        for n in range(5):
            await made(harness.runner, f"s{n}", user_id=f"u{n % 2}", app_name="annex" if n == 4 else "office")
            await harness.advance(MINUTE)
        listed = harness.runner.schedules.list
        names, cursor = [], None
        while True:
            page = await listed(limit=2, cursor=cursor)
            names += [one.name for one in page.items]
            if (cursor := page.next_cursor) is None:
                break
        assert names == ["s4", "s3", "s2", "s1", "s0"]
        assert [one.name for one in (await listed(user_id="u0")).items] == ["s4", "s2", "s0"]
        assert [one.name for one in (await listed(app_name="annex")).items] == ["s4"]
        assert (await listed(app_name="none")).items == ()
        with pytest.raises(InvalidArgs, match="limit=0"):
            await listed(limit=0)
        with pytest.raises(InvalidArgs, match="cursor="):
            await listed(cursor="x")


async def test_synchronous_code_has_the_same_verbs(database: Database) -> None:
    def use(stepwell: Stepwell) -> list[Any]:
        own = stepwell.runner.blocking.as_user("u1").schedules
        schedule = own.create("s", Report, {"name": "r"}, app_name="office", every=HOUR)
        with pytest.raises(ScheduleExists):
            own.create("s", Report, app_name="office", every=HOUR)
        tick = own.fire("s", app_name="office")
        assert tick.workflow_id is not None
        result = stepwell.runner.blocking.handle(tick.workflow_id).result(60)
        paused = own.pause("s", app_name="office").paused, own.resume("s", app_name="office").paused
        own.update("s", app_name="office", every=2 * HOUR)
        found = own.get("s", app_name="office"), len(own.list().items)
        own.delete("s", app_name="office")
        return [schedule.user_id, result, paused, found[0].rule[:13], found[1], len(own.list().items)]

    def work() -> list[Any]:
        with Stepwell([office()], settings=Settings(_env_file=None, **database.settings)) as stepwell:
            return use(stepwell)

    assert await asyncio.to_thread(work) == ["u1", "r", (True, False), "every 2:00:00", 1, 0]

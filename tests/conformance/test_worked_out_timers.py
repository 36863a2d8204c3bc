"""`after=` as a method: worked out once, when the place is entered, in its commit (rule 60)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from pydantic import BaseModel

from conformance.support import ME, HarnessOn, StepwellOn, counts, reaches
from stepwell import END, START, Retry, Workflow, transition
from stepwell.errors import DefinitionError, InvalidArgs, StatelessError

asked: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_asked() -> None:
    asked.clear()


class Wait(BaseModel):
    days: int | None = None


class Reminder(Workflow[Wait, Wait, str]):
    """The moment comes from the state that the transition into the place leaves."""

    def patience(self) -> timedelta:
        asked.append((self.info.place, self.state.days))
        return timedelta(days=self.state.days or 0)

    @transition(target="asked")
    async def ask(self) -> None:
        self.state.days = self.args.days

    @transition("asked", END, wait=True)
    async def answer(self) -> str:
        return "answered"

    @transition("asked", END, after=patience)
    async def remind(self) -> str:
        return "reminded"


async def test_the_moment_is_worked_out_from_the_state_that_enters_the_place(harness_on: HarnessOn) -> None:
    async with harness_on([Reminder]) as harness:
        run_id = (await harness.runner.run("reminder", Wait(days=3), **ME)).workflow_id
        await harness.drain()
        run = await harness.runner.get(run_id)
        assert (run.status, run.due_at) == ("waiting", run.updated_at + timedelta(days=3))
        assert f"Its timer is due at {run.due_at.isoformat(timespec='seconds')}." in str(  # type: ignore[union-attr]
            await harness.runner.explain(run_id)
        )
        await harness.advance(timedelta(days=2, hours=23))
        assert (await harness.runner.get(run_id)).status == "waiting"
        await harness.advance(timedelta(hours=1))
        run = await harness.runner.get(run_id)
        assert (run.status, run.result, asked) == ("completed", "reminded", [("asked", 3)])


class Until(BaseModel):
    at: datetime


class Closing(Workflow[Until, None, str]):
    def closing_time(self) -> datetime:
        asked.append(self.info.workflow_id)
        return self.args.at

    @transition(START, END, after=closing_time)
    async def close(self) -> str:
        return "closed"


async def test_a_moment_at_the_start_counts_from_no_transition(harness_on: HarnessOn) -> None:
    async with harness_on([Closing]) as harness:
        at = harness.clock.now_datetime() + timedelta(days=400)
        run_id = (await harness.runner.run("closing", Until(at=at), **ME)).workflow_id
        await harness.drain()
        run = await harness.runner.get(run_id)
        assert (run.status, run.due_at, asked) == ("waiting", at, [run_id])


def raising(error: BaseException) -> Callable[[], Any]:
    def raise_it() -> Any:
        raise error

    return raise_it


class Odd(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta:
        raise ArithmeticError("no such zone")

    def tzname(self, _: datetime | None) -> str:
        return "odd"

    def dst(self, _: datetime | None) -> timedelta:
        return timedelta(0)


class Stubborn(Workflow[dict[str, Any]]):
    def never(self) -> timedelta:
        return ANSWERS[self.args["what"]]()  # type: ignore[no-any-return]


ANSWERS: dict[str, Callable[[], Any]] = {
    "raise": raising(LookupError("no such day")),
    "exit": raising(SystemExit(3)),
    "interrupt": raising(KeyboardInterrupt()),
    "cancel": raising(asyncio.CancelledError()),
    "stop": raising(StopIteration(5)),
    "odd zone": lambda: datetime(2030, 1, 1, tzinfo=Odd()),
    "naive": lambda: datetime(2030, 1, 1),
    "text": lambda: "soon",
    "ago": lambda: timedelta(seconds=-1),
    "nothing": lambda: None,
    "number": lambda: 5,
    "nan": lambda: float("nan"),
    "truth": lambda: True,
    "day": lambda: date(2030, 1, 1),
    "coroutine": lambda: asyncio.sleep(0),
    "out of range": lambda: datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    "longest": lambda: timedelta.max,
    "last": lambda: datetime.max.replace(tzinfo=UTC),
    "first": lambda: datetime.min.replace(tzinfo=UTC),
    "zero": lambda: timedelta(0),
}


class AtStart(Stubborn):
    @transition(START, END, after=Stubborn.never)
    async def late(self) -> None: ...


class Later(Stubborn):
    @transition(target="there", retry=Retry(retries=1, delay=timedelta(0)))
    async def go(self) -> None:
        asked.append("go")

    @transition("there", END, after=Stubborn.never)
    async def late(self) -> None: ...


class ByError(Stubborn):
    @transition(target=END, error_place="there")
    async def go(self) -> None:
        raise ValueError("no")

    @transition("there", END, after=Stubborn.never)
    async def late(self) -> None: ...


_OTHER = "return a timedelta or an aware datetime"
REFUSED = [
    ("raise", "it raised LookupError: no such day"),
    ("naive", "has no timezone"),
    ("text", f"returned str: {_OTHER}"),
    ("ago", "which is negative"),
    ("nothing", f"returned NoneType: {_OTHER}"),
    ("number", f"returned int: {_OTHER}"),
    ("nan", f"returned float: {_OTHER}"),
    ("truth", f"returned bool: {_OTHER}"),
    ("day", f"returned date: {_OTHER}"),
    ("coroutine", f"returned coroutine: {_OTHER}"),
    ("odd zone", "ArithmeticError: no such zone"),
    ("exit", "SystemExit"),
    ("interrupt", "KeyboardInterrupt"),
    ("cancel", "CancelledError"),
    ("stop", "StopIteration"),
]


@pytest.mark.parametrize(("what", "why"), REFUSED)
async def test_a_start_is_refused_where_its_moment_cannot_be_worked_out(
    stepwell_on: StepwellOn, what: str, why: str
) -> None:
    async with stepwell_on([AtStart]) as stepwell:
        before = await counts(stepwell)
        with pytest.raises(
            InvalidArgs, match=r"AtStart: for these args the moment of after=never can't be worked out"
        ) as e:
            await stepwell.runner.run("at_start", {"what": what}, **ME)
        assert why in str(e.value)
        assert await counts(stepwell) == before


@pytest.mark.parametrize(("what", "why"), [("raise", "LookupError: no such day"), *REFUSED[1:]])
async def test_the_transition_fails_that_enters_such_a_place(stepwell_on: StepwellOn, what: str, why: str) -> None:
    async with stepwell_on([Later]) as stepwell:
        run_id = (await stepwell.runner.run("later", {"what": what}, **ME)).workflow_id
        run = await reaches(stepwell.runner, run_id, "failed", START)
        assert (run.error or "").startswith("Later.go: ")
        assert why in (run.error or "")
        ends_all = what in ("exit", "interrupt")
        assert asked == ["go"] * (1 if ends_all else 2), "its retry had another go"


@pytest.mark.parametrize(("what", "why"), REFUSED)
async def test_a_run_that_failed_into_the_place_fails_there_and_can_be_retried(
    stepwell_on: StepwellOn, what: str, why: str
) -> None:
    async with stepwell_on([ByError]) as stepwell:
        run_id = (await stepwell.runner.run("by_error", {"what": what}, **ME)).workflow_id
        run = await reaches(stepwell.runner, run_id, "failed", "there")
        assert why in (run.error or "")
        again = await stepwell.runner.retry(run_id)
        await reaches(stepwell.runner, run_id, "failed", "there", again.version + 1)


@pytest.mark.parametrize("what", ["longest", "last", "out of range"])
async def test_the_farthest_moments_are_waited_for(stepwell_on: StepwellOn, what: str) -> None:
    async with stepwell_on([AtStart, Later]) as stepwell:
        for workflow in (AtStart, Later):
            run_id = (await stepwell.runner.run(workflow, {"what": what}, **ME)).workflow_id
            run = await reaches(stepwell.runner, run_id, "waiting")
            assert run.due_at is not None
            assert run.due_at - run.created_at > timedelta(days=36_000)


@pytest.mark.parametrize("what", ["first", "zero"])
async def test_a_moment_that_has_passed_fires_at_once(stepwell_on: StepwellOn, what: str) -> None:
    async with stepwell_on([AtStart, Later]) as stepwell:
        for workflow in (AtStart, Later):
            run_id = (await stepwell.runner.run(workflow, {"what": what}, **ME)).workflow_id
            await reaches(stepwell.runner, run_id, "completed")


@pytest.mark.parametrize(("what", "why"), REFUSED)
async def test_without_a_database_the_same_is_refused(stepwell_on: StepwellOn, what: str, why: str) -> None:
    async with stepwell_on([AtStart, Later], embedded_worker=False) as stepwell:
        with pytest.raises(InvalidArgs) as refused:
            await stepwell.runner.run_sync(AtStart, {"what": what}, **ME, stateless=True)
        assert why in str(refused.value)
        failed = await stepwell.runner.run_sync(Later, {"what": what}, **ME, stateless=True)
        assert (failed.status, failed.place) == ("failed", START)
        assert (why if what != "raise" else "LookupError: no such day") in (failed.error or "")


async def test_without_a_database_no_timer_is_waited_for(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([AtStart, Later], embedded_worker=False) as stepwell:
        for workflow in (AtStart, Later):
            with pytest.raises(StatelessError):
                await stepwell.runner.run_sync(workflow, {"what": "longest"}, **ME, stateless=True)


class Detour(Workflow[None, Wait, str]):
    """Fails at a place with a timer, by way of another with one; both moments are kept to the microsecond."""

    def first(self) -> timedelta:
        asked.append("first")
        return timedelta(hours=5)

    def second(self) -> timedelta:
        asked.append("second")
        return timedelta(hours=1)

    @transition(target="work")
    async def go(self) -> None: ...

    @transition("work", END, wait=True, retry=Retry(retries=1, delay=timedelta(0)), retry_target="pause")
    async def done(self) -> str:
        if self.info.attempt == 1:
            raise ValueError("not yet")
        return "done"

    @transition("work", END, after=first)
    async def give_up(self) -> str:
        return "gave up"

    @transition("pause", "work", after=second)
    async def back(self) -> None: ...


async def test_a_detour_has_a_moment_of_its_own_and_comes_back_to_the_first(harness_on: HarnessOn) -> None:
    async with harness_on([Detour]) as harness:
        run_id = (await harness.runner.run("detour", **ME)).workflow_id
        await harness.drain()
        first = (await harness.runner.get(run_id)).due_at
        await harness.runner.signal(run_id, "done")
        await harness.drain()
        run = await harness.runner.get(run_id)
        assert (run.place, run.due_at) == ("pause", run.updated_at + timedelta(hours=1))
        await harness.advance(timedelta(hours=1))
        run = await harness.runner.get(run_id)
        assert (run.status, run.result, asked) == ("completed", "done", ["first", "second"])
        assert first is not None


class Tick(Workflow[None, Wait, int]):
    def soon(self) -> timedelta:
        asked.append(self.state.days)
        return timedelta(minutes=self.state.days or 0)

    @transition(START, "ticking", when=lambda self: True)
    async def begin(self) -> None:
        self.state.days = 1

    @transition("ticking", "ticking", after=soon)
    async def tick(self) -> None:
        self.state.days = (self.state.days or 0) * 2

    @transition("ticking", END, wait=True)
    async def stop(self) -> int:
        return self.state.days or 0


async def test_each_visit_has_a_moment_of_its_own(harness_on: HarnessOn) -> None:
    async with harness_on([Tick]) as harness:
        run_id = (await harness.runner.run("tick", **ME)).workflow_id
        await harness.drain()
        await harness.advance(timedelta(minutes=1))
        await harness.advance(timedelta(minutes=2))
        assert asked == [1, 2, 4]
        await harness.runner.signal(run_id, "stop")
        await harness.drain()
        assert (await harness.runner.get(run_id)).result == 4


def _later(self: object) -> timedelta:
    return timedelta(0)


async def _awaited(self: object) -> timedelta:
    return timedelta(0)


def _of_two(self: object, other: int = 0) -> timedelta:
    return timedelta(0)


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (_awaited, "its after=_awaited isn't a plain def"),
        (_of_two, "its after=_of_two has other parameters than self"),
        (5, "its after=5 isn't a timedelta; write timedelta(seconds=...), or give a method of the class"),
    ],
)
def test_other_things_are_refused_when_the_class_is_made(after: Any, why: str) -> None:
    with pytest.raises(DefinitionError) as refused:

        class Wrong(Workflow):
            @transition(START, END, after=after)
            async def go(self) -> None: ...

    assert why in str(refused.value)


class Curious(Workflow):
    def nosy(self) -> timedelta:
        self.step("x", _later)  # type: ignore[unused-coroutine]
        return timedelta(0)

    @transition(START, END, after=nosy)
    async def go(self) -> None: ...


async def test_the_method_only_looks(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Curious]) as stepwell:
        with pytest.raises(
            InvalidArgs, match=r"self\.step doesn't work in after=nosy: a method that is given there only looks"
        ):
            await stepwell.runner.run("curious", **ME)


class Better(Reminder):
    def patience(self) -> timedelta:
        return timedelta(days=9)


async def test_a_subclass_may_override_the_method(harness_on: HarnessOn) -> None:
    async with harness_on([Better]) as harness:
        run_id = (await harness.runner.run("better", Wait(days=3), **ME)).workflow_id
        await harness.drain()
        run = await harness.runner.get(run_id)
        assert run.due_at == run.updated_at + timedelta(days=9)

"""Whatever user code raises ends its attempt, with its own error: in every place where user code runs."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidatorFunctionWrapHandler, field_validator, model_validator

from conformance.support import ME, HarnessOn, StepwellOn
from stepwell import END, Depends, Document, ErrorDocument, NonRetryable, Retry, RetryAfter, Workflow, transition

calls: list[Any] = []
armed: list[BaseException] = []
"""What the places raise once the run has begun: they are called before too, for defaults and at class creation."""


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()
    armed.clear()


class Own(BaseException):
    pass


class Mute(Exception):
    def __str__(self) -> str:
        raise SystemExit("from __str__")

    __repr__ = __str__


class NoText(Exception):
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]

    __repr__ = __str__


class Odd(Exception):
    """Can't be copied, pickled, compared or asked what it is."""

    def __init__(self, one: int, *, two: int) -> None:
        super().__init__(f"odd {one} {two}")

    def __eq__(self, other: object) -> bool:
        raise Own("from __eq__")

    def __bool__(self) -> bool:
        raise Own("from __bool__")

    def __reduce__(self) -> Any:
        raise Own("from __reduce__")

    def __copy__(self) -> Any:
        raise Own("from __copy__")

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise Own("from __class__")

    __hash__ = None  # type: ignore[assignment]


class Meta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        raise Own("from __instancecheck__")

    @property
    def __name__(cls) -> str:
        raise Own("from __name__")


class Proud(Exception, metaclass=Meta):
    pass


class Endless(Exception):
    """Each cause of it has another one."""

    @property
    def __cause__(self) -> BaseException:  # type: ignore[override]
        return Endless("one more")


def cyclic() -> BaseException:
    first, second = ValueError("in a circle"), KeyError("the other")
    first.__cause__, second.__cause__ = second, first
    return first


def deep() -> BaseException:
    error: BaseException = ValueError("the last of many")
    for _ in range(3000):
        error, inner = ValueError("the last of many"), error
        error.__cause__ = inner
    return error


def nested() -> BaseException:
    group: BaseException = SystemExit(4)
    for _ in range(1500):
        group = BaseExceptionGroup("nested", [group])
    return group


def noted() -> BaseException:
    error = ValueError("with notes")
    error.__notes__ = Endlessly()  # type: ignore[attr-defined]
    return error


class Endlessly(list[str]):
    def __iter__(self) -> Iterator[str]:
        while True:
            yield "note"


ERRORS: dict[str, tuple[Any, str]] = {
    "stop iteration": (lambda: StopIteration("no more"), "StopIteration: no more"),
    "stop async iteration": (lambda: StopAsyncIteration("no more"), "StopAsyncIteration: no more"),
    "generator exit": (lambda: GeneratorExit("left"), "GeneratorExit: left"),
    "system exit": (lambda: SystemExit(3), "SystemExit: 3"),
    "keyboard interrupt": (lambda: KeyboardInterrupt("typed"), "KeyboardInterrupt: typed"),
    "cancelled": (lambda: asyncio.CancelledError("by me"), "CancelledError: by me (it was cancelled from within"),
    "base exception": (lambda: Own("own"), "Own: own"),
    "mute": (Mute, "Mute: (its message can't be read: __str__ raises)"),
    "no text": (NoText, "NoText: (its message can't be read: __str__ raises)"),
    "odd": (lambda: Odd(1, two=2), "Odd: odd 1 2"),
    "proud": (lambda: Proud("proud"), "Proud: proud"),
    "endless": (lambda: Endless("endless"), "Endless: endless"),
    "cyclic": (cyclic, "ValueError: in a circle"),
    "deep": (deep, "ValueError: the last of many"),
    "group": (
        lambda: BaseExceptionGroup("both", [SystemExit(1), ValueError("two")]),
        "BaseExceptionGroup: both (2 sub-exceptions): SystemExit: 1; ValueError: two",
    ),
    "nested groups": (nested, "BaseExceptionGroup: nested (1 sub-exception): SystemExit: 4"),
    "notes": (noted, "ValueError: with notes"),
    "no bytes": (lambda: ValueError("\udcff\0"), r"ValueError: \udcff\x00"),
}


def boom() -> None:
    if armed:
        raise armed[0]


class Case(BaseModel):
    place: str = ""


def made() -> str:
    boom()
    return "made"


class Trapped(BaseModel):
    text: str = Field(default_factory=made)
    other: str = ""

    @field_validator("other")
    @classmethod
    def _check(cls, other: str) -> str:
        boom()
        return other


class Note(Document):
    text: str = ""

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        checked = handler(value)
        boom()
        return checked


class State(BaseModel):
    value: Trapped | None = None
    other: str = ""

    @field_validator("other")
    @classmethod
    def _check(cls, other: str) -> str:
        if other:
            boom()
        return other


async def works() -> str:
    boom()
    return "done"


def blocks() -> str:
    boom()
    return "done"


def generates() -> Iterator[str]:
    boom()
    yield "given"


class Callable_:
    def __call__(self) -> str:
        boom()
        return "done"


class Everywhere(Workflow[Case, State]):
    @transition(target="done", error_place="done")
    async def go(self) -> None:
        calls.append("go")
        armed.extend(arming)
        match self.args.place:
            case "method":
                boom()
            case "helper":
                await works()
            case "async step":
                await self.step("it", works)
            case "plain step":
                await self.step("it", blocks)
            case "partial step":
                await self.step("it", functools.partial(blocks))
            case "callable step":
                await self.step("it", Callable_())
            case "step in a task":
                await asyncio.gather(self.step("it", works), self.step("other", never))
            case "thread":
                await asyncio.to_thread(blocks)
            case "validator":
                Trapped(text="x", other="y")
            case "default factory":
                Trapped()
            case "document":
                await self.documents.save(Note(text="x"))
            case "state":
                self.state.other = "x"
            case "transaction":
                async with self.transaction():
                    boom()
            case "async generator":
                async for _ in ticks():
                    boom()

    @transition("done", END)
    async def end(self) -> None:
        calls.append("end")


async def never() -> None:
    await asyncio.Event().wait()


async def ticks() -> AsyncIterator[int]:
    try:
        yield 1
    finally:
        calls.append("closed")


arming: list[BaseException] = []


async def told_once(
    stepwell_on: StepwellOn,
    workflow: type[Workflow[Any, Any, Any]],
    cases: Iterable[str],
    args: Any = None,
    stateless: bool = False,
) -> None:
    """Each of these is one failed attempt with this error, and the run and its process go on."""
    async with stepwell_on([workflow]) as stepwell:
        for case in cases:
            calls.clear()
            armed.clear()
            make, text = ERRORS[case]
            arming[:] = [make()]
            async with asyncio.timeout(60):
                done = await stepwell.runner.run_sync(workflow, args, **ME, stateless=stateless)
            assert (case, done.status, calls.count("go"), calls.count("end")) == (case, "completed", 1, 1)
            [document] = [one for one in done.documents if one.name == ErrorDocument.document_name]
            where = f"{workflow.__name__}.go: "
            assert document.content["message"].startswith(where + text), document.content["message"]
            assert document.content["type"] == text.split(":")[0]
            if not stateless:
                rows = await stepwell.runner.history(done.workflow_id or "")
                assert [row.status for row in rows] == ["committed", "failed", "committed"]
                assert (rows[1].error or "").startswith(where + text)


@pytest.mark.parametrize("stateless", [False, True], ids=["stored", "stateless"])
async def test_whatever_a_method_raises_is_one_failed_attempt_with_that_error(
    stepwell_on: StepwellOn, stateless: bool
) -> None:
    await told_once(stepwell_on, Everywhere, ERRORS, {"place": "method"}, stateless)


class Gathered(Workflow[str]):
    @transition(target=END, retry=Retry(retries=2, delay=timedelta(0)))
    async def go(self) -> None:
        calls.append("go")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.step("fine", blocks))
            tasks.create_task(self.step("bad", self.fails))

    async def fails(self) -> None:
        if self.args == "for good":
            raise NonRetryable("the card was stolen")
        raise RetryAfter(timedelta(hours=1))


async def test_steps_in_a_task_group_end_or_delay_the_retries_as_alone(harness_on: HarnessOn) -> None:
    async with harness_on([Gathered]) as harness:
        done = await harness.runner.run_sync(Gathered, "for good", **ME)
        assert (done.status, calls) == ("failed", ["go"])
        assert "NonRetryable: the card was stolen" in (done.error or "")
        calls.clear()
        run = await harness.runner.run(Gathered, "for now", **ME)
        await harness.advance(timedelta(minutes=59))
        assert ((await run.get()).status, calls) == ("retrying", ["go"])
        await harness.advance(timedelta(minutes=2))
        assert calls == ["go", "go"]


SIX = ["stop iteration", "generator exit", "system exit", "cancelled", "base exception", "odd"]
PLACES = [
    "helper",
    "async step",
    "plain step",
    "partial step",
    "callable step",
    "step in a task",
    "thread",
    "validator",
    "default factory",
    "document",
    "transaction",
    "async generator",
]


@pytest.mark.parametrize("place", PLACES)
async def test_the_same_holds_wherever_user_code_runs(stepwell_on: StepwellOn, place: str) -> None:
    # A StopIteration in a thread of asyncio's own hangs there, before Stepwell hears of it.
    cases = SIX[1:] if place == "thread" else SIX
    await told_once(stepwell_on, Everywhere, cases, {"place": place})


async def test_a_states_validator_that_raises_is_told_in_the_failure(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Everywhere]) as stepwell:
        for case in SIX:
            calls.clear()
            armed.clear()
            make, text = ERRORS[case]
            arming[:] = [make()]
            done = await stepwell.runner.run_sync(Everywhere, {"place": "state"}, **ME)
            assert (case, done.status, calls) == (case, "completed", ["go", "end"])
            [document] = done.documents
            assert text.split(" (")[0] in document.content["message"]


class Plain(Workflow):
    @transition(target="done", error_place="done")
    def go(self) -> None:
        calls.append("go")
        armed.extend(arming)
        boom()

    @transition("done", END)
    def end(self) -> None:
        calls.append("end")


async def test_whatever_a_plain_def_raises_is_one_failed_attempt_with_that_error(stepwell_on: StepwellOn) -> None:
    await told_once(stepwell_on, Plain, ERRORS)


def judges(workflow: Any) -> bool:
    calls.append("go")
    armed.extend(arming)
    boom()
    return True


async def judges_later(workflow: Any) -> bool:
    return judges(workflow)


class Truth:
    def __bool__(self) -> bool:
        return judges(None)


def answers(workflow: Any) -> Any:
    return Truth()


@pytest.mark.parametrize("guard", [judges, judges_later, answers])
async def test_whatever_a_guard_raises_is_one_failed_attempt_with_that_error(
    stepwell_on: StepwellOn, guard: Any
) -> None:
    class Guarded(Workflow):
        @transition(target="done", when=guard, error_place="done")
        async def go(self) -> None: ...

        @transition("done", END)
        async def end(self) -> None:
            calls.append("end")

    await told_once(stepwell_on, Guarded, SIX)


def gives() -> str:
    calls.append("go")
    armed.extend(arming)
    boom()
    return "given"


async def gives_later() -> str:
    return gives()


def raises_before() -> Iterator[str]:
    yield gives()


def raises_after() -> Iterator[str]:
    yield "given"
    gives()


async def raises_after_async() -> AsyncIterator[str]:
    yield "given"
    gives()


DEPENDENCIES = [gives, gives_later, raises_before, raises_after, raises_after_async]


@pytest.mark.parametrize("dependency", DEPENDENCIES)
@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
async def test_whatever_a_dependency_raises_is_one_failed_attempt_with_that_error(
    stepwell_on: StepwellOn, dependency: Any, plain: bool
) -> None:
    class Injected(Workflow):
        @transition(target="done", error_place="done")
        async def go(self, given: Any = Depends(dependency)) -> None:  # noqa: B008
            assert given == "given"

        @transition("done", END)
        async def end(self) -> None:
            calls.append("end")

    class InjectedPlain(Workflow):
        @transition(target="done", error_place="done")
        def go(self, given: Any = Depends(dependency)) -> None:  # noqa: B008
            assert given == "given"

        @transition("done", END)
        async def end(self) -> None:
            calls.append("end")

    await told_once(stepwell_on, InjectedPlain if plain else Injected, SIX)


class Tries(Workflow[str]):
    @transition(target=END, retry=Retry(retries=1, delay=timedelta(0)))
    async def by_default(self) -> None:
        raise ERRORS[self.args][0]()


class TriesAll(Workflow[str]):
    @transition(target=END, retry=Retry(retries=1, delay=timedelta(0), on=(BaseException,)))
    async def go(self) -> None:
        raise ERRORS[self.args][0]()


class Given(Workflow[str]):
    @transition(target=END, retry=Retry(retries=1, delay=timedelta(0), on=(Proud,), give_up_on=(Odd,)))
    async def go(self) -> None:
        raise ERRORS[self.args][0]()


class Caller(RetryAfter):
    def __init__(self) -> None:
        """Knows no delay."""


class Waits(Workflow):
    @transition(target=END, retry=Retry(retries=1, delay=timedelta(0)))
    async def go(self) -> None:
        raise Caller


async def test_retries_match_as_except_does(stepwell_on: StepwellOn) -> None:
    tries = [
        (Tries, "system exit", 1),
        (Tries, "base exception", 1),
        (Tries, "cancelled", 2),
        (Tries, "odd", 2),
        (Tries, "proud", 2),
        (TriesAll, "system exit", 2),
        (TriesAll, "generator exit", 2),
        (Given, "proud", 2),
        (Given, "odd", 1),
        (Waits, None, 2),
    ]
    async with stepwell_on([Tries, TriesAll, Given, Waits]) as stepwell:
        for workflow, case, attempts in tries:
            done = await stepwell.runner.run_sync(workflow, case, **ME)  # type: ignore[arg-type]
            assert done.status == "failed"
            assert (workflow, case, len(done.documents)) == (workflow, case, attempts)

"""The story of a run: what happens each time it rests, played to any process of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from stepwell.app import App
from stepwell.composition import Stepwell
from stepwell.definition.values.misfit import shown
from stepwell.errors import InvalidArgs
from stepwell.execution.clock import microseconds, to_moment
from stepwell.nearest import suggestion
from stepwell.runner.models import Run
from stepwell.runner.runner import WorkflowRunner
from stepwell.testing.clock import Rest, VirtualClock, advance
from stepwell.testing.databases import Databases
from stepwell.testing.expectation import Expectation, check
from stepwell.testing.setting_up import Setup
from stepwell.testing.snapshot import children_of
from stepwell.testing.stand_ins import StandIns

SignalName = str | Callable[..., object]
"""The name of a transition, or its method."""
Happening = (
    timedelta
    | tuple[SignalName, Any]
    | tuple[Literal["emit"], str, Any]
    | tuple[Literal["child"], int, SignalName, Any]
)
Script = Sequence[Happening]
"""The events of the run each time it rests: a time that passes, a signal `(name, data)`, an event `("emit", name, data)`, or a
signal to the n-th child `("child", n, name, data)`, counted from 1."""
_KEY = "crash_everywhere"
_FORMS = "a timedelta, (name, data), ('emit', name, data) or ('child', n, name, data)"


@dataclass(frozen=True, slots=True)
class Story:
    """One workflow's run from its start to where it rests, repeated for each crash."""

    apps: Sequence[App]
    databases: Databases
    stand_ins: StandIns
    setup: Setup | None
    begin: datetime
    workflow: Any
    args: Any
    app_name: str
    user_id: str
    signals: Script
    within: timedelta
    timeout: float
    expect: Expectation


def checked_script(signals: object) -> Script:
    """Return the script as it is now. Raises InvalidArgs, which names the first entry that is none."""
    if not isinstance(signals, Sequence) or isinstance(signals, str | bytes):
        raise InvalidArgs(f"signals={shown(signals)}: give a list, whose entries are {_FORMS}.")
    for index, one in enumerate(signals):
        if fault := _fault_of(one):
            raise InvalidArgs(f"signals[{index}]={shown(one)}: {fault}")
    return tuple(signals)


def _fault_of(one: object) -> str | None:
    match one:
        case timedelta():
            return "time goes forward only." if one < timedelta(0) else None
        case ("emit", str(), _):
            return None
        case ("child", int(number), name, _) if callable(name) or isinstance(name, str):
            return None if number >= 1 else "children are counted from 1."
        case (name, _) if callable(name) or isinstance(name, str):
            return None
        case (str(kind), *rest) if len(rest) > 1:
            return f"{suggestion(kind, ('emit', 'child'), '{!r}')} An entry is {_FORMS}."
        case _:
            return f"an entry is {_FORMS}."


class Player:
    """Plays the story to any process, and continues after an interruption: each of its requests counts once."""

    def __init__(self, story: Story, clock: VirtualClock) -> None:
        self._story = story
        self._clock = clock
        self._done = 0
        self._target: int | None = None
        self._last = to_moment(story.begin) + microseconds(story.within)
        self.run_id = ""

    async def play(self, stepwell: Stepwell, rest: Rest) -> None:
        """Play until the run has ended, or rests with nothing left of the story and nothing due within its time."""
        story, runner = self._story, stepwell.runner
        handle = await runner.run(
            story.workflow, story.args, app_name=story.app_name, user_id=story.user_id, idempotency_key=_KEY
        )
        self.run_id = handle.workflow_id
        await rest.reached(story.timeout)
        while (await handle.get()).status not in ("completed", "canceled", "failed") and await self._next(runner, rest):
            await rest.reached(story.timeout)

    async def check(self, runner: WorkflowRunner) -> None:
        """Raise AssertionError unless the run ended as expected, and all of the story's signals had been sent."""
        run = await runner.get(self.run_id)
        check(run, self._story.expect, (await runner.explain(self.run_id)).reasons)
        if unsent := [_named(one) for one in self._story.signals[self._done :] if not isinstance(one, timedelta)]:
            raise AssertionError(
                f"The undisturbed run of {run.workflow_name!r} was {run.status!r} at {run.place!r} before it was sent"
                f" {', '.join(unsent)}: remove the signals that it doesn't wait for from `signals=`."
            )

    async def _next(self, runner: WorkflowRunner, rest: Rest) -> bool:
        """Play the next event, and return whether there was one."""
        if self._done == len(self._story.signals):
            return await self._wait(rest)
        one = self._story.signals[self._done]
        if isinstance(one, timedelta):
            self._target = self._target or self._clock.now() + microseconds(one)
            await advance(rest, self._clock, self._target, self._story.timeout)
            self._target = None
        else:
            await self._send(runner, one, f"{_KEY} {self._done}")
        self._done += 1
        return True

    async def _send(self, runner: WorkflowRunner, one: tuple[Any, ...], key: str) -> None:
        match one:
            case ("emit", name, data):
                await runner.emit(cast("str", name), data, event_id=key)
            case ("child", number, name, data):
                child = await self._child(runner, number)
                await runner.signal(child.workflow_id, cast("str", name), data, idempotency_key=key)
            case (name, data):
                await runner.signal(self.run_id, cast("str", name), data, idempotency_key=key)

    async def _child(self, runner: WorkflowRunner, number: int) -> Run:
        found = await children_of(runner, self.run_id)
        if number > len(found):
            run = await runner.get(self.run_id)
            raise AssertionError(
                f"There is no child {number}: at {run.place!r} the run of {run.workflow_name!r} had started {len(found)}."
            )
        return found[number - 1]

    async def _wait(self, rest: Rest) -> bool:
        moment = await rest.next_moment()
        if moment is None or moment > self._last:
            return False
        self._clock.move_to(moment)
        return True


def _named(one: tuple[Any, ...]) -> str:
    """Return the name of what wasn't sent."""
    name = one[-2]
    text = repr(getattr(name, "__qualname__", name))
    return {2: text, 3: f"the event {text}", 4: f"{text} to child {one[1]}"}[len(one)]

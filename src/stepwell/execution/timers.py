"""Working out the moments of timers: `after=` names a method of the class, which is called when the place is entered.

The method only looks: at the args, the state and the result as they will be stored with the place, and at `self.info`.
Whatever it raises or returns, the run is never left with a timer that has no moment.
"""

from __future__ import annotations

import inspect
import json
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, cast

from stepwell.definition.authoring.context import Context, Info
from stepwell.definition.authoring.marks import START
from stepwell.definition.model import Definition, Place, Transition
from stepwell.definition.text import told
from stepwell.definition.values.codec import plain
from stepwell.engine.choose import Execute, Fail
from stepwell.engine.commit import Outcome, Raised, Returned
from stepwell.engine.control import Request
from stepwell.engine.run import Moment, RunRow, microseconds
from stepwell.engine.timers import WorkedOut, timers_json
from stepwell.errors import InvalidArgs, StepwellError, TransitionFailed
from stepwell.execution.clock import to_moment
from stepwell.execution.shared import Shared
from stepwell.execution.user_errors import own, trace_of

_FARTHEST: Final = timedelta(days=36_525)


class Standpoint(NamedTuple):
    """A run as the method of a timer sees it: as it will be stored at its place."""

    place: str
    args: str
    state: str
    result: str | None
    workflow_id: str
    workspace_id: str
    app_name: str
    user_id: str
    labels: str


def standpoint(run: RunRow, place: str, returned: Returned | None = None) -> Standpoint:
    """Return the run at this place, with what the method that leads there has left."""
    state = run.state if returned is None or returned.state is None else returned.state
    result = run.result if returned is None or returned.result is None else returned.result
    return Standpoint(place, run.args, state, result, run.id, run.workspace_id, run.app_name, run.user_id, run.labels)


class TimerContext:
    """The Context of a workflow whose timer is worked out. It is made for one method, which may spoil what it gets."""

    def __init__(self, definition: Definition, seen: Standpoint, transition: Transition) -> None:
        self._definition = definition
        self._seen = seen
        self._transition = transition

    @property
    def args(self) -> Any:
        codec = self._definition.args
        return None if codec is None else codec.load(self._seen.args)

    @property
    def state(self) -> Any:
        return self._definition.state.load(self._seen.state)

    @property
    def result(self) -> Any:
        return None if self._seen.result is None else plain(self._seen.result)

    @property
    def info(self) -> Info:
        seen, name = self._seen, self._transition.name
        return Info(
            seen.workflow_id, seen.workspace_id, seen.app_name, seen.user_id, seen.place, name, 1,
            tuple(json.loads(seen.labels)), f"{seen.workflow_id}:{name}",
        )  # fmt: skip

    def __getattr__(self, name: str) -> Any:
        raise StepwellError(
            f"self.{name} doesn't work in {self._transition.due_name}: a method given as after= only looks at self.args, "
            "self.state, self.result and self.info, and returns a moment."
        )


def work_out(definition: Definition, place: Place, seen: Standpoint) -> WorkedOut:
    """Return the moments of the place's timers. Raises what their methods raise; TransitionFailed for what is no moment."""
    after: dict[str, Moment] = {}
    at: dict[str, Moment] = {}
    for transition in place.timed:
        found = _called(definition, transition, seen)
        if isinstance(found, timedelta):
            after[transition.name] = microseconds(found)
        else:
            at[transition.name] = to_moment(found)
    return WorkedOut(after, at)


def _called(definition: Definition, transition: Transition, seen: Standpoint) -> timedelta | datetime:
    assert transition.due is not None  # a timed transition
    instance = definition.workflow()
    instance._stepwell = cast("Context", TimerContext(definition, seen, transition))
    found = transition.due(instance)
    where = f"after={transition.due_name} of {definition.workflow.__name__}.{transition.method}"
    if isinstance(found, datetime):
        if found.tzinfo is None or found.utcoffset() is None:
            raise TransitionFailed(f"{where} returned {found!r}, which has no timezone: return an aware datetime.")
        return found
    if isinstance(found, timedelta):
        if found < timedelta(0):
            raise TransitionFailed(
                f"{where} returned timedelta(seconds={found.total_seconds():g}), which is negative: return zero or more."
            )
        return min(found, _FARTHEST)
    if inspect.iscoroutine(found):
        found.close()
    raise TransitionFailed(f"{where} returned {type(found).__name__}: return a timedelta or an aware datetime.")


def with_timers(shared: Shared, definition: Definition, run: RunRow, decision: Execute, outcome: Returned) -> Outcome:
    """Return the outcome with the moments of the timers where it leads; a failure if they can't be worked out.

    On a detour they are asked for afterwards, unless it leads back to a visit that has them.
    """
    if run.detours is not None:
        return outcome
    place = definition.places[decision.transition.target]
    try:
        found = work_out(definition, place, standpoint(run, place.name, outcome))
    except BaseException as error:  # noqa: BLE001 - it is user code, and a failed attempt whatever it raises
        return Raised(outcome.started_at, own(error), trace_of(error), shared.random())
    return outcome._replace(timers=found)


def with_timers_here(definition: Definition, run: RunRow, place: Place) -> RunRow | Fail:
    """Return the run with the moments of the timers of the place where it is; why it fails if that isn't possible."""
    try:
        found = work_out(definition, place, standpoint(run, place.name))
    except BaseException as error:  # noqa: BLE001 - it is user code, and the run fails whatever it raises
        return Fail(f"{definition.workflow.__name__}: at {place.name!r} {_unknown(place, own(error))}")
    return run._replace(timers=timers_json(run.visit, found))


def _unknown(place: Place, error: BaseException) -> str:
    names = ", ".join(f"after={t.due_name}" for t in place.timed)
    why = str(error) if type(error) is TransitionFailed else f"it raised {told(error)}"
    return f"the moment of {names} can't be worked out: {why}"


def at_start(definition: Definition, request: Request) -> Request:
    """Return the start with the moments of its timers. Raises InvalidArgs where they can't be worked out."""
    seen = Standpoint(
        START, request.args, request.state, None, request.id, request.workspace_id, request.app_name, request.user_id,
        request.labels,
    )  # fmt: skip
    try:
        found = work_out(definition, definition.places[START], seen)
    except BaseException as error:  # it is user code, and the start is refused whatever it raises
        message = f"{definition.workflow.__name__}: for these args {_unknown(definition.places[START], own(error))}"
        raise InvalidArgs(message, [{"type": "timer", "loc": (), "msg": message}]) from error
    return request._replace(timers=timers_json(0, found))

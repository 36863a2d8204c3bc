"""Working out moments of timers and questions: `after=` and `ask=` name methods, which are called when a place is entered.

The method only looks: at the args, the state and the result as they will be stored with the place, and at `self.info`.
Whatever it raises or returns, the run is never left with a timer that has no moment, or with a question that isn't asked.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, cast

from stepwell.definition.authoring.asks import LONGEST, WORKED_OUT, Ask
from stepwell.definition.authoring.context import Context, Info
from stepwell.definition.authoring.marks import START
from stepwell.definition.model import Definition, Place, Transition
from stepwell.definition.text import is_text, told
from stepwell.definition.values.codec import plain
from stepwell.engine.choose import Execute, Fail
from stepwell.engine.commit import Commit, Outcome, Raised, Returned
from stepwell.engine.control import Request
from stepwell.engine.questions import AskedQuestion, questions_of
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
    """The Context of a workflow of which something is worked out. It is made for one method, which may spoil what it gets."""

    def __init__(self, definition: Definition, seen: Standpoint, transition: Transition, option: str) -> None:
        self._definition = definition
        self._seen = seen
        self._transition = transition
        self._option = option

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
            f"self.{name} doesn't work in {self._option}: a method that is given there only looks at self.args, "
            "self.state, self.result and self.info, and returns a value."
        )


def work_out(definition: Definition, place: Place, seen: Standpoint) -> WorkedOut:
    """Return the moments of the place's timers and its questions.

    Raises what their methods raise; TransitionFailed for what isn't a moment, or not a text.
    """
    after: dict[str, Moment] = {}
    at: dict[str, Moment] = {}
    asked: list[AskedQuestion] = []
    for transition in place.timed:
        if transition.ask is not None:
            asked.append(_question(definition, transition, transition.ask, seen))
            continue
        assert transition.due is not None  # it is asked or timed
        where = f"after={transition.due_name}"
        found = _moment(definition, transition, where, _called(definition, transition, transition.due, where, seen))
        if isinstance(found, timedelta):
            after[transition.name] = microseconds(found)
        else:
            at[transition.name] = to_moment(found)
    return WorkedOut(after, at, tuple(asked))


def _called(
    definition: Definition, transition: Transition, method: Callable[[Any], Any], option: str, seen: Standpoint
) -> Any:
    instance = definition.workflow()
    instance._stepwell = cast("Context", TimerContext(definition, seen, transition, option))
    return method(instance)


def _moment(definition: Definition, transition: Transition, option: str, found: Any) -> timedelta | datetime:
    where = f"{option} of {definition.workflow.__name__}.{transition.method}"
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
    raise _misfit(where, found, "a timedelta or an aware datetime")


def _misfit(where: str, found: Any, wanted: str) -> TransitionFailed:
    if inspect.iscoroutine(found):
        found.close()
    return TransitionFailed(f"{where} returned {type(found).__name__}: return {wanted}.")


def _question(definition: Definition, transition: Transition, ask: Ask, seen: Standpoint) -> AskedQuestion:
    given = {name: _value(definition, transition, ask, name, seen) for name in WORKED_OUT}
    due = given["due"]
    return AskedQuestion(
        transition.name,
        given["title"] or words_of(transition.name),
        given["text"],
        given["assignee"],
        given["group"],
        microseconds(due) if isinstance(due, timedelta) else None,
        to_moment(due) if isinstance(due, datetime) else None,
        json.dumps(ask.document_names, ensure_ascii=False),
    )


def _value(definition: Definition, transition: Transition, ask: Ask, name: str, seen: Standpoint) -> Any:
    """Return a field of the question: a text, a moment, or None."""
    given = getattr(ask, name)
    if not callable(given):
        return given
    option = f"Ask({name}={getattr(given, '__name__', '...')})"
    found = _called(definition, transition, given, option, seen)
    if found is None:
        return None
    if name == "due":
        return _moment(definition, transition, option, found)
    if isinstance(found, str) and is_text(found, LONGEST[name]):
        return str.__str__(found)
    where = f"{option} of {definition.workflow.__name__}.{transition.method}"
    if isinstance(found, str):
        raise TransitionFailed(f"{where} returned {found[:40]!r}: return 1 to {LONGEST[name]:,} characters, or None.")
    raise _misfit(where, found, "a text or None")


def words_of(name: str) -> str:
    """Return the name of a transition as people read it."""
    return name.replace("_", " ").strip().capitalize()


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


async def with_timers_here(
    definition: Definition, run: RunRow, place: Place, store: Callable[[Commit], Awaitable[RunRow | None]]
) -> tuple[RunRow | None, Fail | None]:
    """Return the run with what is worked out for the place where it is, and why it fails if that isn't possible.

    Questions are stored at once, in a commit of their own: there is no run if it is lost meanwhile.
    """
    try:
        found = work_out(definition, place, standpoint(run, place.name))
    except BaseException as error:  # noqa: BLE001 - it is user code, and the run fails whatever it raises
        return run, Fail(f"{definition.workflow.__name__}: at {place.name!r} {_unknown(place, own(error))}")
    run = run._replace(timers=timers_json(run.visit, found))
    if not found.asked:
        return run, None
    return await store(Commit(run.version, run.claim, run, asked=questions_of(run, found.asked))), None


def _unknown(place: Place, error: BaseException) -> str:
    names = ", ".join(f"after={t.due_name}" for t in place.timed if t.due is not None)
    asked = ", ".join(t.name for t in place.timed if t.due is None)
    what = " and ".join(
        part
        for part in (f"the moment of {names}" if names else "", f"the question of {asked}" if asked else "")
        if part
    )
    why = str(error) if type(error) is TransitionFailed else f"it raised {told(error)}"
    return f"{what} can't be worked out: {why}"


def at_start(definition: Definition, request: Request) -> Request:
    """Return the start with the moments of its timers and its questions. Raises InvalidArgs where they can't be worked out."""
    seen = Standpoint(
        START, request.args, request.state, None, request.id, request.workspace_id, request.app_name, request.user_id,
        request.labels,
    )  # fmt: skip
    try:
        found = work_out(definition, definition.places[START], seen)
    except BaseException as error:  # it is user code, and the start is refused whatever it raises
        message = f"{definition.workflow.__name__}: for these args {_unknown(definition.places[START], own(error))}"
        raise InvalidArgs(message, [{"type": "timer", "loc": (), "msg": message}]) from error
    return request._replace(timers=timers_json(0, found), asked=tuple(found.asked))

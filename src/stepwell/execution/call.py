"""Calling one method: payload, injection, time limit, and what came of it as a value."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import traceback
from collections.abc import Callable, Hashable
from typing import Any, cast

from stepwell.definition.inputs import details, summary
from stepwell.definition.model import Definition, Transition
from stepwell.definition.signal import Signal
from stepwell.engine.outcome import Execute, Outcome, Raised, Returned
from stepwell.engine.run import Run, SignalRow
from stepwell.errors import InvalidPayload, StepwellError, TransitionFailed, TransitionTimeout
from stepwell.execution.attempt import Attempt, current_attempt
from stepwell.execution.scope import Scope
from stepwell.execution.shared import Shared
from stepwell.execution.threads import Threads

_MAX_TRACE = 16_000


class Interrupted(Exception):
    """The attempt was stopped from outside: nothing of it counts, and it isn't a failure of the run."""


class ChildFailed(TransitionFailed):
    """A child failed or was cancelled, and the transition that waits for it can't take that."""


async def call(
    shared: Shared, definition: Definition, run: Run, decision: Execute, attempt: Attempt, scope: Scope
) -> Outcome:
    """What the method did. Raises Interrupted if it was stopped from outside."""
    started_at = shared.clock.now()
    try:
        payload = payload_of(decision.transition, decision.signal)
    except (ChildFailed, InvalidPayload) as error:
        return Raised(started_at, error, repeatable=_repeatable(decision.signal, error))
    token = current_attempt.set(attempt)
    try:
        with scope:
            value = await _invoke(shared, definition, decision.transition, attempt, payload)
        if scope.reason is not None:
            return _stopped(shared, decision.transition, scope, started_at)
        return Returned(started_at, attempt.new_state(), attempt.new_result(value), attempt.effects())
    except (Exception, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001 - what user code raises is a failure
        return _raised(shared, decision.transition, scope, started_at, error)
    finally:
        current_attempt.reset(token)
        attempt.close()


def _raised(shared: Shared, transition: Transition, scope: Scope, started_at: int, error: BaseException) -> Raised:
    """The failure that an exception of user code is. Raises it on if it is none: the pass was stopped."""
    if isinstance(error, Interrupted):
        raise error
    if isinstance(error, asyncio.CancelledError):
        if _cancelled_from_outside():
            raise error
        error = TransitionFailed("it was cancelled from within: something that it awaited was cancelled")
        return Raised(started_at, error, None, shared.random())
    if scope.reason is not None:
        return _stopped(shared, transition, scope, started_at)
    return Raised(started_at, error, trace_of(error), shared.random())


def _stopped(shared: Shared, transition: Transition, scope: Scope, started_at: int) -> Raised:
    if scope.reason == "timeout":
        error = TransitionTimeout(f"it was stopped after {time_limit(shared, transition):g} s")
    elif scope.reason == "transaction":
        error = TransitionTimeout(f"self.transaction() was open for {shared.limits.transaction_seconds:g} s")
    else:
        raise Interrupted(scope.reason or "")
    return Raised(started_at, error, None, shared.random())


def _cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def time_limit(shared: Shared, transition: Transition) -> float:
    """Seconds for one attempt; 0: no limit."""
    if transition.timeout is None:
        return shared.limits.transition_timeout
    return transition.timeout.total_seconds()


async def _invoke(
    shared: Shared, definition: Definition, transition: Transition, attempt: Attempt, payload: tuple[Any, ...]
) -> Any:
    instance = definition.workflow()
    instance.__stepwell_bind__(attempt)
    if transition.injected:
        return await injected(cast("Hashable", definition.workflow), transition.method, shared.threads)(
            instance, *payload
        )
    method = getattr(instance, transition.method)
    if transition.asynchronous:
        return await method(*payload)
    return await _threaded(shared.threads, method, *payload)


async def _threaded(threads: Threads, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a plain `def` method returned. Its time limit counts from the moment when a thread takes it."""
    attempt = current_attempt.get()
    assert attempt is not None  # methods are called inside an attempt
    assert attempt.scope is not None  # and inside its scope
    attempt.scope.pause()
    return await threads.call(functools.partial(method, *args, **kwargs), attempt.scope.resume)


async def ask(
    shared: Shared, definition: Definition, transition: Transition, attempt: Attempt, scope: Scope
) -> bool | Raised:
    """The verdict of a guard, given on a copy of the state. Raises Interrupted if it was stopped from outside."""
    started_at = shared.clock.now()
    assert transition.guard is not None  # only guarded transitions are asked for
    try:
        verdict: Any = False
        with scope:
            instance = definition.workflow()
            instance.__stepwell_bind__(attempt)
            verdict = transition.guard(instance)
            verdict = bool(await verdict if inspect.isawaitable(verdict) else verdict)
        if scope.reason == "timeout":
            seconds = time_limit(shared, transition)
            late = TransitionTimeout(f"the guard {transition.guard_name} was stopped after {seconds:g} s")
            return Raised(started_at, late, None, shared.random())
        if scope.reason is not None:
            return _stopped(shared, transition, scope, started_at)
        return cast("bool", verdict)
    except (Exception, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001 - as above
        return _raised(shared, transition, scope, started_at, error)
    finally:
        attempt.close()


@functools.lru_cache(maxsize=4096)
def injected(workflow: Hashable, method: str, threads: Threads) -> Callable[..., Any]:
    """The unbound method, wrapped once by FastDepends; dependencies are resolved on the loop for plain `def` too."""
    from fast_depends import inject

    function = getattr(workflow, method)
    return inject(function if inspect.iscoroutinefunction(function) else _in_thread(function, threads), cast=False)


def _in_thread(function: Callable[..., Any], threads: Threads) -> Callable[..., Any]:
    @functools.wraps(function)
    async def on_the_loop(*args: Any, **kwargs: Any) -> Any:
        return await _threaded(threads, function, *args, **kwargs)

    return on_the_loop


def payload_of(transition: Transition, signal: SignalRow | None) -> tuple[Any, ...]:
    """The positional arguments that the signal makes. Raises ChildFailed, InvalidPayload."""
    payload = transition.payload
    if signal is None:
        return ()
    if signal.status != "completed" and (
        transition.error_place or transition.retry or (payload and not payload.envelope)
    ):
        raise ChildFailed(f"the child {signal.sender} {signal.status}: {signal.error}")
    if payload is None:
        return ()
    data = None
    if signal.status == "completed":
        try:
            data = payload.codec.load(signal.data)
        except Exception as error:  # a validator of the payload is user code and may raise anything
            raise InvalidPayload(
                f"the payload {payload.parameter!r} doesn't fit: {summary(error)}", details(error)
            ) from error
    return (_envelope(signal, data) if payload.envelope else data,)


def _envelope(signal: SignalRow, data: Any) -> Signal[Any]:
    return Signal(
        data=data,
        status=signal.status,
        error=signal.error,
        workflow_id=signal.sender,
        user_id=signal.user_id,
        meta=json.loads(signal.meta) if signal.meta else None,
    )


def _repeatable(signal: SignalRow | None, error: StepwellError) -> bool:
    # The same child's end can't turn out better; a payload type can be mended by the next deployment.
    return not isinstance(error, ChildFailed) and (signal is None or signal.kind != "child")


def trace_of(error: BaseException) -> str:
    """The traceback, cut from the front where it is too long."""
    text = "".join(traceback.format_exception(error))
    return text if len(text) <= _MAX_TRACE else "... (cut)\n" + text[-_MAX_TRACE:]

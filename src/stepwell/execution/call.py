"""Calling one method: payload, injection, time limit, and what came of it as a value.

Whatever user code raises is caught here: it ends its attempt, never the pass, its process or the event loop.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
from collections.abc import Callable, Hashable
from sys import getrefcount
from typing import Any, TypeVar, cast

from stepwell.definition.authoring.context import Signal
from stepwell.definition.model import Transition
from stepwell.definition.text import is_a, parts_of
from stepwell.definition.values.inputs import details, summary
from stepwell.engine.commit import Outcome, Raised, Returned
from stepwell.engine.groups import is_group_end
from stepwell.engine.run import SignalRow
from stepwell.errors import InvalidPayload, StepwellError, TransitionFailed, TransitionTimeout
from stepwell.execution.attempt import Attempt
from stepwell.execution.begun import ALONE, Inside, current_attempt, end, still_open
from stepwell.execution.crew import NoThreadLeft
from stepwell.execution.shared import Shared
from stepwell.execution.threads import Threads
from stepwell.execution.user_errors import is_closing, own, trace_of

T = TypeVar("T")


class Interrupted(Exception):
    """The attempt was stopped from outside: nothing of it counts, and it isn't a failure of the run."""


class ChildFailed(TransitionFailed):
    """A child failed or was cancelled, and the transition that waits for it can't take that."""


async def call(shared: Shared, attempt: Attempt, started_at: int) -> Outcome:
    """Return the outcome of the method. Raises Interrupted if it was stopped from outside."""
    scope, transition, signal = attempt.scope, attempt.transition, attempt.signal
    payload: tuple[Any, ...] = ()
    if signal is not None:
        try:
            payload = payload_of(transition, signal)
        except (ChildFailed, InvalidPayload) as error:
            return Raised(started_at, error, repeatable=repeatable(signal, error))
    inside = Inside()
    inside.attempt = attempt
    token = current_attempt.set(inside)
    outcome: Outcome | BaseException
    try:
        with scope:
            instance = attempt.definition.workflow()
            instance._stepwell = attempt
            if transition.injected:
                value = await _injected(shared, attempt)(instance, *payload)
            elif transition.asynchronous:
                value = await getattr(instance, transition.method)(*payload)
            else:
                value = await _threaded(shared.threads, getattr(instance, transition.method), *payload)
        if scope.task.cancelling():
            await scope.take_effect()
        if scope.reason is None:
            attempt.returned = True
            outcome = attempt.left(started_at, value)
        else:
            outcome = stopped(shared, transition, attempt, started_at)
    except BaseException as error:
        if is_closing(error):
            attempt.inside = inside
            raise
        outcome = raised(shared, transition, attempt, started_at, error)
    finally:
        current_attempt.reset(token)
        attempt.close()
    if attempt.calls is None and type(outcome) is Returned and getrefcount(inside) <= ALONE:
        return outcome
    return await _over(shared, attempt, inside, started_at, outcome)


async def ask(shared: Shared, attempt: Attempt) -> bool | Raised:
    """Return the verdict of a guard, given on a copy of the state. Raises Interrupted if it was stopped from outside."""
    scope, transition, started_at = attempt.scope, attempt.transition, shared.clock.now()
    assert transition.guard is not None  # only guarded transitions are asked for
    inside = Inside()
    inside.attempt = attempt
    token = current_attempt.set(inside)
    outcome: bool | Raised | BaseException
    verdict: Any = False
    try:
        with scope:
            instance = attempt.definition.workflow()
            instance._stepwell = attempt
            verdict = transition.guard(instance)
            verdict = bool(await verdict if inspect.isawaitable(verdict) else verdict)
        if scope.task.cancelling():
            await scope.take_effect()
        if scope.reason is None:
            attempt.returned = True
            outcome = cast("bool", verdict)
        else:
            outcome = stopped(shared, transition, attempt, started_at, f"the guard {transition.guard_name}")
    except BaseException as error:
        if is_closing(error):
            attempt.inside = inside
            raise
        outcome = raised(shared, transition, attempt, started_at, error)
    finally:
        current_attempt.reset(token)
        attempt.close()
        if attempt.held is not None:  # a guard only asks: nothing that it has written remains, nor its locks
            await attempt.held.close()
    if attempt.calls is None and type(outcome) is bool and getrefcount(inside) <= ALONE:
        return outcome
    return await _over(shared, attempt, inside, started_at, outcome)


async def _over(
    shared: Shared, attempt: Attempt, inside: Inside, started_at: int, outcome: T | BaseException
) -> T | Raised:
    """Return the outcome, once all that the attempt has begun is over; a failure if it has forgotten what it called."""
    calls = still_open(attempt.calls or ())
    # Here and in the frame of the caller: whatever holds it besides is a context.
    if calls or getrefcount(inside) > ALONE + 1:
        fault = await end(inside, calls, shared.limits.cleanup_seconds, attempt.scope.what)
        if fault is not None and attempt.returned:
            return Raised(started_at, TransitionFailed(fault), None, shared.random())
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _injected(shared: Shared, attempt: Attempt) -> Callable[..., Any]:
    return injected(cast("Hashable", attempt.definition.workflow), attempt.transition.method, shared.threads)


async def _threaded(threads: Threads, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what a plain `def` method returned. Its time limit counts from the moment when a thread takes it."""
    inside = current_attempt.get()
    assert inside is not None  # methods are called inside an attempt
    scope = inside.attempt.scope
    scope.pause()
    return await threads.call(functools.partial(method, *args, **kwargs), scope.resume)


@functools.lru_cache(maxsize=4096)
def injected(workflow: Hashable, method: str, threads: Threads) -> Callable[..., Any]:
    """Return the unbound method, wrapped once; dependencies are resolved on the loop for plain `def` too."""
    from stepwell.execution.injection import injecting

    function = getattr(workflow, method)
    return injecting(function if inspect.iscoroutinefunction(function) else _in_thread(function, threads), threads)


def _in_thread(function: Callable[..., Any], threads: Threads) -> Callable[..., Any]:
    @functools.wraps(function)
    async def on_the_loop(*args: Any, **kwargs: Any) -> Any:
        return await _threaded(threads, function, *args, **kwargs)

    return on_the_loop


def payload_of(transition: Transition, signal: SignalRow | None) -> tuple[Any, ...]:
    """Return the positional arguments that the signal makes. Raises ChildFailed, InvalidPayload."""
    payload = transition.payload
    if signal is None:
        return ()
    of_group = is_group_end(signal)
    if signal.status != "completed" and (
        transition.error_place or transition.retry or (payload and not payload.envelope)
    ):
        who = "the group of children" if of_group else f"the child {signal.sender}"
        raise ChildFailed(f"{who} {signal.status}: {signal.error}")
    if payload is None:
        return ()
    data = None
    if signal.status == "completed" or of_group:
        try:
            data = payload.codec.load(signal.data)
        except BaseException as error:
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


def repeatable(signal: SignalRow | None, error: StepwellError) -> bool:
    """Return whether another try with this signal could turn out better."""
    # The same child's end can't turn out better; a payload type can be mended by the next deployment.
    return not isinstance(error, ChildFailed) and (signal is None or signal.kind != "child")


def raised(
    shared: Shared, transition: Transition, attempt: Attempt, started_at: int, error: BaseException
) -> Raised | BaseException:
    """Return the failure, or the error to raise on: the pass itself was stopped."""
    for one in parts_of(error):
        if is_a(one, Interrupted):
            return one
        if is_a(one, NoThreadLeft):
            return Interrupted("no thread is left for it here")
    if is_a(error, asyncio.CancelledError):
        if attempt.scope.from_outside:
            return error
        attempt.scope.forgive()
    if attempt.scope.reason is not None:
        return stopped(shared, transition, attempt, started_at)
    return Raised(started_at, own(error), trace_of(error), shared.random())


def stopped(
    shared: Shared, transition: Transition, attempt: Attempt, started_at: int, what: str = "it"
) -> Raised | Interrupted:
    """Return the failure of an attempt whose time is over; Interrupted for any other reason."""
    reason = attempt.scope.reason
    if reason == "timeout":
        text = f"{what} was stopped after {time_limit(shared, transition):g} s"
    elif reason == "transaction":
        text = f"self.transaction() was open for {shared.limits.transaction_seconds:g} s"
    else:
        return Interrupted(reason or "")
    if attempt.threads:
        text = _late(time_limit(shared, transition), what, attempt.threads)
    return Raised(started_at, TransitionTimeout(text), None, shared.random())


def _late(seconds: float, what: str, threads: tuple[str, ...]) -> str:
    return (
        f"{what} took longer than {seconds:g} s. A thread can't be stopped: {' and '.join(threads)} may still be running "
        "in one, and its result is discarded"
    )


def time_limit(shared: Shared, transition: Transition) -> float:
    """Return the time limit of one attempt in seconds; 0 means none."""
    if transition.timeout is None:
        return shared.limits.transition_timeout
    return transition.timeout.total_seconds()

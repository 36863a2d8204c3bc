"""The tries of a step with options: time limits, delays between them, and the marker of one that may run only once."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from stepwell.definition.authoring.steps import Step
from stepwell.definition.text import is_a, told
from stepwell.definition.values.codec import Codec
from stepwell.engine.run import MAX_ERROR_CHARS, Moment, RunRow
from stepwell.errors import StepTimeout, StepUnknown
from stepwell.execution.clock import microseconds
from stepwell.execution.crew import NoThreadLeft
from stepwell.execution.scope import Limit, Scope
from stepwell.execution.shared import Body, Shared
from stepwell.execution.steps import check_kept, is_async, kept, return_codec
from stepwell.execution.storage import Journal, Storage
from stepwell.execution.user_errors import is_closing
from stepwell.store.journal import JournalRow, StepStatus

LONGEST_DELAY: Final = 60.0
"""Seconds; a step that waits longer gives the run back, and with it the slot and the memory that it takes."""


class StepHolder(Protocol):
    """The attempt, as its steps use it."""

    shared: Shared
    storage: Storage
    run: RunRow
    transition: str
    journal: Journal
    scope: Scope
    asleep: dict[str, Moment]


class Tries:
    """One step with options, in one attempt."""

    def __init__(self, holder: StepHolder, step: Step, body: Body) -> None:
        self._holder = holder
        self._step = step
        self._body = body
        self._codec: Codec[Any] = return_codec(body.fn)
        self._key = (holder.transition, step.name)
        self._tries = 0
        self._began = 0

    async def value(self) -> Any:
        """Return the value, now or from the journal. Raises StepTimeout, StepUnknown, and what the function raises."""
        journal = self._holder.journal
        recorded = journal.get(self._key)
        if recorded is not None:
            return self._codec.load(recorded)
        check_kept(self._step.name, self._codec, self._body.fn)
        self._began = self._holder.shared.clock.now()
        if self._step.once:
            if self._key in journal:
                raise await self._unknown()
            await self._journaled("started", attempts=1)
        return await self._tried()

    async def _unknown(self) -> StepUnknown:
        name = self._step.name
        error = StepUnknown(
            f"the step {name!r} was begun before, and no value of it is stored: whether it took effect isn't known, and "
            "it isn't called again. Ask the service that it calls; `except StepUnknown` lets the transition go on"
        )
        if self._holder.storage.durable:
            await self._journaled("unknown", attempts=1, error=str(error))
        return error

    async def _tried(self) -> Any:
        while True:
            self._tries += 1
            try:
                text, value = await self._one_try()
                break
            except BaseException as error:
                if _is_end(error):
                    raise
                delay = self._delay(error)
                if delay is None:
                    await self._failed(error)
                    raise
            await self._sleep(delay)
        await self._journaled(None, attempts=self._tries, value=text)
        recorded = self._holder.journal.get(self._key)
        return value if recorded is None or recorded == text else self._codec.load(recorded)

    async def _failed(self, error: BaseException) -> None:
        # With `once` the outcome is unknown for good: that it raised doesn't say that nothing happened.
        status: StepStatus = "unknown" if self._step.once else "failed"
        await self._journaled(status, attempts=self._tries, error=told(error)[:MAX_ERROR_CHARS])

    # -- a try --------------------------------------------------------------------------------------------------------

    async def _one_try(self) -> tuple[str, Any]:
        shared, step = self._holder.shared, self._step
        if step.timeout is None:
            return await kept(shared, step.name, self._codec, self._body)
        task = asyncio.current_task()
        assert task is not None  # it is awaited
        limit = Limit(step.timeout.total_seconds())
        scope = Scope(task, limit, self._what, shared.limits.cleanup_seconds)
        try:
            with scope:
                if not is_async(self._body.fn):
                    scope.pause()  # until a thread takes it
                found = await kept(shared, step.name, self._codec, self._body, scope.resume)
        except BaseException as error:
            if scope.reason is None or _is_end(error):
                raise
            raise self._too_long() from error
        finally:
            limit.disarm()
        if scope.reason is not None:
            raise self._too_long()
        return found

    def _what(self) -> str:
        return f"the step {self._step.name!r} of run {self._holder.run.id}"

    def _too_long(self) -> StepTimeout:
        assert self._step.timeout is not None  # it has a limit
        text = f"the step {self._step.name!r} took longer than {self._step.timeout.total_seconds():g} s"
        if not is_async(self._body.fn):
            text += ". A thread can't be stopped: it may still be running in one, and its result is discarded"
        return StepTimeout(text)

    # -- between tries ------------------------------------------------------------------------------------------------

    def _delay(self, error: BaseException) -> Moment | None:
        """Return the microseconds until the next try; None if there is none in this attempt."""
        policy = self._step.retry
        if policy is None or self._tries > policy.retries or not policy.allows(error):
            return None
        delay = policy.wait(self._tries, error, self._holder.shared.random())
        seconds, left = delay.total_seconds(), self._holder.scope.seconds_left
        if seconds > LONGEST_DELAY or (left is not None and seconds >= left):
            return None
        return microseconds(delay)

    async def _sleep(self, delay: Moment) -> None:
        clock, asleep = self._holder.shared.clock, self._holder.asleep
        asleep[self._step.name] = moment = clock.now() + delay
        try:
            await clock.sleep_until(moment)
        finally:
            del asleep[self._step.name]

    # -- the journal --------------------------------------------------------------------------------------------------

    async def _journaled(
        self, status: StepStatus | None, *, attempts: int, value: str = "", error: str | None = None
    ) -> None:
        holder = self._holder
        row = JournalRow(
            holder.run.id, holder.run.visit, holder.transition, self._step.name, value, holder.shared.clock.now(),
            attempts, status, error, self._step.undo if status is None else None, None, self._began,
        )  # fmt: skip
        await holder.storage.record(holder.run, row, holder.journal)


def _is_end(error: BaseException) -> bool:
    """Return whether it isn't the step that failed: its attempt is stopped, or closed, or could not begin."""
    return is_closing(error) or is_a(error, asyncio.CancelledError, GeneratorExit, NoThreadLeft)

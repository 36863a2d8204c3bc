"""Following a run until it ends or waits: its progress is printed to stderr, and its questions are asked in the terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from stepwell.console.cli.backends.backend import CommandBackend, RunChange
from stepwell.console.cli.terminal.output import say, show_document, step_line
from stepwell.console.cli.terminal.prompts import TypedAnswer, ask_payload, ask_which
from stepwell.console.reading.views import Ask
from stepwell.errors import (
    AlreadyAnswered,
    IdempotencyConflict,
    InvalidPayload,
    PayloadTooLarge,
    RunFinished,
    StoreUnavailable,
    UnknownTransition,
)
from stepwell.runner.models import Checkpoint, Run

_SLOW: Final = 5.0
"""Seconds after which the command looks for the reason why a ready run isn't taken."""
_SOON: Final = 2.0
"""Seconds within which a ready run has usually continued."""
_AWAY: Final = "Answered elsewhere meanwhile"


async def followed(
    backend: CommandBackend, run_id: str, *, seconds: float | None = None, quiet: bool = False, caller: bool = False
) -> Run:
    """Return the run when it rests: ended, or waiting for a person.

    With `caller`, its questions are asked here until the user leaves it waiting. After `seconds`, the run as it is then; it
    continues.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    async with aclosing(_Ahead(backend.follow(run_id), deadline)) as ahead:
        await _Following(backend, run_id, ahead, quiet, caller).rest()
    return await backend.get(run_id)


class _Ahead:
    """The next change of a run, awaited ahead of time so that it can be awaited together with something else."""

    def __init__(self, change: AsyncIterator[RunChange], deadline: float | None) -> None:
        self._changes = change
        self._deadline = deadline
        self.coming: asyncio.Task[RunChange | None] = asyncio.create_task(self._one())

    async def _one(self) -> RunChange | None:
        return await anext(self._changes, None)

    async def next(self) -> RunChange | None:
        """Return the next change; None at the end of them, or at the deadline."""
        await self.wait()
        if not self.coming.done():
            return None
        change = self.coming.result()
        self.coming = asyncio.create_task(self._one())
        return change

    async def wait(self, *more: asyncio.Task[Any], seconds: float | None = None) -> None:
        """Wait until there is a change, or one of `more` is done, or the deadline or `seconds` are over."""
        left = None if self._deadline is None else max(self._deadline - time.monotonic(), 0)
        limit = min((one for one in (left, seconds) if one is not None), default=None)
        await asyncio.wait({self.coming, *more}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)

    @property
    def over(self) -> bool:
        """True if there is nothing to wait for any more: a change has come, or the deadline is over."""
        return self.coming.done() or (self._deadline is not None and time.monotonic() >= self._deadline)

    async def aclose(self) -> None:
        """Stop waiting."""
        self.coming.cancel()
        await asyncio.wait({self.coming})
        if isinstance(self._changes, AsyncGenerator):
            await self._changes.aclose()


class _Following:
    def __init__(self, backend: CommandBackend, run_id: str, ahead: _Ahead, quiet: bool, caller: bool) -> None:
        self._backend = backend
        self._run_id = run_id
        self._ahead = ahead
        self._quiet = quiet
        self._asking = caller
        self._answered: set[tuple[str, int]] = set()
        self._held: RunChange | None = None
        self._entered: datetime | None = None

    async def rest(self) -> None:
        """Print the changes until the run rests, or the deadline is over."""
        while (change := await self._next()) is not None:
            self._print(change)
            if _is_queued(change.run) and not self._quiet:
                await self._explain_wait()
            if change.rests and not await self._goes_on(change):
                return

    async def _next(self) -> RunChange | None:
        held, self._held = self._held, None
        return held or await self._ahead.next()

    async def _goes_on(self, change: RunChange) -> bool:
        """Return whether a run that rests continues: its question was answered, here or elsewhere."""
        if change.run.status != "waiting" or not self._asking:
            return (change.run.workflow_id, change.run.version) in self._answered
        questions = await self._questions(change)
        if not questions:
            return not self._answered.isdisjoint(change.mark)
        return await self._answer(change.run, questions)

    async def _questions(self, change: RunChange) -> list[_Question]:
        """Return the questions of the run and the runs below it, except for those that were answered here already."""
        found: list[_Question] = []
        for run in (change.run, *change.below):
            if (run.workflow_id, run.version) not in self._answered:
                mine = run is change.run
                found += [_Question.of(run, ask, mine) for ask in await self._backend.asks(run.workflow_id)]
        return found

    async def _explain_wait(self) -> None:
        """Print why the run doesn't continue, as soon as there is a reason: a worker that died counts as alive for a while."""
        reasons: Sequence[str] = ()
        while not reasons:
            await self._ahead.wait(seconds=_SLOW)
            if self._ahead.over or not _is_queued(await self._backend.get(self._run_id)):
                return
            reasons = (await self._backend.explain(self._run_id)).reasons
        for reason in reasons:
            say(reason)

    # -- progress ---------------------------------------------------------------------------------------------------

    def _print(self, change: RunChange) -> None:
        if self._quiet:
            return
        for row in change.rows:
            say(step_line(row, self._seconds(row)))
            failed = row.status != "committed"
            for document in change.documents:
                if document.version == row.version and not (failed and document.name == "error"):
                    show_document(document)

    def _seconds(self, row: Checkpoint) -> float | None:
        """Return how long the run was at the place that it left; for an attempt that failed, how long that took."""
        if row.status != "committed":
            return (row.finished_at - row.started_at).total_seconds()
        entered, self._entered = self._entered, row.finished_at
        return None if entered is None else (row.finished_at - entered).total_seconds()

    # -- asking -----------------------------------------------------------------------------------------------------

    async def _answer(self, run: Run, questions: Sequence[_Question]) -> bool:
        """Return whether the run continues: a question was answered, here or elsewhere. False: it is left waiting."""
        which, before, key = None, None, str(uuid4())
        while True:
            asked = asyncio.create_task(_asked(run.place, questions, which, before))
            try:
                went_on = await self._went_on(run, questions, asked)
            finally:
                asked.cancel()
                await asyncio.wait({asked})
            if went_on is not None:
                say(f"{went_on}. Your answer is no longer needed.")
                return True
            found = None if asked.cancelled() else asked.result()
            if found is None:
                return False
            which, answer = found
            if await self._sent(which.run, answer, key):
                return True
            before = answer.data

    async def _went_on(self, run: Run, questions: Sequence[_Question], asked: asyncio.Task[Any]) -> str | None:
        """Return why the answer is no longer needed, as soon as that is so; None once it is given, or at the deadline."""
        while True:
            await self._ahead.wait(asked)
            if asked.done() or not self._ahead.coming.done():
                return None
            change = self._ahead.coming.result()
            if change is None or change.rows or change.run.version != run.version:
                return _reason(change)
            await self._ahead.next()
            if not change.rests:  # a change came, and the row that follows says which
                await self._ahead.wait(seconds=_SOON)
                return _reason(self._ahead.coming.result() if self._ahead.coming.done() else None)
            if any((one.run.workflow_id, one.run.version) not in change.mark for one in questions):
                self._held = change
                return _AWAY

    async def _sent(self, run: Run, answer: TypedAnswer, key: str) -> bool:
        """Return whether the question is settled. False: it is to be asked again."""
        try:
            now = await self._backend.get(run.workflow_id)
            if now.version != run.version or now.ready_at is not None:
                say(f"{_AWAY}: your answer wasn't sent.")
                return True
            await self._backend.signal(run.workflow_id, answer.transition, answer.data, key)
        except (InvalidPayload, PayloadTooLarge) as error:
            say(f"Refused: {error}")
            return False
        except StoreUnavailable as error:
            say(f"Not sent: {error}")
            return False
        except (AlreadyAnswered, RunFinished, UnknownTransition, IdempotencyConflict) as error:
            say(str(error))
            return True
        self._answered.add((run.workflow_id, run.version))
        return True


@dataclass(frozen=True, slots=True)
class _Question:
    """A question of a run."""

    run: Run
    ask: Ask

    @classmethod
    def of(cls, run: Run, ask: Ask, mine: bool) -> _Question:
        """Return a question of a run; one of a run below the followed run names its workflow."""
        title = ask.title if mine else f"{run.workflow_name}: {ask.title}"
        return cls(run, ask.model_copy(update={"title": title}))


async def _asked(
    place: str, questions: Sequence[_Question], which: _Question | None, before: Any
) -> tuple[_Question, TypedAnswer] | None:
    try:
        if which is None:
            chosen = await ask_which(place, [one.ask for one in questions])
            which = next((one for one in questions if one.ask is chosen), None)
        answer = None if which is None else await ask_payload(which.ask, before)
    except EOFError:
        return None
    return None if which is None or answer is None else (which, answer)


def _is_queued(run: Run) -> bool:
    return run.status == "pending" or run.ready_at is not None


def _reason(change: RunChange | None) -> str:
    row = change.rows[0] if change is not None and change.rows else None
    if row is None:
        return "The run goes on"  # what made it do so is known once its transition is over
    if row.signal_id is not None:
        return _AWAY + (f" by {row.answered_by}" if row.answered_by else "")
    return "The run was cancelled meanwhile" if row.status == "canceled" else "The run went on by itself meanwhile"

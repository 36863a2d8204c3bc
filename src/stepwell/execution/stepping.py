"""`self.step` and `self.undo` of one attempt: what runs, what is journaled, and what isn't run again (rules 9, 61)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from stepwell.definition.authoring.steps import MAX_STEP_NAME, Step
from stepwell.definition.model import Definition
from stepwell.definition.text import is_text
from stepwell.engine.run import Moment, RunRow
from stepwell.errors import StatelessError, StepwellError
from stepwell.execution.scope import Scope
from stepwell.execution.shared import Body, Shared
from stepwell.execution.steps import kept, return_codec
from stepwell.execution.storage import Journal, Storage
from stepwell.execution.tries import Tries
from stepwell.execution.undoing import check_undo, undo_all
from stepwell.execution.user_errors import Exited, is_closing
from stepwell.store.journal import JournalRow

_WITHIN: ContextVar[str | None] = ContextVar("stepwell_within_step", default=None)
"""The step whose function is being called, in this task."""


@dataclass(slots=True)
class Stepping:
    """The steps of an attempt. `check` raises StepwellError where none may begin any more."""

    shared: Shared
    storage: Storage
    definition: Definition
    run: RunRow
    transition: str
    journal: Journal
    scope: Scope
    check: Callable[[str], None]
    asleep: dict[str, Moment] = field(default_factory=dict)
    """Steps that wait for their next try, and until when."""
    _seen: set[str] = field(default_factory=set)
    _undoing: bool = False

    async def step(self, given: str | Step, body: Body) -> Any:
        """Return the value of the step, now or from the journal."""
        name = given.name if isinstance(given, Step) else given
        self.check(f"step({name!r})")
        if not is_text(name, MAX_STEP_NAME):
            raise StepwellError(f"self.step({name!r}): give a name of 1 to {MAX_STEP_NAME} characters, without NUL.")
        if name in self._seen:
            raise StepwellError(
                f"self.step({name!r}): this visit has a step of that name already; give each step of a visit a name of its own."
            )
        self._seen.add(name)
        body = self.shared.body_of(name, body)
        await self._check_lease()
        outer = _WITHIN.get()
        _WITHIN.set(name)
        try:
            return await (self._plain(name, body) if given is name else self._with_options(given, body))
        except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
            raise self._carried(error) from error
        finally:
            _WITHIN.set(outer)  # by its token it couldn't be, where the coroutine is closed in another context

    async def undo(self, workflow: object) -> None:
        """Call the undo of each step that committed and wasn't undone, newest first."""
        self.check("undo()")
        if not self.storage.durable:
            raise StatelessError("self.undo(): a stateless run has no journal; run it without stateless=True.")
        if (step := _WITHIN.get()) is not None:
            raise StepwellError(
                f"self.undo() in the step {step!r}: a step that is in the journal isn't called again, so its undo would go "
                "on only half-way; call it in the method of the transition."
            )
        if self._undoing:
            raise StepwellError("self.undo() is under way already: await it before you call it again.")
        await self._check_lease()
        self._undoing = True
        try:
            await undo_all(self.shared, self.storage, self.definition, self.run, workflow)
        except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
            raise self._carried(error) from error
        finally:
            self._undoing = False

    def _carried(self, error: BaseException) -> BaseException:
        """Return what can leave this task: another task than the attempt's would end the event loop with some of them."""
        return error if asyncio.current_task() is self.scope.task or is_closing(error) else Exited(error)

    async def _check_lease(self) -> None:
        if not self.storage.holds():
            # The process was stopped for longer than its lease: another may have executed this step meanwhile.
            self.scope.stop("lost")
            await asyncio.sleep(0)

    async def _plain(self, name: str, body: Body) -> Any:
        codec, key = return_codec(body.fn), (self.transition, name)
        recorded = self.journal.get(key)
        if recorded is not None:
            return codec.load(recorded)
        began = self.shared.clock.now()
        text, value = await kept(self.shared, name, codec, body)
        now = self.shared.clock.now()
        row = JournalRow(self.run.id, self.run.visit, self.transition, name, text, now, started_at=began)
        await self.storage.record(self.run, row, self.journal)
        recorded = self.journal.get(key, text)
        return value if recorded == text or recorded is None else codec.load(recorded)

    async def _with_options(self, step: Any, body: Body) -> Any:
        assert isinstance(step, Step)  # what isn't a text was refused before
        if step.plain:
            return await self._plain(step.name, body)
        if not self.storage.durable and (step.once or step.undo is not None):
            option = "once=True" if step.once else f"undo={step.undo!r}"
            raise StatelessError(
                f"self.step(Step({step.name!r}, {option})): a stateless run has no journal; run it without stateless=True."
            )
        if step.undo is not None:
            check_undo(self.definition, step.name, step.undo)
        return await Tries(self, step, body).value()

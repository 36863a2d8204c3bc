"""One attempt of one transition, as the user's method sees it: everything it may read, and what it asks for.

What it asks for is collected here and becomes true with the checkpoint. When the attempt is over it is closed: a thread
or a task that is late can write nothing any more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from sys import _getframe
from threading import get_ident
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import ValidationError

from stepwell.definition.authoring.context import Info, OnParentEnd, Show
from stepwell.definition.authoring.groups import GroupItem
from stepwell.definition.authoring.marks import END
from stepwell.definition.authoring.steps import Step
from stepwell.definition.authoring.workflow import Start
from stepwell.definition.model import Definition, Transition
from stepwell.definition.values.codec import codec_for, plain
from stepwell.definition.values.inputs import bounded, summary
from stepwell.definition.values.misfit import ValueMisfit
from stepwell.engine.commit import Commit, Effects, Emission, Returned
from stepwell.engine.groups import NewGroup
from stepwell.engine.run import RunRow, SignalRow
from stepwell.errors import StatelessError, StepwellError, TransitionFailed
from stepwell.execution.begun import Called, Inside, in_a_thread, still_open
from stepwell.execution.children import child_of
from stepwell.execution.documents import RunDocuments, guard_only_asks
from stepwell.execution.emission import plan
from stepwell.execution.groups import Asked, checked_starts, items_of, many_of
from stepwell.execution.info import RunLog, info_of, run_log
from stepwell.execution.scope import Scope
from stepwell.execution.shared import Body, Shared
from stepwell.execution.stepping import Stepping
from stepwell.execution.storage import Journal, Storage
from stepwell.execution.transaction import Held, Transaction

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")

_KEPT = 256
"""Calls of verbs after which those that are over are forgotten."""
_UNSET: Any = object()
_ANY = codec_for(Any)


class Attempt:
    """The Context of a workflow instance."""

    # Most attempts use little of this: what isn't used isn't made. Class attributes stand for "not yet".
    _args: Any = _UNSET
    _state: Any = _UNSET
    _result: Any = _UNSET
    _documents: RunDocuments | None = None
    _info: Info | None = None
    _log: RunLog | None = None
    _children: tuple[Commit, ...] = ()
    _emissions: tuple[Emission, ...] = ()
    _groups: tuple[NewGroup, ...] = ()
    _stepping: Stepping | None = None
    _asked = False
    _closed = False
    calls: list[Called] | None = None
    """Of its verbs."""
    inside: Inside | None = None
    """Kept only of an attempt that couldn't end what it had begun."""
    asks = False
    """It is a guard's: it may read, and what it would write is refused."""
    over = False
    """True once its outcome is known: its method, or its guard, executes no more."""
    error: BaseException | None = None
    """The exception that it ended with."""
    returned = False
    """Its method has come to its end, and raised nothing."""
    threads: tuple[str, ...] = ()
    """Plain functions that may still be running in their threads, although they aren't waited for any more."""
    held: Held | None = None
    """Its transaction."""

    def __init__(
        self,
        shared: Shared,
        storage: Storage,
        definition: Definition,
        run: RunRow,
        transition: Transition,
        signal: SignalRow | None,
        journal: Journal,
        scope: Scope,
        thread: int,
    ) -> None:
        self._shared = shared
        self._storage = storage
        self.definition = definition
        self.run = run
        self.transition = transition
        self.signal = signal
        self._journal = journal
        self.scope = scope
        """The scope by which it ends itself, and is ended from outside."""
        self._thread = thread
        """That of the loop, which alone can await verbs."""

    @property
    def in_transaction(self) -> bool:
        """True if its transaction is open."""
        return self.held is not None and self.held.open

    # -- what it may read -----------------------------------------------------------------------------------------

    @property
    def args(self) -> Any:
        if self._args is _UNSET:
            codec = self.definition.args
            self._args = codec.load(self.run.args) if codec else None
        return self._args

    @property
    def state(self) -> Any:
        if self._state is _UNSET:
            self._state = self.definition.state.load(self.run.state)
        return self._state

    @state.setter
    def state(self, value: Any) -> None:
        self._state = value

    @property
    def result(self) -> Any:
        if self._result is _UNSET:
            self._result = self._stored_result()
        return self._result

    @result.setter
    def result(self, value: Any) -> None:
        self._result = value

    def _stored_result(self) -> Any:
        if self.run.result is None:
            return None
        try:
            return self.definition.result.load(self.run.result)
        except Exception:  # noqa: BLE001 - plain data that doesn't fit yet (rule 4); a validator may raise anything
            return plain(self.run.result)

    @property
    def documents(self) -> RunDocuments:
        if self._documents is None:
            run_id = self.run.id
            self._documents = RunDocuments(
                self.definition.workflow,
                self.transition.name,
                lambda wanted=None: self._storage.documents(run_id, wanted),
                self._shared.limits.document,
                self._called,
                read_only=self.asks,
            )
            if self._closed:
                self._documents.close()
        return self._documents

    @property
    def info(self) -> Info:
        if self._info is None:
            self._info = info_of(self.run, self.transition, durable=self._storage.durable)
        return self._info

    @property
    def log(self) -> RunLog:
        if self._log is None:
            self._log = run_log(self.run, self.transition.name)
        return self._log

    # -- what it may do -------------------------------------------------------------------------------------------

    def step(
        self, step: str | Step, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        name = step.name if isinstance(step, Step) else step
        return self._called("step", name, self._steps().step(step, Body(fn, args, kwargs)))

    def undo(self, workflow: object) -> Coroutine[Any, Any, None]:
        return self._called("undo", None, self._steps().undo(workflow))

    def _steps(self) -> Stepping:
        if self._stepping is None:
            self._stepping = Stepping(
                self._shared, self._storage, self.definition, self.run, self.transition.first_name, self._journal,
                self.scope, self._check_steps,
            )  # fmt: skip
        return self._stepping

    def _check_steps(self, what: str) -> None:
        verb = what.partition("(")[0]
        (self._check_acts if verb == "undo" else self._check_open)(verb)
        if self.held is not None:
            raise StepwellError(f"self.{what}: self.transaction() comes last in a transition; do that before.")

    @property
    def sleeps_until(self) -> int | None:
        """The first moment at which one of its steps is tried again, while it does nothing else; else None."""
        asleep = self._stepping.asleep if self._stepping is not None else None
        return min(asleep.values()) if asleep and len(asleep) == len(still_open(self.calls or ())) else None

    def transaction(self) -> Transaction:
        return Transaction(self._open_transaction, self._break_transaction)

    async def _open_transaction(self) -> AsyncConnection:
        """Return the connection of its one transaction, which holds the run's fence."""
        self._check_open("transaction")
        if self._asked:
            raise StepwellError("self.transaction() was opened already: it comes once, and last, in a transition.")
        self._asked = True  # before it is open: a second one, asked for meanwhile, would wait for the first for ever
        opened = await self._storage.transaction(self.run)
        if self._closed:  # by a task that the method has left behind
            await opened.roll_back()
            self._check_open("transaction")
        self.held = Held(opened, self._shared.limits.transaction_seconds, self._too_long)
        return self.held.connection

    async def _break_transaction(self, error: BaseException) -> None:
        assert self.held is not None  # it was inside the block
        await self.held.break_off(error)

    def _too_long(self) -> None:
        if not self._closed:
            self.scope.stop("transaction")

    def start(
        self,
        workflow: Any,
        args: Any,
        *,
        callback: str | None,
        show: Show,
        label: str | None,
        meta: dict[str, Any] | None,
        on_parent_end: OnParentEnd | None,
        app_name: str | None,
    ) -> Coroutine[Any, Any, str]:
        started = self._start(workflow, args, callback, show, label, meta, on_parent_end, app_name)
        return self._called("start", workflow, started)

    async def _start(
        self,
        workflow: Any,
        args: Any,
        callback: str | None,
        show: Show,
        label: str | None,
        meta: dict[str, Any] | None,
        on_parent_end: OnParentEnd | None,
        app_name: str | None,
    ) -> str:
        self._check_acts("start")
        if not self._storage.durable:
            raise StatelessError(
                f"self.start({workflow!r}): a stateless run has no children; run it without stateless=True."
            )
        child, link = child_of(
            self._shared, self.run, workflow, args, callback, show, label, meta, on_parent_end, app_name
        )
        self._children += (child,)
        if link is not None:
            self.documents.write(link)
        return child.run.id

    def start_many(self, starts: Sequence[Start], **asked: Any) -> Coroutine[Any, Any, list[str]]:
        return self._called("start_many", starts, self._start_many(starts, Asked(**asked)))

    async def _start_many(self, starts: Sequence[Start], asked: Asked) -> list[str]:
        self._check_acts("start_many")
        if not self._storage.durable:
            raise StatelessError("self.start_many: a stateless run has no children; run it without stateless=True.")
        given = checked_starts(starts)
        made = await many_of(self._shared, self._storage, self.run, self.definition, given, asked)
        self._check_open("start_many")
        self._children += made.children
        self._groups += (made.group,)
        for link in made.links:
            self.documents.write(link)
        return made.ids

    async def children(self, group_id: str) -> AsyncIterator[GroupItem[Any]]:
        if not self._storage.durable:
            raise StatelessError("self.children: a stateless run has no children; run it without stateless=True.")
        async for item in items_of(self._shared, self._storage, self.run, group_id):
            self._check_open("children")
            yield item

    def emit(self, name: str, data: Any) -> Coroutine[Any, Any, None]:
        return self._called("emit", name, self._emit(name, data))

    async def _emit(self, name: str, data: Any) -> None:
        self._check_acts("emit")
        if not self._storage.durable:
            raise StatelessError(f"self.emit({name!r}): a stateless run emits nothing; run it without stateless=True.")
        # Derived, not drawn: a second attempt of the same visit that commits would be the same event.
        identity = f"{self.run.id}:{self.transition.first_name}:{self.run.visit}:{len(self._emissions)}"
        emission, _ = plan(self._shared, name, data, self.run.user_id, identity, only_user=None)
        self._emissions += (emission,)

    def _called(
        self, verb: str, what: object, coroutine: Coroutine[Any, Any, T], depth: int = 3
    ) -> Coroutine[Any, Any, T]:
        """Return the coroutine of a verb, which is to be awaited. Raises StepwellError at once where nothing can await it."""
        if get_ident() != self._thread:
            coroutine.close()
            self._check_open(verb)
            raise in_a_thread(verb, self.transition.name)
        calls = self.calls
        if calls is None:
            calls = self.calls = []
        elif len(calls) >= _KEPT:
            calls[:] = [one for one in calls if one[2].cr_frame is not None]
        frame = _getframe(depth)
        calls.append((verb, what, cast("CoroutineType[Any, Any, Any]", coroutine), frame.f_code, frame.f_lasti))
        return coroutine

    # -- its end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the attempt: calls of the method that are still under way can write nothing any more."""
        self._closed = True
        if self.held is not None:
            self.held.unwatch()
        if self._documents is not None:
            self._documents.close()

    def left(self, started_at: int, returned: Any) -> Returned:
        """Return what the method has left, validated. Raises TransitionFailed, PayloadTooLarge."""
        state = None if self._state is _UNSET else self._new_state()
        ends = self.transition.target == END
        untouched = returned is None and self._result is _UNSET and not (ends and self.run.result is not None)
        result = None if untouched else self._new_result(returned, ends=ends)
        if self._documents is None and not self._children and not self._emissions and not self._groups:
            return Returned(started_at, state, result)
        written = self._documents.written if self._documents else []
        effects = Effects(tuple(written), self._children, self._emissions, self._groups)
        return Returned(started_at, state, result, effects)

    def _new_state(self) -> str | None:
        """Return the state as JSON, validated again; None if it is as before."""
        try:
            text = self.definition.state.changed(self._state, self.run.state)
        except (ValidationError, ValueMisfit) as error:
            raise TransitionFailed(f"the state doesn't fit its type: {summary(error)}") from error
        if text is None:
            return None
        return bounded(text, self._shared.limits.state, f"The state of {self.definition.workflow.__name__}")

    def _new_result(self, returned: Any, *, ends: bool) -> str:
        """Return the result as JSON. At END it is checked against `Result`."""
        if returned is not None:
            if not ends:
                raise TransitionFailed(
                    f"it returned {type(returned).__name__}, but only a transition into END may return a value; "
                    "set self.state or self.result instead"
                )
            self._result = returned
        value = self.result
        try:
            text = "null" if value is None else self._result_json(value, ends=ends)
        except (ValidationError, ValueMisfit) as error:
            raise TransitionFailed(f"the result doesn't fit its type: {summary(error)}") from error
        return bounded(text, self._shared.limits.state, f"The result of {self.definition.workflow.__name__}")

    def _result_json(self, value: Any, *, ends: bool) -> str:
        """Return the result as JSON. Before END it may be plain data that doesn't fit its type yet."""
        codec = self.definition.result
        try:
            return codec.checked(value)
        except ValidationError:
            if ends:
                raise
        return _ANY.checked(value)

    def _check_acts(self, what: str) -> None:
        self._check_open(what)
        if self.asks:
            raise guard_only_asks(what, self.transition.name)

    def _check_open(self, what: str) -> None:
        if self._closed:
            raise StepwellError(f"self.{what}: the attempt of {self.transition.name!r} is over.")

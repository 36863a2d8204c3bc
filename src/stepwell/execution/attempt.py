"""One attempt of one transition, as the user's method sees it: everything it may read, and what it asks for.

What it asks for is collected here and becomes true with the checkpoint. When the attempt is over it is closed: a thread
or a task that is late can write nothing any more.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from stepwell.definition.codec import codec_for
from stepwell.definition.context import Info, OnParentEnd, Show
from stepwell.definition.document import Link
from stepwell.definition.inputs import args_json, bounded, is_text, summary
from stepwell.definition.model import END, Definition, Transition
from stepwell.engine.begin import Request, begin
from stepwell.engine.commit import NOTHING, Commit, Effects, Emission
from stepwell.engine.run import Run
from stepwell.errors import InvalidArgs, InvalidPayload, NotBuilt, StatelessError, StepwellError, TransitionFailed
from stepwell.execution.documents import RunDocuments
from stepwell.execution.emission import plan
from stepwell.execution.scope import Scope
from stepwell.execution.shared import Shared, new_id
from stepwell.execution.storage import OpenTransaction, Storage

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_MAX_LABEL = 512
_UNSET: Any = object()
_ANY = codec_for(Any)
_log = logging.getLogger("stepwell.workflow")

current_attempt: ContextVar[Attempt | None] = ContextVar("stepwell_attempt", default=None)
"""The attempt whose method is running: runner calls inside an open `self.transaction()` look here."""


class RunLog(logging.LoggerAdapter[logging.Logger]):
    """Every line carries the run, the transition and the attempt, in its text and as `extra` fields."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        extra = self.extra or {}
        kwargs["extra"] = {**extra, **kwargs.get("extra", {})}
        return f"[{extra['workflow_id']} {extra['transition']}#{extra['attempt']}] {msg}", kwargs


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
    _seen: frozenset[str] = frozenset()
    _timer: asyncio.TimerHandle | None = None
    _closed = False
    scope: Scope | None = None
    """How the attempt ends itself when its transaction has been open for too long."""
    transaction_: OpenTransaction | None = None
    rolled_back = False
    database_away = False
    """Its transaction broke because the database can't be reached: that is no failure of the attempt."""
    _ending: asyncio.Task[None] | None = None
    _asked = False

    def __init__(
        self,
        shared: Shared,
        storage: Storage,
        definition: Definition,
        run: Run,
        transition: Transition,
        journal: dict[tuple[str, str], str],
    ) -> None:
        self._shared = shared
        self._storage = storage
        self._definition = definition
        self._run = run
        self._transition = transition
        self._journal = journal

    # -- what it may read -----------------------------------------------------------------------------------------

    @property
    def args(self) -> Any:
        if self._args is _UNSET:
            codec = self._definition.args
            self._args = codec.load(self._run.args) if codec else None
        return self._args

    @property
    def state(self) -> Any:
        if self._state is _UNSET:
            self._state = self._definition.state.load(self._run.state)
        return self._state

    @state.setter
    def state(self, value: Any) -> None:
        self._state = value

    @property
    def result(self) -> Any:
        if self._result is _UNSET:
            self._result = json.loads(self._run.result) if self._run.result is not None else None
        return self._result

    @result.setter
    def result(self, value: Any) -> None:
        self._result = value

    @property
    def documents(self) -> RunDocuments:
        if self._documents is None:
            run_id = self._run.id
            self._documents = RunDocuments(
                self._transition.name, lambda: self._storage.documents(run_id), self._shared.limits.document
            )
            if self._closed:
                self._documents.close()
        return self._documents

    @property
    def info(self) -> Info:
        if self._info is None:
            run, name = self._run, self._transition.name
            self._info = Info(
                workflow_id=run.id if self._storage.durable else "",
                workspace_id=run.workspace_id,
                app_name=run.app_name,
                user_id=run.user_id,
                place=run.place,
                transition=name,
                attempt=run.attempt + 1,
                labels=tuple(json.loads(run.labels)),
                idempotency_key=f"{run.id}:{name}:{run.visit}",
            )
        return self._info

    @property
    def log(self) -> RunLog:
        if self._log is None:
            self._log = RunLog(
                _log,
                {
                    "workflow_id": self._run.id,
                    "transition": self._transition.name,
                    "attempt": self._run.attempt + 1,
                },
            )
        return self._log

    # -- what it may do -------------------------------------------------------------------------------------------

    async def step(self, name: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._check_open("step")
        if self.transaction_ is not None:
            raise StepwellError(
                f"self.step({name!r}): self.transaction() comes last in a transition; do the step before."
            )
        if not is_text(name, _MAX_LABEL):
            raise StepwellError(f"self.step({name!r}): give a name of 1 to {_MAX_LABEL} characters, without NUL.")
        if name in self._seen:
            raise StepwellError(
                f"self.step({name!r}): the name is taken already in this visit; names are unique in one."
            )
        self._seen |= {name}
        if not self._storage.holds() and self.scope is not None:
            # The process was stopped for longer than its lease: another may have executed this step meanwhile.
            self.scope.stop("lost")
            await asyncio.sleep(0)
        return await self._storage.step(self._run, self._transition.name, name, self._journal, fn, args, kwargs)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        self._check_open("transaction")
        if self._asked or self.transaction_ is not None:
            raise StepwellError("self.transaction() was opened already: it comes once, and last, in a transition.")
        self._asked = True  # before it is open: a second one, asked for meanwhile, would wait for the first for ever
        opened = await self._storage.transaction(self._run)
        if self._closed:  # by a task that the method has left behind
            await opened.roll_back()
            self._check_open("transaction")
        self.transaction_ = opened
        self._timer = asyncio.get_running_loop().call_later(self._shared.limits.transaction_seconds, self._too_long)
        try:
            yield opened.connection
        except BaseException as error:
            # Even where the method catches this: half of a block is never committed.
            self.database_away = self.database_away or opened.lost(error)
            await opened.roll_back()
            self.rolled_back = True
            raise

    def _too_long(self) -> None:
        self._ending = asyncio.get_running_loop().create_task(self._end_transaction())

    async def _end_transaction(self) -> None:
        """Whose fault it is that the transaction lasts so long is found out before it is ended."""
        assert self.transaction_ is not None  # the timer was set when it was opened
        self.database_away = not await self.transaction_.answers()
        if self.scope is not None and not self._closed:
            self.scope.stop("transaction")

    async def start(
        self,
        workflow: Any,
        args: Any,
        *,
        callback: str | None,
        show: Show,
        label: str | None,
        meta: dict[str, Any] | None,
        on_parent_end: OnParentEnd | None,
    ) -> str:
        self._check_open("start")
        if not self._storage.durable:
            raise StatelessError(
                f"self.start({workflow!r}): a stateless run has no children; run it without stateless=True."
            )
        _check_choice("show", show, get_args(Show))
        _check_choice("on_parent_end", on_parent_end, (None, *get_args(OnParentEnd)))
        if label and not is_text(label, _MAX_LABEL):
            raise InvalidPayload(
                f"self.start(label={label!r}): give a text of at most {_MAX_LABEL} characters, without NUL."
            )
        shared, run = self._shared, self._run
        definition = shared.registry.get(run.app_name, workflow)
        request = Request(
            id=new_id(),
            app_name=run.app_name,
            user_id=run.user_id,
            workspace_id=run.workspace_id,
            args=args_json(definition, args, shared.limits.args),
            parent_id=run.id,
            callback=callback,
            callback_meta=_meta_json(meta, shared.limits.payload),
            on_parent_end=on_parent_end or ("cancel" if callback else "abandon"),
        )
        self._children += (begin(definition, request, shared.clock.now()),)
        if show != "hidden":
            link = Link(label=label or definition.title, workflow_id=request.id, show=show)
            await self.documents.save(link)
        return request.id

    async def start_many(self, starts: Sequence[Any]) -> list[str]:
        raise NotBuilt("self.start_many")

    async def emit(self, name: str, data: Any) -> None:
        self._check_open("emit")
        if not self._storage.durable:
            raise StatelessError(f"self.emit({name!r}): a stateless run emits nothing; run it without stateless=True.")
        # Derived, not drawn: a second attempt of the same visit that commits would be the same event.
        identity = f"{self._run.id}:{self._transition.name}:{self._run.visit}:{len(self._emissions)}"
        emission, _ = plan(self._shared, name, data, self._run.user_id, identity, only_user=None)
        self._emissions += (emission,)

    # -- its end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Whatever still runs of the method can write nothing any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._ending is not None:
            self._ending.cancel()
        if self._documents is not None:
            self._documents.close()

    def effects(self) -> Effects:
        """What the method asked for."""
        if self._documents is None and not self._children and not self._emissions:
            return NOTHING
        written = self._documents.written if self._documents else []
        return Effects(tuple(written), self._children, self._emissions)

    def new_state(self) -> str | None:
        """The state as JSON, validated anew; None if it is as before. Raises TransitionFailed, PayloadTooLarge."""
        if self._state is _UNSET:
            return None
        codec = self._definition.state
        text = codec.dump(self._state)
        if text == self._run.state:
            return None
        try:
            codec.validate(self._state)  # an instance of another model could pass as JSON, by its defaults
            text = codec.dump(codec.load(text))
        except ValidationError as error:
            raise TransitionFailed(f"the state breaks its type: {summary(error)}") from error
        return bounded(text, self._shared.limits.state, f"The state of {self._definition.workflow.__name__}")

    def new_result(self, returned: Any) -> str | None:
        """The result as JSON, None if unchanged. At END it is checked against `Result`. Raises TransitionFailed."""
        ends = self._transition.target == END
        if returned is not None:
            if not ends:
                raise TransitionFailed(
                    f"it returned {type(returned).__name__}, but only a transition into END may return a value; "
                    "set self.state or self.result instead"
                )
            self._result = returned
        if self._result is _UNSET and not (ends and self._run.result is not None):
            return None
        value = self.result
        text = _ANY.dump(value)
        if ends and value is not None:
            text = self._checked_result(value)
        return bounded(text, self._shared.limits.state, f"The result of {self._definition.workflow.__name__}")

    def _checked_result(self, value: Any) -> str:
        try:
            return self._definition.result.checked(value)
        except ValidationError as error:
            raise TransitionFailed(f"the result doesn't fit its type: {summary(error)}") from error

    def _check_open(self, what: str) -> None:
        if self._closed:
            raise StepwellError(f"self.{what}: the attempt of {self._transition.name!r} is over.")


def _check_choice(what: str, given: object, choices: Sequence[object]) -> None:
    if given not in choices:
        raise InvalidArgs(f"self.start({what}={given!r}): it is one of {', '.join(map(repr, choices))}.")


def _meta_json(meta: dict[str, Any] | None, limit: int) -> str | None:
    if meta is None:
        return None
    try:
        return bounded(_ANY.dump(meta), limit, "The meta of self.start")
    except PydanticSerializationError as error:
        raise InvalidArgs(f"self.start(meta={meta!r}) isn't JSON: {error}") from error

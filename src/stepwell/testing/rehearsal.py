"""One transition, executed as in production, of which nothing is stored: what it would have committed is returned."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, replace
from threading import get_ident
from typing import Any, Generic, Literal, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection
from typing_extensions import TypeVar

from stepwell.definition.authoring.context import Signal
from stepwell.definition.model import Definition, Transition
from stepwell.definition.unset import UNSET
from stepwell.definition.values.codec import plain
from stepwell.definition.values.inputs import payload_json
from stepwell.definition.values.misfit import shown
from stepwell.engine.choose import Execute
from stepwell.engine.commit import Commit, Outcome, Raised, Returned
from stepwell.engine.run import RunRow, SignalRow
from stepwell.engine.settle import settle
from stepwell.errors import InvalidArgs, UnknownTransition
from stepwell.execution.attempt import Attempt
from stepwell.execution.begun import PassTask
from stepwell.execution.call import ask, call
from stepwell.execution.durable import Lent
from stepwell.execution.scope import Scope
from stepwell.execution.shared import Shared, new_id
from stepwell.execution.stateless import Memory
from stepwell.execution.storage import Journal, OpenTransaction
from stepwell.execution.timers import with_timers
from stepwell.nearest import suggestion
from stepwell.runner.models import StoredDocument, document_of
from stepwell.store.base import Store
from stepwell.store.journal import BARRING, JournalRow
from stepwell.testing.clock import PassingClock

S = TypeVar("S", default=Any)
R = TypeVar("R", default=Any)


@dataclass(frozen=True, slots=True)
class StartedChild:
    """A child that the transition starts, or one of a group of children."""

    workflow: str
    args: Any
    """As JSON."""
    app_name: str
    callback: str | None


@dataclass(frozen=True, slots=True)
class EmittedEvent:
    """An event that the transition emits."""

    name: str
    data: Any
    """As JSON."""


@dataclass(frozen=True, slots=True)
class Committed(Generic[S, R]):
    """The checkpoint of one transition."""

    place: str
    """The place to which it leads."""
    state: S
    result: R | None
    documents: tuple[StoredDocument, ...]
    children: tuple[StartedChild, ...]
    events: tuple[EmittedEvent, ...]


class Rehearsed(NamedTuple):
    """A transition with what it is called with."""

    definition: Definition
    transition: Transition
    run: RunRow
    signal: SignalRow | None


def rehearsed(
    shared: Shared, definition: Definition, transition: Transition, commit: Commit, worker_id: str, data: object
) -> Rehearsed:
    """Return the transition in the hands of a worker, with its signal. Raises InvalidArgs, InvalidPayload, PayloadTooLarge."""
    run = commit.run._replace(status="running", owner=worker_id, ready_at=None, claim=1)
    if transition.kind in ("automatic", "timer"):
        if data is not UNSET:
            raise InvalidArgs(f"data={shown(data)}: no signal and no event fires {transition.name!r}; leave data= out.")
        return Rehearsed(definition, transition, run, None)
    return Rehearsed(definition, transition, run, _signal(shared, definition, transition, run, data))


def chosen(definition: Definition, name: object, place: object) -> Transition:
    """Return the transition of this name, or method, at this place; `UNSET`: the one place that it leaves.

    Raises UnknownTransition, InvalidArgs.
    """
    found = _named(definition, name)
    sources = [one.source for one in found]
    called = found[0].name
    if place is UNSET:
        if len(found) > 1:
            raise InvalidArgs(
                f"{called!r} leaves {', '.join(map(repr, sources))}: say from which, as in place={sources[0]!r}."
            )
        return found[0]
    for one in found:
        if one.source == place:
            return one
    raise InvalidArgs(f"place={shown(place)}: {called!r} leaves {', '.join(map(repr, sources))}.")


def _named(definition: Definition, name: object) -> tuple[Transition, ...]:
    if isinstance(name, str):
        found = definition.named(definition.current(name))
    else:
        classes = definition.workflow.__mro__
        found = tuple(t for t in definition.transitions if any(vars(one).get(t.method) is name for one in classes))
    if found:
        return found
    names = dict.fromkeys(t.name for t in definition.transitions)
    given = name if isinstance(name, str) else getattr(name, "__name__", "")
    raise UnknownTransition(
        f"{definition.workflow.__name__} has no transition {shown(given or name)}; {suggestion(given, names, '{!r}')}"
    )


def _signal(shared: Shared, definition: Definition, transition: Transition, run: RunRow, data: object) -> SignalRow:
    given = data if isinstance(data, Signal) else None
    value = None if data is UNSET else data if given is None else given.data
    nothing = given is not None and given.status != "completed" and given.data is None
    text = "null" if nothing else payload_json(definition, transition, value, shared.limits.payload)
    status, error, sender, user_id, meta = (
        ("completed", None, "signal", None, None)
        if given is None
        else (given.status, given.error, given.workflow_id or run.id, given.user_id, given.meta)
    )
    kind: Literal["event", "signal", "child"] = (
        "event" if transition.kind == "event" else "signal" if given is None else "child"
    )
    return SignalRow(
        new_id(), run.id, transition.name, kind, text, status, error, sender, user_id,
        None if meta is None else json.dumps(meta), None, run.visit, run.updated_at, "open", None,
    )  # fmt: skip


async def rehearse(shared: Shared, store: Store, given: Rehearsed) -> Committed[Any, Any]:
    """Execute the transition, and return what it would have committed.

    Raises what its method raises; AssertionError where its guard refuses. What `self.transaction()` writes is committed.
    """
    shared = replace(shared, clock=PassingClock(shared.clock))  # steps wait before they try again
    task = PassTask(_executed(shared, store, given), loop=asyncio.get_running_loop(), context=copy_context())
    committed: Committed[Any, Any] = await task
    return committed


async def _executed(shared: Shared, store: Store, given: Rehearsed) -> Committed[Any, Any]:
    definition, transition, run, signal = given
    storage, now = RehearsalStorage(shared, store), shared.clock.now()
    if transition.guard is not None:
        _check_verdict(transition, await ask(shared, _attempt(shared, storage, given, asks=True)))
    attempt = _attempt(shared, storage, given)
    try:
        outcome = _with_timers(shared, given, await call(shared, attempt, now))
        if isinstance(outcome, Raised):
            raise outcome.error
        inbox = () if signal is None else (signal,)
        commit = settle(definition, run, Execute(transition, signal), outcome, inbox, shared.clock.now())
        if attempt.held is not None and attempt.held.open:
            await attempt.held.commit(commit)
        await storage.commit(commit)
    finally:
        attempt.over = True
        if attempt.held is not None:
            await attempt.held.close()
    return _committed(definition, commit, storage)


def _attempt(shared: Shared, storage: Memory, given: Rehearsed, *, asks: bool = False) -> Attempt:
    transition, task = given.transition, asyncio.current_task()
    assert task is not None  # it is awaited
    seconds = shared.limits.transition_timeout if transition.timeout is None else transition.timeout.total_seconds()
    limit = shared.time_limits.here()[seconds]
    what = f"{transition.name} of {given.definition.name}"
    scope = Scope(task, limit, lambda: what, shared.limits.cleanup_seconds)
    signal = None if asks else given.signal
    attempt = Attempt(shared, storage, given.definition, given.run, transition, signal, {}, scope, get_ident())
    attempt.asks = asks
    return attempt


def _check_verdict(transition: Transition, verdict: bool | Raised) -> None:
    if isinstance(verdict, Raised):
        raise verdict.error
    if not verdict:
        raise AssertionError(
            f"The guard {transition.guard_name} refused {transition.name!r}: a run with these args and this state at"
            f" {transition.source!r} wouldn't execute it."
        )


def _with_timers(shared: Shared, given: Rehearsed, outcome: Outcome) -> Outcome:
    definition, decision = given.definition, Execute(given.transition, given.signal)
    if isinstance(outcome, Returned) and given.transition.target in definition.timed:
        return with_timers(shared, definition, given.run, decision, outcome)
    return outcome


def _committed(definition: Definition, commit: Commit, storage: RehearsalStorage) -> Committed[Any, Any]:
    run, effects = commit.run, commit.effects
    return Committed(
        run.place,
        definition.state.load(run.state),
        None if run.result is None else _result(definition, run),
        tuple(document_of(row) for row in storage.saved),
        tuple(_child(one.run) for one in effects.children),
        tuple(EmittedEvent(one.name, json.loads(one.data)) for one in effects.emissions),
    )


def _result(definition: Definition, run: RunRow) -> Any:
    assert run.result is not None
    return definition.result.load(run.result) if run.status == "completed" else plain(run.result)


def _child(run: RunRow) -> StartedChild:
    return StartedChild(run.workflow_name, json.loads(run.args), run.app_name, run.callback)


class RehearsalStorage(Memory):
    """The storage of one transition: a run in memory that may do all that a durable one may."""

    durable = True

    def __init__(self, shared: Shared, store: Store) -> None:
        super().__init__(shared)
        self._store = store
        self._steps: dict[tuple[str, str], JournalRow] = {}

    async def record(self, run: RunRow, row: JournalRow, journal: Journal) -> None:
        key = (row.transition, row.name)
        self._steps.pop(key, None)  # the newest comes last
        self._steps[key] = row
        if row.undone_at is None and row.status is None:
            journal[key] = row.value
        elif row.status in BARRING:
            journal.setdefault(key, None)

    async def undoable(self, run_id: str) -> list[JournalRow]:
        return [one for one in reversed(self._steps.values()) if one.undo and one.status is None and not one.undone_at]

    async def transaction(self, run: RunRow) -> OpenTransaction:
        opened = RehearsalTransaction(self._store)
        await opened.open()
        return opened


class RehearsalTransaction:
    """`self.transaction()` of one transition: what the method writes is committed, and no checkpoint with it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._close: Callable[[], Any] | None = None

    async def open(self) -> None:
        """Open it."""
        context = self._store.transaction()
        own = await context.__aenter__()
        self._close = lambda: context.__aexit__(None, None, None)
        self._own = own
        self.connection: AsyncConnection = Lent(own.engine, own.sync_connection)

    async def commit(self, commit: Commit) -> RunRow:
        await self._own.commit()
        await self.roll_back()
        return commit.run

    async def roll_back(self) -> None:
        close, self._close = self._close, None
        if close is not None:
            await close()

    def lost(self, error: BaseException) -> bool:
        return False

    async def answers(self) -> bool:
        return await self._store.answers()

"""The runner that a handler of a tick or a delivery gets: its starts have keys, so that a second run of the
handler starts nothing twice (rule 38). It works as long as the execution of the handler that it was made for: a thread
that was given up can't be stopped, and is to start nothing beside the next attempt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from hashlib import sha256
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel
from pydantic_core import to_json

from stepwell.definition.values.fidelity import varies
from stepwell.errors import LeaseLost
from stepwell.execution.scope import Scope
from stepwell.runner.arguments import check_user
from stepwell.runner.batch_starts import BatchOptions
from stepwell.runner.core import Core
from stepwell.runner.handle import RunHandle
from stepwell.runner.models import Emitted, RunResult
from stepwell.runner.opening import Opening
from stepwell.runner.runner import WorkflowRunner
from stepwell.runner.start import Origin, Start
from stepwell.runner.starting import RunHandles
from stepwell.store.tx import StartedRun
from stepwell.store.workspaces import DERIVED_KEY

if TYPE_CHECKING:
    from stepwell.runner.callers import AwaitedConnection

TOLD: Final = 100
"""The number of runs that are noted for one delivery, however many its handler started."""


@dataclass(slots=True)
class Calls:
    """The calls of one execution of a handler, counted: two equal ones are meant."""

    identity: str
    """The tick or the delivery: the same when the handler runs again."""
    seen: Counter[str] = field(default_factory=Counter)
    started: list[str] = field(default_factory=list)
    """The runs that they started, or that were there already by their keys; the first `TOLD` of them."""
    scope: Scope | None = None
    """The scope that ends the execution when its time is over."""
    closed: bool = False

    def close(self) -> None:
        """End the calls: those that a thread or a task still makes are refused from now on."""
        self.closed = True

    def check_open(self) -> None:
        """Raise LeaseLost if the execution is over, or was told to end."""
        if self.closed or (self.scope is not None and self.scope.reason is not None):
            raise LeaseLost(
                f"The handler of {self.identity} was told to end, or has ended, and still calls its runner: nothing was "
                "done. Another attempt may be under way. Give it a longer timeout=, or have it await all that it begins."
            )

    def note(self, run_ids: Iterable[str]) -> None:
        """Note these runs as started."""
        for run_id in run_ids:
            if run_id not in self.started and len(self.started) < TOLD:
                self.started.append(run_id)

    def key(self, *what: Any) -> str:
        """Return the name of the n-th call with these values. Values that a model's own defaults would fill don't count."""
        call = to_json([self.identity, *(_plain(one) for one in what)], fallback=repr).decode()
        self.seen[call] += 1
        return DERIVED_KEY + sha256(f"{self.seen[call]}:{call}".encode()).hexdigest()


class HandlerRunner(WorkflowRunner):
    """A WorkflowRunner whose `run`, `run_sync`, `run_many`, `run_batch`, `fork`, `signal` and `emit`
    get a derived key if they have none.

    All its verbs raise LeaseLost once the execution of the handler has ended or was told to end.
    """

    def __init__(
        self, opening: Opening, app_name: str, calls: Calls, user_id: str | None = None, asked_by: str | None = None
    ) -> None:
        super().__init__(opening, user_id, asked_by)
        self._own_app = app_name
        self._calls = calls

    def as_user(self, user_id: str) -> HandlerRunner:
        check_user(user_id)
        return HandlerRunner(self._opening, self._own_app, self._calls, self._only(user_id), self._asked_by)

    def asked_by(self, user_id: str) -> HandlerRunner:
        return HandlerRunner(self._opening, self._own_app, self._calls, self._user_id, user_id)

    @property
    def core(self) -> Core:
        """The open parts. Raises LeaseLost after the end of the handler's execution."""
        self._calls.check_open()
        return super().core

    def _starter(self, user_id: str | None) -> str:
        self._calls.check_open()
        return super()._starter(user_id)

    def _derived_key(self, *what: Any) -> str | None:
        return self._calls.key(*what)

    # -- what was started is noted ----------------------------------------------------------------------------------

    async def _start(self, start: Start, origin: Origin) -> StartedRun:
        started = await super()._start(start, origin)
        self._calls.note([started.run.id])
        return started

    async def _start_in(self, connection: AwaitedConnection, starts: Sequence[Start], origin: Origin) -> RunHandles:
        return self._noted(await super()._start_in(connection, starts, origin))

    async def _start_many(self, starts: Sequence[Start], origin: Origin) -> RunHandles:
        return self._noted(await super()._start_many(starts, origin))

    def _with_key(self, options: BatchOptions, starts: Sequence[Start], origin: Origin) -> BatchOptions:
        if options.key is not None:
            return options
        calls = [(start.app_name, start.workflow, start.args) for start in starts]
        return replace(options, key=self._calls.key("run_batch", origin.app_name, origin.user_id, calls))

    def _started_in_batch(self, workflow_ids: Sequence[str]) -> None:
        self._calls.note(workflow_ids[:TOLD])

    def _noted(self, handles: RunHandles) -> RunHandles:
        self._calls.note(one.workflow_id for one in handles)
        return handles

    async def run_inline(self, start: Start, origin: Origin, seconds: float | None) -> RunResult[Any]:
        result = await super().run_inline(start, origin, seconds)
        self._calls.note([] if result.workflow_id is None else [result.workflow_id])
        return result

    async def fork(self, workflow_id: str, **given: Any) -> RunHandle[Any]:
        forked = await super().fork(workflow_id, **given)
        self._calls.note([forked.workflow_id])
        return forked

    async def emit(self, name: str, data: Any = None, **given: Any) -> Emitted:
        emitted = await super().emit(name, data, **given)
        self._calls.note(emitted.started)
        return emitted


def _plain(value: Any) -> Any:
    """Return the value as JSON data, the same in every process: omitted values are left out, sets have an order."""
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(mode="json", exclude_unset=True, warnings="none"))
    if is_dataclass(value) and not isinstance(value, type):
        # Whether a default was made or given isn't known any more: defaults that are made afresh each time don't count.
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value) if not varies(one.default_factory)}
    if isinstance(value, FunctionType):
        return value.__name__  # a signal's method
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, set | frozenset):
        return sorted((_plain(one) for one in value), key=repr)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value

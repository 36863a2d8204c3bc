"""The runner that a handler of a tick or a delivery gets: whatever it starts has a key, so that a second run of the
handler starts nothing twice (semantics 38)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel
from pydantic_core import to_json

from stepwell.runner.models import Emitted, RunResult
from stepwell.runner.opening import Opening
from stepwell.runner.runner import Handles, WorkflowRunner
from stepwell.runner.start import Origin, Start, check_user
from stepwell.store.identity import DERIVED_KEY

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

TOLD: Final = 100
"""Runs that are told of one delivery, of however many that its handler started."""


@dataclass(slots=True)
class Calls:
    """The calls of one execution of a handler, counted: two equal ones are meant."""

    identity: str
    """The tick or the delivery: the same when the handler runs again."""
    seen: Counter[str] = field(default_factory=Counter)
    started: list[str] = field(default_factory=list)
    """The runs that they started, or that were there already by their keys; the first `TOLD` of them."""

    def note(self, run_ids: Iterable[str]) -> None:
        """These runs are among the started ones."""
        for run_id in run_ids:
            if run_id not in self.started and len(self.started) < TOLD:
                self.started.append(run_id)

    def key(self, *what: Any) -> str:
        """Names the n-th call with these values. Values that a model's own defaults would fill don't count."""
        call = to_json([self.identity, *(_plain(one) for one in what)], fallback=repr).decode()
        self.seen[call] += 1
        return DERIVED_KEY + sha256(f"{self.seen[call]}:{call}".encode()).hexdigest()


class HandlerRunner(WorkflowRunner):
    """As WorkflowRunner; each `run`, `run_sync`, `run_many`, `signal` and `emit` without a key gets a derived one."""

    def __init__(self, opening: Opening, calls: Calls, user_id: str | None = None) -> None:
        super().__init__(opening, user_id)
        self._calls = calls

    def as_user(self, user_id: str) -> HandlerRunner:
        check_user(user_id)
        return HandlerRunner(self._opening, self._calls, self._only(user_id))

    def _derived_key(self, *what: Any) -> str | None:
        return self._calls.key(*what)

    # -- what was started is noted ----------------------------------------------------------------------------------

    async def _start(self, start: Start, origin: Origin) -> tuple[str, bool]:
        run_id, created = await super()._start(start, origin)
        self._calls.note([run_id])
        return run_id, created

    async def _start_in(
        self, connection: AsyncConnection | AsyncSession, starts: Sequence[Start], origin: Origin
    ) -> Handles:
        return self._noted(await super()._start_in(connection, starts, origin))

    async def _start_many(self, starts: Sequence[Start], origin: Origin) -> Handles:
        return self._noted(await super()._start_many(starts, origin))

    def _noted(self, handles: Handles) -> Handles:
        self._calls.note(one.workflow_id for one in handles)
        return handles

    async def run_inline(self, start: Start, origin: Origin, seconds: float | None) -> RunResult[Any]:
        result = await super().run_inline(start, origin, seconds)
        self._calls.note([] if result.workflow_id is None else [result.workflow_id])
        return result

    async def emit(self, name: str, data: Any = None, **given: Any) -> Emitted:
        emitted = await super().emit(name, data, **given)
        self._calls.note(emitted.started)
        return emitted


def _plain(value: Any) -> Any:
    """The value as JSON data that is the same in every process: what wasn't given isn't in it, sets have an order."""
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(mode="json", exclude_unset=True, warnings="none"))
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, set | frozenset):
        return sorted((_plain(one) for one in value), key=repr)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value

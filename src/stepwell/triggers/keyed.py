"""The runner that a handler of a tick or a delivery gets: whatever it starts has a key, so that a second run of the
handler starts nothing twice (semantics 38)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

from stepwell.runner.opening import Opening
from stepwell.runner.runner import WorkflowRunner
from stepwell.runner.start import check_user
from stepwell.store.identity import DERIVED_KEY


@dataclass(slots=True)
class Calls:
    """The calls of one execution of a handler, counted: two equal ones are meant."""

    identity: str
    """The tick or the delivery: the same when the handler runs again."""
    seen: Counter[str] = field(default_factory=Counter)

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

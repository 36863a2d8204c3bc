"""Starts under the limits of their workflow: keys are worked out here, before anything is stored, and kept with the run.

A key is user code: whatever it raises or returns, the start is refused with an error that names it, and nothing else
happens.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from enum import Enum
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, RootModel

from stepwell.definition.authoring.limits import KeyOf, key_name
from stepwell.definition.authoring.marks import START
from stepwell.definition.model import Debounced, Definition, Rule
from stepwell.definition.text import told
from stepwell.definition.values.misfit import shown
from stepwell.engine.commit import Commit
from stepwell.engine.conflicts import Conflict
from stepwell.engine.control import Request, begin
from stepwell.engine.gates import Gate, gate_of, gates_json, gates_of
from stepwell.engine.run import Moment
from stepwell.errors import InvalidArgs
from stepwell.execution.clock import microseconds
from stepwell.execution.subjects import subject_of
from stepwell.execution.timers import at_start

_LONGEST: Final = 200
"""Characters of a key that is kept as it is."""
_SHOWN: Final = 80
"""Characters of a longer key that are kept beside its digest."""
_FAMILIES: Final = {"executing": "Concurrency", "run": "Concurrency", "rate": "RateLimit"}


def begin_limited(definition: Definition, request: Request, now: Moment) -> Commit:
    """Return the commit that creates a run under the limits of its workflow. Raises InvalidArgs for a key that is none."""
    return begin(definition, under_limits(definition, request, now), now)


def under_limits(definition: Definition, request: Request, now: Moment) -> Request:
    """Return the start with its subject, gates and moments; without an owner if it may have to wait, or has to begin in time.

    Raises InvalidArgs for a key, a subject, or the moment of a timer, that is none.
    """
    if definition.subject is not None:
        request = request._replace(subject=subject_of(definition, request.args))
    if START in definition.timed:
        request = at_start(definition, request)
    if not definition.limits and definition.debounce is None and definition.expires is None:
        return request
    keys = _Keys(definition, request)
    gates: dict[str, Gate] = {gate.id: gate for gate in gates_of(request.gates)}
    conflicts: dict[str, Conflict] = {}
    for rule in definition.limits:
        for key in keys.of(rule.key, _written(rule)):
            gate = gate_of(rule, request.app_name, definition.name, key, request.user_id)
            gates.setdefault(gate.id, gate)
            if _is_looked_for(rule):
                conflicts.setdefault(gate.id, Conflict(f"alive:{gate.id}", rule.limit, rule.on_conflict))
    due_at = request.due_at
    if (debounced := definition.debounce) is not None:
        for key in keys.of(debounced.key, f"Debounce(key={_key_written(debounced.key)})"):
            conflict = _debounce(debounced, definition, request, key)
            conflicts[conflict.id] = conflict
            due_at = max(now if due_at is None else due_at, now + debounced.delay)
    wanted = sorted(conflicts.values(), key=lambda one: (one.order, one.id))
    return request._replace(
        gates=gates_json(gates.values(), (one.id for one in wanted)),
        conflicts=tuple(wanted),
        due_at=due_at,
        owner=None,
        expires_at=_expires_at(definition, due_at, now),
    )


def _is_looked_for(rule: Rule) -> bool:
    # Of a shared name another workflow may be the one that skips or replaces.
    return rule.kind in ("run", "executing") and (rule.on_conflict != "queue" or rule.name is not None)


def _debounce(rule: Debounced, definition: Definition, request: Request, key: str | None) -> Conflict:
    scope = ["debounce", request.app_name, definition.name, request.user_id, key]
    text = json.dumps(scope, ensure_ascii=False, separators=(",", ":"))
    return Conflict(f"alive:{text}", 1, "debounce", rule.max_wait)


def _expires_at(definition: Definition, due_at: Moment | None, now: Moment) -> Moment | None:
    if definition.expires is None:
        return None
    return max(now if due_at is None else due_at, now) + microseconds(definition.expires)


# -- keys -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Keys:
    """The keys of one start."""

    definition: Definition
    request: Request

    def of(self, key: KeyOf | None, rule: str) -> Iterator[str | None]:
        """Yield the key as it is stored; None for a rule without one. Yields nothing where the key says: no limit."""
        if key is None:
            yield None
            return
        try:
            value = self._value(key)
        except BaseException as error:  # it is user code, and the start is refused whatever it raises
            raise self._refused(rule, f"it raised {told(error)}") from error
        if value is None:
            return
        try:
            yield _text(value)
        except TypeError:
            if inspect.iscoroutine(value):
                value.close()
            cure = "A key is a text, a whole number, a bool, an enum, a UUID, or None for no limit."
            raise self._refused(rule, f"it is {shown(value)} of type {type(value).__name__}. {cure}") from None
        except ValueError as error:
            raise self._refused(rule, f"{shown(value)} can't be a key: {error}") from None

    def _value(self, key: KeyOf) -> Any:
        if not isinstance(key, str):
            return key(self._args())
        if key in ("user_id", "workspace_id"):
            return getattr(self.request, key)
        value = self._args()
        for name in key.split(".")[1:]:
            value = _part(value, name)
        return value.root if isinstance(value, RootModel) else value

    def _args(self) -> Any:
        # Afresh for each key: a function may change what it is given.
        codec = self.definition.args
        return None if codec is None else codec.load(self.request.args)

    def _refused(self, rule: str, why: str) -> InvalidArgs:
        name = self.definition.workflow.__name__
        message = f"{name}: the key of {rule} can't be worked out for these args: {why}"
        return InvalidArgs(message, [{"type": "limit_key", "loc": (), "msg": message}])


def _part(value: Any, name: str) -> Any:
    """Return a part of the value by its name in JSON; None where the value is None. Raises LookupError if there is none."""
    if isinstance(value, RootModel):
        value = value.root
    if value is None:
        return None
    if isinstance(value, Mapping):
        return value[name]
    fields = getattr(type(value), "__pydantic_fields__", None)
    if fields is not None:
        found = next((field for field, info in fields.items() if (info.serialization_alias or field) == name), None)
        if found is not None:
            return getattr(value, found)
        return ((value.model_extra if isinstance(value, BaseModel) else None) or {})[name]
    if is_dataclass(value):
        return vars(value)[name] if hasattr(value, "__dict__") else getattr(value, name)
    raise LookupError(f"{shown(value)} has no {name!r}")


def _text(value: Any) -> str:
    """Return a key as JSON text, and a long one shortened, with a digest of all of it. Raises TypeError, ValueError."""
    while isinstance(value, Enum):
        value = value.value
    if isinstance(value, UUID):
        value = str(value)
    if not isinstance(value, str | int):
        raise TypeError(value)
    plain: str | int = (
        str.__str__(value) if isinstance(value, str) else value if isinstance(value, bool) else int(value)
    )
    text = json.dumps(plain, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        text = json.dumps(plain)
    if len(text) <= _LONGEST:
        return text
    # It ends in no quotation mark, as a text does: no shorter key is equal to it.
    return f"{text[:_SHOWN]}... sha256:{sha256(text.encode()).hexdigest()}"


def _written(rule: Rule) -> str:
    if rule.kind == "fair":
        return f"fair_by={_key_written(rule.key)}"
    return f"{_FAMILIES[rule.kind]}({rule.limit}, key={_key_written(rule.key)})"


def _key_written(key: object) -> str:
    return repr(key) if isinstance(key, str) else key_name(key)

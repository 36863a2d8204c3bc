"""Which runs an event is for: both sides are reduced to one text, and equal texts match.

A run that listens has a key made of its args and state, an event has one made of its data. A store can therefore find
the listeners of an event by equality, in an index.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from stepwell.definition.event import Event
from stepwell.definition.model import Definition, Transition

Json: TypeAlias = Any
"""What `json.loads` gives."""


class _Missing:
    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""There is no such path. It equals nothing that JSON can hold."""


@dataclass(frozen=True, slots=True)
class Listener:
    """What one run listens to: an event's name and the key that the event must have."""

    event: str
    key: str


def lookup(path: str, data: Json) -> Json:
    """The value at a dotted path through JSON objects, or MISSING. Lists are not entered."""
    value = data
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return MISSING
        value = value[name]
    return value


def event_key(event: Event, data: Json) -> str | None:
    """The key of an emitted event, seen from one declaration; None if its data lacks a value that `match` names.

    `data` is JSON data. `"[]"` if `match` is empty.
    """
    return _key({path: lookup(path, data) for path in event.match})


def listening_key(event: Event, args_json: str, state_json: str) -> str | None:
    """The key that an event must have to be for this run; None while a value that `match` names isn't there yet.

    A null counts as not there: it is what an optional field holds before it is set. `"[]"` if `match` is empty.
    """
    if not event.match:
        return _key({})
    run = {"args": json.loads(args_json), "state": json.loads(state_json) if event.needs_state else {}}
    return _key({path: lookup(source, run) for path, source in event.match.items()})


def starts(definitions: Iterable[Definition], name: str) -> tuple[Definition, ...]:
    """The definitions of which an event of that name starts a run, in the order given."""
    return tuple(definition for definition in definitions if any(event.name == name for event in definition.on))


def resumes(definition: Definition, name: str) -> tuple[Transition, ...]:
    """The event transitions that listen to that name, at whatever place, in order of declaration."""
    return tuple(t for t in definition.transitions if t.event is not None and t.event.name == name)


def listeners(definition: Definition, args_json: str, state_json: str) -> frozenset[Listener]:
    """All that a run with these args and this state listens to now, from all its places."""
    events = {t.event for t in definition.transitions if t.event is not None}
    keys = ((event.name, listening_key(event, args_json, state_json)) for event in events)
    return frozenset(Listener(name, key) for name, key in keys if key is not None)


def takes(event: Event, data: Json, args_json: str, state_json: str) -> bool:
    """Whether an event with this data is for a run with these args and this state."""
    wanted = listening_key(event, args_json, state_json)
    return wanted is not None and wanted == event_key(event, data)


def _key(values: Mapping[str, Json]) -> str | None:
    if any(value is MISSING or value is None for value in values.values()):
        return None
    pairs = [[path, _plain(values[path])] for path in sorted(values)]
    return json.dumps(pairs, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: Json) -> Json:
    """Equal JSON numbers in one spelling: 1.0 is 1."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case list():
            return [_plain(item) for item in value]
        case _:
            return value

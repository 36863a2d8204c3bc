"""Which event resumes which run: both sides are reduced to one text, and equal texts match (semantics 16).

A store can therefore find the listeners of an event by equality, in an index.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from stepwell.definition.event import Event
from stepwell.definition.model import Definition, Transition
from stepwell.engine.commit import Listener
from stepwell.engine.run import Run


class _Missing:
    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""There is no such path. It equals nothing that JSON can hold."""


def lookup(path: str, data: Any) -> Any:
    """The value at a dotted path through JSON objects, or MISSING. Lists are not entered."""
    for name in path.split("."):
        if not isinstance(data, Mapping) or name not in data:
            return MISSING
        data = data[name]
    return data


def event_key(event: Event, data: Any) -> str | None:
    """The key of an emitted event, seen from one declaration; None if its data lacks a value that `match` names.

    `data` is JSON data. `"[]"` if `match` is empty.
    """
    return _key({path: lookup(path, data) for path in event.match})


def listening_key(event: Event, args_json: str, state_json: str) -> str | None:
    """The key that an event must have to be for this run; None while a value that `match` names isn't there yet.

    A null counts as not there: it is what an optional field holds before it is set. `"[]"` if `match` is empty.
    """
    if not event.match:
        return "[]"
    run = {"args": json.loads(args_json), "state": json.loads(state_json) if event.needs_state else {}}
    return _key({path: lookup(source, run) for path, source in event.match.items()})


def listeners_of(definition: Definition, run: Run) -> tuple[Listener, ...] | None:
    """All that the run listens to from now on, as far as it has the values; None for a workflow that never listens."""
    if not definition.listening:
        return None
    found = [listener for t in definition.listening if (listener := _listener(run, t)) is not None]
    return tuple(dict.fromkeys(found))  # a transition with several sources listens once


def _listener(run: Run, transition: Transition) -> Listener | None:
    assert transition.event is not None  # an event transition is one that has an event
    matched = listening_key(transition.event, run.args, run.state)
    if matched is None:
        return None
    return Listener(transition.event.name, run.app_name, run.workflow_name, transition.name, matched, run.id)


def _key(values: Mapping[str, Any]) -> str | None:
    if any(value is MISSING or value is None for value in values.values()):
        return None
    pairs = [[path, _plain(values[path])] for path in sorted(values)]
    return json.dumps(pairs, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any) -> Any:
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

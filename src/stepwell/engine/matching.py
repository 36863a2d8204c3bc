"""Which event resumes which run: both sides are boiled down to one text, and equal texts match (semantics 16)."""

from __future__ import annotations

import json
from typing import Any

from stepwell.definition.event import Event
from stepwell.definition.model import Definition
from stepwell.engine.commit import Listener
from stepwell.engine.run import Run

_MISSING = object()


def lookup(path: str, data: Any) -> Any:
    """The value at a dotted path of JSON data; `_MISSING`, which equals nothing, if it isn't there."""
    for part in path.split("."):
        if isinstance(data, dict) and part in data:
            data = data[part]
        elif isinstance(data, list) and part.isdigit() and int(part) < len(data):
            data = data[int(part)]
        else:
            return _MISSING
    return data


def event_key(event: Event, data: Any) -> str | None:
    """What an emitted event's data says for `event`; None if it lacks a value."""
    return _key([(path, lookup(path, data)) for path in event.match])


def listening_key(event: Event, args: Any, state: Any) -> str | None:
    """What a run waits for; None while a value isn't there yet."""
    values = {"args": args, "state": state}
    return _key([(path, lookup(source, values)) for path, source in event.match.items()])


def _key(pairs: list[tuple[str, Any]]) -> str | None:
    if any(value is _MISSING or value is None for _, value in pairs):
        return None
    return json.dumps(sorted(pairs), sort_keys=True, separators=(",", ":"))


def listeners_of(definition: Definition, run: Run, creation: bool) -> tuple[Listener, ...]:
    """What the run listens to from now on: at creation everything it has the values for, later what the state decides."""
    wanted = [t for t in definition.listening if creation or (t.event and t.event.needs_state)]
    if not wanted:
        return ()
    args, state = json.loads(run.args), json.loads(run.state)
    found = []
    for transition in wanted:
        assert transition.event is not None  # an event transition is one that has an event
        matched = listening_key(transition.event, args, state)
        if matched is not None:
            found.append(
                Listener(transition.event.name, run.app_name, run.workflow_name, transition.name, matched, run.id)
            )
    return tuple(found)

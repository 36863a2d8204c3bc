"""The match of events and runs (rule 16).

Both sides are reduced to one text, and equal texts match. A store can therefore find the listeners of an event by equality,
in an index. A path that is missing, or null, matches nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from stepwell.definition.authoring.marks import Event
from stepwell.definition.model import Definition
from stepwell.engine.commit import Listener
from stepwell.engine.run import RunRow


def lookup(path: str, data: Any) -> Any:
    """Return the value at a dotted path through JSON objects, None if there is none. Lists are not entered."""
    for name in path.split("."):
        if not isinstance(data, Mapping) or name not in data:
            return None
        data = data[name]
    return data


def event_key(event: Event, data: Any) -> str | None:
    """Return the key of an emitted event for one declaration; None if its data lacks a value that `match` names.

    `data` is JSON data. `"[]"` if `match` is empty.
    """
    return _key({path: lookup(path, data) for path in event.match})


def listening_key(event: Event, args_json: str, state_json: str) -> str | None:
    """Return the key of events for this run; None while a value that `match` names isn't there yet.

    A null counts as not there: an optional field is null before it is set. `"[]"` if `match` is empty.
    """
    if not event.match:
        return "[]"
    run = {"args": json.loads(args_json), "state": json.loads(state_json) if event.needs_state else {}}
    return _key({path: lookup(source, run) for path, source in event.match.items()})


def listeners_of(definition: Definition, run: RunRow) -> tuple[Listener, ...] | None:
    """Return all that the run listens to from now on, as far as it has the values; None for a workflow without events."""
    if not definition.listening:
        return None
    found: dict[Listener, None] = {}  # a transition with several sources listens once
    for t in definition.listening:
        assert t.event is not None  # an event transition is one that has an event
        if (matched := listening_key(t.event, run.args, run.state)) is not None:
            found[Listener(t.event.name, run.app_name, run.workflow_name, t.name, matched, run.id)] = None
    return tuple(found)


def _key(values: Mapping[str, Any]) -> str | None:
    if None in values.values():
        return None
    pairs = [[path, _plain(values[path])] for path in sorted(values)]
    return json.dumps(pairs, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Return equal JSON numbers in one spelling: 1.0 is 1."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case list():
            return [_plain(item) for item in value]
        case _:
            return value

"""Definitions and documents as JSON for Studio and other tools, and definitions as Mermaid state diagrams."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final, assert_never

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema

from stepwell.definition.authoring.asks import WORKED_OUT, Ask
from stepwell.definition.authoring.document import Document
from stepwell.definition.authoring.limits import key_name
from stepwell.definition.authoring.marks import END, START, Event, Retry
from stepwell.definition.forms.fitting import JsonSchema, resolved, schema_of
from stepwell.definition.forms.widgets import GROUPS, ORDER, WIDGET
from stepwell.definition.model import Debounced, Definition, Rule, Transition
from stepwell.definition.values.codec import Codec, codec_for
from stepwell.definition.values.narrowing import narrowed

_SECOND: Final = 1_000_000


def to_json(definition: Definition) -> dict[str, Any]:
    """Return the facts about a workflow that tools need without its code, as JSON values; durations are seconds."""
    return {
        "name": definition.name,
        "title": definition.title,
        "description": definition.description,
        "version": definition.version,
        "on_cancel": definition.on_cancel,
        "run_timeout": _seconds(definition.run_timeout),
        "priority": definition.priority,
        "on": [_event(event) for event in definition.on],
        "args": definition.args and _schema(definition.args),
        "state": _schema(definition.state),
        "result": _schema(definition.result),
        "places": [
            {
                "name": place.name,
                "automatic": [t.name for t in place.automatic],
                "waiting": [t.name for t in place.waiting],
            }
            for place in definition.places.values()
        ],
        "transitions": [_transition(t) for t in definition.transitions],
        "ui": [_widget(widget) for widget in definition.ui],
        "limits": _limits(definition),
    }


def document_to_json(document: type[Document]) -> dict[str, Any]:
    """Return the facts about a document type, as JSON values."""
    return {
        "name": document.document_name,
        "title": document.document_title,
        "tags": list(document.document_tags),
        "internal": document.document_internal,
        "schema": _schema(codec_for(document)),
        "ui": [_widget(widget) for widget in document.document_ui],
    }


def _transition(t: Transition) -> dict[str, Any]:
    return {
        "name": t.name,
        "method": t.method,
        "source": t.source,
        "target": t.target,
        "kind": t.kind,
        "keep": t.keep,
        "after": _seconds(t.after),
        "after_method": t.due_name,
        "event": t.event and _event(t.event),
        "guard": t.guard_name,
        "priority": t.priority,
        "retry": t.retry and _retry(t.retry),
        "retry_target": t.retry_target,
        "error_place": t.error_place,
        "timeout": _seconds(t.timeout),
        "ask": t.ask and _ask(t.ask),
        "payload": t.payload
        and {
            "parameter": t.payload.parameter,
            "envelope": t.payload.envelope,
            "optional": t.payload.optional,
            "schema": _schema(t.payload.codec),
        },
    }


def _ask(ask: Ask) -> dict[str, Any]:
    parts = {name: _part(getattr(ask, name)) for name in WORKED_OUT}
    return {**parts, "documents": list(ask.document_names)}


def _part(given: Any) -> Any:
    """Return a part of a question as it is given; of a method, which is called when the place is entered, its name."""
    if callable(given):
        return {"method": getattr(given, "__name__", type(given).__name__)}
    return _seconds(given) if isinstance(given, timedelta) else given


def _limits(definition: Definition) -> dict[str, Any]:
    rules = definition.limits
    return {
        "concurrency": [_rule(rule) for rule in rules if rule.kind in ("executing", "run")],
        "rate_limit": [_rule(rule) for rule in rules if rule.kind == "rate"],
        "debounce": definition.debounce and _debounced(definition.debounce),
        "fair_by": next((_key(rule.key) for rule in rules if rule.kind == "fair"), None),
        "expires": _seconds(definition.expires),
    }


def _rule(rule: Rule) -> dict[str, Any]:
    told = {"limit": rule.limit, "key": _key(rule.key), "name": rule.name}
    if rule.per is not None:
        return {**told, "per": rule.per / _SECOND}
    return {**told, "holds": rule.kind, "on_conflict": rule.on_conflict}


def _debounced(rule: Debounced) -> dict[str, Any]:
    return {
        "delay": rule.delay / _SECOND,
        "max_wait": None if rule.max_wait is None else rule.max_wait / _SECOND,
        "key": _key(rule.key),
    }


def _key(key: object) -> str | None:
    return None if key is None else key_name(key)


def _retry(retry: Retry) -> dict[str, Any]:
    return {
        "retries": retry.retries,
        "delay": _seconds(retry.delay),
        "backoff": retry.backoff,
        "max_delay": _seconds(retry.max_delay),
        "jitter": retry.jitter,
        "on": [error.__name__ for error in retry.on],
        "give_up_on": [error.__name__ for error in retry.give_up_on],
    }


def _event(event: Event) -> dict[str, Any]:
    return {"name": event.name, "match": dict(event.match)}


def _widget(widget: Any) -> Any:
    return widget.model_dump(mode="json") if isinstance(widget, BaseModel) else widget


def _schema(codec: Codec[Any]) -> dict[str, Any]:
    try:
        return codec.schema()
    except PydanticInvalidForJsonSchema:
        return {}  # the schema of anything: JSON schema can't express this type


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


@lru_cache(maxsize=1024)
def shown(document: type[Document]) -> str | None:
    """Return the `ui` stored with documents of a class, as JSON: its fields, then its widgets.

    None where the class declares neither, as most don't.
    """
    fields = fields_of(document)
    told = [*([fields] if fields else ()), *(widget.model_dump(mode="json") for widget in document.document_ui)]
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")) if told else None


def fields_of(document: type[Document]) -> dict[str, Any] | None:
    """Return names as in JSON, titles, descriptions, widgets and groups, in order; None where none is declared."""
    root = schema_of(codec_for(document))
    if root is None:
        return None
    part = resolved(root, root)
    fields = {name: _field(name, schema) for name, schema in part.get("properties", {}).items()}
    if not any(fields.values()) and not part.keys() & {ORDER, GROUPS}:
        return None
    order = [name for name in part.get(ORDER, ()) if name in fields]
    names = [*order, *(name for name in fields if name not in order)]
    return {
        "type": "fields",
        "fields": [{"name": name, **fields[name]} for name in names],
        "groups": part.get(GROUPS, []),
    }


def _field(name: str, schema: JsonSchema) -> dict[str, Any]:
    told = {key: schema[key] for key in ("title", "description") if key in schema}
    if told.get("title") == name.replace("_", " ").title():
        del told["title"]
    return told | ({"widget": schema[WIDGET]} if WIDGET in schema else {})


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Words that Mermaid's grammar takes for its own, wherever they stand.
_WORDS = frozenset({"as", "class", "classdef", "direction", "end", "fork", "join", "note", "of", "state", "style"})
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def to_mermaid(definition: Definition) -> str:
    """Return the workflow as `stateDiagram-v2`: `[*]` is the start and the end, error and retry routes are labelled."""
    ids = _ids(definition)
    lines = ["stateDiagram-v2"]
    lines += [f'    state "{_text(name)}" as {id_}' for name, id_ in ids.items() if id_ not in (name, "[*]")]
    if ids[START] != "[*]":
        lines.append(f"    [*] --> {ids[START]}")
    for t in definition.transitions:
        lines += [f"    {ids[t.source]} --> {ids[to]}: {_text(label)}" for to, label in _arrows(t)]
    return "\n".join(lines) + "\n"


def _ids(definition: Definition) -> Mapping[str, str]:
    """Return what the diagram calls each place. `[*]` as a target is the end, so a start that is come back to has a name."""
    ids = {
        name: name if _PLAIN.fullmatch(name) and name.lower() not in _WORDS else f"place_{number}"
        for number, name in enumerate(definition.places)
    }
    targets = {to for t in definition.transitions for to, _ in _arrows(t)}
    return {**ids, START: ids[START] if START in targets else "[*]", END: "[*]"}


def _arrows(t: Transition) -> Iterator[tuple[str, str]]:
    yield t.target, _label(t)
    if t.error_place is not None:
        yield t.error_place, f"{t.name} failed"
    if t.retry_target is not None:
        yield t.retry_target, f"{t.name} retries"


def _label(t: Transition) -> str:
    if t.kind == "signal":
        return f"{t.name} (signal)"
    if t.after is not None:
        return f"{t.name} (after {_duration(t.after)})"
    if t.due_name is not None:
        return f"{t.name} (after {t.due_name})"
    if t.event is not None:
        return f"{t.name} (on {t.event.name})"
    return f"{t.name} [{t.guard_name}]" if t.guard_name else t.name


def _duration(duration: timedelta) -> str:
    seconds, parts = duration.total_seconds(), []
    for unit, size in _UNITS:
        whole, seconds = divmod(seconds, size)
        parts += [f"{whole:g}{unit}"] if whole else []
    return " ".join(parts) or f"{duration.total_seconds():g}s"


def _text(label: str) -> str:
    return re.sub(r'[:;#"<>\s]+', " ", label).strip()


def limit_lines(definition: Definition) -> Iterator[str]:
    """Yield the limits of a workflow in words, a line each."""
    for rule in definition.limits:
        of = "" if rule.key is None else f" for each {_key(rule.key)}"
        shared = "" if rule.name is None else f", shared as {rule.name!r}"
        match rule.kind:
            case "executing":
                yield f"at most {rule.limit} executing at once{of}{shared}"
            case "run":
                yield f"at most {rule.limit} begun and not ended{of}{shared}, others {_OTHERS[rule.on_conflict]}"
            case "rate":
                yield f"at most {rule.limit} begin in {_duration(_span(rule.per or 0))}{of}{shared}"
            case "fair":
                yield f"turns{of}"
            case _ as never:
                assert_never(never)
    if (debounced := definition.debounce) is not None:
        of = "" if debounced.key is None else f" for each {_key(debounced.key)}"
        longest = debounced.max_wait
        at_most = "" if longest is None else f", at most {_duration(_span(longest))} after the first start"
        yield f"put off by {_duration(_span(debounced.delay))}{of}{at_most}"
    if definition.expires is not None:
        yield f"canceled unless begun within {_duration(definition.expires)}"


_OTHERS: Final = {"queue": "wait", "skip": "are skipped to the oldest", "replace": "replace the oldest"}


def _span(microseconds: int) -> timedelta:
    return timedelta(microseconds=microseconds)


def payload_schema(definition: Definition, name: str, args: str | None = None) -> dict[str, Any] | None:
    """Return the JSON schema of what a signal of this name takes, for a run with these args; None if it takes nothing."""
    found = next((t.payload for t in definition.named(name) if t.kind == "signal" and t.payload is not None), None)
    return None if found is None else _schema(narrowed(definition, found, args))

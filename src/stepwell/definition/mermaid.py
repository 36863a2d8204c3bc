"""A definition as a Mermaid state diagram."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta

from stepwell.definition.model import END, START, Definition, Transition

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Words that Mermaid's grammar takes for its own, wherever they stand.
_WORDS = frozenset({"as", "class", "classdef", "direction", "end", "fork", "join", "note", "of", "state", "style"})
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def to_mermaid(definition: Definition) -> str:
    """The workflow as `stateDiagram-v2`: `[*]` is the start and the end, error and retry routes are labelled."""
    ids = _ids(definition)
    lines = ["stateDiagram-v2"]
    lines += [f'    state "{_text(name)}" as {id_}' for name, id_ in ids.items() if id_ not in (name, "[*]")]
    if ids[START] != "[*]":
        lines.append(f"    [*] --> {ids[START]}")
    for t in definition.transitions:
        lines += [f"    {ids[t.source]} --> {ids[to]}: {_text(label)}" for to, label in _arrows(t)]
    return "\n".join(lines) + "\n"


def _ids(definition: Definition) -> Mapping[str, str]:
    """What the diagram calls each place. `[*]` as a target is the end, so a start that is come back to has a name."""
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

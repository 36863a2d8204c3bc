"""Where two JSON values differ, line by line, for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_LONGEST = 200
_MISSING = object()


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """One line per place where `found` isn't as `expected`."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in dict.fromkeys([*expected, *found]):
            where = f"{path}.{key}" if path else str(key)
            yield from differences(expected.get(key, _MISSING), found.get(key, _MISSING), where)
    elif isinstance(expected, list) and isinstance(found, list):
        for index in range(max(len(expected), len(found))):
            ours, theirs = (side[index] if index < len(side) else _MISSING for side in (expected, found))
            yield from differences(ours, theirs, f"{path}[{index}]")
    elif expected is _MISSING or found is _MISSING or expected != found:
        yield f"{path or 'the value'}: {_shown(expected)} undisturbed, {_shown(found)} after the crash"


def _shown(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."

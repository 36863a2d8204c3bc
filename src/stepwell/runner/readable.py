"""Damaged rows, shown as far as they can be read: edited by hand, or written by a program with a fault.

A page shows many runs, and one such row must not hide the others: it is shown as far as it can be read, and says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar, get_args

from pydantic_core import to_json

from stepwell.definition.values.codec import plain
from stepwell.engine.run import HistoryRow, RunRow, Status
from stepwell.store.documents import DocumentRow

R = TypeVar("R", RunRow, HistoryRow, DocumentRow)

_DEEP: Final = 200
"""Brackets from which on what is nested may be too deep to be sent."""


def parsed(text: str | None) -> Any:
    """Return the value of stored JSON that can be sent again. Raises ValueError, TypeError, RecursionError."""
    if text is None:
        return None
    value = plain(text)
    if "\\ud" in text or "\\uD" in text or text.count("[") + text.count("{") > _DEEP:
        to_json(value)
    return value


def listed(text: str | None) -> list[Any]:
    """Return the value as `parsed`, for a list; empty if nothing is stored."""
    found = parsed(text)
    if found is None:
        return []
    if not isinstance(found, list):
        raise ValueError(f"{type(found).__name__} isn't a list")
    return found


def value_of(text: str | None) -> Any:
    """Return the value of stored JSON; None where it can't be read."""
    try:
        return parsed(text)
    except (ValueError, TypeError, RecursionError):
        return None


def _is_json(value: Any, kind: type = object) -> bool:
    """Return whether it is stored JSON of this kind, or nothing."""
    try:
        return value is None or isinstance(parsed(value), kind)
    except (ValueError, TypeError, RecursionError):
        return False


def _is_object(value: Any) -> bool:
    return isinstance(value, str) and _is_json(value, dict)


class _Column(NamedTuple):
    fits: Callable[[Any], bool]
    instead: Any


_JSON: Final = _Column(_is_json, "null")
_LIST: Final = _Column(lambda value: _is_json(value, list), None)
_TEXTS: Final = _Column(
    lambda value: _is_json(value, list) and all(isinstance(one, str) for one in listed(value)), "[]"
)
_NUMBER: Final = _Column(lambda value: isinstance(value, int), 0)
_MOMENT: Final = _Column(lambda value: value is None or isinstance(value, int), None)
_TEXT: Final = _Column(lambda value: isinstance(value, str), "?")
_OPTIONAL: Final = _Column(lambda value: value is None or isinstance(value, str), None)

_RUN: Final[Mapping[str, _Column]] = {
    "args": _JSON,
    "state": _JSON,
    "result": _JSON,
    "labels": _TEXTS,
    "status": _Column(lambda value: value in get_args(Status), "failed"),
    **dict.fromkeys(("workflow_version", "version", "attempt", "priority", "created_at", "updated_at"), _NUMBER),
    **dict.fromkeys(("ready_at", "due_at", "finished_at", "group_index", "forked_at"), _MOMENT),
    **dict.fromkeys(("workflow_name", "app_name", "workspace_id", "user_id", "place"), _TEXT),
    **dict.fromkeys(("idempotency_key", "parent_id", "group_id", "error", "forked_from", "subject"), _OPTIONAL),
}
_HISTORY: Final[Mapping[str, _Column]] = {
    "status": _Column(lambda value: value in ("committed", "failed", "canceled"), "failed"),
    **dict.fromkeys(("version", "attempt", "started_at", "finished_at"), _NUMBER),
    **dict.fromkeys(("transition", "source", "target", "error", "trace", "signal_id"), _OPTIONAL),
}
_DOCUMENT: Final[Mapping[str, _Column]] = {
    "content": _Column(_is_object, "{}"),
    "tags": _TEXTS,
    "meta": _Column(lambda value: value is None or _is_object(value), None),
    **dict.fromkeys(("errors", "ui"), _LIST),
    **dict.fromkeys(("version", "created_at"), _NUMBER),
    "replaced_at": _MOMENT,
    "name": _TEXT,
    **dict.fromkeys(("key", "transition", "title"), _OPTIONAL),
}


def _readable(row: R, columns: Mapping[str, _Column]) -> tuple[R, str]:
    wrong = [name for name, column in columns.items() if not column.fits(getattr(row, name))]
    fitting = row._replace(**{name: columns[name].instead for name in wrong})
    return fitting, f"This row can't be read: invalid values in {', '.join(wrong) or 'its columns'}."


def readable_run(row: RunRow) -> RunRow:
    """Return the row with its readable values; its error says which aren't."""
    found, fault = _readable(row, _RUN)
    return found._replace(error=f"{fault} {found.error or ''}".strip())


def readable_checkpoint(row: HistoryRow) -> HistoryRow:
    """Return the row as `readable_run` does."""
    found, fault = _readable(row, _HISTORY)
    return found._replace(error=f"{fault} {found.error or ''}".strip())


def readable_document(row: DocumentRow) -> DocumentRow:
    """Return the row as `readable_run` does; its errors say which values aren't readable."""
    found, fault = _readable(row, _DOCUMENT)
    return found._replace(errors=json.dumps([{"message": fault}]))

"""The subjects of runs: worked out from their args before anything is stored, by user code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stepwell.definition.model import Definition
from stepwell.definition.text import is_text, told
from stepwell.errors import InvalidArgs
from stepwell.execution.arguments import MAX_SUBJECT


def subject_of(definition: Definition, args: str) -> str | None:
    """Return the subject of a run with these args; None without one. Raises InvalidArgs where it can't be worked out."""
    given = definition.subject
    if given is None:
        return None
    try:
        text = _made(given, None if definition.args is None else definition.args.load(args))
    except BaseException as error:  # it is user code, and the start is refused whatever it raises
        raise _refused(definition, f"it raised {told(error)}") from error
    if text is None or text == "":
        return None
    if not isinstance(text, str):
        raise _refused(definition, f"it is of type {type(text).__name__}; return a text, or None")
    if not is_text(text, len(text)):
        raise _refused(definition, "it has a NUL or half of a surrogate pair")
    return str.__str__(text)[:MAX_SUBJECT]


def _made(given: str | Callable[[Any], Any], args: Any) -> Any:
    return given.format(args=args) if isinstance(given, str) else given(args)


def _refused(definition: Definition, why: str) -> InvalidArgs:
    message = f"{definition.workflow.__name__}: its subject can't be worked out for these args: {why}."
    return InvalidArgs(message, [{"type": "subject", "loc": (), "msg": message}])

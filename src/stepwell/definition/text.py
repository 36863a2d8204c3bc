"""Texts of users: names derived from those of their classes, messages of their exceptions, and what a database can hold.

The class of an exception is user code, and its `__str__` may raise or misbehave: these functions return a text anyway,
and never raise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, TypeGuard, get_args

SYSTEM_USER: Final = "system"
"""The user of the runs that Stepwell starts for no user: those of events from code, and of handlers."""
_SHOWN = 5
"""The number of exceptions of a group whose messages are shown."""
_EXCEPTIONS = BaseExceptionGroup.__dict__["exceptions"]  # the group's own: a subclass may return something else
_NAME = type.__dict__["__name__"]  # the class's own: a metaclass may return something else, or raise


def kind_of(error: BaseException) -> str:
    """Return the name of its class."""
    return storable(_NAME.__get__(type(error)))


def message_of(error: BaseException) -> str:
    """Return its message, or the reason why that can't be read."""
    try:
        return storable(str.__str__(str(error)))  # a subclass of str could do anything again
    except BaseException:  # noqa: BLE001 - it is user code, and must not hide the failure that it describes
        return "(its message can't be read: __str__ raises)"


def told(error: BaseException) -> str:
    """Return `Type: message`, for logs and texts; for a group, with its first exceptions."""
    text = f"{kind_of(error)}: {message_of(error)}"
    if not is_a(error, BaseExceptionGroup):
        return text
    return f"{text}: {'; '.join(f'{kind_of(one)}: {message_of(one)}' for one in islice(parts_of(error), _SHOWN))}"


def parts_of(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions in a group, and in groups within it, each once; any other error itself."""
    left, seen = [error], {id(error)}
    while left:
        one = left.pop()
        if not is_a(one, BaseExceptionGroup):
            yield one
            continue
        new = [inner for inner in _EXCEPTIONS.__get__(one) if id(inner) not in seen]
        seen.update(map(id, new))
        left += reversed(new)


def is_a(error: BaseException, *types: type[BaseException]) -> bool:
    """Return whether `except types` would catch it, by the real bases of its class (not `__class__` or metaclasses)."""
    kind = type(error)
    return any(type.__subclasscheck__(one, kind) for one in types)


def storable(text: str) -> str:
    """Return the text with characters that no database stores (lone surrogates, NUL) escaped."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


_WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def workflow_name(class_name: str) -> str:
    """Return the snake_case name without a trailing `_workflow`."""
    return _derived(class_name, "_workflow")


def document_name(class_name: str) -> str:
    """Return the snake_case name without a trailing `_document`."""
    return _derived(class_name, "_document")


def _derived(class_name: str, suffix: str) -> str:
    name = _WORD_STARTS.sub("_", class_name).lower()  # HTTPCall becomes http_call
    return name.removesuffix(suffix) or name


def type_name(type_: Any) -> str:
    """Return the name of a type as authors write it."""
    return type_.__name__ if isinstance(type_, type) and not get_args(type_) else str(type_).replace("typing.", "")


def is_handler(workflow_name: str) -> bool:
    """Return whether the name is that of the handler of ticks or deliveries, which is executed as a run of its own.

    No App and no workflow may have a colon in its name.
    """
    return ":" in workflow_name


READY_MADE: Final = "stepwell."
"""The beginning of the names of ready-made workflows. No App may list another workflow with such a name."""


def is_own(workflow_name: str) -> bool:
    """Return whether the workflow is one of Stepwell's own: ready-made, or a handler. Lists of workflows leave it out."""
    return is_handler(workflow_name) or workflow_name.startswith(READY_MADE)


def is_text(value: object, limit: int) -> TypeGuard[str]:
    """Return whether `value` is a text of 1 to `limit` characters without NUL and halves of surrogate pairs."""
    if not isinstance(value, str) or not 0 < len(value) <= limit or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True

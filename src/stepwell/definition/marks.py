"""The `@transition` decorator: it only marks. What the marks mean is compiled when the class is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import EllipsisType
from typing import Any, Final, TypeVar

from stepwell.definition.event import Event
from stepwell.definition.model import START
from stepwell.definition.retry import Retry
from stepwell.errors import DefinitionError

F = TypeVar("F", bound=Callable[..., Any])

_MARKS: Final = "__stepwell_marks__"


@dataclass(frozen=True, slots=True)
class Mark:
    """What one decorator said, unchecked: authors can write anything there."""

    source: Any
    target: Any
    wait: Any
    keep: Any
    after: Any
    on: Any
    when: Any
    priority: Any
    retry: Any
    retry_target: Any
    error_place: Any
    timeout: Any
    name: Any


def transition(
    source: str | Sequence[str] = START,
    target: str | EllipsisType = ...,
    *,
    wait: bool = False,
    keep: bool = False,
    after: timedelta | None = None,
    on: Event | None = None,
    when: Callable[[Any], object] | None = None,
    priority: int | None = None,
    retry: Retry | None = None,
    retry_target: str | None = None,
    error_place: str | None = None,
    timeout: timedelta | None = None,
    name: str | None = None,
) -> Callable[[F], F]:
    """Mark a method as a way from `source` (one place or several) to `target`; decorators stack.

    Without `wait`, `after` and `on` it is automatic: it fires as soon as its place is entered and `when` is absent or
    true. `wait=True` waits for a signal, `after=` for a time since the place was entered, `on=` for an event.
    `timeout=None` is the setting `transition_timeout`, `timedelta(0)` is no limit.
    """
    if callable(source):
        raise DefinitionError("@transition", ['it needs a target: write @transition("source", "target") or target=...'])
    mark = Mark(source, target, wait, keep, after, on, when, priority, retry, retry_target, error_place, timeout, name)

    def marking(function: F) -> F:
        # Decorators apply from the bottom up, and the order of declaration is the order in which they are read.
        setattr(function, _MARKS, (mark, *marks_of(function)))
        return function

    return marking


def marks_of(function: object) -> tuple[Mark, ...]:
    """The marks of a method in the order in which they are written; none for anything else."""
    marks: tuple[Mark, ...] = getattr(function, "__dict__", {}).get(_MARKS, ())
    return marks


def marked_methods(cls: type) -> dict[str, tuple[Any, tuple[Mark, ...]]]:
    """The class's marked attributes with their marks, in order of declaration, inherited ones first.

    An override keeps its place in that order, and the inherited marks unless it brings its own. `method = None` in a
    subclass takes the transition away.
    """
    found: dict[str, tuple[Any, tuple[Mark, ...]]] = {}
    for owner in reversed(cls.__mro__):
        for name, value in vars(owner).items():
            marks = marks_of(value) or (found[name][1] if name in found else ())
            if marks:
                found[name] = (value, marks)
    return {name: pair for name, pair in found.items() if pair[0] is not None}

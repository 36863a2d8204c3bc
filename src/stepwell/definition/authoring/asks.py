"""The question of a signal transition: `@transition("review", END, wait=True, ask=Ask(...))`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from datetime import timedelta
from typing import Any, Final, TypeAlias, TypeVar

from pydantic import BaseModel

from stepwell.definition.authoring.limits import MAX_NAME, takes_one
from stepwell.definition.text import is_text
from stepwell.nearest import checks_its_keywords

T = TypeVar("T")

Part: TypeAlias = T | Callable[[Any], T]
"""A value, or a method of the class that returns it: it is called when the place is entered."""

LONGEST: Final = {"title": 200, "text": 20_000, "assignee": MAX_NAME, "group": MAX_NAME}
"""The most characters of each text."""


@checks_its_keywords
@dataclass(frozen=True, slots=True)
class Ask:
    """The question that a signal answers. Each part is a value, or a method of the class, called when the place is entered.

    `assignee` is a user's id, `group` the name of a group: they may answer, and no other user may. Without both, the run's user
    may. `due` only orders the inbox. `documents` names the documents, by type or name, that the person who is asked may see.
    """

    title: Part[str | None] = None
    _: KW_ONLY
    text: Part[str | None] = None
    assignee: Part[str | None] = None
    group: Part[str | None] = None
    due: Part[Any] = None
    documents: Sequence[type[BaseModel] | str] = ()

    @property
    def document_names(self) -> tuple[str, ...]:
        """The names of the documents that the person who is asked may see."""
        return tuple(one if isinstance(one, str) else _document_name(one) or "" for one in self.documents)


WORKED_OUT: Final = tuple(one.name for one in fields(Ask) if one.name != "documents")
"""The fields that may be methods."""


def ask_faults(ask: Any) -> Iterator[str]:
    """Yield what is wrong with the `ask=` of a transition."""
    if not isinstance(ask, Ask):
        yield f"its ask={ask!r} isn't an Ask; write ask=Ask(title=..., assignee=...)."
        return
    for name in WORKED_OUT:
        given = getattr(ask, name)
        if callable(given):
            yield from method_faults(f"Ask({name}=) method ", given, "a value")
        elif given is not None:
            yield from _value_faults(name, given)
    yield from _document_faults(ask.documents)


def _value_faults(name: str, given: Any) -> Iterator[str]:
    if name == "due":
        if not isinstance(given, timedelta):
            yield f"its Ask(due={given!r}) isn't a timedelta; write timedelta(days=...), or give a method of the class."
        elif given < timedelta(0):
            yield f"its Ask(due=timedelta(seconds={given.total_seconds():g})) is negative; a duration is zero or more."
    elif not is_text(given, LONGEST[name]):
        yield f"its Ask({name}={given!r}) isn't a text of 1 to {LONGEST[name]:,} characters; give one, or leave it out."


def _document_name(given: Any) -> str | None:
    """Return the name of a type of Document; None for anything else."""
    name = getattr(given, "document_name", None) if isinstance(given, type) else None
    return name if isinstance(name, str) else None


def _document_faults(given: Any) -> Iterator[str]:
    if not isinstance(given, (list, tuple)):
        yield f"its Ask(documents={given!r}) isn't a list; write documents=[Receipt] with types or names of documents."
        return
    for one in given:
        if not (isinstance(one, str) and one) and not (_document_name(one) is not None):
            yield f"its Ask(documents=...) holds {one!r}, which is neither a type of Document nor the name of one."


def method_faults(option: str, given: Callable[..., Any], what: str) -> Iterator[str]:
    """Yield what is wrong with a method that an option names, which works something out when the place is entered."""
    name = getattr(given, "__name__", None) or type(given).__name__
    if inspect.iscoroutinefunction(given) or inspect.isgeneratorfunction(given) or inspect.isasyncgenfunction(given):
        yield f"its {option}{name} isn't a plain def; it only works out {what}: leave out async and yield."
    elif not _takes_self_only(given):
        yield f"its {option}{name} has other parameters than self; it is called with the workflow alone."


def _takes_self_only(function: Callable[..., Any]) -> bool:
    try:
        return len(inspect.signature(function).parameters) == 1 and takes_one(function)
    except ValueError:  # a builtin that doesn't say what it takes
        return False

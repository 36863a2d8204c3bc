"""The class keywords of a workflow, and what they default to."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from stepwell.definition.event import Event
from stepwell.definition.names import workflow_name


@dataclass(frozen=True, slots=True)
class Keywords:
    """The class keywords as given, unchecked."""

    name: Any = None
    title: Any = None
    description: Any = None
    version: Any = 1
    run_timeout: Any = None
    on: tuple[Any, ...] = ()
    priority: Any = 0
    ui: tuple[Any, ...] = ()


def name_of(cls: type, given: str | None) -> str:
    """The given name, or the class's in snake_case without a trailing `_workflow`."""
    return given or workflow_name(cls.__name__)


def title_of(cls: type, given: str | None) -> str:
    """The given title, or the derived name as words: `Process order`."""
    return given or workflow_name(cls.__name__).replace("_", " ").strip().capitalize()


def description_of(cls: type, given: str | None) -> str:
    """The given description, or the first paragraph of the class's own docstring on one line."""
    if given is not None:
        return given
    paragraph = inspect.cleandoc(cls.__doc__ or "").split("\n\n", 1)[0]
    return " ".join(paragraph.split())


def keyword_faults(owner: str, given: Keywords) -> Iterator[str]:
    """Everything that is wrong with the keywords of the class named `owner`."""
    for option in ("name", "title", "description"):
        text = getattr(given, option)
        if text is not None and not (isinstance(text, str) and (text or option == "description")):
            yield f"{owner}: {option}={text!r} isn't a text; give a string, or leave it out."
    for option in ("version", "priority"):
        number = getattr(given, option)
        if not isinstance(number, int) or isinstance(number, bool):
            yield f"{owner}: {option}={number!r} isn't a number; give an int."
    if given.run_timeout is not None:
        yield from _run_timeout_faults(owner, given.run_timeout)
    for event in given.on:
        yield from _event_faults(owner, event)


def _run_timeout_faults(owner: str, given: Any) -> Iterator[str]:
    if not isinstance(given, timedelta):
        yield f"{owner}: run_timeout={given!r} isn't a timedelta; write timedelta(hours=...)."
    elif given <= timedelta(0):
        yield (
            f"{owner}: run_timeout=timedelta(seconds={given.total_seconds():g}) leaves no time to run; "
            "give more than zero, or leave it out."
        )


def _event_faults(owner: str, given: Any) -> Iterator[str]:
    if not isinstance(given, Event):
        example = repr(given) if isinstance(given, str) else '"name"'
        yield f"{owner}: on={given!r} isn't an Event; write on=Event({example}), or a list of them."
    elif given.match:
        yield (
            f"{owner}: on=Event({given.name!r}, match=...) starts runs, and there is no run yet to compare with; "
            "leave out match=, or listen on a transition."
        )

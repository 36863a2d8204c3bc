"""The rules that one `@transition` can break on its own, whatever the rest of the class looks like."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from stepwell.definition.event import Event
from stepwell.definition.marks import Mark
from stepwell.definition.model import END, Kind
from stepwell.definition.retry import Retry


def sources_of(mark: Mark) -> tuple[str, ...]:
    """The places that the mark names as its sources; what isn't a place is left out."""
    return tuple(place(one) for one in _several(mark.source) if _is_name(one))


def _several(source: Any) -> Sequence[Any]:
    return source if isinstance(source, (list, tuple)) else (source,)


def place(name: str) -> str:
    """A place as a plain string, also where it comes from a string enum."""
    return str.__str__(name)


def kind_of(mark: Mark) -> Kind:
    """What makes the transition fire."""
    if mark.wait:
        return "signal"
    if mark.after is not None:
        return "timer"
    return "automatic" if mark.on is None else "event"


def option_faults(mark: Mark) -> Iterator[str]:
    """Everything that is wrong with one mark, without the names of class and method."""
    yield from _place_faults(mark)
    yield from _kind_faults(mark)
    yield from _duration_faults(mark)
    yield from _type_faults(mark)


def _place_faults(mark: Mark) -> Iterator[str]:
    sources = _several(mark.source)
    if not sources:
        yield "its source is an empty list; name at least one place."
    for source in sources:
        if not _is_name(source):
            yield f"its source {source!r} isn't the name of a place; give a string, or a list of strings."
        elif source == END:
            yield "its source is 'end', and nothing leaves the end; choose another source."
    if mark.target is ...:
        yield f"it leaves {_written(sources)} but has no target; give target=..., END if the run is over then."
    elif not _is_name(mark.target):
        yield f"its target {mark.target!r} isn't the name of a place; give a string."
    for option in ("error_place", "retry_target"):
        given = getattr(mark, option)
        if given is not None and not _is_name(given):
            yield f"its {option} {given!r} isn't the name of a place; give a string."


def _kind_faults(mark: Mark) -> Iterator[str]:
    kinds = [option for option, given in _triggers(mark).items() if given]
    if len(kinds) > 1:
        yield f"it combines {' and '.join(kinds)}; stack one decorator for each of them."
    if kinds and mark.when is not None:
        yield f"it combines when= and {kinds[0]}: a guard is for automatic transitions; leave out when= or {kinds[0]}."
    if kinds and mark.priority is not None:
        yield f"it combines priority= and {kinds[0]}: the first to fire wins there; leave out priority=."
    if mark.keep and not (mark.wait or mark.on is not None):
        yield "it has keep=True but takes no signal or event that could be kept; add wait=True or leave out keep."


def _triggers(mark: Mark) -> dict[str, bool]:
    return {"wait=True": bool(mark.wait), "after=": mark.after is not None, "on=": mark.on is not None}


def _duration_faults(mark: Mark) -> Iterator[str]:
    for option in ("after", "timeout"):
        given = getattr(mark, option)
        if given is None:
            continue
        if not isinstance(given, timedelta):
            yield f"its {option}={given!r} isn't a timedelta; write timedelta(seconds=...)."
        elif given < timedelta(0):
            yield f"its {option}=timedelta(seconds={given.total_seconds():g}) is negative; a duration is zero or more."


def _type_faults(mark: Mark) -> Iterator[str]:
    if mark.when is not None and not callable(mark.when):
        yield f"its when={mark.when!r} isn't callable; give a method of the workflow, or any callable that takes it."
    if callable(mark.when) and not _takes_workflow(mark.when):
        yield f"its when={_called(mark.when)} can't be called with the workflow alone; give it one parameter."
    if mark.on is not None and not isinstance(mark.on, Event):
        yield f"its on={mark.on!r} isn't an Event; write on=Event({_example(mark.on)})."
    if mark.retry is not None and not isinstance(mark.retry, Retry):
        yield f"its retry={mark.retry!r} isn't a Retry; write retry=Retry(retries=3)."
    if mark.priority is not None and (not isinstance(mark.priority, int) or isinstance(mark.priority, bool)):
        yield f"its priority={mark.priority!r} isn't a number; give an int, higher is tried first."
    if mark.name is not None and not _is_name(mark.name):
        yield f"its name={mark.name!r} isn't a name; give a string, or leave it out for the method's name."


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _takes_workflow(guard: Callable[..., Any]) -> bool:
    try:
        inspect.signature(guard).bind(object())
    except TypeError:
        return False
    except ValueError:  # a builtin that doesn't say what it takes
        return True
    return True


def _called(guard: Callable[..., Any]) -> str:
    return getattr(guard, "__name__", None) or type(guard).__name__


def _written(places: Sequence[Any]) -> str:
    return ", ".join(repr(one) for one in places) or "no place"


def _example(given: Any) -> str:
    return repr(given) if isinstance(given, str) else '"name"'

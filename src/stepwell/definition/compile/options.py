"""The rules that one `@transition` can break on its own, whatever the rest of the class looks like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from string import Formatter
from typing import Any

from stepwell.definition.authoring.asks import ask_faults, method_faults
from stepwell.definition.authoring.limits import takes_one
from stepwell.definition.authoring.marks import END, Event, Keywords, Mark, Retry
from stepwell.definition.model import Kind
from stepwell.definition.text import is_text


def sources_of(mark: Mark) -> tuple[str, ...]:
    """Return the places that the mark names as its sources; what isn't a place is left out."""
    return tuple(place(one) for one in _several(mark.source) if _is_name(one))


def old_names(mark: Mark) -> tuple[str, ...]:
    """Return the names that the transition had in earlier code; what isn't a name is left out."""
    return tuple(dict.fromkeys(str.__str__(one) for one in _several(mark.was) if _is_name(one)))


def _several(source: Any) -> Sequence[Any]:
    return source if isinstance(source, (list, tuple)) else (source,)


def place(name: str) -> str:
    """Return a place as a plain string, also where it comes from a string enum."""
    return str.__str__(name)


def kind_of(mark: Mark) -> Kind:
    """Return what makes the transition fire."""
    if mark.wait:
        return "signal"
    if mark.after is not None:
        return "timer"
    return "automatic" if mark.on is None else "event"


def option_faults(mark: Mark) -> Iterator[str]:
    """Yield everything that is wrong with one mark, without the names of class and method."""
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
        written = ", ".join(map(repr, sources)) or "no place"
        yield f"it leaves {written} but has no target; give target=..., or END if the run ends there."
    elif not _is_name(mark.target):
        yield f"its target {mark.target!r} isn't the name of a place; give a string."
    for option in ("error_place", "retry_target"):
        given = getattr(mark, option)
        if given is not None and not _is_name(given):
            yield f"its {option} {given!r} isn't the name of a place; give a string."


def _kind_faults(mark: Mark) -> Iterator[str]:
    triggers = {"wait=True": mark.wait, "after=": mark.after is not None, "on=": mark.on is not None}
    kinds = [option for option, given in triggers.items() if given]
    if len(kinds) > 1:
        yield f"it combines {' and '.join(kinds)}; stack one decorator for each of them."
    if kinds and mark.when is not None:
        yield f"it combines when= and {kinds[0]}: a guard is for automatic transitions; leave out when= or {kinds[0]}."
    if kinds and mark.priority is not None:
        yield f"it combines priority= and {kinds[0]}: the first to fire wins there; leave out priority=."
    if mark.keep is True and not (mark.wait or mark.on is not None):
        yield "it has keep=True but takes no signal or event that could be kept; add wait=True or leave out keep."
    if mark.ask is not None:
        yield from ask_faults(mark.ask)
        if not mark.wait:
            yield "it has ask= but takes no signal with which a person could answer; add wait=True or leave out ask."


def _duration_faults(mark: Mark) -> Iterator[str]:
    yield from (
        method_faults("after=", mark.after, "a moment")
        if callable(mark.after)
        else _duration_fault("after", mark.after)
    )
    yield from _duration_fault("timeout", mark.timeout)


def attempt_faults(timeout: Any, retry: Any) -> Iterator[str]:
    """Yield what is wrong with the options of an attempt that are not those of a transition, but mean the same."""
    yield from _duration_fault("timeout", timeout)
    yield from _retry_fault(retry)


def _duration_fault(option: str, given: Any) -> Iterator[str]:
    if given is None:
        return
    if not isinstance(given, timedelta):
        or_method = ", or give a method of the class that returns one" if option == "after" else ""
        yield f"its {option}={given!r} isn't a timedelta; write timedelta(seconds=...){or_method}."
    elif given < timedelta(0):
        yield f"its {option}=timedelta(seconds={given.total_seconds():g}) is negative; a duration is zero or more."


def _retry_fault(given: Any) -> Iterator[str]:
    if given is not None and not isinstance(given, Retry):
        yield f"its retry={given!r} isn't a Retry; write retry=Retry(retries=3)."


def _type_faults(mark: Mark) -> Iterator[str]:
    for option in ("wait", "keep"):
        given = getattr(mark, option)
        if not isinstance(given, bool):
            yield f"its {option}={given!r} is neither True nor False."
    if mark.retry_target is not None and mark.retry is None:
        yield f"it has retry_target={mark.retry_target!r} but retries nothing; add retry=Retry(retries=3)."
    if mark.when is not None and not callable(mark.when):
        yield f"its when={mark.when!r} isn't callable; give a method of the workflow, or any callable that takes it."
    if callable(mark.when) and not takes_one(mark.when):
        yield f"its when={guard_name(mark.when)} can't be called with the workflow alone; give it one parameter."
    if mark.on is not None and not isinstance(mark.on, Event):
        yield f"its on={mark.on!r} isn't an Event; write on=Event({_example(mark.on)})."
    yield from _retry_fault(mark.retry)
    if mark.priority is not None and (not isinstance(mark.priority, int) or isinstance(mark.priority, bool)):
        yield f"its priority={mark.priority!r} isn't a number; give an int, higher is tried first."
    if mark.name is not None and not _is_name(mark.name):
        yield f"its name={mark.name!r} isn't a name; give a string, or leave it out for the method's name."
    for old in _several(mark.was):
        if not _is_name(old):
            yield f"its was={mark.was!r} isn't an old name; give a string, or a list of strings, the oldest first."


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def guard_name(guard: Callable[..., Any]) -> str:
    """Return the name by which texts call a guard."""
    return getattr(guard, "__name__", None) or type(guard).__name__


def _example(given: Any) -> str:
    return repr(given) if isinstance(given, str) else '"name"'


def keyword_faults(owner: str, given: Keywords) -> Iterator[str]:
    """Yield everything that is wrong with the keywords of the class named `owner`."""
    for option in ("name", "title", "description"):
        text = getattr(given, option)
        if text is not None and not (isinstance(text, str) and (text or option == "description")):
            yield f"{owner}: {option}={text!r} isn't a text; give a string, or leave it out."
        elif text and not is_text(text, len(text)):
            yield f"{owner}: {option}={text!r} can't be stored; leave out NUL and halves of surrogate pairs."
    for option in ("version", "priority"):
        number = getattr(given, option)
        if not isinstance(number, int) or isinstance(number, bool):
            yield f"{owner}: {option}={number!r} isn't a number; give an int."
    if given.run_timeout is not None:
        yield from _run_timeout_faults(owner, given.run_timeout)
    for event in given.on:
        yield from _event_faults(owner, event)
    if given.subject is not None:
        yield from _subject_faults(owner, given.subject)


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
        yield f"{owner}: on={given!r} isn't an Event; write on=Event({_example(given)}), or a list of them."
    elif given.match:
        yield (
            f"{owner}: on=Event({given.name!r}, match=...) starts runs, and there is no run yet to compare with; "
            "leave out match=, or listen on a transition."
        )


def _subject_faults(owner: str, given: Any) -> Iterator[str]:
    if not isinstance(given, str):
        if not callable(given):
            yield f"{owner}: subject={given!r} is neither a text nor a function of the args."
        elif not takes_one(given):
            yield f"{owner}: subject={guard_name(given)} can't be called with the args alone; give it one parameter."
        return
    try:
        fields = [name for _, name, _, _ in Formatter().parse(given) if name is not None]
    except ValueError as error:
        yield f"{owner}: subject={given!r} isn't a format string: {error}."
        return
    for name in fields:
        if not name.replace("[", ".").startswith("args.") and name != "args":
            yield f'{owner}: subject={given!r} names {{{name}}}; it knows args only, as in "Order {{args.order_id}}".'

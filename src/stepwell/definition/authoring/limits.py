"""Limits on the runs of a workflow, as authors write them in the class keywords: `concurrency=`, `rate_limit=`, `debounce=`.

Each checks what it is given when it is made. What depends on the class (paths in its args) is checked with the class, and
what depends on other classes (a name that several share) when the Stepwell is made.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Final, Literal, get_args
from uuid import UUID

from stepwell.definition.text import is_text
from stepwell.definition.values.misfit import shown
from stepwell.errors import DefinitionError
from stepwell.nearest import checks_its_keywords, nearest, suggestion

LimitKey = str | int | bool | Enum | UUID | None
"""The values by which runs share a limit; None: no limit."""
KeyOf = str | Callable[[Any], LimitKey]
"""A path (`"args.host"`, `"user_id"`, `"workspace_id"`), or a function of the validated args."""
Holds = Literal["executing", "run"]
OnConflict = Literal["queue", "skip", "replace"]

LONGEST: Final = timedelta(days=366 * 1000)
"""The longest duration: not far beyond it there is no date."""
MOST: Final = 2**31 - 1
"""The highest limit."""
MAX_NAME: Final = 256
RUN_PATHS: Final = ("user_id", "workspace_id")
"""The paths that don't lead into the args."""


@checks_its_keywords
@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most `limit` runs of a key at once; the others wait for their turn.

    `holds="executing"`: a run has a slot while a worker executes it, and none while it waits, sleeps or retries later.
    `holds="run"`: from its first execution to its end. Then `on_conflict` says what becomes of a start for which `limit`
    unfinished runs of its key exist: it queues, is skipped to the oldest of them, or replaces the oldest.

    Without a `key` there is one limit for all runs of the workflow. A `name` shares it among workflows and apps.
    Raises DefinitionError.
    """

    limit: int
    _: KW_ONLY
    key: KeyOf | None = None
    name: str | None = None
    holds: Holds = "executing"
    on_conflict: OnConflict = "queue"

    def __post_init__(self) -> None:
        faults = [*_limit_faults(self.limit), *key_faults("key", self.key), *_name_faults(self.name), *self._faults()]
        _refuse("Concurrency", faults)

    def _faults(self) -> Iterator[str]:
        for option, choices in (("holds", get_args(Holds)), ("on_conflict", get_args(OnConflict))):
            given = getattr(self, option)
            if given not in choices:
                yield f"{option}={given!r}: {suggestion(str(given), choices, '{!r}')}"
        if self.on_conflict in ("skip", "replace") and self.holds == "executing":
            yield (
                f"on_conflict={self.on_conflict!r} looks for runs that haven't ended, and holds='executing' counts only those "
                "that a worker executes: write holds='run'."
            )


@checks_its_keywords
@dataclass(frozen=True, slots=True)
class RateLimit:
    """In no time of the length `per` do more than `limit` runs of a key begin; the others wait for their turn.

    Retries and later passes of a run don't count. Without a `key` there is one limit for all runs of the workflow. A
    `name` shares it among workflows and apps. Raises DefinitionError.
    """

    limit: int
    per: timedelta
    _: KW_ONLY
    key: KeyOf | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        faults = [*_limit_faults(self.limit), *positive_faults("per", self.per), *key_faults("key", self.key)]
        _refuse("RateLimit", [*faults, *_name_faults(self.name)])


@checks_its_keywords
@dataclass(frozen=True, slots=True)
class Debounce:
    """Of starts that follow each other within `delay`, only the last is executed, `delay` after it came.

    A start for a key whose earlier run hasn't begun replaces its args and moves it to `delay` from now, but to no later
    than `max_wait` after the first. Keys are those of a workflow and a user. Raises DefinitionError.
    """

    delay: timedelta
    _: KW_ONLY
    key: KeyOf | None = None
    max_wait: timedelta | None = None

    def __post_init__(self) -> None:
        _refuse("Debounce", [*positive_faults("delay", self.delay), *key_faults("key", self.key), *self._faults()])

    def _faults(self) -> Iterator[str]:
        if self.max_wait is None:
            return
        wrong = [*positive_faults("max_wait", self.max_wait)]
        yield from wrong
        if not wrong and not [*positive_faults("delay", self.delay)] and self.max_wait < self.delay:
            yield (
                f"max_wait={self.max_wait} is shorter than delay={self.delay}: give at least the delay, or leave it out."
            )


def _refuse(subject: str, faults: list[str]) -> None:
    if faults:
        raise DefinitionError(subject, faults)


def _limit_faults(limit: Any) -> Iterator[str]:
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MOST:
        yield f"limit={shown(limit)}: give a whole number, from 1 to {MOST:,}."


def _name_faults(name: Any) -> Iterator[str]:
    if name is not None and not is_text(name, MAX_NAME):
        yield f"name={shown(name)}: give a text of 1 to {MAX_NAME} characters, without NUL."


def positive_faults(option: str, given: Any) -> Iterator[str]:
    """Yield what is wrong with a duration that must be more than zero."""
    if not isinstance(given, timedelta):
        yield f"{option}={given!r} isn't a timedelta; write timedelta(seconds=...)."
    elif given <= timedelta(0):
        yield f"{option}=timedelta(seconds={given.total_seconds():g}): give more than zero."
    elif given > LONGEST:
        yield f"{option}=timedelta(days={given.days}): give at most {LONGEST.days} days."


def key_faults(option: str, key: Any) -> Iterator[str]:
    """Yield what is wrong with a key, whatever the args of the workflow are."""
    if key is None:
        return
    if isinstance(key, str):
        if not is_path(key):
            near = nearest(key, ("args", *RUN_PATHS), cutoff=0.5)
            hint = f"did you mean {near!r}?" if near else "write a path, as 'args.host', 'user_id' or 'workspace_id'."
            yield f"{option}={key!r} isn't a path that a start knows; {hint}"
    elif not callable(key):
        yield f"{option}={key!r} is neither a path, as 'args.host', nor a function of the args."
    elif inspect.iscoroutinefunction(key):
        yield f"{option}={key_name(key)} is an async function, and a start doesn't wait for it: give a plain function."
    elif not takes_one(key):
        yield f"{option}={key_name(key)} can't be called with the args alone; give it one parameter."


def is_path(key: str) -> bool:
    """Return whether the text is a path, whatever the args are."""
    return key in RUN_PATHS or (key.split(".", 1)[0] == "args" and all(key.split(".")))


def key_name(key: object) -> str:
    """Return a key in texts: the path, or the name of the function."""
    return key if isinstance(key, str) else getattr(key, "__name__", None) or type(key).__name__


def takes_one(function: Callable[..., Any]) -> bool:
    """Return whether the function can be called with one argument, as far as it says what it takes."""
    try:
        inspect.signature(function).bind(object())
    except TypeError:
        return False
    except ValueError:
        pass  # a builtin that doesn't say what it takes
    return True

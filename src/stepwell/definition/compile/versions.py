"""The migrations of a class and the old names of its transitions, with all that is wrong with them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

from stepwell.definition.authoring.limits import takes_one
from stepwell.definition.authoring.marks import marks_of
from stepwell.definition.authoring.migration import Migration, is_bare_migrate, migrates_from
from stepwell.definition.model import Transition

Marked = tuple[str, Any, Any]
"""The name of a migration in its class, its `from_version` (unchecked), and what was decorated."""


def migrations_of(cls: type) -> Mapping[int, Callable[[Migration], object]]:
    """Return the checked migrations of a class, by the version from which they lead."""
    return MappingProxyType({version: function for _, version, function in _marked(cls)})


def migration_faults(cls: type, version: Any) -> Iterator[str]:
    """Yield everything that is wrong with the migrations of a class of this version."""
    yield from (
        f"{cls.__name__}.{name} is a migrate(...) that decorates no function; "
        "write it as @migrate(from_version=...) above a function that takes the migration."
        for name, value in vars(cls).items()
        if is_bare_migrate(value)
    )
    taken: dict[int, str] = {}
    for name, given, function in _marked(cls):
        where = f"{cls.__name__}.{name}"
        yield from (f"{where}: {fault}" for fault in _function_faults(function))
        if not isinstance(given, int) or isinstance(given, bool):
            yield f"{where}: its from_version={given!r} isn't a number; give an int."
            continue
        if isinstance(version, int) and given >= version:
            yield (
                f"{where}: it migrates from version {given}, and the class has version {version}; "
                f"write version={given + 1} at the class, or remove the migration."
            )
        if given in taken:
            yield f"{where}: {taken[given]} migrates from version {given} already; put both into one function."
        taken.setdefault(given, name)


def _function_faults(function: Any) -> Iterator[str]:
    if not callable(function):
        yield f"it is a {type(function).__name__}; a migration is a plain function, as in def add(old: Migration) -> None."
        return
    if marks_of(function):
        yield "it is marked as a transition too; write two functions."
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        yield "a migration is called while a run is loaded, so it can't be async or contain yield; write a plain def."
    if not takes_one(function):
        yield "it can't be called with the migration alone; give it one parameter, as in def add(old: Migration) -> None."


def _marked(cls: type) -> list[Marked]:
    """Return the migrations of the class and of its abstract bases; those of other workflows aren't inherited.

    Versions aren't inherited either: they count the changes of one class.
    """
    owners = [one for one in reversed(cls.__mro__) if one is cls or "stepwell_definition" not in vars(one)]
    found: dict[str, Any] = {}
    for owner in owners:
        found |= vars(owner)
    return [
        (name, version, _plain(value))
        for name, value in found.items()
        for version in migrates_from(value) or migrates_from(_plain(value))
    ]


def _plain(value: Any) -> Any:
    return cast("Any", value).__func__ if isinstance(value, staticmethod) else value


def renamed_of(transitions: Sequence[Transition]) -> Mapping[str, str]:
    """Return the old names of transitions, with the names that they have now."""
    return MappingProxyType({old: t.name for t in transitions for old in t.was})


def rename_faults(owner: str, transitions: Sequence[Transition]) -> Iterator[str]:
    """Yield a fault for each old name that doesn't lead to one transition."""
    names = {t.name for t in transitions}
    taken: dict[str, Transition] = {}
    for t in transitions:
        for old in t.was:
            first = taken.setdefault(old, t)
            if old in names:
                whose = "its own name" if old == t.name else "the name of another transition"
                yield f"{owner}.{t.method}: its was={old!r} is {whose} now; leave it out, or rename that one."
            elif first.name != t.name:
                yield f"{owner}.{t.method}: {first.method} has was={old!r} too; name it at one of them."
            elif first.was != t.was:
                yield (
                    f"{owner}.{t.method}: the transitions named {t.name!r} have was={list(first.was)!r} and "
                    f"was={list(t.was)!r}; give all of them the same."
                )

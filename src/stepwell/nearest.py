"""Suggest the known name that is nearest to an unknown one: one rule for keywords, fields, parameters, settings and options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from stepwell.errors import DefinitionError

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)

_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class UnknownKeyword(DefinitionError, TypeError):
    """A keyword that nothing takes; also a TypeError, as Python itself would raise it."""


def nearest(given: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known name that was probably meant, whatever its case; None if there is none like it."""
    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(given.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def suggestion(given: str, known: Iterable[str], form: str = "{}") -> str:
    """Return the end of a refusal: the known name that was probably meant, or all names. `form` writes a name."""
    names = list(known)
    found = nearest(given, names)
    if found is not None:
        return f"did you mean {form.format(found)}?"
    return f"choose from {', '.join(form.format(name) for name in names)}." if names else "there is none."


def unknown_keywords(given: Iterable[str], known: Sequence[str], what: str = "keyword") -> list[str]:
    """Return one fault for each of the keywords that isn't known."""
    return [f"the {what} {name}= is unknown; {suggestion(name, known, '{}=')}" for name in given if name not in known]


def unknown_class_keywords(cls: type, root: type, given: Iterable[str], known: Sequence[str]) -> list[str]:
    """Return the faults of class keywords that `root` doesn't know, unless another base behind it may take them."""
    behind = [base for base in cls.__mro__[cls.__mro__.index(root) + 1 :] if base not in root.__mro__]
    if any("__init_subclass__" in vars(base) for base in behind):
        return []
    return unknown_keywords(given, known, "class keyword")


def keywords_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names that a function takes by keyword."""
    parameters = inspect.signature(function).parameters.values()
    return tuple(one.name for one in parameters if one.kind in _NAMED and one.name not in ("self", "cls"))


def checks_keywords(subject: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function so that an unknown keyword is an UnknownKeyword with the nearest known one."""

    def checking(function: Callable[P, R]) -> Callable[P, R]:
        known = keywords_of(function)

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if not kwargs.keys() <= set(known):
                raise UnknownKeyword(subject, unknown_keywords(kwargs, known))
            return function(*args, **kwargs)

        return checked

    return checking


def checks_its_keywords(cls: C) -> C:
    """Decorate a class so that an unknown keyword of its constructor is an UnknownKeyword with the nearest known one."""
    made: Any = cls
    made.__init__ = checks_keywords(cls.__name__)(made.__init__)
    return cls

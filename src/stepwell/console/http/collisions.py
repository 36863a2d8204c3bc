"""Collisions of paths: two routes of one application that would answer the same request, of which only the first does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from starlette.routing import BaseRoute, Match, Mount

from stepwell.errors import ConfigurationError

_PARAMETER: Final = re.compile(r"\{(\w+)(?::(\w+))?\}")
_REST: Final = None
"""A piece of a pattern: any number of segments."""
_SAMPLE: Final = "0"
"""A segment that every usual converter takes."""
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~-]+")

Piece = str | None


@dataclass(frozen=True, slots=True)
class ServedPath:
    """A path that Stepwell serves, as it is declared, and what is there."""

    path: str
    purpose: str


def check_prefix(prefix: object) -> str:
    """Return the prefix of `mount(app, prefix=...)`. Raises ConfigurationError for a text that can't be one."""
    if prefix == "":
        return ""
    segments = prefix.split("/") if isinstance(prefix, str) else []
    begins, names = segments[:1] == [""], segments[1:]
    if begins and names and all(_SEGMENT.fullmatch(one) and one not in (".", "..") for one in names):
        return str(prefix)
    cure = "leave it out, or give a path such as '/flows': it begins with a slash and doesn't end with one"
    raise ConfigurationError(
        f"mount(app, prefix={prefix!r}): {cure}, and has only letters A-Z and a-z, digits and . _ ~ - between slashes."
    )


def refuse_earlier(claims: Iterable[ServedPath], routes: Sequence[BaseRoute]) -> None:
    """Raise ConfigurationError if one of the application's routes takes requests to one of these paths."""
    theirs = [(route, dict(_paths(route))) for route in routes]
    for claim in claims:
        for route, paths in theirs:
            if (taken := _taken(claim.path, route, paths)) is not None:
                raise ConfigurationError(
                    f"mount(app): the application's {taken} takes requests to {claim.path!r}, {claim.purpose}. Give "
                    f"Stepwell other paths, as in mount(app, prefix='/flows') (a webhook has its path in the code), or "
                    "add a route that takes all paths after the call of mount."
                )


def refuse_later(claims: Iterable[ServedPath], routes: Iterable[BaseRoute]) -> None:
    """Raise ConfigurationError if one of the routes that were added after Stepwell's is never reached."""
    ours = list(claims)
    for route in routes:
        for path, words in _paths(route):
            for claim in ours:
                if _covers(_pieces(claim.path), _pieces(path)):
                    raise ConfigurationError(
                        f"The application's {words} was added after mount(app) and is never reached: {claim.path!r} is "
                        f"{claim.purpose}. Give it another path, or mount Stepwell with a prefix."
                    )


def refuse_among(claims: Sequence[ServedPath], others: Sequence[ServedPath]) -> None:
    """Raise ConfigurationError if a webhook is at a path of the API or Studio."""
    for one in others:
        for claim in claims:
            if _overlap(_pieces(claim.path), _pieces(one.path)):
                raise ConfigurationError(
                    f"mount(app): {one.path!r}, {one.purpose}, is one of the paths of {claim.path!r}, {claim.purpose}. "
                    "Give the webhook another path, or mount with another prefix."
                )


def has_below(routes: Iterable[BaseRoute], start: str) -> bool:
    """Return whether one of these routes is declared at or below a path."""
    return any(path == start or path.startswith(f"{start}/") for route in routes for path, _ in _paths(route))


def _taken(path: str, route: BaseRoute, theirs: Mapping[str, str]) -> str | None:
    """Return the words for the route, if a request to `path` may be taken by it."""
    for one, words in theirs.items():
        if _overlap(_pieces(path), _pieces(one)):
            return words
    return f"route {type(route).__name__}" if not theirs and _takes(route, path) else None


def _takes(route: BaseRoute, path: str) -> bool:
    """Return whether a route of an unknown kind takes a request to this path."""
    sample = _PARAMETER.sub(_SAMPLE, path)
    scope: dict[str, Any] = {"path": sample, "root_path": "", "headers": [], "query_string": b"", "path_params": {}}
    kinds = ({"type": "http", "method": "GET"}, {"type": "http", "method": "POST"}, {"type": "websocket"})
    return any(route.matches({**scope, **kind})[0] is not Match.NONE for kind in kinds)


def _paths(route: Any) -> Iterator[tuple[str, str]]:
    """Yield the patterns of the paths that a route takes, each with words for it; none if it is of an unknown kind."""
    contexts = getattr(route, "effective_route_contexts", None)
    if callable(contexts):  # FastAPI's inclusion of a router
        for context in contexts():
            yield from _paths(getattr(context, "starlette_route", None) or context)
        return
    path = getattr(route, "path", None)
    if isinstance(path, str):
        # A mount takes everything below its path, whether there is something or not.
        kind = "mount" if isinstance(route, Mount) else "websocket" if "WebSocket" in type(route).__name__ else "route"
        pattern = f"{path}/{{path:path}}" if isinstance(route, Mount) else path
        yield pattern, " ".join([kind, *sorted(getattr(route, "methods", None) or ()), repr(pattern)])


# -- patterns -----------------------------------------------------------------------------------------------------------


@cache
def _pieces(path: str) -> tuple[Piece, ...]:
    """Return the segments of a pattern; one with a parameter of several segments is `_REST`."""
    rest = any(kind == "path" for _, kind in _PARAMETER.findall(path))
    if not rest:
        return tuple(path.split("/"))
    return tuple(
        _REST if any(kind == "path" for _, kind in _PARAMETER.findall(one)) else one for one in path.split("/")
    )


def _overlap(one: tuple[Piece, ...], other: tuple[Piece, ...]) -> bool:
    """Return whether there is a path that fits both patterns."""
    if not one or not other:
        return all(piece is _REST for piece in (*one, *other))
    if one[0] is _REST:
        return _overlap(one[1:], other) or _overlap(one, other[1:])
    if other[0] is _REST:
        return _overlap(other, one)
    return _alike(one[0], other[0]) and _overlap(one[1:], other[1:])


def _alike(one: str, other: str) -> bool:
    """Return whether a segment may fit both; where both have parameters, it is assumed."""
    ours, theirs = "{" in one, "{" in other
    if ours and theirs:
        return True
    if ours or theirs:
        pattern, literal = (one, other) if ours else (other, one)
        return _segment(pattern).fullmatch(literal) is not None
    return one == other


def _covers(ours: tuple[Piece, ...], theirs: tuple[Piece, ...]) -> bool:
    """Return whether every path that fits `theirs` fits `ours` too."""
    if not ours or not theirs:
        return not theirs and all(piece is _REST for piece in ours)
    if ours[0] is _REST:
        return _covers(ours[1:], theirs) or _covers(ours, theirs[1:])
    if theirs[0] is _REST:
        return False
    same = ours[0] == theirs[0] or _segment(ours[0]).pattern == "[^/]+"
    literal = "{" not in theirs[0] and _segment(ours[0]).fullmatch(theirs[0]) is not None
    return (same or literal) and _covers(ours[1:], theirs[1:])


@cache
def _segment(pattern: str) -> re.Pattern[str]:
    """Return the expression of one segment's pattern, by the converters that Starlette has."""
    found, at = "", 0
    for match in _PARAMETER.finditer(pattern):
        found += re.escape(pattern[at : match.start()]) + _CONVERTERS.get(match[2] or "str", "[^/]+")
        at = match.end()
    return re.compile(found + re.escape(pattern[at:]))


_CONVERTERS: Final = {"int": "[0-9]+", "float": r"[0-9]+(\.[0-9]+)?", "uuid": "[0-9a-fA-F-]{32,36}"}

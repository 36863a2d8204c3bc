"""Texts of URLs in errors and logs, without what may be secret in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,40}")
_HOST: Final = r"(?:[\w.%*-]*|\[[0-9a-fA-F:.%]*\])(?::\d+)?"
_PLACE: Final = re.compile(rf"{_HOST}(?:,{_HOST})*(?:/.*)?", re.DOTALL)
_FIRST: Final = re.compile(r"[\w.-]+:")
_QUERY: Final = re.compile(r"[?#]")
_NAME: Final = re.compile(r"[A-Za-z_]{1,40}")


def shown_url(url: str) -> str:
    """Return the URL as it may be shown: its scheme, its hosts and its path, without user, password and parameters.

    It may be no URL at all, since it is shown when it is refused: what can't be told from a password isn't shown either.
    """
    head, mark, rest = url.partition("://")
    scheme = f"{head}://" if mark and is_scheme(head) else ""
    given = rest if scheme else url
    before = _QUERY.split(given, maxsplit=1)[0]
    if "@" in given[len(before) :]:  # the mark of the query may be a part of the password
        return f"{scheme}***"
    _, at, place = before.rpartition("@")
    if not (scheme or at):
        return "***"
    if _PLACE.fullmatch(place) is None:  # perhaps a password where the port should be
        host = _FIRST.match(place)
        place = f"{host[0] if host else ''}***"
    return f"{scheme}{'***@' if at else ''}{place}"


def is_scheme(text: str) -> bool:
    """Return whether this is the scheme of a URL, and so no secret."""
    return _SCHEME.fullmatch(text) is not None


def shown_parameter(name: str, names: Sequence[str]) -> str:
    """Return the name of one of these parameters as it may be shown: what follows a password may be a part of it."""
    before = names[: names.index(name)] if name in names else ()
    if any("pass" in one.lower() for one in before) or _NAME.fullmatch(name) is None:
        return "(after a password, in which `&` and `#` are %26 and %23)"
    return repr(name)

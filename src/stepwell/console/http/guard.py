"""The guard in front of Stepwell's own paths, and of no other path of the application: a plain ASGI middleware.

It refuses requests that a page of another origin makes a browser send, bodies that say that they are too large or aren't
JSON, and unknown hosts; and it adds headers that tell browsers what they mustn't do with an answer. It reads no body: the
route does, once it is known who asks, and what it reads is bounded in bytes and in time. An answer passes through as it is
made, piece by piece: streams aren't held back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Response
from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stepwell.console.http.bodies import BodyTooSlow, IncomingBody, UnfinishedBodies
from stepwell.console.http.json_lines import MEDIA_TYPES
from stepwell.console.http.problems import GUARDED, problem, problem_of, too_slow
from stepwell.errors import PayloadTooLarge
from stepwell.settings import AuthSettings, Settings

_ROOM: Final = 64 * 1024
"""Bytes allowed around the args or the payload: names, labels, filters."""
_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_CORS_METHODS: Final = ("GET", "POST", "DELETE")
_CORS_HEADERS: Final = ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Requested-With")
_DIGITS: Final = 18
_PORTS: Final = {"http": 80, "https": 443}

HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Headers of every answer, unless the route has set other ones: Studio's pages may load what belongs to them."""


class Guard:
    """An ASGI middleware that guards the paths that match, and passes on all others and everything but HTTP, untouched.

    `patterns` are as Starlette compiles them, and are read at the first request. `links` are guarded too, but for where a
    request comes from and what it sends: the link permits it, and nothing that a browser adds by itself.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        patterns: Callable[[], Iterable[str]],
        links: re.Pattern[str] | None = None,
        bodies: UnfinishedBodies | None = None,
    ) -> None:
        auth = settings.auth or AuthSettings(tokens=False)
        self._app = app
        self._patterns = patterns
        self._links = links or re.compile(r"(?!)")
        self._ours: re.Pattern[str] | None = None
        self._limit = settings.max_request_bytes or max(settings.max_args_bytes, settings.max_payload_bytes) + _ROOM
        self._batch_limit = settings.max_batch_bytes
        self._seconds = settings.max_request_seconds
        self._bodies = bodies or UnfinishedBodies()
        self._origins = frozenset(auth.cors_origins)
        self._hosts = auth.allowed_hosts
        self._guarded: ASGIApp = self._checked
        if auth.cors_origins:
            self._guarded = CORSMiddleware(
                self._checked,
                allow_origins=auth.cors_origins,
                allow_methods=_CORS_METHODS,
                allow_headers=_CORS_HEADERS,
                expose_headers=("Retry-After",),
                allow_credentials=True,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._ours is None:
            self._ours = _any_of((*self._patterns(), self._links.pattern))
        if scope["type"] != "http" or self._ours is None or self._ours.match(path_of(scope)) is None:
            await self._app(scope, receive, send)
        else:
            limit = self._limit_of(scope)
            with self._bodies.reading(receive, limit, self._seconds) as body:
                body.portion = self._limit if limit > self._limit else None
                scope[GUARDED] = body
                await self._answered(scope, body, _Hardened(send, scope, body))

    def _limit_of(self, scope: Scope) -> int:
        return max(self._limit, self._batch_limit) if is_lines(scope) else self._limit

    async def _answered(self, scope: Scope, body: IncomingBody, send: _Hardened) -> None:
        try:
            await self._guarded(scope, body.receive, send)
        except (BodyTooSlow, PayloadTooLarge) as error:
            # A middleware of the application has read the body: a route answers this itself.
            if send.begun:
                raise
            refusal = problem_of(error) if isinstance(error, PayloadTooLarge) else too_slow(error)
            await refusal(scope, body.receive, send)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        refusal = _wrong_host(headers, self._hosts) or _wrong_length(headers, self._limit_of(scope))
        if refusal is None and scope["method"] not in _SAFE_METHODS and not self._links.match(path_of(scope)):
            refusal = self._other_origin(headers) or (None if is_lines(scope) else _no_json(headers))
        await (refusal or self._app)(scope, receive, send)

    def _other_origin(self, headers: Headers) -> Response | None:
        """Return the refusal of a request that a page of another origin made a browser send; None for other requests."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and origin.lower() in self._origins:
            return None
        if site is not None:
            ours = site in ("same-origin", "none")
        else:
            ours = origin is None or _is_host_of(origin, headers.get("host", ""))
        if ours:
            return None
        return problem(
            403,
            "Other origin",
            f"This request came from a page of {origin or 'another origin'}. Add that origin to auth.cors_origins; a "
            "proxy in front of this server must pass on `Host` unchanged.",
        )


def path_of(scope: Scope) -> str:
    """Return the path as the application's routes see it, by the function that they use: a second opinion is a way in."""
    return get_route_path(scope)


def is_lines(scope: Scope) -> bool:
    """Return whether the request starts a batch with lines of JSON: only those may be that large."""
    kind = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
    return kind in MEDIA_TYPES and scope["method"] == "POST" and path_of(scope).endswith("/batches")


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    # Groups are named after parameters, and several paths have the same ones.
    return re.compile("|".join(f"(?:{re.sub(r'[?]P<[^>]+>', '?:', one)})" for one in patterns) or r"(?!)")


def _wrong_host(headers: Headers, allowed: Sequence[str]) -> Response | None:
    host = (urlsplit(f"//{headers.get('host', '')}").hostname or "").lower()
    if not allowed or any(_is_host(host, one.lower()) for one in allowed):
        return None
    return problem(400, "Unknown host", f"{host!r} isn't one of this server's names (auth.allowed_hosts).")


def _is_host(host: str, allowed: str) -> bool:
    return host == allowed or (allowed.startswith("*.") and host.endswith(allowed[1:]))


def _is_host_of(origin: str, host: str) -> bool:
    """Return whether an origin is that of `Host`; a missing port is the scheme's default."""
    try:
        there = urlsplit(origin)
        here = urlsplit(f"{there.scheme}://{host}")
        port = _PORTS.get(there.scheme)
        return there.hostname is not None and (there.hostname, there.port or port) == (here.hostname, here.port or port)
    except ValueError:
        return False


def _no_json(headers: Headers) -> Response | None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
    if kind == "application/json" or not (kind or has_body):
        return None
    # A page of another origin can send a form's content types without a preflight request.
    return problem(415, "Not JSON", f"Content-Type is {kind or 'missing'}: send application/json.")


def _wrong_length(headers: Headers, limit: int) -> Response | None:
    said = headers.get("content-length", "0")
    if not (said.isascii() and said.isdecimal()):
        return problem(400, "Bad length", f"Content-Length is {said[:80]!r}: give a number.")
    if len(said) > _DIGITS or int(said) > limit:
        return problem(413, "Body too large", f"The body is larger than {limit:,} bytes.")
    return None


class _Hardened:
    """A `send` that adds the headers of every answer, and has the connection closed where the body wasn't read to its end."""

    def __init__(self, send: Send, scope: Scope, body: IncomingBody) -> None:
        self._send = send
        self._body = body
        headers = Headers(scope=scope)
        self._has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        self._closable = str(scope.get("http_version", "1.1")).startswith("1")  # HTTP/2 has no such header
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers: Any = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if self._has_body and self._closable and not self._body.complete:
                # Otherwise the rest of it would keep the connection open for as long as the client likes.
                headers["Connection"] = "close"
        await self._send(message)

"""What stands before Stepwell's own paths, and before no other path of the application: a plain ASGI middleware.

It refuses requests that a page of another origin makes a browser send, bodies that are too large or no JSON, and hosts
that aren't this one's; and it puts headers on answers that say to browsers what they mustn't do with them. An answer goes
through piece by piece as it is made: streams aren't held back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import FastAPI, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stepwell.errors import ConfigurationError
from stepwell.http.problems import problem
from stepwell.settings import AuthSettings, Settings

_ROOM: Final = 64 * 1024
"""Bytes around the args or the payload: names, labels, filters."""
_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_CORS_METHODS: Final = ("GET", "POST", "DELETE")
_CORS_HEADERS: Final = ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Requested-With")
_PORTS: Final = {"http": 80, "https": 443}

HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""On every answer, unless the route has said something else: Studio's pages may load what belongs to them."""


def add_guard(app: FastAPI, settings: Settings, patterns: Callable[[], Iterable[str]]) -> None:
    """Requests to these paths (patterns as Starlette compiles them, asked for with the first request) are guarded.

    Raises ConfigurationError if the application has started already.
    """
    try:
        app.add_middleware(Guard, settings=settings, patterns=patterns)
    except RuntimeError as error:
        raise ConfigurationError(
            "mount(app): this application has started already. Mount where it is made, not in its lifespan."
        ) from error


class Guard:
    """Guards the paths that match; hands on all others, and everything that isn't HTTP, untouched."""

    def __init__(self, app: ASGIApp, *, settings: Settings, patterns: Callable[[], Iterable[str]]) -> None:
        auth = settings.auth or AuthSettings(tokens=False)
        self._app = app
        self._patterns = patterns
        self._ours: re.Pattern[str] | None = None
        self._limit = settings.max_request_bytes or max(settings.max_args_bytes, settings.max_payload_bytes) + _ROOM
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
        if scope["type"] != "http" or not self._is_ours(scope):
            await self._app(scope, receive, send)
            return
        await self._guarded(scope, receive, _hardened(send))

    def _is_ours(self, scope: Scope) -> bool:
        if self._ours is None:
            self._ours = _any_of(self._patterns())
        return self._ours.match(path_of(scope)) is not None

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        refusal = _wrong_host(headers, self._hosts)
        if refusal is None and scope["method"] not in _SAFE_METHODS:
            refusal = self._other_origin(headers) or _no_json(headers)
            if refusal is None:
                body = await _body(headers, receive, self._limit)
                if body is None:
                    return  # nobody waits for an answer
                refusal, receive = (body, receive) if isinstance(body, Response) else (None, _again(body, receive))
        await (refusal or self._app)(scope, receive, send)

    def _other_origin(self, headers: Headers) -> Response | None:
        """The refusal of what a page of another origin made a browser send; not of what isn't a browser's."""
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
            f"This came from a page of {origin or 'another origin'}. Pages of other origins need auth.cors_origins; a "
            "proxy in front of this must hand on `Host` as it came.",
        )


def path_of(scope: Scope) -> str:
    """The path as the routes of the application see it: without what it is mounted under."""
    path: str = scope["path"]
    root = str(scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] if root and path.startswith(root + "/") else path


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    # Groups are named after parameters, and several paths have the same ones.
    return re.compile("|".join(f"(?:{re.sub(r'[?]P<[^>]+>', '?:', one)})" for one in patterns) or r"(?!)")


def _wrong_host(headers: Headers, allowed: Sequence[str]) -> Response | None:
    host = (urlsplit(f"//{headers.get('host', '')}").hostname or "").lower()
    if not allowed or any(_is_host(host, one.lower()) for one in allowed):
        return None
    return problem(400, "Unknown host", f"{host!r} isn't this server's name (auth.allowed_hosts).")


def _is_host(host: str, allowed: str) -> bool:
    return host == allowed or (allowed.startswith("*.") and host.endswith(allowed[1:]))


def _is_host_of(origin: str, host: str) -> bool:
    """Whether an origin is that of `Host`, where a port that isn't said is that of the scheme."""
    try:
        there = urlsplit(origin)
        here = urlsplit(f"{there.scheme}://{host}")
        port = _PORTS.get(there.scheme)
        return there.hostname is not None and (there.hostname, there.port or port) == (here.hostname, here.port or port)
    except ValueError:
        return False


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _no_json(headers: Headers) -> Response | None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or not (kind or _has_body(headers)):
        return None
    # A form's kinds are what a page of another origin can send unasked.
    return problem(415, "Not JSON", f"Content-Type is {kind or 'missing'}: send application/json.")


async def _body(headers: Headers, receive: Receive, limit: int) -> bytes | Response | None:
    """The whole body; the refusal of one that is too large; None if the client has gone."""
    said = headers.get("content-length", "0")
    if not said.isdecimal():
        return problem(400, "Bad length", f"Content-Length is {said!r}: give a number.")
    if int(said) > limit:
        return _too_large(limit)
    found = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        found += message.get("body", b"")
        if len(found) > limit:
            return _too_large(limit)
        if not message.get("more_body", False):
            return bytes(found)


def _too_large(limit: int) -> Response:
    # The rest of the body isn't read.
    return problem(413, "Body too large", f"The body is larger than {limit:,} bytes.", headers={"Connection": "close"})


def _again(body: bytes, receive: Receive) -> Receive:
    """The body as if it was still to come, then whatever really comes."""
    left = [body]

    async def received() -> Message:
        return {"type": "http.request", "body": left.pop(), "more_body": False} if left else await receive()

    return received


def _hardened(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Any = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sent

"""Redirects to Stepwell's paths, from the same path with or without a slash at its end: a plain ASGI middleware.

Starlette sends them to the host that the request names, which any sender can choose. A cache, or a page that follows them,
would be led away; here they name no host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_IN_PATH: Final = "/:@!$&'()*+,;="
_IN_QUERY: Final = f"{_IN_PATH}?%[]"
"""A query is quoted already."""


class RelativeRedirects:
    """An ASGI middleware: redirects to the paths of these routes name a path only. All other answers pass untouched."""

    def __init__(self, app: ASGIApp, *, routes: Callable[[], Iterable[BaseRoute]]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        around = scope.get("endpoint")  # of the application that has mounted this one

        async def sent(message: Message) -> None:
            # A route that answers itself leaves its endpoint in the scope: that answer is the application's own.
            if (
                message["type"] == "http.response.start"
                and message["status"] == 307
                and scope.get("endpoint") is around
            ):
                other = {**scope, "path": path.rstrip("/") if path.endswith("/") else f"{path}/"}
                if any(route.matches(other)[0] is not Match.NONE for route in self._routes()):
                    MutableHeaders(scope=message)["location"] = _without_host(other)
            await send(message)

        await self._app(scope, receive, sent)


def _without_host(scope: Scope) -> str:
    """Return the path, as a client outside of a proxy calls it, and the query of the request.

    Two slashes at its beginning would be followed by a host.
    """
    root, called = scope.get("root_path", "").strip("/"), scope["path"].lstrip("/")
    # A proxy may take the root away, and then it isn't in the path.
    if root and not f"{called}/".startswith(f"{root}/"):
        called = f"{root}/{called}"
    path = quote(f"/{called}", safe=_IN_PATH)
    query = quote(scope.get("query_string", b""), safe=_IN_QUERY)
    return f"{path}?{query}" if query else path

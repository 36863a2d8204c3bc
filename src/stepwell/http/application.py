"""The application's own dependency: asked who asks, and only where nothing else has said it.

As a plain sub-dependency it would be asked before, whatever the request presents, and would refuse those whom it doesn't
know. So it has a route of its own, which answers nobody and only remembers whom it was told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

from fastapi import Depends, FastAPI, Request, Response, params
from fastapi.routing import APIRoute
from starlette.types import Message

from stepwell.errors import ConfigurationError
from stepwell.http.principal import Principal, principal_of

_TOLD: Final = "stepwell.principal"
_OWN_HEADERS: Final = (b"content-length", b"content-type")


class _Overrides:
    """The overrides of the application that is asked, as they are at that moment: tests replace them."""

    def __init__(self) -> None:
        self.app: FastAPI | None = None

    @property
    def dependency_overrides(self) -> Mapping[Callable[..., Any], Callable[..., Any]]:
        return {} if self.app is None else self.app.dependency_overrides


class ApplicationUser:
    """Whom the application names. Raises ConfigurationError for what can't be asked."""

    def __init__(self, user: object) -> None:
        given = user if isinstance(user, params.Depends) else _depends(user)

        async def told(request: Request, user: Any = given) -> None:
            request.scope[_TOLD] = principal_of(user)

        self._overrides = _Overrides()
        self._route = APIRoute("/", told, dependency_overrides_provider=self._overrides)

    async def ask(self, request: Request, response: Response) -> Principal:
        """The user of the request, as the application sees them; what it adds to the answer's headers is in `response`.

        Raises what the dependency raises, NotSignedIn for nobody, ConfigurationError for what can't be a user.
        """
        self._overrides.app = request.app
        scope: MutableMapping[str, Any] = dict(request.scope)
        scope.pop("starlette.exception_handlers", None)  # what it raises is for the route that asks to answer

        async def receive() -> Message:
            return {"type": "http.request", "body": await request.body(), "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [one for one in message["headers"] if one[0].lower() not in _OWN_HEADERS]
                response.headers.raw.extend(added)

        await self._route.app(scope, receive, send)
        found: Principal = scope[_TOLD]
        return found


def _depends(user: object) -> Any:
    if not callable(user) or type(user).__module__.startswith("fast_depends"):
        raise ConfigurationError(f"mount(user={user!r}): give FastAPI's Depends, as in user=Depends(current_user).")
    return Depends(user)

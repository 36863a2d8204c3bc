"""The application's own dependencies: those of all its routes, and the one that names the user where nothing else does.

As a plain sub-dependency the one that names the user would run whatever the request presents, and would refuse callers
that it doesn't know. So they have routes of their own, which send no answer: one with it, and one without.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, MutableMapping, Sequence
from typing import Any, Final

from fastapi import Depends, FastAPI, Request, Response, params
from fastapi.routing import APIRoute
from starlette.types import Message

from stepwell.console.http.access.principal import Principal, principal_of
from stepwell.console.http.strict import NotingRequest
from stepwell.definition.text import told
from stepwell.errors import ConfigurationError
from stepwell.execution.user_errors import is_closing

_PRINCIPAL: Final = "stepwell.principal"
_OWN_HEADERS: Final = (b"content-length", b"content-type")


class _Overrides:
    """The overrides of the application in question, as they are at that moment: tests replace them."""

    def __init__(self) -> None:
        self.app: FastAPI | None = None

    @property
    def dependency_overrides(self) -> Mapping[Callable[..., Any], Callable[..., Any]]:
        return {} if self.app is None else self.app.dependency_overrides


class _Route(APIRoute):
    """A route that records which query parameters its dependency reads."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def noting(request: Request) -> Response:
            return await handle(NotingRequest(request.scope, request.receive))

        return noting


class ApplicationGate:
    """The dependencies of all routes of the application, `FastAPI(dependencies=[...])`: they admit a request or not."""

    def __init__(self, dependencies: Sequence[params.Depends]) -> None:
        async def admit() -> None: ...

        self._inner = _InnerRoute(admit, dependencies, "a dependency of FastAPI(dependencies=[...])")

    async def admit(self, request: Request, response: Response) -> None:
        """Run them. Headers that they add to the answer are put into `response`. Raises what they raise."""
        await self._inner.run(request, response)


class ApplicationUser:
    """The user that the application names. Raises ConfigurationError for a dependency that can't be used.

    `first`: the dependencies of all routes of the application. They run first, in the same route, since `user` may rely
    on them or be one of them: each is called once.
    """

    def __init__(self, user: object, first: Sequence[params.Depends] = ()) -> None:
        given: Any = user
        if not isinstance(user, params.Depends):
            if not callable(user) or type(user).__module__.startswith("fast_depends"):
                raise ConfigurationError(
                    f"mount(user={user!r}): give FastAPI's Depends, as in user=Depends(current_user)."
                )
            given = Depends(user)

        async def note(request: Request, user: Any = given) -> None:
            request.scope[_PRINCIPAL] = principal_of(user)

        self._inner = _InnerRoute(note, first, "the dependency of mount(user=...)")

    async def identify(self, request: Request, response: Response) -> Principal:
        """Return the user of the request, as the application sees them.

        Headers that the application adds to the answer are put into `response`.

        Raises what the dependency raises, NotSignedIn for no user, ConfigurationError for what can't be a user.
        """
        scope = await self._inner.run(request, response)
        found: Principal = scope[_PRINCIPAL]
        return found


class _InnerRoute:
    """A route that runs dependencies of the application for a request to another route."""

    def __init__(self, endpoint: Callable[..., Any], first: Sequence[params.Depends], title: str) -> None:
        self._title = title
        self._overrides = _Overrides()
        self._route = _Route("/", endpoint, dependencies=first, dependency_overrides_provider=self._overrides)

    async def run(self, request: Request, response: Response) -> Mapping[str, Any]:
        """Return the scope that the endpoint was called with; added headers are put into `response`."""
        if self._route.body_field is not None:  # read by the inner route, a body over its bounds would be a 400
            await request.body()
        self._overrides.app = request.app
        scope: MutableMapping[str, Any] = dict(request.scope)
        scope.pop("starlette.exception_handlers", None)  # the calling route answers what it raises

        async def receive() -> Message:
            return {"type": "http.request", "body": await request.body(), "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [one for one in message["headers"] if one[0].lower() not in _OWN_HEADERS]
                response.headers.raw.extend(added)

        try:
            await self._route.app(scope, receive, send)
        except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
            # The dependency is the application's: in a task of the server's these would end it, with all its requests.
            if is_closing(error):
                raise
            raise RuntimeError(f"{self._title} raised {told(error)}") from error
        return scope

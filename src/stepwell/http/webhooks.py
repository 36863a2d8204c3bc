"""The webhooks of all apps, each at exactly its declared path, also where it is declared after `mount`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NoReturn

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Match, NoMatchFound, Route
from starlette.types import Receive, Scope, Send

from stepwell.errors import StepwellError
from stepwell.http.problems import problem, problem_of
from stepwell.http.served import Served
from stepwell.triggers.declare import WebhookRoute
from stepwell.triggers.webhooks import RETRY_AFTER, Answer, Reception

_CHOSEN: Final = "stepwell.webhook"
_TITLES: Final = {
    401: "Not authenticated",
    408: "Request timeout",
    413: "Body too large",
    500: "Handler failed",
    503: "Not handled yet",
}


class WebhookRoutes(BaseRoute):
    """One route for all of them: it looks up what is declared when a request comes."""

    def __init__(self, stepwell: Served) -> None:
        self._stepwell = stepwell
        self._made: dict[str, Route] = {}

    def _routes(self) -> Iterator[Route]:
        for app in self._stepwell.apps.values():
            for webhook in app.webhooks:
                if webhook.path not in self._made:
                    self._made[webhook.path] = self._route(app.name, webhook)
                yield self._made[webhook.path]

    def _route(self, app_name: str, webhook: WebhookRoute) -> Route:
        limit = self._stepwell.settings.max_webhook_bytes
        reception = Reception(self._stepwell.opening, app_name, webhook, limit)

        async def endpoint(request: Request) -> Response:
            try:
                return _response(await reception.receive(request.headers.items(), request.stream()))
            except StepwellError as error:
                return problem_of(error)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody reads it

        return Route(webhook.path, endpoint, methods=["POST"], include_in_schema=False)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http":
            for route in self._routes():
                match, child = route.matches(scope)
                if match is not Match.NONE:
                    return match, {**child, _CHOSEN: route}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope[_CHOSEN].handle(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> NoReturn:
        raise NoMatchFound(name, path_params)


def _response(answer: Answer) -> Response:
    if answer.status == 200:
        return JSONResponse({"received": True}) if answer.text is None else PlainTextResponse(answer.text)
    headers = {"Retry-After": str(RETRY_AFTER)} if answer.status == 503 else {}
    if answer.status in (408, 413):
        headers["Connection"] = "close"  # the rest of the body isn't read
    return problem(answer.status, _TITLES[answer.status], answer.detail, headers=headers)

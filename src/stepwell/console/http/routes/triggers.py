"""Deliveries to webhooks, which belong to no single user; and the webhooks, each at exactly its path."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from collections.abc import Iterator
from typing import Annotated, Any, Final, NoReturn
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import URL
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Match, NoMatchFound, Route
from starlette.types import Receive, Scope, Send

from stepwell.console.http.access.access import Served
from stepwell.console.http.access.caller import MARK, Caller, CallerOf
from stepwell.console.http.bodies import UnfinishedBodies
from stepwell.console.http.problems import problem, problem_of
from stepwell.console.http.routes.overview import Named
from stepwell.console.http.routes.runs import LimitParam
from stepwell.console.http.schemas import NO_NUL, NameParam, problems
from stepwell.console.reading.deliveries import Deliveries, DeliveryView
from stepwell.engine.run import Status
from stepwell.errors import StepwellError
from stepwell.runner.models import Page
from stepwell.triggers.answers import StoredAnswer
from stepwell.triggers.declare import WebhookRoute
from stepwell.triggers.webhooks import RETRY_AFTER, Reception, WebhookAnswer

DeliveryCursorParam = Annotated[
    str | None, Query(max_length=4096, pattern=rf"^{MARK}[\w=-]+$", description="The next_cursor of the page before")
]

_CHOSEN: Final = "stepwell.webhook"
_PLAIN: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
"""A client has sent the text: no browser may take it for anything but text."""
_TITLES: Final = {
    400: "Invalid delivery",
    401: "Not authenticated",
    403: "No challenge",
    408: "Request timeout",
    413: "Body too large",
    415: "Unsupported encoding",
    500: "Handler failed",
    503: "Not handled yet",
}


class RedriveRequest(BaseModel):
    """A delivery to redrive."""

    model_config = ConfigDict(extra="forbid")

    delivery_id: Annotated[str, Field(min_length=1, max_length=1024, pattern=NO_NUL)]


def add_triggers(router: APIRouter, stepwell: Served, caller: CallerOf) -> None:
    """Add `/deliveries`."""
    ByCaller = Annotated[Caller, Depends(caller)]

    def deliveries(caller: ByCaller, *, act: bool = False) -> Deliveries:
        caller.sees_all_users(act=act)
        return Deliveries(caller.runner, stepwell.apps, caller.principal.apps)

    @router.get("/deliveries", responses=problems(404))
    async def list_deliveries(
        caller: ByCaller,
        app_name: NameParam | None = None,
        route: NameParam | None = None,
        status: Status | None = None,
        limit: LimitParam = 50,
        cursor: DeliveryCursorParam = None,
    ) -> Page[DeliveryView]:
        """List a page of deliveries to webhooks, newest first, with their outcomes."""
        position = caller.cursors.position(cursor)
        found = deliveries(caller).list(app_name=app_name, route=route, status=status, limit=limit, cursor=position)
        return caller.cursors.page(await found)

    @router.post("/deliveries/{app_name}/{route:path}/redrive", responses=problems(404, 409))
    async def redrive_delivery(
        app_name: Named, route: Named, request: RedriveRequest, caller: ByCaller
    ) -> DeliveryView:
        """Run the handler of a failed delivery again; what it had started isn't started twice."""
        return await deliveries(caller, act=True).redrive(app_name, route, request.delivery_id)


class WebhookRoutes(BaseRoute):
    """One route for all webhooks: it looks up what is declared when a request comes. Their bodies are among `bodies`."""

    def __init__(self, stepwell: Served, bodies: UnfinishedBodies) -> None:
        self._stepwell = stepwell
        self._bodies = bodies
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
                url, query = url_of(request.scope), request.url.query
                answer = await reception.challenged(request.method, query, request.headers.items(), url)
                return _response(answer or await reception.receive(request.headers.items(), request.stream(), url))
            except StepwellError as error:
                return problem_of(error)
            except ClientDisconnect:
                return Response(status_code=400)  # the client has gone

        methods = ["POST"] if webhook.challenge is None else ["GET", "HEAD", "POST"]
        return Route(webhook.path, endpoint, methods=methods, include_in_schema=False)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http":
            for route in self._routes():
                match, child = route.matches(scope)
                if match is not Match.NONE:
                    return match, {**child, _CHOSEN: route}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._bodies.reading(receive) as body:
            await scope[_CHOSEN].handle(scope, body.receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> NoReturn:
        raise NoMatchFound(name, path_params)


def url_of(scope: Scope) -> str:
    """Return the URL that the client called, as it wrote it: with its own escapes, and with the root path.

    Scheme and host are those that the server has: a proxy in front of it passes them on (`X-Forwarded-Proto`, `Host`).
    """
    url = URL(scope=scope)
    given = str(scope.get("root_path", ""))
    root = given.rstrip("/")
    raw = bytes(scope.get("raw_path") or b"").decode(errors="replace") or quote(scope["path"])
    raw = raw.partition("?")[0]
    if raw.startswith(f"{given}/"):
        raw = raw.removeprefix(given)  # a server puts its root path before the path, even one that ends with a slash
    elif raw.startswith(f"{root}/"):
        raw = raw.removeprefix(root)
    query = bytes(scope.get("query_string", b"")).decode(errors="replace")
    return f"{url.scheme}://{url.netloc}{root}{raw}{'?' if query else ''}{query}"


def _response(answer: WebhookAnswer) -> Response:
    if answer.given is not None:
        return _given(answer.given)
    if answer.status in (200, 202):
        received = JSONResponse({"received": True}, answer.status)
        return received if answer.text is None else PlainTextResponse(answer.text, headers=_PLAIN)
    headers = {"Retry-After": str(RETRY_AFTER)} if answer.status == 503 else {}
    if answer.status == 415:
        headers["Accept-Encoding"] = "gzip"
    if answer.status in (408, 413, 415):
        headers["Connection"] = "close"  # the rest of the body isn't read
    return problem(answer.status, _TITLES[answer.status], answer.detail, headers=headers)


def _given(answer: StoredAnswer) -> Response:
    """Return the handler's answer."""
    response = Response(answer.content, answer.status, media_type=answer.content_type)
    for name, value in answer.headers:
        response.headers.append(name, value)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response

"""`stepwell.mount(app)`: the routes of a Stepwell in somebody's FastAPI application."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from stepwell.errors import ConfigurationError, StepwellError
from stepwell.http.access import Access
from stepwell.http.acting import add_acting
from stepwell.http.asking import asking_for
from stepwell.http.document import add_document
from stepwell.http.guard import add_guard, path_of
from stepwell.http.health import add_health
from stepwell.http.looking import add_looking
from stepwell.http.problems import answer_problem, problem, problem_route
from stepwell.http.runs import add_runs
from stepwell.http.served import Served
from stepwell.http.session import add_session
from stepwell.http.stream import add_streams
from stepwell.http.studio import studio_routes
from stepwell.http.triggers import add_triggers
from stepwell.http.webhooks import WebhookRoutes
from stepwell.http.workflows import add_workflows

PREFIX = "/api/v1"


def mount(stepwell: Served, app: FastAPI, *, user: object = None) -> None:
    """`app` serves `/api/v1`, Studio at `/studio`, and the webhooks of all apps at exactly their paths.

    StepwellErrors that the application's own endpoints raise are answered as problems, unless it has a handler for them.
    Raises ConfigurationError if something was mounted on `app` before.
    """
    if getattr(app.state, "stepwell_mounted", False):
        raise ConfigurationError("mount(app): a Stepwell is mounted on this application already; call it once per app.")
    access = Access(stepwell, user)
    asking = asking_for(stepwell, access)
    app.state.stepwell_mounted = True
    app.state.stepwell = stepwell
    router = APIRouter(prefix=PREFIX, route_class=problem_route(), tags=["stepwell"])
    add_health(router, stepwell)
    add_session(router, stepwell, access)
    add_streams(router, access, asking)
    add_acting(router, asking)
    add_runs(router, asking)
    add_workflows(router, stepwell, asking)
    add_looking(router, stepwell, asking)
    add_triggers(router, stepwell, asking)
    add_document(router, access)
    app.include_router(router)
    app.router.routes.append(WebhookRoutes(stepwell))
    # Studio's files hold no data: they are closed only where nobody could sign in.
    closed = access.principal if user is None and stepwell.settings.auth is None else None
    studio = studio_routes(closed, api_path=PREFIX)
    app.include_router(studio)
    add_guard(app, stepwell.settings, lambda: [_pattern(route) for route in (*router.routes, *studio.routes)])
    app.exception_handlers.setdefault(StepwellError, answer_problem)
    app.router.default = _missing(app.router.default)


def _missing(default: ASGIApp) -> ASGIApp:
    """What answers where no route fits, the application's own among them, which may begin with the same prefix."""
    absent = problem(404, "Not found", f"There is no such path here. {PREFIX}/openapi.json tells those that there are.")

    async def missing(scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and path_of(scope).startswith(f"{PREFIX}/")
        await (absent if ours else default)(scope, receive, send)

    return missing


def _pattern(route: BaseRoute) -> str:
    assert isinstance(route, Route)
    return route.path_regex.pattern

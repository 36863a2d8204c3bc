"""`stepwell.mount(app)`: the routes of a Stepwell in somebody's FastAPI application."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from stepwell.errors import ConfigurationError, StepwellError
from stepwell.http.access import Access, runner_for
from stepwell.http.health import add_health
from stepwell.http.problems import ProblemRoute, answer_problem
from stepwell.http.runs import add_runs
from stepwell.http.served import Served
from stepwell.http.studio import studio_routes
from stepwell.http.webhooks import WebhookRoutes

PREFIX = "/api/v1"


def mount(stepwell: Served, app: FastAPI, *, user: object = None) -> None:
    """`app` serves `/api/v1`, Studio at `/studio`, and the webhooks of all apps at exactly their paths.

    StepwellErrors that the application's own endpoints raise are answered as problems, unless it has a handler for them.
    Raises ConfigurationError if something was mounted on `app` before.
    """
    if getattr(app.state, "stepwell_mounted", False):
        raise ConfigurationError("mount(app): a Stepwell is mounted on this application already; call it once per app.")
    runner_of = runner_for(stepwell, user)
    app.state.stepwell_mounted = True
    app.state.stepwell = stepwell
    router = APIRouter(prefix=PREFIX, route_class=ProblemRoute, tags=["stepwell"])
    add_health(router, stepwell)
    add_runs(router, runner_of)
    app.include_router(router)
    app.router.routes.append(WebhookRoutes(stepwell))
    # Studio's files hold no data: they are closed only where nobody could sign in.
    closed = Access(stepwell, user).principal if user is None and stepwell.settings.auth is None else None
    app.include_router(studio_routes(closed, api_path=PREFIX))
    app.exception_handlers.setdefault(StepwellError, answer_problem)

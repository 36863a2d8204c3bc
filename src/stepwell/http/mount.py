"""`stepwell.mount(app)`: the routes of a Stepwell in somebody's FastAPI application."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Response

from stepwell.errors import ConfigurationError, StepwellError
from stepwell.http.access import runner_for
from stepwell.http.health import add_health
from stepwell.http.problems import ProblemRoute, answer_problem, problem
from stepwell.http.runs import add_runs
from stepwell.http.served import Served
from stepwell.http.webhooks import WebhookRoutes

PREFIX = "/api/v1"


def mount(stepwell: Served, app: FastAPI, *, user: object = None) -> None:
    """`app` serves `/api/v1`, and the webhooks of all apps at exactly their paths.

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
    app.add_api_route("/studio", _studio, include_in_schema=False)
    app.add_api_route("/studio/{path:path}", _studio, include_in_schema=False)
    app.exception_handlers.setdefault(StepwellError, answer_problem)


async def _studio() -> Response:
    return problem(501, "Not built", "Studio isn't built yet in this version of Stepwell; the API is at /api/v1.")

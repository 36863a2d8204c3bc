"""`stepwell.mount(app)`: add the routes of a Stepwell to a FastAPI application, and change nothing else of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from stepwell.console.http.access.access import Access, Served
from stepwell.console.http.access.caller import caller_for
from stepwell.console.http.bodies import UnfinishedBodies
from stepwell.console.http.collisions import (
    ServedPath,
    check_prefix,
    has_below,
    refuse_among,
    refuse_earlier,
    refuse_later,
)
from stepwell.console.http.guard import Guard, path_of
from stepwell.console.http.problems import answer_problem, problem, problem_route
from stepwell.console.http.redirects import RelativeRedirects
from stepwell.console.http.routes.actions import add_acting
from stepwell.console.http.routes.batches import add_batches
from stepwell.console.http.routes.groups import add_groups
from stepwell.console.http.routes.limits import add_limits
from stepwell.console.http.routes.links import link_route
from stepwell.console.http.routes.overview import add_looking, add_workflows
from stepwell.console.http.routes.pausing import add_pausing
from stepwell.console.http.routes.people import add_people
from stepwell.console.http.routes.repairs import add_repairs
from stepwell.console.http.routes.runs import add_runs
from stepwell.console.http.routes.schedules import add_schedules
from stepwell.console.http.routes.server import add_document, add_health
from stepwell.console.http.routes.session import add_session
from stepwell.console.http.routes.triggers import WebhookRoutes, add_triggers
from stepwell.console.http.routes.workspaces import add_workspaces
from stepwell.console.http.stream import add_streams
from stepwell.console.http.studio.studio import studio_routes
from stepwell.errors import ConfigurationError, StepwellError

API: Final = "/api/v1"


def mount(
    stepwell: Served, app: FastAPI, *, user: object = None, prefix: str = "", include_in_schema: bool = False
) -> Callable[[], None]:
    """Serve `/api/v1` and Studio at `/studio` under `prefix`, and the webhooks of all apps at exactly their paths.

    StepwellErrors that the application's own endpoints raise are answered as problems, unless it has a handler for them.
    Returns a function that raises ConfigurationError for collisions with what was added after the call.

    Raises ConfigurationError, and has changed nothing, if `app` isn't a FastAPI application, has started, or has something
    mounted on it already; if `prefix` isn't a path; or if one of the application's routes takes requests to these paths.
    """
    _check_application(app)
    api_path = check_prefix(prefix) + API
    if not isinstance(include_in_schema, bool):
        raise ConfigurationError(f"mount(app, include_in_schema={include_in_schema!r}): give True or False.")
    access = Access(stepwell, user, app.router.dependencies)
    router = _api(stepwell, app, access, api_path, include_in_schema)
    bodies = UnfinishedBodies()
    webhooks = WebhookRoutes(stepwell, bodies)
    # Studio's files hold no data: they are refused only where no user could sign in.
    closed = access.principal if user is None and stepwell.settings.auth is None else None
    studio = studio_routes(closed, prefix=prefix, api_path=api_path, app=app)
    links = link_route(stepwell, access, api_path)
    ours: list[BaseRoute] = [*router.routes, links, webhooks, *studio.routes]
    paths = [
        *_claims(router, "a path of the API"),
        *_claims(studio, "a path of Studio"),
        ServedPath(links.path, "the path of links to questions"),
    ]
    earlier = [*app.router.routes]

    def check() -> None:
        declared = _webhook_claims(stepwell)
        refuse_among(paths, declared)
        refuse_earlier([*paths, *declared], earlier)
        refuse_later([*paths, *declared], _after(app, [*earlier, *ours]))

    check()
    app.state.stepwell_mounted = True
    app.state.stepwell_prefix = prefix
    app.state.stepwell = stepwell
    # Not include_router: the application's own defaults aren't for these. Its dependencies run where `access` admits.
    app.router.routes.extend(ours)
    app.add_middleware(
        Guard,
        settings=stepwell.settings,
        patterns=lambda: [cast("Route", route).path_regex.pattern for route in (*router.routes, *studio.routes)],
        links=links.path_regex,
        bodies=bodies,
    )
    app.add_middleware(RelativeRedirects, routes=lambda: ours)
    app.exception_handlers.setdefault(StepwellError, answer_problem)
    app.router.default = _missing(app, ours, app.router.default, api_path)
    return check


def _api(stepwell: Served, app: FastAPI, access: Access, path: str, include_in_schema: bool) -> APIRouter:
    caller = caller_for(stepwell, access)
    first: Any = {access.identity: access.identify, access.admission: access.admit}
    router = APIRouter(
        prefix=path,
        route_class=problem_route(access.identity, first, stepwell.settings.max_request_values),
        tags=["stepwell"],
        include_in_schema=include_in_schema,
        dependency_overrides_provider=app,
    )
    add_health(router, stepwell)
    add_session(router, stepwell, access)
    add_streams(router, access, caller)
    add_acting(router, caller)
    add_repairs(router, caller)
    add_workspaces(router, caller)
    add_people(router, caller)
    add_runs(router, caller)
    add_batches(router, stepwell, caller)
    add_groups(router, caller)
    add_workflows(router, stepwell, caller)
    add_looking(router, stepwell, caller)
    add_schedules(router, stepwell, caller)
    add_triggers(router, stepwell, caller)
    add_pausing(router, caller)
    add_limits(router, caller)
    add_document(router, access)
    return router


def _check_application(app: object) -> None:
    if not isinstance(app, FastAPI):
        _refuse_other(app)
    elif getattr(app.state, "stepwell_mounted", False):
        raise ConfigurationError("mount(app): a Stepwell is mounted on this application already; call it once per app.")
    elif app.middleware_stack is not None:
        raise ConfigurationError(
            "mount(app): this application has started already. Call it where the application is made, not in its lifespan."
        )


def _refuse_other(app: object) -> None:
    if isinstance(app, type):
        given, cure = f"the class {app.__name__}", "Make the application first: app = FastAPI(...)."
    elif isinstance(app, APIRouter):
        given, cure = "an APIRouter", "Give the application that includes it: app = FastAPI(...)."
    else:
        given = "None" if app is None else f"of type {type(app).__module__}.{type(app).__name__}"
        cure = (
            "Make one, app = FastAPI(lifespan=stepwell.lifespan); an application of another framework can mount it as "
            "an ASGI application, or run beside it."
        )
    raise ConfigurationError(f"mount(app): it is {given}, not a FastAPI application. {cure}")


def _claims(router: APIRouter, purpose: str) -> list[ServedPath]:
    paths = dict.fromkeys(cast("Route", route).path for route in router.routes)
    return [ServedPath(path, purpose) for path in paths]


def _webhook_claims(stepwell: Served) -> list[ServedPath]:
    return [
        ServedPath(one.path, f"the path of the webhook {one.name!r} of app {app.name!r}")
        for app in stepwell.apps.values()
        for one in app.webhooks
    ]


def _after(app: FastAPI, known: Iterable[BaseRoute]) -> list[BaseRoute]:
    """Return the application's routes that were added after Stepwell's."""
    there = {id(route) for route in known}
    return [route for route in app.router.routes if id(route) not in there]


def _missing(app: FastAPI, ours: list[BaseRoute], default: ASGIApp, api_path: str) -> ASGIApp:
    """Answer where no route matches a path below the API's, unless the application has routes of its own there."""
    absent: Any = problem(404, "Not found", f"No such path. {api_path}/openapi.json lists the paths that exist.")

    async def missing(scope: Scope, receive: Receive, send: Send) -> None:
        below = scope["type"] == "http" and path_of(scope).startswith(f"{api_path}/")
        alone = below and not has_below(_after(app, ours), api_path)
        await (absent if alone else default)(scope, receive, send)

    return missing

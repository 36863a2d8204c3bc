"""`stepwell new NAME` and `stepwell dev MODULE:ATTR`: an application to begin with, and a server for this machine only."""

from __future__ import annotations

import copy
import os
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from stepwell.composition import Stepwell
from stepwell.console.cli.backends.target import Target, load, settings_of
from stepwell.console.cli.terminal.output import MISCONFIGURED, put, say
from stepwell.console.http.access.principal import DEVELOPER, Principal
from stepwell.errors import ConfigurationError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost")
TARGET: Final = "STEPWELL_DEV_TARGET"
"""The environment variable that passes the application's name to the next process."""
_MAIN = '''"""A workflow, an app and a Stepwell. Serve it with `stepwell dev {name}.main:stepwell`."""

from pydantic import BaseModel

from stepwell import END, App, Stepwell, Workflow, transition


class Greeting(BaseModel):
    name: str


class Greet(Workflow[Greeting, None, str]):
    """Ask whether to greet, and greet."""

    @transition(target="asked")
    async def ask(self) -> None:
        self.log.info("asking whether to greet %s", self.args.name)

    @transition("asked", END, wait=True)
    async def answer(self, polite: bool) -> str:
        return f"Good day, {{self.args.name}}." if polite else f"Hi {{self.args.name}}!"


stepwell = Stepwell(apps=[App("{name}", workflows=[Greet])])
'''


def dev(
    target: Target,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Default: STEPWELL_PORT, 8642.")] = None,
    reload: Annotated[bool, typer.Option("--reload/--no-reload", help="Restart when a file changes.")] = True,
) -> None:
    """Serve an application with a worker, without login and on loopback only, and restart it when a file changes.

    MODULE:ATTR is a Stepwell, or a FastAPI application that has one.
    """
    found = load(target)
    if not isinstance(found, Stepwell) and not callable(found):
        raise ConfigurationError(
            f"{target!r} is of type {type(found).__name__}: name a Stepwell or a FastAPI application."
        )
    settings = found.settings if isinstance(found, Stepwell) else settings_of()
    if settings.host not in LOOPBACK:
        raise ConfigurationError(
            f"host={settings.host!r}: stepwell dev has no login, so it serves this machine only: give "
            f"{' or '.join(LOOPBACK)}. For others, serve the application with uvicorn."
        )
    os.environ[TARGET] = target
    prefix = getattr(getattr(found, "state", None), "stepwell_prefix", "")
    _serve(settings.host, settings.port if port is None else port, reload, prefix)


def _serve(host: str, port: int, reload: bool, prefix: str) -> None:
    import uvicorn

    from stepwell.console.cli.reloading import SourceReload

    say(f"Studio: http://{host}:{port}{prefix}/studio, the API: {prefix}/api/v1 (Ctrl-C stops)")
    try:
        config = uvicorn.Config(
            "stepwell.console.cli.commands.dev:application",
            factory=True,
            host=host,
            port=port,
            reload=reload,
            reload_dirs=[os.getcwd()] if reload else None,
            timeout_graceful_shutdown=5,
            log_config=_logging(uvicorn.config.LOGGING_CONFIG),
        )
        server = uvicorn.Server(config)
        with suppress(KeyboardInterrupt):
            if reload:
                SourceReload(config, target=server.run, sockets=[config.bind_socket()]).run()
            else:
                server.run()
    except SystemExit as error:
        raise typer.Exit(MISCONFIGURED if error.code else 0) from error
    if not (reload or server.started):
        raise typer.Exit(MISCONFIGURED)


def _logging(given: dict[str, Any]) -> dict[str, Any]:
    # Everything but data goes to stderr, including requests.
    config = copy.deepcopy(given)
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    config["root"] = {"level": "INFO", "handlers": ["default"]}
    config["loggers"]["uvicorn"]["propagate"] = False
    for chatty in ("alembic", "watchfiles"):
        config["loggers"][chatty] = {"level": "WARNING"}
    return config


def application() -> Any:
    """Return the ASGI application: for this machine only, and without a login (rule 41)."""
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from stepwell.console.http.access.access import no_user

    found = load(os.environ[TARGET])
    app = _application_of(found) if isinstance(found, Stepwell) else found
    for one in _applications_in(app):
        one.dependency_overrides[no_user] = developer
    # A page of another origin may reach loopback by a DNS name of its own; such a name is refused.
    return ThisMachine(TrustedHostMiddleware(app, allowed_hosts=LOOPBACK))


def _applications_in(outermost: Any) -> list[FastAPI]:
    """Return the application, and those that it mounts or wraps: Stepwell may be mounted on any of them."""
    from fastapi import FastAPI

    found: list[FastAPI] = []
    seen: set[int] = set()
    open_ones = [outermost]
    while open_ones:
        one = open_ones.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, FastAPI):
            found.append(one)
        open_ones += [getattr(one, "app", None), *(getattr(route, "app", None) for route in getattr(one, "routes", ()))]
    return found


class ThisMachine:
    """An ASGI middleware that refuses requests from other machines, however the server listens, or a proxy passes them on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or _is_here(scope.get("client")):
            await self._app(scope, receive, send)
            return
        from starlette.responses import PlainTextResponse
        from starlette.websockets import WebSocketClose

        refused = PlainTextResponse("stepwell dev has no login, so it serves its own machine only.", 403)
        await (WebSocketClose(1008) if scope["type"] == "websocket" else refused)(scope, receive, send)


def _is_here(client: tuple[str, int] | None) -> bool:
    try:
        return client is not None and ip_address(client[0]).is_loopback
    except ValueError:
        return False


def _application_of(stepwell: Stepwell) -> Any:
    from fastapi import FastAPI

    app = FastAPI(title="Stepwell", lifespan=stepwell.lifespan)
    stepwell.mount(app)
    return app


async def developer() -> Principal:
    """Return the one user of a machine that serves only itself: they may do everything."""
    return Principal(DEVELOPER, "admin", method="local")


def new(name: Annotated[str, typer.Argument(help="The name of its folder and package.")]) -> None:
    """Write a small application into a new folder."""
    folder = Path(name)
    if not name.isidentifier():
        raise ConfigurationError(f"{name!r} can't be a package: give a name such as 'orders'.")
    if folder.exists():
        raise ConfigurationError(f"{name!r} exists already: give another name, or remove it.")
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "main.py").write_text(_MAIN.format(name=name))
    put(str(folder / "main.py"))
    say(f"Next: stepwell run greet --arg name=you --app {name}.main:stepwell")

"""`stepwell dev MODULE:ATTR`: server, worker and reload, for this machine only."""

from __future__ import annotations

import copy
import os
from typing import Annotated, Any

import typer

from stepwell.app import Stepwell
from stepwell.cli.output import MISCONFIGURED, say
from stepwell.cli.served import TARGET
from stepwell.cli.target import Target, environments_settings, load
from stepwell.errors import ConfigurationError

LOOPBACK = "127.0.0.1"


def dev(
    target: Target,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Default: STEPWELL_PORT, 8642.")] = None,
    reload: Annotated[bool, typer.Option("--reload/--no-reload", help="Start anew when a file changes.")] = True,
) -> None:
    """Serve an application with a worker, without login and on loopback only, and start it anew when a file changes.

    MODULE:ATTR is a Stepwell, or a FastAPI application that has one.
    """
    found = load(target)
    if not isinstance(found, Stepwell) and not callable(found):
        raise ConfigurationError(
            f"{target!r} is of type {type(found).__name__}: name a Stepwell or a FastAPI application."
        )
    settings = found.settings if isinstance(found, Stepwell) else environments_settings()
    os.environ[TARGET] = target
    _serve(settings.port if port is None else port, reload)


def _serve(port: int, reload: bool) -> None:
    import uvicorn

    say(f"Studio: http://{LOOPBACK}:{port}/studio, the API: /api/v1 (Ctrl-C stops)")
    try:
        uvicorn.run(
            "stepwell.cli.served:application",
            factory=True,
            host=LOOPBACK,
            port=port,
            reload=reload,
            reload_dirs=[os.getcwd()] if reload else None,
            timeout_graceful_shutdown=5,
            log_config=_logging(uvicorn.config.LOGGING_CONFIG),
        )
    except SystemExit as error:
        raise typer.Exit(MISCONFIGURED if error.code else 0) from error


def _logging(given: dict[str, Any]) -> dict[str, Any]:
    # Everything but data goes to stderr, requests too.
    config = copy.deepcopy(given)
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    config["root"] = {"level": "INFO", "handlers": ["default"]}
    config["loggers"]["uvicorn"]["propagate"] = False
    return config

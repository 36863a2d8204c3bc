"""What `stepwell dev` serves, made in the process that uvicorn starts."""

from __future__ import annotations

import os
from typing import Any, Final

from stepwell.app import Stepwell
from stepwell.cli.target import load
from stepwell.http.principal import Principal

TARGET: Final = "STEPWELL_DEV_TARGET"
"""The variable that names the application from one process to the next."""

_HOSTS = ["127.0.0.1", "localhost"]


def application() -> Any:
    """The ASGI application: for this machine only, and there without a login (semantics 41)."""
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    found = load(os.environ[TARGET])
    app = _application_of(found) if isinstance(found, Stepwell) else found
    if isinstance(app, FastAPI):
        from stepwell.http.access import nobody

        app.dependency_overrides[nobody] = developer
    # A page of another origin may reach loopback by a name that it points there; such a name is refused.
    return TrustedHostMiddleware(app, allowed_hosts=_HOSTS)


def _application_of(stepwell: Stepwell) -> Any:
    from fastapi import FastAPI

    app = FastAPI(title="Stepwell", lifespan=stepwell.lifespan)
    stepwell.mount(app)
    return app


async def developer() -> Principal:
    """The one user of a machine that serves for itself: they may do everything."""
    return Principal("local", "admin", method="local")

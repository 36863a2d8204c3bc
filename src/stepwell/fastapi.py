"""For FastAPI applications: `Runner` is the WorkflowRunner of the application's Stepwell, `Principal` is the caller.

@app.post("/orders")
async def order(payload: OrderArgs, runner: Runner) -> ...
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from stepwell.console.http.access.principal import Principal
from stepwell.errors import ConfigurationError
from stepwell.runner.runner import WorkflowRunner

__all__ = ["Principal", "Runner"]


async def runner_of(connection: HTTPConnection) -> WorkflowRunner:
    """Return the runner of the Stepwell that was opened by the application's lifespan, or mounted on it."""
    stepwell = getattr(connection.app.state, "stepwell", None)
    if stepwell is None:
        raise ConfigurationError(
            "This application has no Stepwell: make it with FastAPI(lifespan=stepwell.lifespan), or call "
            "stepwell.mount(app) on the very application that has the endpoint."
        )
    runner: WorkflowRunner = stepwell.runner
    return runner


Runner = Annotated[WorkflowRunner, Depends(runner_of)]
"""Annotate an endpoint's parameter with it."""

"""`stepwell cancel ID`."""

from __future__ import annotations

from typing import Annotated

import typer

from stepwell.cli.output import put, put_json, run_line
from stepwell.cli.target import Application, Json, RunId, User, execute, load_stepwell, opened


def cancel(
    run_id: RunId,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; it is kept with the run.")] = None,
    app: Application = None,
    user: User = None,
    json: Json = False,
) -> None:
    """Cancel a run and its children, and stop what is executing."""
    stepwell = load_stepwell(app)

    async def act() -> None:
        async with opened(stepwell):
            run = await stepwell.runner.cancel(run_id, user_id=user, reason=reason)
            put_json(run.model_dump(mode="json")) if json else put(run_line(run))

    execute(act)

"""`stepwell cancel ID`."""

from __future__ import annotations

from typing import Annotated

import typer

from stepwell.cli.output import put_run
from stepwell.cli.target import Application, Json, RunId, User, execute
from stepwell.cli.where import Token, Url, backend_of


def cancel(
    ctx: typer.Context,
    run_id: RunId,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; it is kept with the run.")] = None,
    app: Application = None,
    url: Url = None,
    token: Token = None,
    user: User = None,
    json: Json = False,
) -> None:
    """Cancel a run and its children, and stop what is executing."""
    backend = backend_of(ctx, app, url, token, user)

    async def act() -> None:
        async with backend.open():
            put_run(await backend.cancel(run_id, reason), json)

    execute(act)

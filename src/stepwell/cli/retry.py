"""`stepwell retry ID`."""

from __future__ import annotations

import typer

from stepwell.cli.output import put_run
from stepwell.cli.target import Application, Json, RunId, User, execute
from stepwell.cli.where import Token, Url, backend_of, hint_without_workers


def retry(
    ctx: typer.Context,
    run_id: RunId,
    app: Application = None,
    url: Url = None,
    token: Token = None,
    user: User = None,
    json: Json = False,
) -> None:
    """Run a failed transition again now, with a full budget of retries. A worker takes it on."""
    backend = backend_of(ctx, app, url, token, user)

    async def act() -> None:
        async with backend.open():
            run = await backend.retry(run_id)
            put_run(run, json)
            await hint_without_workers(backend, run)

    execute(act)

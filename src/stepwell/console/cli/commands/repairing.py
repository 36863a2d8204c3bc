"""`stepwell fork`, `stepwell retry` and `stepwell delete`: go back in a run, repair it, or delete it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stepwell.console.cli.backends.target import (
    Application,
    Json,
    RunId,
    TokenOption,
    Url,
    User,
    backend_of,
    execute,
    hint_without_workers,
)
from stepwell.console.cli.terminal.arguments import whole
from stepwell.console.cli.terminal.output import put_run, say

State = Annotated[str | None, typer.Option("--state", help="Another state, as JSON; @FILE and @- read it.")]


def fork(
    ctx: typer.Context,
    run_id: RunId,
    checkpoint: Annotated[int, typer.Option("--checkpoint", help="The version of a row of the run's history.")],
    state: State = None,
    args: Annotated[str | None, typer.Option("--args", help="Other args, as JSON; @FILE and @- read it.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="An idempotency key: the same fork is made once.")] = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    user: User = None,
    json: Json = False,
) -> None:
    """Start a new run at the target of a row of a run's history, with the state and the documents of then."""
    backend = backend_of(ctx, app, url, token, user)
    given = _values(state=state, args=args)

    async def act() -> None:
        async with backend.open(creates=False):
            run = await backend.get(await backend.fork(run_id, checkpoint, given, key))
            put_run(run, json)
            await hint_without_workers(backend, run)

    execute(act)


def retry(
    ctx: typer.Context,
    run_id: RunId,
    data: Annotated[
        str | None, typer.Option("--data", help="Another payload of the failed signal, as JSON; @FILE and @- read it.")
    ] = None,
    state: State = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    user: User = None,
    json: Json = False,
) -> None:
    """Run a failed transition again now, with a full retry budget. A worker executes it."""
    backend = backend_of(ctx, app, url, token, user)
    given = _values(data=data, state=state)

    async def act() -> None:
        async with backend.open(creates=False):
            run = await backend.retry(run_id, given)
            put_run(run, json)
            await hint_without_workers(backend, run)

    execute(act)


def delete(
    ctx: typer.Context,
    run_id: RunId,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    user: User = None,
) -> None:
    """Delete a finished run with its history, documents, steps and signals."""
    backend = backend_of(ctx, app, url, token, user)

    async def act() -> None:
        async with backend.open(creates=False):
            await backend.delete_run(run_id)
            say(f"Run {run_id} is deleted.")

    execute(act)


def _values(**given: str | None) -> dict[str, Any]:
    return {name: whole(text) for name, text in given.items() if text is not None}

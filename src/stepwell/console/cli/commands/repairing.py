"""`stepwell fork`, `retry`, `update` and `delete`: go back in a run, repair it, change what is written on it, delete it."""

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
from stepwell.errors import ConfigurationError

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


def update(
    ctx: typer.Context,
    run_id: RunId,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", help="A label, instead of those that it has; may be given repeatedly."),
    ] = None,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Remove all labels.")] = False,
    subject: Annotated[
        str | None, typer.Option("--subject", help="What the run is about, for people; '' removes it.")
    ] = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    user: User = None,
    json: Json = False,
) -> None:
    """Replace the labels or the subject of a run. What isn't given stays."""
    if label and no_labels:
        raise ConfigurationError("--no-labels can't be combined with --label. Leave out one of them.")
    if not label and not no_labels and subject is None:
        raise ConfigurationError("Say what to change: --label LABEL, --no-labels or --subject TEXT.")
    backend = backend_of(ctx, app, url, token, user)
    labels = [] if no_labels else label or None

    async def act() -> None:
        async with backend.open(creates=False):
            put_run(await backend.update_run(run_id, labels, subject), json)

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

"""`stepwell signal` and `stepwell cancel`: steer a run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stepwell.console.cli.backends.backend import CommandBackend
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
from stepwell.console.cli.terminal.arguments import payload, whole
from stepwell.console.cli.terminal.output import WAITING, put_run, say
from stepwell.console.cli.terminal.prompts import ask_payload, is_interactive
from stepwell.errors import ConfigurationError, InvalidPayload, UnknownApp, UnknownWorkflow
from stepwell.runner.models import Run


def signal(
    ctx: typer.Context,
    run_id: RunId,
    name: Annotated[str, typer.Argument(help="The signal transition.")],
    pairs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[VALUE | K=V...]", help="Its payload: text or JSON, or its fields; @FILE and @- read it."
        ),
    ] = None,
    data: Annotated[str | None, typer.Option("--data", help="Its payload as JSON; @FILE and @- read it.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="An idempotency key: the same signal counts once.")] = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    user: User = None,
    json: Json = False,
) -> None:
    """Send a signal. It is stored when this returns; a worker executes the transition.

    Without a payload, the command asks for the fields if stdin and stderr are terminals.
    """
    if pairs and data is not None:
        raise ConfigurationError(f"--data can't be combined with {' '.join(pairs)}. Leave out one of them.")
    backend = backend_of(ctx, app, url, token, user)

    async def act() -> int:
        async with backend.open(creates=False):
            run = await _sent(backend, run_id, name, pairs or [], data, key)
            if run is None:
                say("Nothing was sent.")
                return WAITING
            put_run(run, json)
            await hint_without_workers(backend, run)
            return 0

    raise typer.Exit(execute(act))


def cancel(
    ctx: typer.Context,
    run_id: RunId,
    reason: Annotated[str | None, typer.Option("--reason", help="The reason; it is stored with the run.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Cancel at once: without clearing up.")] = False,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    user: User = None,
    json: Json = False,
) -> None:
    """Cancel a run and its children, and stop what they are executing."""
    backend = backend_of(ctx, app, url, token, user)

    async def act() -> None:
        async with backend.open(creates=False):
            put_run(await backend.cancel(run_id, reason, force), json)

    execute(act)


async def _sent(
    backend: CommandBackend, run_id: str, name: str, pairs: list[str], data: str | None, key: str | None
) -> Run | None:
    if data is not None:
        return await backend.signal(run_id, name, whole(data), key)
    if pairs:
        return await backend.signal(run_id, name, payload(pairs, await _schema(backend, run_id, name)), key)
    if is_interactive():
        return await _asked(backend, run_id, name, key)
    return await backend.signal(run_id, name, None, key)


async def _asked(backend: CommandBackend, run_id: str, name: str, key: str | None) -> Run | None:
    """Send the answer given in the terminal; None: the user decided not to answer."""
    asks = [one for one in await backend.asks(run_id) if one.transition == name]
    if not asks or asks[0].payload_schema is None:
        return await backend.signal(run_id, name, None, key)
    before: Any = None
    while True:
        try:
            answer = await ask_payload(asks[0], before)
        except EOFError:
            answer = None
        if answer is None:
            return None
        try:
            return await backend.signal(run_id, name, answer.data, key)
        except InvalidPayload as error:
            say(f"Refused: {error}")
            before = answer.data


async def _schema(backend: CommandBackend, run_id: str, name: str) -> dict[str, Any]:
    """Return the schema of the payload; {} where the code doesn't have the workflow, or the signal carries nothing."""
    run = await backend.get(run_id)
    try:
        workflow = await backend.workflow(run.workflow_name, run.app_name)
    except (UnknownApp, UnknownWorkflow):
        return {}
    return workflow.payload(name) or {}

"""`stepwell signal ID NAME`: fire a waiting transition."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stepwell.cli.arguments import mapping, whole
from stepwell.cli.ask import ask_payload
from stepwell.cli.backend import Backend
from stepwell.cli.output import WAITING, put_run, say
from stepwell.cli.target import Application, Json, RunId, User, execute
from stepwell.cli.terminal import is_interactive
from stepwell.cli.where import Token, Url, backend_of, hint_without_workers
from stepwell.errors import InvalidPayload, UnknownApp, UnknownWorkflow
from stepwell.runner.models import Run


def signal(
    ctx: typer.Context,
    run_id: RunId,
    name: Annotated[str, typer.Argument(help="The signal transition.")],
    pairs: Annotated[list[str] | None, typer.Argument(metavar="[K=V]...", help="Fields of its payload.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="Its payload as JSON; @FILE and @- read it.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="An idempotency key: the same signal counts once.")] = None,
    app: Application = None,
    url: Url = None,
    token: Token = None,
    user: User = None,
    json: Json = False,
) -> None:
    """Send a signal. It is stored when this returns; a worker takes it on.

    Without a payload the fields are asked, if stdin and stderr are terminals.
    """
    backend = backend_of(ctx, app, url, token, user)

    async def act() -> int:
        async with backend.open():
            run = await _sent(backend, run_id, name, pairs or [], data, key)
            if run is None:
                say("Nothing was sent.")
                return WAITING
            put_run(run, json)
            await hint_without_workers(backend, run)
            return 0

    raise typer.Exit(execute(act))


async def _sent(
    backend: Backend, run_id: str, name: str, pairs: list[str], data: str | None, key: str | None
) -> Run | None:
    if data is not None:
        return await backend.signal(run_id, name, whole(data), key)
    if pairs:
        return await backend.signal(run_id, name, mapping(pairs, await _schema(backend, run_id, name)), key)
    return await (_asked if is_interactive() else _bare)(backend, run_id, name, key)


async def _bare(backend: Backend, run_id: str, name: str, key: str | None) -> Run:
    return await backend.signal(run_id, name, None, key)


async def _asked(backend: Backend, run_id: str, name: str, key: str | None) -> Run | None:
    """What was answered in the terminal is sent; None: somebody thought better of it."""
    asks = [one for one in await backend.asks(run_id) if one.transition == name]
    if not asks or asks[0].payload_schema is None:
        return await _bare(backend, run_id, name, key)
    before: Any = None
    while True:
        try:
            answer = await ask_payload(asks[0], before)
        except EOFError:
            return None
        if answer is None:
            return None
        try:
            return await backend.signal(run_id, name, answer.data, key)
        except InvalidPayload as error:
            say(f"Refused: {error}")
            before = answer.data


async def _schema(backend: Backend, run_id: str, name: str) -> dict[str, Any]:
    """The schema of the payload; {} where the code doesn't have the workflow, or the signal carries nothing."""
    run = await backend.get(run_id)
    try:
        workflow = await backend.workflow(run.workflow_name, run.app_name)
    except (UnknownApp, UnknownWorkflow):
        return {}
    return workflow.payload(name) or {}

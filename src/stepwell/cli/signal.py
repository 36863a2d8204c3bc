"""`stepwell signal ID NAME`: fire a waiting transition."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stepwell.app import Stepwell
from stepwell.cli.arguments import mapping, whole
from stepwell.cli.follow import hint_without_workers
from stepwell.cli.output import put, put_json, run_line
from stepwell.cli.target import Application, Json, RunId, User, execute, load_stepwell, opened


def signal(
    run_id: RunId,
    name: Annotated[str, typer.Argument(help="The signal transition.")],
    pairs: Annotated[list[str] | None, typer.Argument(metavar="[K=V]...", help="Fields of its payload.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="Its payload as JSON; @FILE and @- read it.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="An idempotency key: the same signal counts once.")] = None,
    app: Application = None,
    user: User = None,
    json: Json = False,
) -> None:
    """Send a signal. It is stored when this returns; a worker takes it on."""
    stepwell = load_stepwell(app)

    async def act() -> None:
        async with opened(stepwell):
            payload = await _payload(stepwell, run_id, name, pairs or [], data)
            run = await stepwell.runner.signal(run_id, name, payload, user_id=user, idempotency_key=key)
            put_json(run.model_dump(mode="json")) if json else put(run_line(run))
            await hint_without_workers(stepwell, run)

    execute(act)


async def _payload(stepwell: Stepwell, run_id: str, name: str, pairs: list[str], data: str | None) -> Any:
    if data is not None:
        return whole(data)
    if not pairs:
        return None
    run = await stepwell.runner.get(run_id)
    definition = (
        stepwell.apps[run.app_name].definitions.get(run.workflow_name) if run.app_name in stepwell.apps else None
    )
    payloads = [one.payload for one in definition.named(name) if one.payload] if definition else []
    return mapping(pairs, payloads[0].codec if payloads else None)

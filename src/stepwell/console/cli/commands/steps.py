"""`stepwell steps ID`: the journal of a run."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from stepwell.console.cli.backends.target import (
    Application,
    Json,
    TokenOption,
    Url,
    User,
    backend_of,
    execute,
)
from stepwell.console.cli.terminal.output import brief, moment, put_json, put_table, say
from stepwell.console.reading.views import StepView

COLUMNS = ["STEP", "TRANSITION", "VISIT", "STATUS", "ATTEMPTS", "BEGAN", "TOOK", "VALUE"]


def steps(
    ctx: typer.Context,
    run_id: Annotated[str, typer.Argument(metavar="ID", help="The run.")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="The number of steps, the last ones.")] = 200,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    user: User = None,
    json: Json = False,
) -> None:
    """Show the steps of a run, with their tries, values and undos."""
    backend = backend_of(ctx, app, url, token, user)

    async def act() -> None:
        async with backend.open(creates=False):
            found = await backend.steps(run_id, limit)
            if json:
                put_json([one.model_dump(mode="json") for one in found])
            elif found:
                put_table(COLUMNS, [_row(one) for one in found])
            else:
                say("The run has no steps in its journal.")

    execute(act)


def _row(one: StepView) -> list[str]:
    status = one.status if one.undone_at is None else f"undone {moment(one.undone_at)}"
    shown = one.error if one.error is not None else "" if one.value is None else " ".join(brief(one.value).split())
    took = _took(one.started_at, one.finished_at)
    return [one.name, one.transition, str(one.visit), status, str(one.attempts), moment(one.started_at), took, shown]


def _took(began: datetime, ended: datetime | None) -> str:
    return "" if ended is None else f"{(ended - began).total_seconds():.3g} s"

"""`stepwell watch`: the newest runs as they change."""

from __future__ import annotations

import asyncio
import json as jsons
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import typer

from stepwell.cli.backend import Wanted
from stepwell.cli.output import put, run_line, table_of
from stepwell.cli.runs import COLUMNS
from stepwell.cli.target import Application, AppName, Json, User, execute
from stepwell.cli.where import Token, Url, backend_of
from stepwell.runner.models import Run

_LOOK = 0.5
_Look = Callable[[], Awaitable[Sequence[Run]]]


def watch(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many of the newest runs.")] = 20,
    app: Application = None,
    url: Url = None,
    token: Token = None,
    app_name: AppName = None,
    user: User = None,
    json: Json = False,
) -> None:
    """The newest runs, live, until Ctrl-C. Where stdout isn't a terminal: a line for each change."""
    backend = backend_of(ctx, app, url, token, user)
    wanted = Wanted(app_name=app_name, limit=limit)

    async def look() -> Sequence[Run]:
        return (await backend.page(wanted)).items

    async def act() -> None:
        async with backend.open():
            await (_lines(look, json) if json or not sys.stdout.isatty() else _table(look))

    execute(act)


async def _lines(look: _Look, json: bool) -> None:
    seen: dict[str, tuple[str, str, int]] = {}
    while True:
        for run in reversed(await look()):
            mark = (run.status, run.place, run.version)
            if seen.get(run.workflow_id) != mark:
                seen[run.workflow_id] = mark
                put(jsons.dumps(run.model_dump(mode="json"), ensure_ascii=False) if json else run_line(run))
        await asyncio.sleep(_LOOK)


async def _table(look: _Look) -> None:
    from rich.live import Live

    with Live(auto_refresh=False, screen=False) as live:
        while True:
            rows = [
                (r.workflow_id, r.app_name, r.workflow_name, r.user_id, r.status, r.place, r.updated_at)
                for r in await look()
            ]
            live.update(table_of(COLUMNS, rows), refresh=True)
            await asyncio.sleep(_LOOK)

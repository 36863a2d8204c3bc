"""`stepwell runs [ID]`: the newest runs, or one with its history."""

from __future__ import annotations

from typing import Annotated

import typer

from stepwell.cli.backend import Backend, Wanted
from stepwell.cli.follow import followed
from stepwell.cli.output import brief, exit_code, put, put_json, put_table, run_line, say, step_line
from stepwell.cli.run import left_alone
from stepwell.cli.target import Application, AppName, Json, User, execute
from stepwell.cli.terminal import is_interactive
from stepwell.cli.where import Token, Url, backend_of

COLUMNS = ["ID", "APP", "WORKFLOW", "USER", "STATUS", "PLACE", "UPDATED"]


def runs(
    ctx: typer.Context,
    run_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The run; without it the newest runs.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Tell what happens until the run rests; the exit code tells how.")
    ] = False,
    status: Annotated[list[str] | None, typer.Option("--status", help="Only runs with this status.")] = None,
    workflow: Annotated[str | None, typer.Option("--workflow", help="Only runs of this workflow.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many runs.")] = 50,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Those after the page that ended with this.")] = None,
    app: Application = None,
    url: Url = None,
    token: Token = None,
    app_name: AppName = None,
    user: User = None,
    json: Json = False,
) -> None:
    """The newest runs, or one run with its history and why it is where it is."""
    backend = backend_of(ctx, app, url, token, user)

    async def act() -> int:
        async with backend.open():
            if run_id is None:
                return await _page(backend, json, Wanted(app_name, workflow, status, limit, cursor))
            return await (_follow if follow else _show)(backend, run_id, json)

    try:
        code = execute(act)
    except KeyboardInterrupt:
        code = left_alone(backend, run_id)
    raise typer.Exit(code)


async def _page(backend: Backend, json: bool, wanted: Wanted) -> int:
    page = await backend.page(wanted)
    if json:
        put_json(page.model_dump(mode="json"))
        return 0
    put_table(
        COLUMNS,
        [(r.workflow_id, r.app_name, r.workflow_name, r.user_id, r.status, r.place, r.updated_at) for r in page.items],
    )
    if page.next_cursor:
        say(f"more: --cursor {page.next_cursor}")
    return 0


async def _follow(backend: Backend, run_id: str, json: bool) -> int:
    run = await followed(backend, run_id, asking=is_interactive())
    if json:
        put_json(run.model_dump(mode="json"))
    else:
        put(run_line(run))
    return exit_code(run.status)


async def _show(backend: Backend, run_id: str, json: bool) -> int:
    run, history = await backend.get(run_id), await backend.history(run_id)
    reasons = (await backend.explain(run_id)).reasons
    if json:
        rows = [row.model_dump(mode="json") for row in history]
        put_json({**run.model_dump(mode="json"), "history": rows, "reasons": reasons})
        return 0
    put(run_line(run))
    for row in history:
        put(f"  {step_line(row)}")
    for reason in reasons:
        put(f"  {reason}")
    if run.result is not None:
        put(brief(run.result))
    return 0

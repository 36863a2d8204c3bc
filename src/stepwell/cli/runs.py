"""`stepwell runs [ID]`: the newest runs, or one with its history."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stepwell.app import Stepwell
from stepwell.cli.follow import followed
from stepwell.cli.output import brief, exit_code, put, put_json, put_table, run_line, say, step_line
from stepwell.cli.target import Application, AppName, Json, User, execute, load_stepwell, opened

COLUMNS = ["ID", "APP", "WORKFLOW", "USER", "STATUS", "PLACE", "UPDATED"]


def runs(
    run_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The run; without it the newest runs.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Wait until the run rests; the exit code tells how.")
    ] = False,
    status: Annotated[list[str] | None, typer.Option("--status", help="Only runs with this status.")] = None,
    workflow: Annotated[str | None, typer.Option("--workflow", help="Only runs of this workflow.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many runs.")] = 50,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Those after the page that ended with this.")] = None,
    app: Application = None,
    app_name: AppName = None,
    user: User = None,
    json: Json = False,
) -> None:
    """The newest runs, or one run with its history and why it is where it is."""
    stepwell = load_stepwell(app)

    async def act() -> int:
        async with opened(stepwell):
            if run_id is None:
                given = {"status": status, "workflow": workflow, "app_name": app_name, "cursor": cursor}
                return await _page(stepwell, json, user_id=user, limit=limit, **given)
            await stepwell.runner.get(run_id, user_id=user)
            return await (_follow if follow else _show)(stepwell, run_id, json)

    raise typer.Exit(execute(act))


async def _page(stepwell: Stepwell, json: bool, **wanted: Any) -> int:
    page = await stepwell.runner.list(**wanted)
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


async def _follow(stepwell: Stepwell, run_id: str, json: bool) -> int:
    run = await followed(stepwell, run_id)
    if json:
        put_json(run.model_dump(mode="json"))
    else:
        put(run_line(run))
    return exit_code(run.status)


async def _show(stepwell: Stepwell, run_id: str, json: bool) -> int:
    runner = stepwell.runner
    run, history, reasons = await runner.get(run_id), await runner.history(run_id), await runner.explain(run_id)
    if json:
        rows = [row.model_dump(mode="json") for row in history]
        put_json({**run.model_dump(mode="json"), "history": rows, "reasons": reasons.reasons})
        return 0
    put(run_line(run))
    for row in history:
        put(f"  {step_line(row)}")
    for reason in reasons.reasons:
        put(f"  {reason}")
    if run.result is not None:
        put(brief(run.result))
    return 0

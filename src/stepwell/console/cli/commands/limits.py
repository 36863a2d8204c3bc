"""`stepwell limits [ID]`: the limits that runs hold or wait for, or one with its runs."""

from __future__ import annotations

from typing import Annotated

import typer

from stepwell.console.cli.backends.target import (
    Application,
    Json,
    TokenOption,
    Url,
    backend_of,
    execute,
    refuse_beside,
)
from stepwell.console.cli.terminal.output import put, put_json, put_table, say
from stepwell.console.reading.limits import LimitDetail, LimitView, limit_line
from stepwell.runner.models import Page

AppOption = Annotated[str | None, typer.Option("--app-name", help="Only limits with runs of this App.")]


def limits(
    ctx: typer.Context,
    limit_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The limit, as `--json` names it; without it, all in use.")
    ] = None,
    held: Annotated[bool, typer.Option("--held", help="Only those that hold runs back.")] = False,
    app_name: AppOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="The number of limits.")] = 50,
    cursor: Annotated[
        str | None, typer.Option("--cursor", help="Continue after the page that ended with this cursor.")
    ] = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Show the limits that runs hold or wait for, one line for each key; or the runs of one limit."""
    if limit_id is not None:
        refuse_beside(ctx, "an ID", "held", "app_name", "limit", "cursor")
    backend = backend_of(ctx, app, url, token)

    async def act() -> Page[LimitView] | LimitDetail:
        async with backend.open(creates=False):
            if limit_id is not None:
                return await backend.limit(limit_id)
            return await backend.limits(app_name, held, limit, cursor)

    found = execute(act)
    if json:
        put_json(found.model_dump(mode="json"))
    elif isinstance(found, LimitDetail):
        _put_detail(found)
    else:
        _put_page(found)


def _put_page(page: Page[LimitView]) -> None:
    put_table(
        ["LIMIT", "KEY", "KIND", "HOLDING", "OF", "HELD", "SINCE", "OPENS"],
        [
            (one.rule, one.key, one.kind, one.holding, one.limit, one.held, one.held_since, one.opens_at)
            for one in page.items
        ],
    )
    if page.next_cursor:
        say(f"more: --cursor {page.next_cursor}")


def _put_detail(found: LimitDetail) -> None:
    put(limit_line(found))
    rows = [("holds it", one) for one in found.holders], [("waits", one) for one in found.waiting]
    put_table(
        ["", "ID", "APP", "WORKFLOW", "USER", "STATUS", "SINCE"],
        [
            (what, one.workflow_id, one.app_name, one.workflow_name, one.user_id, one.status, one.since)
            for part in rows
            for what, one in part
        ],
    )

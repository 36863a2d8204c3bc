"""`stepwell runs [ID]` and `stepwell watch`: the newest runs, or one with its history and documents."""

from __future__ import annotations

import asyncio
import json as jsons
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import typer

from stepwell.console.cli.backends.backend import CommandBackend, Wanted
from stepwell.console.cli.backends.target import (
    Application,
    AppName,
    Json,
    TokenOption,
    Url,
    User,
    backend_of,
    execute,
    refuse_beside,
)
from stepwell.console.cli.commands.run import left_alone
from stepwell.console.cli.commands.workflows import arguments_of, type_of
from stepwell.console.cli.terminal.follow import followed
from stepwell.console.cli.terminal.output import (
    brief,
    exit_code,
    group_line,
    lines_of,
    put,
    put_json,
    put_table,
    run_line,
    say,
    step_line,
    table_of,
)
from stepwell.console.cli.terminal.prompts import is_interactive
from stepwell.console.reading.views import OpenSignal, Waiting
from stepwell.errors import ConfigurationError, UnknownApp
from stepwell.nearest import suggestion
from stepwell.runner.models import Run

COLUMNS = ["ID", "APP", "WORKFLOW", "USER", "STATUS", "PLACE", "UPDATED"]
_LOOK = 0.5
_Look = Callable[[], Awaitable[Sequence[Run]]]


def runs(
    ctx: typer.Context,
    run_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The run; without it, the newest runs.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Follow the run until it ends or waits; the exit code says how.")
    ] = False,
    status: Annotated[list[str] | None, typer.Option("--status", help="Only runs with this status.")] = None,
    workflow: Annotated[str | None, typer.Option("--workflow", help="Only runs of this workflow.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="The number of runs.")] = 50,
    cursor: Annotated[
        str | None, typer.Option("--cursor", help="Continue after the page that ended with this cursor.")
    ] = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    app_name: AppName = None,
    user: User = None,
    json: Json = False,
) -> None:
    """Show the newest runs, or one run with its history, its documents and the reasons for its current state."""
    if run_id is not None:
        refuse_beside(ctx, "an ID", "status", "workflow", "limit", "cursor", "app_name")
    elif follow:
        raise ConfigurationError(
            "--follow: name a run, as in stepwell runs ID --follow. To watch all runs: stepwell watch."
        )
    backend = backend_of(ctx, app, url, token, user)

    async def act() -> int:
        async with backend.open(creates=False):
            if run_id is None:
                return await _page(backend, json, Wanted(app_name, workflow, status, limit, cursor))
            return await (_follow if follow else _show)(backend, run_id, json)

    try:
        code = execute(act)
    except KeyboardInterrupt:
        code = left_alone(backend, run_id)
    raise typer.Exit(code)


async def _page(backend: CommandBackend, json: bool, wanted: Wanted) -> int:
    page = await backend.page(wanted)
    if not page.items:
        await _say_none(backend, wanted)
    if json:
        put_json(page.model_dump(mode="json"))
        return 0
    if wanted.cursor is None and "waiting" in (wanted.status or ["waiting"]):
        waiting = await backend.waiting(wanted.app_name)
        _put_waiting([one for one in waiting if wanted.workflow in (None, one.run.workflow_name)])
    put_table(
        COLUMNS,
        [(r.workflow_id, r.app_name, r.workflow_name, r.user_id, r.status, r.place, r.updated_at) for r in page.items],
    )
    if page.next_cursor:
        say(f"more: --cursor {page.next_cursor}")
    return 0


def _put_waiting(found: Sequence[Waiting]) -> None:
    """Print the runs that wait for a person, with their questions, before everything else."""
    if not found:
        return
    put(f"{len(found)} waiting for an answer (stepwell signal ID NAME):")
    rows = [
        (one.run.workflow_id, one.run.app_name, one.run.workflow_name, one.run.user_id, asked(ask), one.since)
        for one in found
        for ask in one.asks
    ]
    put_table(["ID", "APP", "WORKFLOW", "USER", "ASKS", "SINCE"], rows)
    put("")


def asked(ask: OpenSignal) -> str:
    """Return a question in one cell: the name of the signal, its description, and the fields of the answer."""
    schema = ask.payload_schema
    fields = f"({arguments_of(schema) or type_of(schema)})" if schema else ""
    return f"{ask.transition}{fields}" + (f": {ask.description}" if ask.description else "")


async def _say_none(backend: CommandBackend, wanted: Wanted) -> None:
    """Print that no run was found, and whether the requested workflow exists at all."""
    say(f"No such runs in {backend.place}." if wanted.is_narrow else f"No runs in {backend.place}.")
    if wanted.workflow is None:
        return
    try:
        known = [one.name for one in await backend.workflows(wanted.app_name)]
    except UnknownApp as error:
        say(str(error))
        return
    if wanted.workflow not in known:
        say(f"No workflow {wanted.workflow!r}: {suggestion(wanted.workflow, known)}")


async def _follow(backend: CommandBackend, run_id: str, json: bool) -> int:
    run = await followed(backend, run_id, caller=is_interactive())
    if json:
        put_json(run.model_dump(mode="json"))
    else:
        put(run_line(run))
    return exit_code(run.status)


async def _show(backend: CommandBackend, run_id: str, json: bool) -> int:
    run, history, groups = await backend.get(run_id), await backend.history(run_id), await backend.groups(run_id)
    documents, reasons = await backend.documents(run_id), (await backend.explain(run_id)).reasons
    if json:
        rows = [row.model_dump(mode="json") for row in history]
        saved = [document.model_dump(mode="json") for document in documents]
        found = [one.model_dump(mode="json") for one in groups]
        put_json(
            {**run.model_dump(mode="json"), "history": rows, "documents": saved, "groups": found, "reasons": reasons}
        )
        return 0
    put(run_line(run))
    for row in history:
        put(f"  {step_line(row)}")
        for line in (line for document in documents if document.version == row.version for line in lines_of(document)):
            put(line)
    for group in reversed(groups):
        put(f"  {group_line(group)}")
    for reason in reasons:
        put(f"  {reason}")
    if run.result is not None:
        put(brief(run.result))
    return 0


def watch(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="The number of newest runs to show.")] = 20,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    app_name: AppName = None,
    user: User = None,
    json: Json = False,
) -> None:
    """Show the newest runs, live, until Ctrl-C. Where stdout isn't a terminal: a line for each change."""
    backend = backend_of(ctx, app, url, token, user)
    backend.check_there()
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

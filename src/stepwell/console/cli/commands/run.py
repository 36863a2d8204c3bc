"""`stepwell run WORKFLOW`: start a run and follow it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stepwell.console.cli.backends.backend import Beginning, CommandBackend, ListedWorkflow
from stepwell.console.cli.backends.target import (
    Application,
    AppName,
    Json,
    TokenOption,
    Url,
    backend_of,
    execute,
    refuse_beside,
)
from stepwell.console.cli.terminal.arguments import begins, mapping, whole
from stepwell.console.cli.terminal.follow import followed
from stepwell.console.cli.terminal.output import INTERRUPTED, WAITING, brief, exit_code, put, put_json, run_line, say
from stepwell.console.cli.terminal.prompts import is_interactive


def run(
    ctx: typer.Context,
    workflow: Annotated[str, typer.Argument(help="The workflow's name, as `stepwell list` shows it.")],
    arg: Annotated[
        list[str] | None, typer.Option("--arg", metavar="K=V", help="An argument; K=@FILE and K=@- read its text.")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", help="All arguments as JSON; @FILE and @- read it.")] = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    app_name: AppName = None,
    user: Annotated[str | None, typer.Option("--user", help="The run's user. Default: cli, or the token's.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", help="A label of the run.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="An idempotency key: the same start counts once.")] = None,
    delay: Annotated[
        str | None, typer.Option("--delay", metavar="TIME", help="Start after this delay: 90, 90s, 15m, 2h or 1d.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="WHEN", help="Start at this time: ISO 8601, local unless it has a zone."),
    ] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", help="Higher is executed first. Default: the workflow's.")
    ] = None,
    workspace: Annotated[
        str | None, typer.Option("--workspace", metavar="ID", help="The workspace. Default: the app's and user's.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Queue it, print its id, and exit.")] = False,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr, and no questions.")] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Seconds to follow it; the run continues afterwards.")
    ] = None,
) -> None:
    """Start a run, follow its checkpoints and documents, answer its questions, and print its result.

    Live workers execute it. If none takes the workflow, this process acts as a worker until the run ends or waits.
    Questions are asked if stdin and stderr are terminals; Ctrl-D leaves the run waiting, Ctrl-C stops following it.
    Exit codes: 0 completed, 1 failed or cancelled, 3 waiting for input, or not ended after --timeout.
    """
    if data is not None:
        refuse_beside(ctx, "--data", "arg")
    if detach:
        refuse_beside(ctx, "--detach", "timeout")
    backend = backend_of(ctx, app, url, token)
    later, then = begins(delay, at)
    run_id: str | None = None

    async def begin(found: ListedWorkflow, args: Any) -> str:
        nonlocal run_id
        run_id = await backend.start(Beginning(found, args, user, label or (), key, later, then, priority, workspace))
        return run_id

    async def act() -> int:
        async with backend.open(runs=False):  # a run that can't be started creates no database
            found = await backend.workflow(workflow, app_name)
            args = whole(data) if data is not None else mapping(arg, found.args) if arg else None
        async with backend.open():
            if detach:
                queued = await begin(found, args)
                put_json({"workflow_id": queued}) if json else put(queued)
                return 0
            if not await backend.lacks_workers(found.app_name, found.name):
                return await _followed(backend, await begin(found, args), json, quiet, timeout)
        async with backend.open(worker=True):
            return await _followed(backend, await begin(found, args), json, quiet, timeout)

    try:
        code = execute(act)
    except KeyboardInterrupt:
        code = left_alone(backend, run_id)
    raise typer.Exit(code)


def left_alone(backend: CommandBackend, run_id: str | None) -> int:
    """Print how to come back to a run that is no longer followed."""
    if run_id is not None:
        say(f"\nThe run isn't cancelled. Follow it again: stepwell runs {run_id} --follow{backend.back}")
    return INTERRUPTED


async def _followed(backend: CommandBackend, run_id: str, json: bool, quiet: bool, timeout: float | None) -> int:
    if not quiet:
        say(f"run {run_id}")
    run = await followed(backend, run_id, seconds=timeout, quiet=quiet, caller=not quiet and is_interactive())
    code = exit_code(run.status)
    if not quiet or code not in (0, WAITING):
        say(run_line(run) + (f": {run.error}" if run.error else ""))
    if json:
        put_json(run.model_dump(mode="json"))
    elif run.status == "completed" and run.result is not None:
        put(brief(run.result))
    return code

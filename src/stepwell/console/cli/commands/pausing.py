"""`stepwell pause`, `stepwell resume` and `stepwell paused`: hold back an app, a workflow or everything."""

from __future__ import annotations

from typing import Annotated

import typer

from stepwell.console.cli.backends.target import Application, Json, TokenOption, Url, backend_of, execute
from stepwell.console.cli.terminal.output import put, put_json, put_table, say
from stepwell.console.reading.pausing import Resumed, lifting_command
from stepwell.errors import ConfigurationError
from stepwell.runner.pausing import Pause, what_is_paused

AppOption = Annotated[str | None, typer.Option("--app-name", help="Of this App.")]
WorkflowOption = Annotated[str | None, typer.Option("--workflow", help="Of this workflow.")]
EverythingOption = Annotated[bool, typer.Option("--everything", help="Of all apps.")]


def pause(
    ctx: typer.Context,
    app_name: AppOption = None,
    workflow: WorkflowOption = None,
    everything: EverythingOption = False,
    reason: Annotated[str | None, typer.Option("--reason", help="The reason; `stepwell paused` shows it.")] = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Pause: no process begins runs of it until it is resumed. What executes goes on to its next checkpoint.

    Starts, signals, events and ticks are stored as always.
    """
    _check(app_name, workflow, everything)
    backend = backend_of(ctx, app, url, token)

    async def act() -> Pause:
        async with backend.open():
            return await backend.pause_runs(app_name, workflow, reason)

    made = execute(act)
    put_json(made.model_dump(mode="json")) if json else put(f"paused: {made}")


def resume(
    ctx: typer.Context,
    app_name: AppOption = None,
    workflow: WorkflowOption = None,
    everything: EverythingOption = False,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Lift exactly this pause; others stay. Workers go on at once."""
    _check(app_name, workflow, everything)
    backend = backend_of(ctx, app, url, token)

    async def act() -> Resumed:
        async with backend.open(creates=False):
            return await backend.resume_runs(app_name, workflow)

    done = execute(act)
    what = what_is_paused(app_name, workflow)
    if json:
        put_json(done.model_dump(mode="json"))
    else:
        put(f"{what} wasn't paused" if done.lifted is None else f"resumed: {what}")
    for one in done.remaining:
        say(f"still paused: {one}. Lift that with `{lifting_command(one.app_name, one.workflow)}`.")


def paused(
    ctx: typer.Context, app: Application = None, url: Url = None, token: TokenOption = None, json: Json = False
) -> None:
    """List the pauses: what is paused, since when, by whom and why."""
    backend = backend_of(ctx, app, url, token)

    async def act() -> list[Pause]:
        async with backend.open(creates=False):
            return list(await backend.pauses())

    found = execute(act)
    if json:
        put_json([one.model_dump(mode="json") for one in found])
        return
    put_table(
        ["APP", "WORKFLOW", "SINCE", "BY", "REASON"],
        [(one.app_name or "(all)", one.workflow or "(all)", one.paused_at, one.who, one.reason) for one in found],
    )


def _check(app_name: str | None, workflow: str | None, everything: bool) -> None:
    if not everything and app_name is None and workflow is None:
        raise ConfigurationError(
            "Name what you mean: --app-name APP, --workflow NAME, both, or --everything for all apps."
        )
    if everything and (app_name is not None or workflow is not None):
        raise ConfigurationError("--everything can't be combined with --app-name or --workflow. Leave out one of them.")

"""`stepwell run WORKFLOW`: start a run and follow it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

import typer

from stepwell.cli.arguments import mapping, whole
from stepwell.cli.backend import Backend, Beginning, Listed
from stepwell.cli.follow import followed
from stepwell.cli.output import INTERRUPTED, WAITING, brief, exit_code, put, put_json, run_line, say
from stepwell.cli.target import Application, AppName, Json, execute
from stepwell.cli.terminal import is_interactive
from stepwell.cli.times import begins
from stepwell.cli.where import Token, Url, backend_of
from stepwell.runner.models import Run


def run(
    ctx: typer.Context,
    workflow: Annotated[str, typer.Argument(help="The workflow's name, as `stepwell list` shows it.")],
    arg: Annotated[
        list[str] | None, typer.Option("--arg", metavar="K=V", help="An argument; K=@FILE and K=@- read its text.")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", help="All arguments as JSON; @FILE and @- read it.")] = None,
    app: Application = None,
    url: Url = None,
    token: Token = None,
    app_name: AppName = None,
    user: Annotated[str | None, typer.Option("--user", help="For whom it runs. Default: cli, or the token's.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", help="A label of the run.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="An idempotency key: the same start counts once.")] = None,
    delay: Annotated[
        str | None, typer.Option("--delay", metavar="TIME", help="It begins so much later: 90, 90s, 15m, 2h or 1d.")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="WHEN", help="It begins then: ISO 8601, local unless it says a zone.")
    ] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", help="Higher goes first. Default: the workflow's.")
    ] = None,
    workspace: Annotated[
        str | None, typer.Option("--workspace", metavar="ID", help="The workspace. Default: the app's and user's.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Queue it, print its id, and leave.")] = False,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr, and no questions.")] = False,
    timeout: Annotated[float | None, typer.Option("--timeout", help="Seconds to follow it; it goes on after.")] = None,
) -> None:
    """Start a run, follow its checkpoints and documents, answer what it waits for, print its result.

    Workers that are alive execute it. If none takes the workflow, this process is a worker itself until the run rests.
    What waits for an answer is asked if stdin and stderr are terminals; Ctrl-D leaves it waiting, Ctrl-C leaves the run.
    Exit codes: 0 completed, 1 failed or cancelled, 3 waiting for input, or not ended after --timeout.
    """
    backend = backend_of(ctx, app, url, token)
    later, then = begins(delay, at)
    beginning = partial(
        Beginning,
        user=user,
        labels=label or (),
        key=key,
        delay=later,
        at=then,
        priority=priority,
        workspace=workspace,
    )
    start = _Start(backend, workflow, app_name, arg or (), data, beginning, detach, json, quiet, timeout)
    try:
        code = execute(start.act)
    except KeyboardInterrupt:
        code = left_alone(backend, start.run_id)
    raise typer.Exit(code)


def left_alone(backend: Backend, run_id: str | None) -> int:
    """Says how to come back to a run that somebody stopped following."""
    if run_id is not None:
        say(f"\nThe run goes on without you. Come back: stepwell runs {run_id} --follow{backend.back}")
    return INTERRUPTED


@dataclass
class _Start:
    backend: Backend
    name: str
    app_name: str | None
    pairs: Any
    data: str | None
    beginning: Callable[[Listed, Any], Beginning]
    detach: bool
    json: bool
    quiet: bool
    timeout: float | None
    run_id: str | None = field(default=None, init=False)

    async def act(self) -> int:
        async with self.backend.open():
            workflow = await self.backend.workflow(self.name, self.app_name)
            args = self._args(workflow)
            if self.detach:
                return await self._detached(workflow, args)
            if not await self.backend.lacks_workers(workflow.app_name, workflow.name):
                return await self._followed(workflow, args)
        async with self.backend.open(worker=True):
            return await self._followed(workflow, args)

    def _args(self, workflow: Listed) -> Any:
        if self.data is not None:
            return whole(self.data)
        return mapping(self.pairs, workflow.args) if self.pairs else None

    async def _detached(self, workflow: Listed, args: Any) -> int:
        run_id = await self._started(workflow, args)
        put_json({"workflow_id": run_id}) if self.json else put(run_id)
        return 0

    async def _started(self, workflow: Listed, args: Any) -> str:
        self.run_id = await self.backend.start(self.beginning(workflow, args))
        return self.run_id

    async def _followed(self, workflow: Listed, args: Any) -> int:
        run_id = await self._started(workflow, args)
        if not self.quiet:
            say(f"run {run_id}")
        asking = not self.quiet and is_interactive()
        run = await followed(self.backend, run_id, seconds=self.timeout, quiet=self.quiet, asking=asking)
        code = exit_code(run.status)
        if not self.quiet or code not in (0, WAITING):
            say(run_line(run) + (f": {run.error}" if run.error else ""))
        self._put(run)
        return code

    def _put(self, run: Run) -> None:
        if self.json:
            put_json(run.model_dump(mode="json"))
        elif run.status == "completed" and run.result is not None:
            put(brief(run.result))

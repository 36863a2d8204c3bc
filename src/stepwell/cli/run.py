"""`stepwell run WORKFLOW`: start a run and follow it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stepwell.app import Stepwell
from stepwell.cli.arguments import mapping, whole
from stepwell.cli.follow import followed, workers_alive
from stepwell.cli.output import WAITING, brief, exit_code, put, put_json, run_line, say
from stepwell.cli.target import Application, AppName, Json, execute, find_workflow, load_stepwell, opened
from stepwell.runner.handle import RunHandle
from stepwell.runner.models import Run


def run(
    workflow: Annotated[str, typer.Argument(help="The workflow's name, as `stepwell list` shows it.")],
    arg: Annotated[
        list[str] | None, typer.Option("--arg", metavar="K=V", help="An argument; K=@FILE and K=@- read its text.")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", help="All arguments as JSON; @FILE and @- read it.")] = None,
    app: Application = None,
    app_name: AppName = None,
    user: Annotated[str, typer.Option("--user", help="For whom it runs.")] = "cli",
    detach: Annotated[bool, typer.Option("--detach", help="Queue it, print its id, and leave.")] = False,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
    timeout: Annotated[float | None, typer.Option("--timeout", help="Seconds to follow it; it goes on after.")] = None,
) -> None:
    """Start a run, follow its checkpoints, print its result.

    Workers that are alive execute it. If none takes the workflow, this process is a worker itself until the run rests.
    Exit codes: 0 completed, 1 failed or cancelled, 3 waiting for input, or not ended after --timeout.
    """
    stepwell = load_stepwell(app)
    name, definition = find_workflow(stepwell, workflow, app_name)
    args: Any = whole(data) if data is not None else mapping(arg or (), definition.args) if arg else None
    start = _Start(stepwell, workflow, args, name, user, detach, json, quiet, timeout)
    raise typer.Exit(execute(start.act))


class _Start:
    def __init__(
        self,
        stepwell: Stepwell,
        workflow: str,
        args: Any,
        app_name: str,
        user: str,
        detach: bool,
        json: bool,
        quiet: bool,
        timeout: float | None,
    ) -> None:
        self.stepwell = stepwell
        self.workflow = workflow
        self.args = args
        self.app_name = app_name
        self.user = user
        self.detach = detach
        self.json = json
        self.quiet = quiet
        self.timeout = timeout

    async def act(self) -> int:
        async with opened(self.stepwell):
            if self.detach:
                return await self._detached()
            if await workers_alive(self.stepwell, self.app_name, self.workflow):
                return await self._followed()
        async with opened(self.stepwell, worker=True):
            return await self._followed()

    async def _detached(self) -> int:
        run_id = await self._start()
        put_json({"workflow_id": run_id}) if self.json else put(run_id)
        return 0

    async def _start(self) -> str:
        handle: RunHandle[Any] = await self.stepwell.runner.run(
            self.workflow, self.args, app_name=self.app_name, user_id=self.user
        )
        return handle.workflow_id

    async def _followed(self) -> int:
        run_id = await self._start()
        if not self.quiet:
            say(f"run {run_id}")
        run = await followed(self.stepwell, run_id, seconds=self.timeout, quiet=self.quiet)
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

"""`stepwell retry ID`."""

from __future__ import annotations

from stepwell.cli.follow import hint_without_workers
from stepwell.cli.output import put, put_json, run_line
from stepwell.cli.target import Application, Json, RunId, User, execute, load_stepwell, opened


def retry(run_id: RunId, app: Application = None, user: User = None, json: Json = False) -> None:
    """Run a failed transition again now, with a full budget of retries. A worker takes it on."""
    stepwell = load_stepwell(app)

    async def act() -> None:
        async with opened(stepwell):
            run = await stepwell.runner.retry(run_id, user_id=user)
            put_json(run.model_dump(mode="json")) if json else put(run_line(run))
            await hint_without_workers(stepwell, run)

    execute(act)

"""A program for tests with real processes: `office.py SETTINGS ROLE [PORT]`. Works until its standard input ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from datetime import timedelta
from typing import Any

from stepwell import END, App, Settings, Stepwell, Tick, WebhookEvent, Workflow, WorkflowRunner, transition
from stepwell.execution.passes import Passes
from stepwell.triggers import github_signature, interval_schedule

SECRET = "s"
SECOND = timedelta(seconds=1)


class Note(Workflow[dict[str, Any], None, None]):
    @transition(target=END)
    async def note(self) -> None: ...


def settings(given: dict[str, Any]) -> Settings:
    return Settings(_env_file=None, lease_seconds=1, drain_seconds=2, **given)


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def made(role: str = "works") -> App:
    app = App("office", workflows=[Note])

    async def handled(runner: WorkflowRunner, tick: Tick) -> None:
        for name in ("a", "b"):
            args = {"name": name, "at": tick.scheduled_at.isoformat()}
            await runner.run(Note, args, app_name="office", user_id="handler")
            if role == "dies in the handler":
                die()

    # An interval with a handler: cron's shortest is a minute.
    app.schedules.append(interval_schedule(SECOND, handler=handled, misfire="all", overlap="allow"))
    args = {"name": "direct"}
    app.schedule("direct", workflow=Note, args=args, user_id="direct", every=SECOND, misfire="all", overlap="allow")

    @app.webhook("/in", verify=github_signature(secret=SECRET))
    async def received(event: WebhookEvent, runner: WorkflowRunner) -> None:
        for name in ("a", "b"):
            await runner.run(Note, {"name": name}, app_name="office", user_id="webhook")
            if role == "dies in the handler":
                die()

    if role == "dies before the handler":
        Passes.launch = die  # type: ignore[method-assign,assignment]
    return app


async def work(stepwell: Stepwell) -> None:
    async with stepwell:
        print("open", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.readline)


def serve(stepwell: Stepwell, port: int) -> None:
    import uvicorn
    from fastapi import FastAPI

    web = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(web)
    uvicorn.run(web, port=port, log_level="error")


if __name__ == "__main__":
    opened = Stepwell([made(sys.argv[2])], settings=settings(json.loads(sys.argv[1])))
    if len(sys.argv) > 3:
        serve(opened, int(sys.argv[3]))
    else:
        asyncio.run(work(opened))

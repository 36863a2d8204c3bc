"""`python streaming_server.py DATABASE_URL`: an application with a worker that prints its port."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Header

from stepwell import END, App, Settings, Stepwell, Workflow, transition
from stepwell.fastapi import Runner

USERS = 300


class Three(Workflow[None, dict[str, Any], None]):
    @transition(target="one")
    async def first(self) -> None: ...

    @transition("one", "two")
    async def second(self) -> None: ...

    @transition("two", END)
    async def third(self) -> None: ...


async def user(x_user: Annotated[str, Header()]) -> str:
    return x_user


def application(database_url: str) -> FastAPI:
    settings = Settings(_env_file=None, database_url=database_url)  # type: ignore[call-arg]
    stepwell = Stepwell(apps=[App("load", workflows=[Three])], settings=settings)
    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app, user=Depends(user))

    @app.post("/start/{each}")
    async def start(each: int, runner: Runner) -> int:
        one = [runner.run(Three, app_name="load", user_id=f"u{n}") for n in range(USERS) for _ in range(each)]
        return len(await asyncio.gather(*one))

    return app


async def main() -> None:
    server = uvicorn.Server(uvicorn.Config(application(sys.argv[1]), port=0, log_level="warning", backlog=1024))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    sys.stdout.write(f"{server.servers[0].sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await task


if __name__ == "__main__":
    asyncio.run(main())

"""A real server with the shop, on a database of its own, as the browser meets it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import storefront
import uvicorn
from fastapi import Depends, FastAPI, Header

from servers.loop import LoopThread
from stepwell import App, Settings, Stepwell, WorkflowRunner
from stepwell.fastapi import Principal
from stepwell.settings import AuthSettings

T = TypeVar("T")

PEOPLE: Mapping[str, Principal] = {
    one.user_id: one
    for one in (
        Principal("ada", "admin", everybody=True),
        Principal("olga", "operator", everybody=True),
        Principal("otto", "operator"),
        Principal("vera", "viewer", everybody=True),
        Principal("vito", "viewer"),
        Principal("gina", "operator", groups=frozenset({"finance"})),
        Principal("gary", "operator", groups=frozenset({"finance"})),
    )
}
"""Who a request is from is in its header x-user; without one it is nobody's."""


def current_user(x_user: Annotated[str, Header()] = "") -> Principal | None:
    return PEOPLE.get(x_user)


class Site:
    """`url` is open, with a worker in the same process and nothing in the database; the apps are the shop's by default."""

    def __init__(self, database: Path, prefix: str = "", apps: Sequence[App] | None = None, **settings: Any) -> None:
        given = Settings(
            _env_file=None, database_url=f"sqlite:///{database}", drain_seconds=0, auth=AuthSettings(), **settings
        )
        self.stepwell = Stepwell(storefront.apps() if apps is None else apps, settings=given)
        app = FastAPI(lifespan=self.stepwell.lifespan)
        inner = FastAPI() if prefix else app
        self.stepwell.mount(inner, user=Depends(current_user))
        if prefix:
            app.mount(prefix, inner)
        self._server = uvicorn.Server(
            uvicorn.Config(app, port=0, log_level="warning", lifespan="on", timeout_graceful_shutdown=1)
        )
        self._thread = LoopThread("site")
        self._serving = asyncio.run_coroutine_threadsafe(self._server.serve(), self._thread.loop)
        self._thread.call(self._opened())
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}{prefix}"

    @property
    def runner(self) -> WorkflowRunner:
        """To be awaited in `call`: it belongs to the server's loop."""
        return self.stepwell.runner

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returned in the server's loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._thread.loop))

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """The same, for code that doesn't await."""
        return self._thread.call(work)

    async def _opened(self) -> None:
        async with asyncio.timeout(60):
            while not self._server.started:
                if self._serving.done():
                    self._serving.result()
                    raise RuntimeError("the server ended at once")
                await asyncio.sleep(0.01)

    def close(self) -> None:
        """It serves nobody, and its worker has stopped."""
        self._server.should_exit = True
        self._serving.result(60)
        self._thread.close()


@contextmanager
def open_site(database: Path, **settings: Any) -> Iterator[Site]:
    site = Site(database, **settings)
    try:
        yield site
    finally:
        site.close()

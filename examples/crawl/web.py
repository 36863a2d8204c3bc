"""A web of several hosts on one port of this machine. The `Host` header says which of them is asked; every visit is logged."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

BROKEN: Final = "/gone"
_SECONDS: Final = 0.04
"""A page takes so long to be made."""
_LINKS: Final = 3


@dataclass(frozen=True, slots=True)
class Visit:
    """One request, by the monotonic clock of this machine."""

    host: str
    path: str
    began: float
    ended: float


class Web:
    """Hosts, each with so many pages that link to one another, served on loopback inside the `with` block.

    The last page of the first host has a link that leads nowhere.
    """

    def __init__(self, hosts: Mapping[str, int]) -> None:
        self.hosts = hosts
        self.log: list[Visit] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        app = Starlette(routes=[Route("/{path:path}", self._page)])
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="web")

    def __enter__(self) -> Self:
        self._thread.start()  # requests that come before it listens wait in the socket's queue
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    async def _page(self, request: Request) -> Response:
        began, host, path = time.monotonic(), request.headers["host"], request.url.path
        await asyncio.sleep(_SECONDS)
        pages = self.hosts.get(host, 0)
        number = int(path.removeprefix("/") or 0) if path != BROKEN else pages
        self.log.append(Visit(host, path, began, time.monotonic()))
        if number >= pages:
            return Response(status_code=404)
        further = range(_LINKS * number + 1, min(_LINKS * number + _LINKS + 1, pages))
        links = [f"/{one}" for one in further]
        if host == next(iter(self.hosts)) and number == pages - 1:
            links.append(BROKEN)
        body = "".join(f'<p><a href="{link}">{link}</a>' for link in links)
        return HTMLResponse(f"<title>Page {number} of {host}</title>{body}")

"""`python -m examples.orders`: start the application, drive all of it, and keep serving."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Annotated, NoReturn

import httpx
import typer
from rich.console import Console
from sqlalchemy import make_url

from examples.orders.demo import ENVIRONMENT, furnish, play
from examples.orders.server import Server
from examples.orders.servers import postgres, valkey
from examples.orders.settings import settings
from examples.orders.stage import Stage
from stepwell import Settings

WORKERS = 3


def main(
    once: Annotated[
        bool, typer.Option("--once", help="End after the demo; exit code 1 if anything went wrong.")
    ] = False,
    database: Annotated[
        Path | None,
        typer.Option(help="An SQLite file to keep. Default: what STEPWELL_DATABASE_URL says, or a temporary file."),
    ] = None,
    servers: Annotated[
        bool, typer.Option("--servers", help=f"On a PostgreSQL and a Valkey of its own, with {WORKERS} workers.")
    ] = False,
    port: Annotated[int, typer.Option(help="Default: a free one.")] = 0,
) -> None:
    """Start the shop on this machine and show every way to start a workflow."""
    signal.signal(signal.SIGTERM, interrupt)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    try:
        with (
            TemporaryDirectory(prefix="stepwell-demo-", ignore_cleanup_errors=True) as folder,
            places(Path(folder), database, servers) as found,
            started(console, Server(Path(folder), {**ENVIRONMENT, **found}, port)) as server,
        ):
            problems = asyncio.run(show(server, console, furnished=not once))
            report(console, problems, server)
            if not once:
                serve(console, server)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except RuntimeError as error:
        console.print(str(error), markup=False)
        raise typer.Exit(2) from None
    raise typer.Exit(1 if problems else 0)


@contextmanager
def places(folder: Path, database: Path | None, servers: bool) -> Iterator[dict[str, str]]:
    """Variables of the application's environment that say where database and queue are, and how many workers there are."""
    given = Settings()
    url, workers = given.database_url, settings.workers
    with ExitStack() as running:
        if servers:
            url, workers = running.enter_context(postgres()), workers or WORKERS
            given = given.model_copy(update={"queue_url": running.enter_context(valkey())})
        elif database is not None or "database_url" not in given.model_fields_set:
            url = f"sqlite+aiosqlite:///{(database or folder / 'orders.db').resolve()}"
        queue = {"STEPWELL_QUEUE_URL": given.queue_url} if given.queue_url else {}
        yield {"STEPWELL_DATABASE_URL": url, "ORDERS_WORKERS": str(workers), **queue}


@contextmanager
def started(console: Console, server: Server) -> Iterator[Server]:
    """The running application, introduced."""
    database = make_url(server.environment["STEPWELL_DATABASE_URL"]).render_as_string()
    console.print(f"Database: {database}")
    if queue := server.environment.get("STEPWELL_QUEUE_URL"):
        console.print(f"Queue:    {queue.rpartition('@')[2]}")
    if server.workers:
        console.print(f"Workers:  {server.workers} processes")
    with server:
        console.print(f"Serving:  {server.url}/docs")
        yield server


async def show(server: Server, console: Console, *, furnished: bool) -> list[str]:
    """The list of what went otherwise than expected."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        stage = Stage(client, console, settings.operator)
        await play(stage, server)
        if furnished:
            await furnish(stage)
        return stage.problems


def report(console: Console, problems: list[str], server: Server) -> None:
    if not problems:
        console.print("\n[bold green]Everything ended as expected.")
        return
    console.print("\n[bold red]Not as expected:")
    for problem in problems:
        console.print(f"  {problem}", markup=False)
    console.print(server.log.read_text()[-4000:], markup=False)


def serve(console: Console, server: Server) -> None:
    """Until Ctrl-C."""
    console.print(f"\n[bold]Studio: {server.url}/sign-in?user={settings.operator}[/] (or as ada, a customer)")
    console.print(f"The application itself: {server.url}/docs (header X-User). Ctrl-C ends it.")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print("Bye.")


def interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    typer.run(main)

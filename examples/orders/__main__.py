"""`python -m examples.orders`: start the application, drive all of it, and keep serving."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Annotated, NoReturn

import httpx
import typer
from rich.console import Console

from examples.orders.demo import ENVIRONMENT, play
from examples.orders.server import Server
from examples.orders.settings import settings
from examples.orders.stage import Stage


def main(
    once: Annotated[
        bool, typer.Option("--once", help="End after the demo; exit code 1 if anything went wrong.")
    ] = False,
    database: Annotated[Path | None, typer.Option(help="An SQLite file to keep. Default: a temporary one.")] = None,
    port: Annotated[int, typer.Option(help="Default: a free one.")] = 0,
) -> None:
    """Start the shop on this machine and show every way to start a workflow."""
    signal.signal(signal.SIGTERM, interrupt)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    with TemporaryDirectory(prefix="stepwell-demo-", ignore_cleanup_errors=True) as folder:
        file = (database or Path(folder) / "orders.db").resolve()
        console.print(f"Database: {file}")
        try:
            with Server(file, port, ENVIRONMENT) as server:
                console.print(f"Serving:  {server.url}/docs")
                problems = asyncio.run(show(server, console))
                report(console, problems, server)
                if not once:
                    serve(console, server)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
    raise typer.Exit(1 if problems else 0)


async def show(server: Server, console: Console) -> list[str]:
    """What went otherwise than expected."""
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        stage = Stage(client, console, settings.operator)
        await play(stage, server)
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
    console.print(f"Still serving {server.url}/docs (header X-User: ada, or olivia, the operator). Ctrl-C ends it.")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print("Bye.")


def interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    typer.run(main)

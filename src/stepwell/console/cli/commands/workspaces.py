"""`stepwell workspaces`: list the workspaces of users, make some, and give them titles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeVar

import typer

from stepwell.console.cli.backends.backend import CommandBackend
from stepwell.console.cli.backends.target import Application, Json, TokenOption, Url, backend_of, execute
from stepwell.console.cli.terminal.output import put, put_json, put_table, say
from stepwell.console.reading.views import WorkspaceView

T = TypeVar("T")

_HELP: Final = "Workspaces: list, create, rename."
program = typer.Typer(help=_HELP, no_args_is_help=True)
Title = Annotated[str, typer.Argument(metavar="TITLE", help="Its title, for people.")]


@program.command("list")
def list_workspaces(
    ctx: typer.Context,
    app_name: Annotated[str | None, typer.Option("--app-name", help="Only those of this App.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="Only those of this user.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="The most of them.")] = 50,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Where the page before ended.")] = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """List the workspaces, in the order of their ids."""
    backend = backend_of(ctx, app, url, token)
    found = _on(backend, lambda backend: backend.workspaces(app_name, user, limit, cursor), creates=False)
    if found.next_cursor is not None:
        say(f"There are more: --cursor {found.next_cursor}")
    if json:
        put_json([one.model_dump(mode="json") for one in found.items])
        return
    put_table(
        ["WORKSPACE", "APP", "USER", "TITLE", "CREATED"],
        [(one.id, one.app_name, one.user_id, one.title, one.created_at) for one in found.items],
    )


@program.command("create")
def create(
    ctx: typer.Context,
    title: Title,
    app_name: Annotated[str, typer.Option("--app-name", help="The App that it is for.")],
    user: Annotated[str | None, typer.Option("--user", help="Whose it is. Default: cli, or the token's user.")] = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Make a further workspace of a user: `stepwell run --workspace ID` puts runs into it."""
    backend = backend_of(ctx, app, url, token)
    _put(_on(backend, lambda backend: backend.create_workspace(app_name, user, title)), json)


@program.command("rename")
def rename(
    ctx: typer.Context,
    workspace_id: Annotated[str, typer.Argument(metavar="ID", help="The workspace.")],
    title: Title,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Give a workspace another title."""
    backend = backend_of(ctx, app, url, token)
    _put(_on(backend, lambda backend: backend.rename_workspace(workspace_id, title), creates=False), json)


def _on(backend: CommandBackend, act: Callable[[CommandBackend], Awaitable[T]], *, creates: bool = True) -> T:
    async def opened() -> T:
        async with backend.open(creates=creates):
            return await act(backend)

    return execute(opened)


def _put(found: WorkspaceView, json: bool) -> None:
    if json:
        put_json(found.model_dump(mode="json"))
    else:
        put(f"{found.id} {found.title}, of {found.user_id} in {found.app_name}")

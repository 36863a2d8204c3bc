"""`stepwell tokens`: tokens of the API, created and revoked in the database, or through the API of a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from pydantic import ValidationError

from stepwell.console.cli.backends.target import Application, Json, Url, execute, server_of, settings_of
from stepwell.console.cli.backends.target import TokenOption as Secret
from stepwell.console.cli.backends.token_keeper import TokenKeeper, on_database, on_server
from stepwell.console.cli.terminal.output import moment, put, put_json, put_table, say
from stepwell.console.http.access.tokens import NewToken
from stepwell.errors import ConfigurationError

if TYPE_CHECKING:
    from stepwell.console.cli.backends.remote import Remote

T = TypeVar("T")

program = typer.Typer(help="Tokens of the API: create, list, revoke.", no_args_is_help=True)


class RoleOption(StrEnum):
    """The rights of a token."""

    viewer = "viewer"
    operator = "operator"
    admin = "admin"


@program.command("create")
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A name that people recognise it by.")],
    user: Annotated[
        str | None, typer.Option("--user", help="The token's user. Default: cli; on a server, the caller.")
    ] = None,
    role: Annotated[RoleOption, typer.Option("--role", help="Its role.")] = RoleOption.operator,
    everybody: Annotated[bool, typer.Option("--everybody", help="Let it see all users' runs.")] = False,
    app_name: Annotated[
        list[str] | None, typer.Option("--app-name", help="Restrict it to this App; may be repeated.")
    ] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, max=36_500, help="Days until it expires.")] = None,
    app: Application = None,
    url: Url = None,
    token: Secret = None,
    json: Json = False,
) -> None:
    """Create a token, and print it: it can't be shown again. Through a server it has at most the creator's rights."""
    wanted = _wanted(name, user, role, everybody, app_name, days)

    kept = _Kept(app, server_of(ctx, url, token), creates=True)
    made = kept.do(lambda keeper: keeper.create(wanted))
    if json:
        put_json(made.model_dump(mode="json"))
    else:
        put(made.token)
        whose = f"{made.name} ({made.id}) of {made.user_id}, {made.role}"
        say(f"{whose}. Keep it: only its digest is stored, so it can't be shown again.")
    kept.say_if_useless()


@program.command("list")
def list_tokens(
    ctx: typer.Context,
    user: Annotated[str | None, typer.Option("--user", help="Only tokens that this user holds or has made.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    app: Application = None,
    url: Url = None,
    token: Secret = None,
    json: Json = False,
) -> None:
    """List the newest tokens, valid or not, without their secrets. Through a server, those that the caller may see."""
    found = _Kept(app, server_of(ctx, url, token)).do(lambda keeper: keeper.newest(user, limit))
    if json:
        put_json([one.model_dump(mode="json") for one in found])
        return
    put_table(
        [
            "ID",
            "NAME",
            "USER",
            "ROLE",
            "SEES",
            "APPS",
            "TOKEN",
            "CREATED BY",
            "MADE",
            "LAST USED",
            "EXPIRES",
            "REVOKED",
        ],
        [
            (
                one.id,
                one.name,
                one.user_id,
                one.role,
                "all users'" if one.everybody else "own",
                "all" if one.apps is None else ", ".join(one.apps),
                f"{one.prefix}...",
                one.created_by if one.created_with is None else f"{one.created_by}, with {one.created_with}",
                one.descendants or "",
                moment(one.last_used_at),
                moment(one.expires_at),
                moment(one.revoked_at),
            )
            for one in found
        ],
    )


@program.command("revoke")
def revoke(
    ctx: typer.Context,
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token's id, as `list` shows it.")],
    app: Application = None,
    url: Url = None,
    token: Secret = None,
    json: Json = False,
) -> None:
    """Revoke a token and all that were created with it: they stop working within seconds."""
    revoked = _Kept(app, server_of(ctx, url, token)).do(lambda keeper: keeper.revoke(token_id))
    put_json(revoked.model_dump(mode="json")) if json else put(revoked.id)
    if revoked.descendants and not json:
        were, have = ("was", "has") if revoked.descendants == 1 else ("were", "have")
        say(f"{revoked.descendants} that {were} created with it {have} been revoked too.")


def _wanted(
    name: str, user: str | None, role: RoleOption, everybody: bool, apps: list[str] | None, days: int | None
) -> NewToken:
    ends = None if days is None else datetime.now(UTC) + timedelta(days=days)
    try:
        return NewToken(
            name=name, user_id=user, role=role.value, everybody=everybody, apps=apps or None, expires_at=ends
        )
    except ValidationError as error:
        raise ConfigurationError("; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())) from error


class _Kept:
    """The tokens of a server; without one, those of the application's database, or of STEPWELL_DATABASE_URL's."""

    def __init__(self, app: str | None, server: Remote | None, *, creates: bool = False) -> None:
        self._useful = True
        if server is not None:
            self._opened = on_server(server)
            return
        settings = settings_of(app)
        self._useful = settings.auth is not None and settings.auth.tokens
        self._opened = on_database(settings, creates=creates)

    def do(self, act: Callable[[TokenKeeper], Awaitable[T]]) -> T:
        async def opened() -> T:
            async with self._opened as keeper:
                return await act(keeper)

        return execute(opened)

    def say_if_useless(self) -> None:
        """Print to stderr if the application's API takes no tokens; a server that takes none creates none."""
        if not self._useful:
            say("No API with these settings accepts tokens yet: Settings(auth=AuthSettings()), or STEPWELL_AUTH='{}'.")

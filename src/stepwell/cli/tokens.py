"""`stepwell tokens`: tokens of the API, made and revoked in the database, or through the API of a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from stepwell.cli.output import moment, put, put_json, put_table, say
from stepwell.cli.target import Application, Json, environments_settings, execute, load_stepwell
from stepwell.cli.token_keeper import TokenKeeper, on_database, on_server
from stepwell.cli.where import Token as Secret
from stepwell.cli.where import Url, server_of
from stepwell.errors import ConfigurationError

if TYPE_CHECKING:
    from stepwell.cli.remote import Remote
    from stepwell.http.tokens import CreatedToken, NewToken, Token

T = TypeVar("T")

program = typer.Typer(help="Tokens of the API: create, list, revoke.", no_args_is_help=True)


class Role(StrEnum):
    """What a token may do."""

    viewer = "viewer"
    operator = "operator"
    admin = "admin"


@program.command("create")
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What people recognise it by.")],
    user: Annotated[
        str | None, typer.Option("--user", help="Whose token it is. Default: cli, on a server who asks.")
    ] = None,
    role: Annotated[Role, typer.Option("--role", help="What it may do.")] = Role.operator,
    everybody: Annotated[bool, typer.Option("--everybody", help="It sees all users' runs.")] = False,
    app_name: Annotated[
        list[str] | None, typer.Option("--app-name", help="Only this App exists for it; may be repeated.")
    ] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, max=36_500, help="It ends after so many days.")] = None,
    app: Application = None,
    url: Url = None,
    token: Secret = None,
    json: Json = False,
) -> None:
    """Make a token, and print it: it can't be shown again. Through a server it may do no more than who makes it."""
    wanted = _wanted(name, user, role, everybody, app_name, days)

    async def act(keeper: TokenKeeper) -> CreatedToken:
        return await keeper.create(wanted)

    kept = _Kept(app, server_of(ctx, url, token))
    made = kept.do(act)
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
    user: Annotated[str | None, typer.Option("--user", help="Only what this user holds or has made.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    app: Application = None,
    url: Url = None,
    token: Secret = None,
    json: Json = False,
) -> None:
    """The newest tokens, valid or not; never their secrets. Through a server those that one may see."""

    async def act(keeper: TokenKeeper) -> Sequence[Token]:
        return await keeper.newest(user, limit)

    found = _Kept(app, server_of(ctx, url, token)).do(act)
    if json:
        put_json([one.model_dump(mode="json") for one in found])
        return
    put_table(
        ["ID", "NAME", "USER", "ROLE", "SEES", "APPS", "TOKEN", "LAST USED", "EXPIRES", "REVOKED"],
        [
            (
                one.id,
                one.name,
                one.user_id,
                one.role,
                "everybody's" if one.everybody else "own",
                "all" if one.apps is None else ", ".join(one.apps),
                f"{one.prefix}...",
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
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token, as `list` names it.")],
    app: Application = None,
    url: Url = None,
    token: Secret = None,
    json: Json = False,
) -> None:
    """The token opens nothing any more, within seconds."""

    async def act(keeper: TokenKeeper) -> Token:
        return await keeper.revoke(token_id)

    revoked = _Kept(app, server_of(ctx, url, token)).do(act)
    put_json(revoked.model_dump(mode="json")) if json else put(revoked.id)


def _wanted(
    name: str, user: str | None, role: Role, everybody: bool, apps: list[str] | None, days: int | None
) -> NewToken:
    from pydantic import ValidationError

    from stepwell.http.tokens import NewToken

    ends = None if days is None else datetime.now(UTC) + timedelta(days=days)
    try:
        return NewToken(
            name=name, user_id=user, role=role.value, everybody=everybody, apps=apps or None, expires_at=ends
        )
    except ValidationError as error:
        raise ConfigurationError("; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())) from error


class _Kept:
    """The tokens of a server; without one those of the application's database, or of STEPWELL_DATABASE_URL's."""

    def __init__(self, app: str | None, server: Remote | None) -> None:
        self._useful = True
        if server is not None:
            self._opened = on_server(server)
            return
        settings = load_stepwell(app).settings if app else environments_settings()
        self._useful = settings.auth is not None and settings.auth.tokens
        self._opened = on_database(settings)

    def do(self, act: Callable[[TokenKeeper], Awaitable[T]]) -> T:
        async def opened() -> T:
            async with self._opened as keeper:
                return await act(keeper)

        return execute(opened)

    def say_if_useless(self) -> None:
        """Says so on stderr if the application's API takes no tokens; a server that takes none makes none."""
        if not self._useful:
            say("No API with these settings accepts tokens yet: Settings(auth=AuthSettings()), or STEPWELL_AUTH='{}'.")

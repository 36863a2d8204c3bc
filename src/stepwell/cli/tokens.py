"""`stepwell tokens`: tokens of the API, made and revoked by whoever may write the database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, TypeVar

import typer

from stepwell.app import Stepwell
from stepwell.cli.output import moment, put, put_json, put_table, say
from stepwell.cli.target import Application, Json, environments_settings, execute, load_stepwell
from stepwell.errors import ConfigurationError, TokenNotFound
from stepwell.execution.clock import to_datetime
from stepwell.settings import Settings

T = TypeVar("T")

program = typer.Typer(help="Tokens of the API: create, list, revoke.", no_args_is_help=True)


class Role(StrEnum):
    """What a token may do."""

    viewer = "viewer"
    operator = "operator"
    admin = "admin"


@program.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What people recognise it by.")],
    user: Annotated[str, typer.Option("--user", help="Whose token it is.")] = "cli",
    role: Annotated[Role, typer.Option("--role", help="What it may do.")] = Role.operator,
    everybody: Annotated[bool, typer.Option("--everybody", help="It sees all users' runs.")] = False,
    app_name: Annotated[
        list[str] | None, typer.Option("--app-name", help="Only this App exists for it; may be repeated.")
    ] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, max=36_500, help="It ends after so many days.")] = None,
    app: Application = None,
    json: Json = False,
) -> None:
    """Make a token, and print it: it can't be shown again. Without --app the database is that of STEPWELL_DATABASE_URL."""
    from pydantic import ValidationError

    from stepwell.http.principal import Principal
    from stepwell.http.tokens import NewToken, created_token, make_token
    from stepwell.store import tokens

    try:
        wanted = NewToken(name=name, user_id=user, role=role.value, everybody=everybody, apps=app_name or None)
    except ValidationError as error:
        raise ConfigurationError("; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())) from error

    async def act(stepwell: Stepwell) -> None:
        now = stepwell.opening.shared.clock.now()
        ends = None if days is None else to_datetime(now) + timedelta(days=days)
        machine = Principal("cli", "admin", method="local")
        secret, row = make_token(wanted.model_copy(update={"expires_at": ends}), machine, None, now)
        await stepwell.opening.core.store.writer.call(lambda tx: tokens.add(tx, row))
        if json:
            put_json(created_token(row, secret).model_dump(mode="json"))
            return
        put(secret)
        say(f"{name} ({row.id}) of {user}, {role}. Keep it: only its digest is stored, so it can't be shown again.")

    settings = _settings(app)
    _on_database(settings, act)
    if settings.auth is None or not settings.auth.tokens:
        say("No API with these settings accepts tokens yet: Settings(auth=AuthSettings()), or STEPWELL_AUTH='{}'.")


@program.command("list")
def list_tokens(
    user: Annotated[str | None, typer.Option("--user", help="Only this user's.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    app: Application = None,
    json: Json = False,
) -> None:
    """The newest tokens, valid or not; never their secrets."""
    from stepwell.http.tokens import token_of
    from stepwell.store import tokens

    async def act(stepwell: Stepwell) -> None:
        rows = await stepwell.opening.core.store.read(lambda tx: tokens.page(tx, user, None, limit))
        found = [token_of(row) for row in rows]
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

    _on_database(_settings(app), act)


@program.command("revoke")
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token, as `list` names it.")],
    app: Application = None,
    json: Json = False,
) -> None:
    """The token opens nothing any more, within seconds."""
    from stepwell.http.tokens import token_of
    from stepwell.store import tokens

    async def act(stepwell: Stepwell) -> None:
        store = stepwell.opening.core.store
        now = stepwell.opening.shared.clock.now()
        await store.writer.call(lambda tx: tokens.revoke(tx, token_id, now))
        row = await store.read(lambda tx: tokens.load(tx, token_id))
        if row is None:
            raise TokenNotFound(f"No token {token_id!r}: `stepwell tokens list` shows which there are.")
        put_json(token_of(row).model_dump(mode="json")) if json else put(row.id)

    _on_database(_settings(app), act)


def _settings(app: str | None) -> Settings:
    return load_stepwell(app).settings if app else environments_settings()


def _on_database(settings: Settings, act: Callable[[Stepwell], Awaitable[T]]) -> T:
    async def opened() -> T:
        # Without apps and without a queue: nothing but the database is needed.
        alone = settings.model_copy(update={"queue_url": None})
        async with Stepwell(apps=[], settings=alone, embedded_worker=False) as stepwell:
            return await act(stepwell)

    return execute(opened)

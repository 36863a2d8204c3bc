"""`stepwell db`: the schema of the database."""

from __future__ import annotations

from typing import Annotated

import typer

from stepwell.console.cli.backends.target import Application, Json, settings_of
from stepwell.console.cli.terminal.output import put, put_json
from stepwell.errors import ConfigurationError
from stepwell.store import opening

program = typer.Typer(help="The schema of the database: upgrade, current, check.", no_args_is_help=True)


@program.command("upgrade")
def upgrade(
    app: Application = None,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the statements instead, and execute none; nothing if there are none.")
    ] = False,
    json: Json = False,
) -> None:
    """Upgrade the tables to this version of Stepwell. Without --app, the database is that of STEPWELL_DATABASE_URL."""
    if sql and json:
        raise ConfigurationError("--sql prints statements, and --json a revision: give one of them.")
    if sql:
        put(opening.upgrade_sql(settings_of(app)).rstrip())
        return
    _put(opening.upgrade(settings_of(app)), json)


@program.command("current")
def current(app: Application = None, json: Json = False) -> None:
    """Print the revision of the tables; `none` without any. Changes nothing."""
    _put(opening.current(settings_of(app)), json)


@program.command("check")
def check(app: Application = None, json: Json = False) -> None:
    """Print the revision of the tables if this version of Stepwell can work with them; else say why not, and exit 2."""
    _put(opening.check(settings_of(app)), json)


def _put(found: str | None, json: bool) -> None:
    put_json({"revision": found}) if json else put(found or "none")

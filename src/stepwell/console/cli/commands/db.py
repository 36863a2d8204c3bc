"""`stepwell db`: the schema of the database."""

from __future__ import annotations

import typer

from stepwell.console.cli.backends.target import Application, Json, settings_of
from stepwell.console.cli.terminal.output import put, put_json
from stepwell.store import opening

program = typer.Typer(help="The schema of the database: upgrade, current.", no_args_is_help=True)


@program.command("upgrade")
def upgrade(app: Application = None, json: Json = False) -> None:
    """Upgrade the tables to this version of Stepwell. Without --app, the database is that of STEPWELL_DATABASE_URL."""
    _put(opening.upgrade(settings_of(app)), json)


@program.command("current")
def current(app: Application = None, json: Json = False) -> None:
    """Print the revision of the tables; `none` without any. Changes nothing."""
    _put(opening.current(settings_of(app)), json)


def _put(found: str | None, json: bool) -> None:
    put_json({"revision": found}) if json else put(found or "none")

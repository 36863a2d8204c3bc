"""`stepwell db`: the schema of the database."""

from __future__ import annotations

import typer

from stepwell.cli.output import put, put_json
from stepwell.cli.target import Application, Json, environments_settings, load_stepwell
from stepwell.settings import Settings
from stepwell.store import revision

program = typer.Typer(help="The schema of the database: upgrade, current.", no_args_is_help=True)


@program.command("upgrade")
def upgrade(app: Application = None, json: Json = False) -> None:
    """Bring the tables to this version of Stepwell. Without --app the database is that of STEPWELL_DATABASE_URL."""
    _put(revision.upgrade(_settings(app)), json)


@program.command("current")
def current(app: Application = None, json: Json = False) -> None:
    """The revision of the tables; `none` without any. Changes nothing."""
    _put(revision.current(_settings(app)), json)


def _settings(app: str | None) -> Settings:
    return load_stepwell(app).settings if app else environments_settings()


def _put(found: str | None, json: bool) -> None:
    put_json({"revision": found}) if json else put(found or "none")

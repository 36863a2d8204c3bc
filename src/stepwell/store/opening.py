"""The database that a URL names: its store, and the revision of its schema, for which the store needn't be open."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from stepwell.errors import ConfigurationError
from stepwell.settings import Settings
from stepwell.store import migrations
from stepwell.store.base import Store
from stepwell.store.writing.apply import Applier
from stepwell.urls import is_scheme

T = TypeVar("T")

_FILE: Final = re.compile(r"[\w.-]+\.(db|sqlite3?)")
"""The name of a file without the scheme of SQLite: no secret."""


def store_for(settings: Settings, applier: Applier, process_id: str) -> Store:
    """Return the store that the settings name. Raises ConfigurationError."""
    if _is_postgres(settings):
        from stepwell.store.postgres.store import PostgresStore

        return PostgresStore(settings, applier, process_id)
    if settings.database_schema is not None or settings.transaction_pooler:
        what = "database_schema" if settings.database_schema is not None else "transaction_pooler"
        raise ConfigurationError(f"{what} is for PostgreSQL, and database_url names SQLite: leave it out.")
    from stepwell.store.sqlite.store import SqliteStore

    return SqliteStore(settings, applier, process_id)


def upgrade(settings: Settings) -> str:
    """Migrate, and return the revision: that of this version. Raises ConfigurationError, StoreUnavailable."""
    if _is_postgres(settings):
        from stepwell.store.postgres import schema

        return asyncio.run(schema.upgrade(settings))
    return _on_file(settings, migrations.upgrade)


def current(settings: Settings) -> str | None:
    """Return the revision as it is; None without tables or file. Raises as `upgrade`."""
    if _is_postgres(settings):
        from stepwell.store.postgres import schema

        return asyncio.run(schema.current(settings))
    from stepwell.store.sqlite.engine import path_of

    return _on_file(settings, migrations.current) if Path(path_of(settings.database_url)).exists() else None


def upgrade_sql(settings: Settings) -> str:
    """Return the statements that `upgrade` would execute now, and execute none. Raises as `upgrade`."""
    if not _is_postgres(settings):
        return migrations.upgrade_sql("sqlite", current(settings))
    from stepwell.store.postgres import schema

    name = None if settings.database_schema is None else schema.quoted(settings.database_schema)
    return migrations.upgrade_sql("postgresql", current(settings), name)


def check(settings: Settings) -> str:
    """Return the revision, if this version can work with it. Raises ConfigurationError where it can't."""
    if _is_postgres(settings):
        from stepwell.store.postgres import schema

        return asyncio.run(schema.on_schema(settings, _checked))
    if current(settings) is None:
        raise ConfigurationError("The database has no Stepwell tables: run `stepwell db upgrade`.")
    return _on_file(settings, _checked)


def _checked(connection: Connection) -> str:
    migrations.check(connection)
    return migrations.current(connection) or ""


def _is_postgres(settings: Settings) -> bool:
    """Return whether the URL names PostgreSQL, and not SQLite. Raises ConfigurationError for other databases."""
    scheme, mark, _ = settings.database_url.partition("://")
    if not mark or not scheme.startswith(("postgres", "sqlite")):
        known = is_scheme(scheme) if mark else _FILE.fullmatch(scheme)
        begins = f"begins with {scheme!r}, which is" if known else "has no scheme, so it is"
        raise ConfigurationError(  # the URL may hold a password: no more than a scheme is shown
            f"database_url {begins} neither SQLite nor PostgreSQL. Examples: "
            "'sqlite+aiosqlite:///stepwell.db', 'postgresql+asyncpg://user:password@host/database'."
        )
    return scheme.startswith("postgres")


def _on_file(settings: Settings, act: Callable[[Connection], T]) -> T:
    from stepwell.store.sqlite import engine as sqlite
    from stepwell.store.sqlite.engine import DatabaseFile

    path = sqlite.path_of(settings.database_url)
    engine = sqlite.writer_engine(DatabaseFile(path), settings.busy_seconds)
    try:
        with engine.begin() as connection:
            return act(connection)
    except (DBAPIError, sqlite3.Error) as error:
        raise sqlite.unopened(path, error) from error
    finally:
        engine.dispose()

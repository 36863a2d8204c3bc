"""The revision of a database's schema, for the command line: the store itself needn't be open."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from stepwell.settings import Settings
from stepwell.store import migrate, sqlite
from stepwell.store.store import neither

T = TypeVar("T")


def upgrade(settings: Settings) -> str:
    """The revision after the migration: that of this version. Raises ConfigurationError, StoreUnavailable."""
    if settings.database_url.startswith("postgres"):
        from stepwell.store import postgres_schema

        return asyncio.run(postgres_schema.upgrade(settings))
    return _on(_path(settings), settings, migrate.upgrade)


def current(settings: Settings) -> str | None:
    """The revision as it is; None without tables or file. Raises as `upgrade`."""
    if settings.database_url.startswith("postgres"):
        from stepwell.store import postgres_schema

        return asyncio.run(postgres_schema.current(settings))
    path = _path(settings)
    return _on(path, settings, migrate.current) if Path(path).exists() else None


def _path(settings: Settings) -> str:
    if not settings.database_url.startswith("sqlite"):
        raise neither(settings.database_url)
    return sqlite.path_of(settings.database_url)


def _on(path: str, settings: Settings, act: Callable[[Connection], T]) -> T:
    engine = sqlite.writer_engine(path, settings.busy_seconds)
    try:
        with engine.begin() as connection:
            return act(connection)
    except (DBAPIError, sqlite3.Error) as error:
        raise sqlite.unopened(path, error) from error
    finally:
        engine.dispose()

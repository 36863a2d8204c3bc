"""The tables on PostgreSQL: who may make them, from which version on, and that only one process does at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar
from zlib import crc32

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from stepwell.errors import ConfigurationError, StoreUnavailable
from stepwell.settings import Settings
from stepwell.store import migrations
from stepwell.store.postgres import engine as postgres

T = TypeVar("T")

_RIGHTS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
_OLDEST: Final = 140_000
"""The oldest server, as `server_version_num` says it."""


async def prepare(settings: Settings) -> None:
    """Bring the tables to this version. Raises ConfigurationError, StoreUnavailable."""
    await (upgrade(settings) if settings.auto_migrate else on_schema(settings, migrations.check))
    await on_schema(settings, lambda connection: _check_rights(connection, settings))


async def upgrade(settings: Settings) -> str:
    """Return the revision after the migration: that of this version. Any number of processes may ask for it at once."""
    return await on_schema(settings, lambda connection: _upgrade(connection, settings.database_schema))


async def current(settings: Settings) -> str | None:
    """Return the revision as it is; None without tables."""
    return await on_schema(settings, migrations.current)


async def on_schema(settings: Settings, act: Callable[[Connection], T]) -> T:
    """Return the result of `act`, in a transaction that finds the tables without their schema's name.

    Raises ConfigurationError or StoreUnavailable, in one line that says how to mend it.
    """
    # A migration, or the wait for another process's, has no time limit.
    engine = postgres.engine(settings, statement_seconds=None)

    def acted(connection: Connection) -> T:
        _check_version(connection)
        if settings.database_schema is not None:
            connection.exec_driver_sql(
                "SELECT set_config('search_path', $1, true)", (quoted(settings.database_schema),)
            )
        return act(connection)

    try:
        async with connected(engine) as connection, connection.begin():
            return await connection.run_sync(acted)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        raise refusal(error, settings) from error
    finally:
        await engine.dispose()


@asynccontextmanager
async def connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Yield a connection. Where it takes too long it is tried once more: this machine may have stood still meanwhile."""
    try:
        connection = await engine.connect().start()
    except TimeoutError:
        connection = await engine.connect().start()
    try:
        yield connection
    finally:
        await connection.close()


def quoted(schema: str) -> str:
    """Return the name of a schema as it stands in statements."""
    return '"' + schema.replace('"', '""') + '"'


def _check_version(connection: Connection) -> None:
    found = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
    if found < _OLDEST:
        raise ConfigurationError(
            f"The server is PostgreSQL {found // 10_000}: Stepwell needs {_OLDEST // 10_000} or newer. Upgrade the server."
        )


def _check_rights(connection: Connection, settings: Settings) -> None:
    ask = " AND ".join(f"has_table_privilege('stepwell_runs', '{right}')" for right in _RIGHTS)
    if not connection.exec_driver_sql(f"SELECT {ask}").scalar_one():
        url = postgres.url_of(settings)
        raise ConfigurationError(
            f"{postgres.shown(url)!r}: permission denied for table stepwell_runs. {postgres.grant_on_tables(settings)}"
        )


def _upgrade(connection: Connection, schema: str | None) -> str:
    # Held until the end of the transaction: a second process finds everything done.
    key = crc32(f"stepwell migrations {schema}".encode())
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock($1)", (key,))
    exists = "SELECT 1 FROM pg_namespace WHERE nspname=$1"
    if schema is not None and connection.exec_driver_sql(exists, (schema,)).first() is None:
        connection.exec_driver_sql(f"CREATE SCHEMA {quoted(schema)}")
    return migrations.upgrade(connection)


def refusal(error: BaseException, settings: Settings) -> ConfigurationError | StoreUnavailable:
    """Return an error at opening for the person who set the URL, with its cure."""
    url = postgres.url_of(settings)
    where = postgres.shown(url)
    said = postgres.said(error)
    match postgres.sqlstate(error):
        case "28P01" | "28000":
            return ConfigurationError(f"{where!r}: {said}. Put the right user and password into database_url.")
        case "3D000":
            return ConfigurationError(
                f"{where!r}: {said}. Create it (CREATE DATABASE {url.database}), or name another."
            )
        case "3F000" | "42501":
            return ConfigurationError(
                f"{where!r}: {said}. {postgres.grant(error, settings)} Or run `stepwell db upgrade` as a user who may."
            )
        case "08P01" if "startup parameter" in said:
            return ConfigurationError(
                f"{where!r}: {said}. This is a pooler in transaction mode: set transaction_pooler=True "
                "(STEPWELL_TRANSACTION_POOLER=true)."
            )
        case "53300":
            return StoreUnavailable(f"{where!r}: {said}. Raise max_connections, or lower database_connections.")
        case _:
            return StoreUnavailable(
                f"{where!r} can't be opened: {said}. Is the server running, and reachable from here at this host and port?"
            )

"""Databases that live for one test: made on a server, and dropped with all connections to them."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from stepwell.errors import ConfigurationError
from stepwell.settings import Settings
from stepwell.store.postgres import engine as postgres
from stepwell.store.postgres.schema import connected, quoted, refusal


def beside(settings: Settings, name: str) -> str:
    """Return the URL of another database of the server that the settings name."""
    return postgres.url_of(settings).set(database=name).render_as_string(hide_password=False)


async def create(settings: Settings, name: str, template: str | None = None) -> None:
    """Create a database: empty, or a copy of one without connections. Raises ConfigurationError, StoreUnavailable."""
    copied = "" if template is None else f" TEMPLATE {quoted(template)}"
    await _execute(settings, f"CREATE DATABASE {quoted(name)}{copied}")


async def drop(settings: Settings, name: str) -> None:
    """Drop a database, if it exists. Raises ConfigurationError, StoreUnavailable."""
    await _execute(settings, f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")


async def _execute(settings: Settings, statement: str) -> None:
    # Files are copied: that has no time limit. Neither statement may stand in a transaction.
    engine = postgres.engine(settings, statement_seconds=None, autocommit=True)
    try:
        async with connected(engine) as connection:
            await connection.exec_driver_sql(statement)
    except DBAPIError as error:
        if postgres.sqlstate(error) != "42501":
            raise refusal(error, settings) from error
        url = postgres.url_of(settings)
        raise ConfigurationError(
            f"{postgres.shown(url)!r}: {postgres.said(error)}. Let the user create databases: ALTER ROLE {url.username} CREATEDB."
        ) from error
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        raise refusal(error, settings) from error
    finally:
        await engine.dispose()

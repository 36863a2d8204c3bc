"""Databases of a harness's own: a file in a temporary folder, or a database on a server, deleted when they are left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from stepwell.definition.values.misfit import shown
from stepwell.errors import ConfigurationError
from stepwell.settings import Settings


class Hermetic(Settings):
    """Settings that no variable and no `.env` of the machine can change."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def checked_server(server: object) -> str | None:
    """Return the URL of a server, or None. Raises ConfigurationError for anything else."""
    if server is None or (isinstance(server, str) and server.startswith(("postgresql:", "postgresql+asyncpg:"))):
        return server
    # A URL may hold a password: no more than its scheme is shown.
    given = shown(server.partition(":")[0]) if isinstance(server, str) else shown(server)
    raise ConfigurationError(
        f"server={given} isn't the URL of a PostgreSQL server; write server='postgresql://user:password@host/postgres', "
        "a database to which the user can connect and create others; or leave it out for SQLite."
    )


class Databases:
    """Gives out empty databases, one after another or several at once; each is deleted when it is left."""

    def __init__(self, settings: Settings | None, server: str | None = None) -> None:
        self._settings = settings
        self._server = server
        self._template: str | None = None

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Keep the tables of this version at hand inside: copying them takes less time than making them anew."""
        if self._server is None:
            yield
            return
        from stepwell.store.postgres.schema import upgrade

        async with self._on(self._server) as settings:
            await upgrade(settings)
            self._template = _name_in(settings)
            try:
                yield
            finally:
                self._template = None

    @asynccontextmanager
    async def fresh(self) -> AsyncIterator[Settings]:
        """Yield the settings of a database of the caller's own."""
        if self._server is not None:
            async with self._on(self._server) as settings:
                yield settings
            return
        with TemporaryDirectory(prefix="stepwell-", ignore_cleanup_errors=True) as folder:
            yield self._at(f"sqlite+aiosqlite:///{Path(folder) / 'stepwell.db'}")

    @asynccontextmanager
    async def _on(self, server: str) -> AsyncIterator[Settings]:
        from stepwell.store.postgres import scratch

        there, name = self._at(server), f"stepwell_test_{uuid4().hex}"
        await scratch.create(there, name, self._template)
        try:
            yield self._at(scratch.beside(there, name))
        finally:
            await scratch.drop(there, name)

    def _at(self, url: str) -> Settings:
        """Return the settings for this database. Runs that a test leaves executing aren't waited for on closing."""
        alone = {"database_url": url, "database_schema": None, "transaction_pooler": False, "queue_url": None}
        changes: dict[str, Any] = {**alone, "auto_migrate": True, "drain_seconds": 0.0}
        return Hermetic(**changes) if self._settings is None else self._settings.model_copy(update=changes)


def _name_in(settings: Settings) -> str:
    return settings.database_url.rpartition("/")[2].partition("?")[0]

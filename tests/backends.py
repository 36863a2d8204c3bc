"""The databases that the suite runs on: the same looks past Stepwell, whichever it is."""

from __future__ import annotations

import re
import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

from psutil import Process
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from servers.databases import Databases
from servers.postgres import Postgres
from servers.sql import Sql
from stepwell.settings import Settings
from stepwell.store import opening
from stepwell.store.tables import metadata

Row = tuple[Any, ...]
_TABLE = re.compile(r"\bstepwell_\w+")


SCHEMA = 'Odd "schema"; its-ünï'
"""A name that has to be quoted wherever it stands."""


def migrate(url: str, schema: str | None = None) -> None:
    """The database has the tables of this version."""
    opening.upgrade(Settings(_env_file=None, database_url=url, database_schema=schema))


class Database(ABC):
    """A database of one test's own. What is done here is committed at once, on a connection that Stepwell knows nothing of."""

    kind: str

    def __init__(self, url: str) -> None:
        self.url = url
        self.settings: dict[str, Any] = {"database_url": url}
        """Those of a Stepwell on it."""

    @property
    @abstractmethod
    def driver_url(self) -> str:
        """For an engine of the test's own."""

    @abstractmethod
    def read(self, sql: str, *parameters: Any) -> list[Row]:
        """The rows; parameters are written `?`."""

    @abstractmethod
    def execute(self, sql: str, *parameters: Any) -> None:
        """The statement was executed, and is committed."""

    @abstractmethod
    def locked(self) -> AbstractContextManager[None]:
        """Inside, nobody else can write; everybody can read."""

    @abstractmethod
    async def abandoned(self) -> bool:
        """True if no Stepwell is connected."""

    def engine(self, **options: Any) -> AsyncEngine:
        """An engine of the caller's, which has to dispose of it."""
        return create_async_engine(self.driver_url, **options)

    drivers: tuple[str, ...]
    """Synchronous ones of SQLAlchemy's."""

    def blocking_engine(self, driver: str | None = None, **options: Any) -> Engine:
        """A synchronous engine of the caller's, which has to dispose of it."""
        kind, _, rest = self.url.partition(":")
        return create_engine(f"{kind}+{driver or self.drivers[0]}:{rest}", **options)


class SqliteFile(Database):
    """A file."""

    kind = "sqlite"
    drivers = ("pysqlite",)

    @property
    def path(self) -> Path:
        return Path(self.url.removeprefix("sqlite:///"))

    @property
    def driver_url(self) -> str:
        return self.url.replace("sqlite:", "sqlite+aiosqlite:")

    def read(self, sql: str, *parameters: Any) -> list[Row]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql, parameters).fetchall()

    def execute(self, sql: str, *parameters: Any) -> None:
        with closing(sqlite3.connect(self.path, timeout=60)) as connection, connection:
            connection.execute(sql, parameters)

    @contextmanager
    def locked(self) -> Iterator[None]:
        with closing(sqlite3.connect(self.path, isolation_level=None, timeout=60)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield

    async def abandoned(self) -> bool:
        return all(Path(opened.path) != self.path for opened in Process().open_files())


class PostgresDatabase(Database):
    """A database of the server that the run's processes share."""

    kind = "postgres"
    drivers = ("psycopg", "psycopg2")

    def __init__(self, url: str, schema: str | None = None) -> None:
        super().__init__(url)
        self._schema = "" if schema is None else '"' + schema.replace('"', '""') + '".'
        self._sql = Sql(url)
        if schema is not None:
            self.settings["database_schema"] = schema
            self._sql.execute(f"SET search_path TO public, {self._schema[:-1]}")

    @property
    def driver_url(self) -> str:
        return self.url.replace("postgresql:", "postgresql+asyncpg:")

    def read(self, sql: str, *parameters: Any) -> list[Row]:
        return self._sql.read(_numbered(sql), *parameters)

    def execute(self, sql: str, *parameters: Any) -> None:
        self._sql.execute(_numbered(sql), *parameters)

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self.holding(f"LOCK TABLE {', '.join(metadata.tables)} IN EXCLUSIVE MODE"):
            yield

    @contextmanager
    def holding(self, sql: str, *parameters: Any) -> Iterator[None]:
        """Inside, the locks that the statement takes are held by a transaction of its own, which is rolled back."""
        with closing(Sql(self.url)) as other:
            other.execute("BEGIN")
            other.execute(_TABLE.sub(lambda found: self._schema + found[0], _numbered(sql)), *parameters)
            yield
            other.execute("ROLLBACK")

    async def abandoned(self) -> bool:
        return not self.connected()

    async def blocked(self) -> bool:
        """True while somebody waits for somebody else's lock."""
        return bool(
            self.read("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type='Lock'")
        )

    def connected(self, name: str = "stepwell") -> int:
        """How many connections of this application there are."""
        sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = ?"
        [(found,)] = self.read(sql, name)
        return int(found)

    def close(self) -> None:
        self._sql.close()


@contextmanager
def sqlite_file(migrated: Path, folder: Path) -> Iterator[SqliteFile]:
    """A copy of the migrated file."""
    shutil.copy(migrated, folder / "stepwell.db")
    yield SqliteFile(f"sqlite:///{folder}/stepwell.db")


@contextmanager
def postgres_database(databases: Databases, schema: str | None = None) -> Iterator[PostgresDatabase]:
    """One of those that the tests of a process take in turns; Stepwell's tables are in this schema."""
    database = PostgresDatabase(databases.take(), schema)
    try:
        yield database
    finally:
        database.close()
        databases.give_back(database.url)


@contextmanager
def empty_database_of(server: Postgres) -> Iterator[PostgresDatabase]:
    """A database with nothing in it."""
    name = f"empty_{uuid4().hex[:12]}"
    database = PostgresDatabase(server.create_database(name))
    try:
        yield database
    finally:
        database.close()
        server.drop_database(name)


def _numbered(sql: str) -> str:
    numbers = count(1)
    return re.sub(r"\?", lambda _: f"${next(numbers)}", sql)

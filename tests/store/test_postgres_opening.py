"""Servers and databases that can't be used: one line that says what, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from pydantic import ValidationError

from backends import PostgresDatabase
from conformance.support import ME
from conformance.test_opening import Quick, on, refused
from servers.ports import free_port
from servers.postgres import PostgresServer
from stepwell import App, Settings, Stepwell
from stepwell.errors import ConfigurationError, StepwellError, StoreUnavailable
from stepwell.store.postgres import schema as postgres_schema


def by(url: str, user: str, password: str = "") -> str:
    """The same for another user."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{user}:{password}@{parts.hostname}:{parts.port}").geturl()


@pytest.fixture
def user(postgres_database_: PostgresDatabase) -> Iterator[str]:
    """Somebody who may connect, and nothing else."""
    name = f"user_{uuid4().hex[:12]}"
    postgres_database_.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    postgres_database_.execute(f"DROP OWNED BY {name}")
    postgres_database_.execute(f"DROP ROLE {name}")


async def test_a_database_that_isnt_there_is_named_with_the_cure(postgres_database_: PostgresDatabase) -> None:
    stepwell = on(postgres_database_.url + "_not")
    await refused(stepwell, ConfigurationError, r'database "\w+_not" does not exist.*CREATE DATABASE \w+_not')


async def test_a_host_where_nobody_listens_is_named(postgres_database_: PostgresDatabase) -> None:
    url = f"postgresql://ann:secret@127.0.0.1:{free_port()}/shop"
    await refused(on(url), StoreUnavailable, r"ann:\*\*\*@127\.0\.0\.1.*Is the server running, and reachable")


@pytest.mark.parametrize("late", [1, 2])
async def test_a_connection_that_takes_too_long_is_tried_once_more(
    postgres_database_: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    real, tried = asyncpg.connect, []

    async def connect(*given: Any, **options: Any) -> Any:
        tried.append(1)
        if len(tried) <= late:
            raise TimeoutError
        return await real(*given, **options)

    monkeypatch.setattr(asyncpg, "connect", connect)
    if late == 1:
        async with on(postgres_database_.url) as stepwell:
            assert (await stepwell.runner.run_sync(Quick, **ME)).status == "completed"
    else:
        await refused(on(postgres_database_.url), StoreUnavailable, "TimeoutError. Is the server running")
        assert len(tried) == 2


async def test_a_host_that_has_no_address_is_named() -> None:
    await refused(on("postgresql://ann:secret@nowhere.invalid/shop"), StoreUnavailable, r"nowhere\.invalid.*reachable")


async def test_a_server_that_is_too_old_is_refused(
    postgres_database_: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert postgres_schema._OLDEST == 140_000
    monkeypatch.setattr(postgres_schema, "_OLDEST", 990_000)
    await refused(on(postgres_database_.url), ConfigurationError, r"needs 99 or newer. Upgrade the server")


async def test_a_driver_that_isnt_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "asyncpg", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'stepwell\[postgres\]'"):
        async with on("postgresql://localhost/x"):
            pass


async def test_who_may_not_make_tables_is_told_what_to_grant(empty_postgres: PostgresDatabase, user: str) -> None:
    url = by(empty_postgres.url, user)
    await refused(
        on(url, auto_migrate=True), ConfigurationError, rf"permission denied for schema public.*GRANT.*{user}"
    )
    in_schema = on(url, auto_migrate=True, database_schema="durable")
    await refused(in_schema, ConfigurationError, rf"permission denied for database.*GRANT CREATE ON DATABASE.*{user}")


async def test_who_may_not_use_the_tables_is_told_what_to_grant(
    postgres_database_: PostgresDatabase, user: str
) -> None:
    url = by(postgres_database_.url, user)
    await refused(on(url), ConfigurationError, rf"permission denied for table \w+.*GRANT SELECT.*{user}")
    postgres_database_.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}")
    await refused(on(url), ConfigurationError, rf"permission denied for table \w+.*GRANT SELECT, INSERT.*{user}")
    postgres_database_.execute(f"GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user}")
    async with on(url) as stepwell:
        assert (await stepwell.runner.run_sync(Quick, **ME)).status == "completed"


@pytest.fixture(scope="module")
def guarded() -> Iterator[PostgresServer]:
    """A server that wants a password of `ann`, and has few connections."""
    with PostgresServer({"max_connections": 12, "superuser_reserved_connections": 2, "fsync": "off"}) as server:
        server.sql.execute("CREATE ROLE ann LOGIN PASSWORD 'right'")
        server.sql.execute("CREATE DATABASE shop OWNER ann")
        hba = server.data / "pg_hba.conf"
        hba.write_text(f"host all ann 127.0.0.1/32 scram-sha-256\n{hba.read_text()}")
        server.sql.read("SELECT pg_reload_conf()")
        yield server


async def test_a_wrong_password_is_named_and_not_shown(guarded: PostgresServer) -> None:
    for password in ("wrong", ""):
        stepwell = on(by(guarded.url("shop"), "ann", password))
        await refused(stepwell, ConfigurationError, r"password authentication failed.*Put the right user and password")
    async with on(by(guarded.url("shop"), "ann", "right"), auto_migrate=True) as stepwell:
        assert (await stepwell.runner.run_sync(Quick, **ME)).status == "completed"


async def connected(url: str) -> asyncpg.Connection | None:
    """A connection, or None if there are too many."""
    try:
        return await asyncpg.connect(url)
    except asyncpg.TooManyConnectionsError:
        return None


async def test_a_server_out_of_connections_is_told_at_opening_and_waited_for_later(guarded: PostgresServer) -> None:
    url = by(guarded.url("shop"), "ann", "right")
    async with on(url, auto_migrate=True, busy_seconds=20):
        pass
    taken = [one for one in [await connected(url) for _ in range(12)] if one is not None]
    assert 5 < len(taken) < 12
    await refused(on(url), StoreUnavailable, r"too many connections|connection slots.*Raise max_connections, or lower")
    for connection in taken:
        await connection.close()
    async with on(url) as stepwell:
        assert (await stepwell.runner.run_sync(Quick, **ME)).status == "completed"


@pytest.mark.parametrize(
    "given",
    [
        {"database_url": "postgresql://ann:S3CR3T@nowhere.invalid/shop"},
        {"database_url": "postgresql://ann:a@S3CR3T@nowhere.invalid/shop"},
        {"database_url": "postgresql://ann:a@S3:CR3T@nowhere.invalid/shop"},
        {"database_url": "postgresql://ann:a:S3CR3T@S3CR3T:S3CR3T/shop"},
        {"database_url": "postgresql://ann@nowhere.invalid/shop?password=S3CR3T"},
        {"queue_url": "redis://:a@S3CR3T@nowhere.invalid:x/0"},
        {"queue_url": "S3CR3T@nowhere"},
        {"auth": "S3CR3T"},
        {"lease_seconds": "S3CR3T"},
        {"auth": {"failed_logins": "S3CR3T"}},
    ],
    ids=lambda given: next(iter(given)),
)
async def test_no_refusal_repeats_what_may_be_a_secret(given: dict[str, Any], tmp_path: Path) -> None:
    async def opened() -> None:
        base: dict[str, Any] = {"database_url": f"sqlite:///{tmp_path}/x.db", "busy_seconds": 0.1}
        async with Stepwell([App("shop")], settings=Settings(_env_file=None, **{**base, **given})):
            pass

    with pytest.raises((StepwellError, ValidationError)) as refusal:
        await opened()
    assert "CR3T" not in str(refusal.value)

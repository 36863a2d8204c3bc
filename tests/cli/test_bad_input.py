"""What is wrong with a URL, a database, a server or an installation: one line that says so, and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from uuid import uuid4

import pytest

from backends import PostgresDatabase
from servers.ports import free_port
from servers.valkey import Valkey
from stepwell.queue import bullmq
from stepwell.store.postgres import schema as postgres_schema

from .conftest import Done, Shell

WORKER = ("worker", "shop:stepwell")


@pytest.fixture
def database(stepwell: Shell, empty_postgres: PostgresDatabase) -> PostgresDatabase:
    """An empty database on PostgreSQL, which is that of the command line."""
    stepwell.env["STEPWELL_DATABASE_URL"] = empty_postgres.url
    return empty_postgres


def by(user: str, database: PostgresDatabase) -> str:
    """The database's URL for another user."""
    return database.url.replace("//postgres@", f"//{user}@")


@pytest.fixture
def user(database: PostgresDatabase) -> Iterator[str]:
    """Somebody who may connect, and nothing else."""
    name = f"user_{uuid4().hex[:12]}"
    database.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    database.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def refused(done: Done, *said: str) -> None:
    """It is one line that says all of this, and exit code 2."""
    assert (done.returncode, done.stdout) == (2, ""), done
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert [text for text in said if text not in line] == [], line


def test_the_schema_is_made_and_named(stepwell: Shell, database: PostgresDatabase) -> None:
    assert stepwell("db", "current").stdout.strip() == "none"
    upgraded = stepwell("db", "upgrade").stdout.strip()
    assert stepwell.json("db", "upgrade") == stepwell.json("db", "current") == {"revision": upgraded}
    assert database.read("SELECT version_num FROM stepwell_alembic_version") == [(upgraded,)]
    elsewhere = {"STEPWELL_DATABASE_SCHEMA": "durable"}
    assert stepwell("db", "current", **elsewhere).stdout.strip() == "none"
    assert stepwell("db", "upgrade", **elsewhere).stdout.strip() == upgraded
    assert database.read("SELECT version_num FROM durable.stepwell_alembic_version") == [(upgraded,)]


@pytest.mark.parametrize("command", [WORKER, ("runs",), ("run", "pack", "--arg", "number=1")])
def test_a_database_without_tables(stepwell: Shell, database: PostgresDatabase, command: tuple[str, ...]) -> None:
    refused(stepwell(*command), "no Stepwell tables", "`stepwell db upgrade`")
    assert database.read("SELECT 1 FROM pg_tables WHERE tablename LIKE 'stepwell%'") == []


@pytest.mark.parametrize("command", [WORKER, ("runs",), ("db", "upgrade")])
def test_a_database_of_a_newer_version(stepwell: Shell, database: PostgresDatabase, command: tuple[str, ...]) -> None:
    assert stepwell("db", "upgrade").returncode == 0
    database.execute("UPDATE stepwell_alembic_version SET version_num = '9999'")
    refused(stepwell(*command), "'9999'", "Upgrade the stepwell package")


@pytest.mark.parametrize("command", [WORKER, ("db", "upgrade"), ("db", "current")])
def test_a_server_that_is_too_old(
    stepwell: Shell, database: PostgresDatabase, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_schema, "_OLDEST", 990_000)
    refused(stepwell(*command), "needs 99 or newer", "Upgrade the server")


@pytest.mark.parametrize("command", [WORKER, ("runs",), ("db", "upgrade"), ("db", "current")])
def test_a_server_that_is_not_there(stepwell: Shell, command: tuple[str, ...]) -> None:
    url = f"postgresql://ann:secret@127.0.0.1:{free_port()}/shop"
    done = stepwell(*command, STEPWELL_DATABASE_URL=url)
    refused(done, "//ann:***@127.0.0.1", "Is the server running")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://ann:secret@nowhere.invalid/shop", "Is the server running, and reachable"),
        ("postgresql://ann:secret@host:port/shop", "isn't a URL"),
        ("postgresql+psycopg://ann:secret@host/shop", "Write 'postgresql+asyncpg://...'"),
        ("mysql://ann:secret@host/shop", "neither SQLite nor PostgreSQL"),
        ("shop", "neither SQLite nor PostgreSQL"),
        ("", "neither SQLite nor PostgreSQL"),
        ("sqlite://", "Name a file"),
        ("sqlite:///no/where/shop.db", "Create it"),
        ("sqlite:///shop.py", "has to be a SQLite file"),
    ],
)
@pytest.mark.parametrize("command", [WORKER, ("db", "upgrade")])
def test_a_url_that_is_wrong(stepwell: Shell, command: tuple[str, ...], url: str, said: str) -> None:
    done = stepwell(*command, STEPWELL_DATABASE_URL=url)
    refused(done, said)
    assert "secret" not in done.stderr


def test_a_database_that_is_not_there(stepwell: Shell, database: PostgresDatabase) -> None:
    other = database.url + "_not"
    refused(stepwell(*WORKER, STEPWELL_DATABASE_URL=other), "_not", "does not exist", "CREATE DATABASE")


def test_somebody_who_is_not_known(stepwell: Shell, database: PostgresDatabase) -> None:
    refused(stepwell(*WORKER, STEPWELL_DATABASE_URL=by("mallory", database)), '"mallory"', "user and password")


def test_somebody_who_may_make_no_tables(stepwell: Shell, database: PostgresDatabase, user: str) -> None:
    url = by(user, database)
    refused(stepwell("db", "upgrade", STEPWELL_DATABASE_URL=url), "permission denied for schema public", "GRANT")


def test_somebody_who_may_read_nothing(stepwell: Shell, database: PostgresDatabase, user: str) -> None:
    assert stepwell("db", "upgrade").returncode == 0
    refused(stepwell(*WORKER, STEPWELL_DATABASE_URL=by(user, database)), "permission denied for table", "GRANT")


def test_somebody_who_may_only_read(stepwell: Shell, database: PostgresDatabase, user: str) -> None:
    assert stepwell("db", "upgrade").returncode == 0
    database.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}")
    refused(stepwell(*WORKER, STEPWELL_DATABASE_URL=by(user, database)), "permission denied for table", "GRANT")


def test_settings_that_are_wrong(stepwell: Shell) -> None:
    wrong = {"STEPWELL_WORKER_CONCURRENCY": "many", "STEPWELL_LEASE_SECONDS": "-1"}
    said = ("worker_concurrency: Input should be a valid integer", "lease_seconds: ", "STEPWELL_...")
    refused(stepwell(*WORKER, **wrong), *said)
    refused(stepwell("db", "current", STEPWELL_APP="", **wrong), *said)
    refused(stepwell(*WORKER, STEPWELL_DATABASE_URL="postgresql://h/d", STEPWELL_DATABASE_CONNECTIONS="2"), "needs")


# -- the queue --------------------------------------------------------------------------------------------------------


def test_a_redis_that_is_not_there(stepwell: Shell) -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}/0"
    done = stepwell(*WORKER, STEPWELL_QUEUE_URL=url)
    refused(done, "redis://***@127.0.0.1", "Is a Redis or Valkey running there")
    assert "secret" not in done.stderr
    # Starts need the database only.
    assert stepwell("run", "pack", "--arg", "number=1", "--detach", STEPWELL_QUEUE_URL=url).returncode == 0


def test_a_redis_that_wants_a_password(stepwell: Shell, valkey_server: Valkey) -> None:
    url = valkey_server.url.replace("//", "//ann:secret@")
    refused(stepwell(*WORKER, STEPWELL_QUEUE_URL=url), "user and password")


@pytest.mark.parametrize("url", ["http://localhost", "localhost", "redis://localhost/shop"])
def test_a_queue_url_that_is_wrong(stepwell: Shell, url: str) -> None:
    refused(stepwell(*WORKER, STEPWELL_QUEUE_URL=url), "isn't the URL of a Redis or Valkey")


# -- what isn't installed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [WORKER, ("db", "upgrade"), ("db", "current")])
def test_postgresql_without_its_driver(
    stepwell: Shell, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    refused(stepwell(*command, STEPWELL_DATABASE_URL="postgresql://h/d"), "asyncpg", "pip install 'stepwell[postgres]'")


def test_redis_without_bullmq(stepwell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bullmq", None)
    monkeypatch.delitem(sys.modules, "stepwell.queue.bullmq.client", raising=False)
    monkeypatch.delattr(bullmq, "client", raising=False)
    refused(stepwell(*WORKER, STEPWELL_QUEUE_URL="redis://h"), "bullmq", "pip install -U 'stepwell[bullmq]'")

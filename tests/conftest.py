"""The one way to a Stepwell on a real database: every test that asks for it runs on each of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import pytest

from backends import (
    SCHEMA,
    Database,
    PostgresDatabase,
    SqliteFile,
    empty_database_of,
    migrate,
    postgres_database,
    sqlite_file,
)
from commits import Commits, SqliteCommits, postgres_commits
from selection import backend_of, mark
from servers.databases import Databases
from servers.fixtures import postgres_server, valkey_server  # noqa: F401
from servers.pooler import TransactionPooler
from servers.postgres import Postgres
from servers.valkey import Valkey
from standstills import Standstills
from stepwell import App, Settings, Stepwell, Workflow
from stepwell.testing import Harness

# A test must pass on a machine that stands still for a while.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of these tests."""
    group = parser.getgroup("stepwell")
    group.addoption(
        "--standstills", type=float, metavar="SECONDS", help="stop one of the processes of -n again and again"
    )
    group.addoption("--standstills-seed", type=int, metavar="NUMBER", help="at the moments of this seed")


def pytest_configure(config: pytest.Config) -> None:
    """A shell that starts the run in the background has it ignore Ctrl-C, and so would each process that a test starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # For servers and command lines, too. Reads of a moment last for seconds on a machine that stands still.
    os.environ.update(STEPWELL_READ_SECONDS="120", STEPWELL_MAX_REQUEST_SECONDS="120")
    if config.getoption("standstills") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Standstills(config))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The summary has one line per failure; in CI pytest would repeat the whole message there, with logs and all."""
    report = yield
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        crash.message = crash.message.partition("\n")[0][:200]
    return report


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database of this version, to be copied: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "stepwell.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def databases(postgres_server: Postgres) -> Iterator[Databases]:  # noqa: F811
    """Databases of this version on PostgreSQL, for one test each."""
    made = Databases(postgres_server, migrate)
    yield made
    made.close()


@pytest.fixture
def sqlite_database(tmp_path: Path, migrated: Path) -> Iterator[SqliteFile]:
    """For what concerns SQLite only."""
    with sqlite_file(migrated, tmp_path) as made:
        yield made


@pytest.fixture
def postgres_database_(databases: Databases) -> Iterator[PostgresDatabase]:
    """For what concerns PostgreSQL only."""
    with postgres_database(databases) as made:
        yield made


@pytest.fixture
def empty_sqlite(tmp_path: Path) -> SqliteFile:
    """A file that isn't there yet."""
    return SqliteFile(f"sqlite:///{tmp_path}/empty.db")


@pytest.fixture
def empty_postgres(postgres_server: Postgres) -> Iterator[PostgresDatabase]:  # noqa: F811
    """A database without tables."""
    with empty_database_of(postgres_server) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database(request: pytest.FixtureRequest) -> Database:
    """A database on which Stepwell was never."""
    found: Database = request.getfixturevalue(f"empty_{request.param}")
    return found


@pytest.fixture
def bullmq_database(postgres_database_: PostgresDatabase, valkey_server: Valkey) -> PostgresDatabase:  # noqa: F811
    """PostgreSQL, with BullMQ as the queue beside it."""
    valkey_server.flush()
    postgres_database_.settings |= {"queue_url": valkey_server.url, "queue_prefix": f"test{uuid4().hex[:8]}"}
    return postgres_database_


@pytest.fixture
def pooled_database(
    postgres_database_: PostgresDatabase,
    postgres_server: Postgres,  # noqa: F811
) -> Iterator[PostgresDatabase]:
    """PostgreSQL behind a pooler in transaction mode: sessions are another's from one transaction to the next."""
    with TransactionPooler(postgres_server.root) as pooler:
        url = pooler.url(postgres_database_.url.rpartition("/")[2])
        postgres_database_.settings |= {"database_url": url, "transaction_pooler": True}
        yield postgres_database_


@pytest.fixture(scope="session")
def schemas(postgres_server: Postgres) -> Iterator[Databases]:  # noqa: F811
    """Databases with the tables in a schema of their own."""
    made = Databases(postgres_server, lambda url: migrate(url, SCHEMA), name="schema")
    yield made
    made.close()


@pytest.fixture
def schema_database(schemas: Databases) -> Iterator[PostgresDatabase]:
    """PostgreSQL with the tables in a schema of an odd name."""
    with postgres_database(schemas, SCHEMA) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    """The database, and what stands before it or beside it. Folders and files have their own lists."""
    return str(request.param)


@pytest.fixture
def database(backend: str, request: pytest.FixtureRequest) -> Database:
    """A database of the test's own; every Stepwell of the test opens the same one."""
    names = {"postgres": "postgres_database_"}
    found: Database = request.getfixturevalue(names.get(backend, f"{backend}_database"))
    return found


@pytest.fixture
def database_url(database: Database) -> str:
    """Where `database` is."""
    return database.url


@pytest.fixture
def commits(database: Database) -> Iterator[Commits]:
    """A way to lose the answers to commits, for a Stepwell on the `url` of this."""
    if isinstance(database, PostgresDatabase):
        with postgres_commits(database.url) as made:
            yield made
    else:
        yield SqliteCommits(database.url)


PATIENT = {"lease_seconds": 120, "transaction_seconds": 600, "cleanup_seconds": 600}
"""What a machine that stands still for a while must not end, where a test doesn't say otherwise."""


@pytest.fixture
def stepwell_on(database: Database) -> Callable[..., Stepwell]:
    """`stepwell_on(apps, **settings)`: a Stepwell to be opened with `async with`; classes are put into an app `shop`."""

    def made(
        apps: Sequence[App | type[Workflow[Any, Any, Any]]],
        *,
        embedded_worker: bool = True,
        clock: Any = None,
        **settings: Any,
    ) -> Stepwell:
        given = [one for one in apps if isinstance(one, App)]
        classes = [one for one in apps if not isinstance(one, App)]
        if classes:
            given.append(App("shop", workflows=classes))
        return Stepwell(
            apps=given,
            settings=Settings(_env_file=None, **{**PATIENT, **database.settings, **settings}),
            embedded_worker=embedded_worker,
            clock=clock,
        )

    return made


class _Kept(Settings):
    """Settings whose database stays what it is: a harness would have one of its own."""

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Settings:
        ours = self.model_dump(include={"database_url", "database_schema", "transaction_pooler"})
        return super().model_copy(update={**(update or {}), **ours}, deep=deep)


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Further backends are for `make test-all`. Harnesses, whose time a test moves and Redis' doesn't, need no queue."""
    found = [one for one in items if "harness_of" in getattr(one, "fixturenames", ()) and backend_of(one) == "bullmq"]
    if found:
        config.hook.pytest_deselected(items=found)
        left = set(items) - set(found)
        items[:] = [one for one in items if one in left]
    for item in items:
        mark(item)


@pytest.fixture
def harness_of(database: Database) -> Callable[..., Harness]:
    """`harness_of(apps, **settings)`: a Stepwell on the database with a clock that only the test moves."""

    def made(apps: Sequence[App], **settings: Any) -> Harness:
        return Harness(apps, settings=_Kept(_env_file=None, **{**PATIENT, **database.settings, **settings}))

    return made


@pytest.fixture
def harness_on(harness_of: Callable[..., Harness]) -> Callable[..., Harness]:
    """`harness_on(classes, **settings)`: the same of an app `shop`."""

    def made(classes: Sequence[type[Workflow[Any, Any, Any]]], **settings: Any) -> Harness:
        return harness_of([App("shop", workflows=classes)], **settings)

    return made


@pytest.fixture
def harness_for(backend: str, request: pytest.FixtureRequest) -> Callable[..., Harness]:
    """`harness_for(apps, ...)`: a harness as users make one; it and its crashes have databases of their own."""
    server = request.getfixturevalue("postgres_server").root if backend == "postgres" else None

    def made(apps: Sequence[App], *given: Any, **options: Any) -> Harness:
        return Harness(apps, *given, server=server, **options)

    return made

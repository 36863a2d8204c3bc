"""A process has at most `Settings.database_connections` connections, whatever it does, and none once it is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event, text

from backends import PostgresDatabase
from conformance.support import ME, StepwellOn, reaches, until
from stepwell import END, Settings, Stepwell, Workflow, transition
from stepwell.errors import ConfigurationError, StoreUnavailable
from stepwell.store.postgres.store import _SINGLE, _TRANSACTIONS, FEWEST, _split

OURS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'stepwell'"
COUNT = f"SELECT count(*) {OURS}"
END_ALL = f"SELECT pg_terminate_backend(pid) {OURS}"


class Books(Workflow):
    @transition(target=END)
    async def book(self) -> None:
        async with self.transaction() as connection:
            await connection.execute(text("SELECT pg_sleep(0.02)"))


class Steps(Workflow):
    @transition(target="a")
    async def one(self) -> None: ...

    @transition("a", END)
    async def two(self) -> None: ...


class Ask(Workflow):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def answer(self) -> None: ...


@pytest.fixture
def database(postgres_database_: PostgresDatabase) -> PostgresDatabase:
    return postgres_database_


class Counted:
    """The most connections that there were at once."""

    most = 0
    looks = 0


@asynccontextmanager
async def counted(database: PostgresDatabase) -> AsyncIterator[Counted]:
    """Looks every few milliseconds."""
    found = Counted()
    connection = await asyncpg.connect(database.url)

    async def look() -> None:
        while True:
            found.most = max(found.most, await connection.fetchval(COUNT))
            found.looks += 1
            await asyncio.sleep(0.005)

    looking = asyncio.ensure_future(look())
    try:
        yield found
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await connection.close()


async def everything_at_once(stepwell: Stepwell, database: PostgresDatabase) -> None:
    """Starts, checkpoints, transactions, reads, and a write that waits for somebody's lock, all ended well."""
    runner = stepwell.runner
    held = (await runner.run_sync(Ask, **ME)).workflow_id or ""
    with database.holding("SELECT 1 FROM stepwell_runs WHERE id=? FOR UPDATE", held):
        waiting = asyncio.ensure_future(runner.signal(held, "answer"))
        kinds: list[Any] = [Books] * 40 + [Steps] * 100
        handles = await asyncio.gather(*(runner.run(kind, **ME) for kind in kinds))
        results = asyncio.gather(*(handle.result(60) for handle in handles))
        await asyncio.gather(*(runner.list(limit=100) for _ in range(100)), *(runner.history(held) for _ in range(100)))
        await results
    await waiting
    await reaches(runner, held, "completed")


@pytest.mark.parametrize("connections", [FEWEST, 9, 10, 12, 18])
async def test_there_are_never_more_connections_than_the_settings_say(
    stepwell_on: StepwellOn, database: PostgresDatabase, connections: int
) -> None:
    async with counted(database) as found:
        async with stepwell_on([Books, Steps, Ask], database_connections=connections) as stepwell:
            await everything_at_once(stepwell, database)
            most, found.most = found.most, 0
            database.read(END_ALL)
            await everything_at_once(stepwell, database)
        assert 5 <= most <= connections
        assert 5 <= found.most <= connections, "after all of them were lost"
        assert found.looks > 20
    await until(database.abandoned, "the end of every connection")


@pytest.mark.thorough
async def test_an_idle_process_has_few_connections_and_asks_at_most_once_a_second(
    stepwell_on: StepwellOn, database: PostgresDatabase
) -> None:
    # Counted here: the server's own counts come late, when a session has something else to do.
    async with stepwell_on([Steps], lease_seconds=30) as stepwell:
        asked: list[str] = []
        store: Any = stepwell.process.store  # type: ignore[union-attr]
        flushers = (store.writer._flusher, store.writer._patient, store.beats._flusher)
        engines = [store._reader.sync_engine, *(one.engine for one in flushers)]
        await (await stepwell.runner.run(Steps, **ME)).result(60)
        await stepwell.runner.schedules.create("s", Steps, every=timedelta(days=1), **ME)
        await asyncio.sleep(0.5)
        for engine in engines:
            event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
        assert database.connected() <= 6
        await asyncio.sleep(12)  # more than one heartbeat
        assert 1 <= len(asked) <= 12, asked


async def test_too_few_connections_are_refused(database: PostgresDatabase) -> None:
    settings = Settings(_env_file=None, database_url=database.url, database_connections=FEWEST - 1)
    with pytest.raises(ConfigurationError, match=rf"database_connections={FEWEST - 1}.*needs {FEWEST} at least"):
        async with Stepwell(apps=[], settings=settings):
            pass


@pytest.mark.parametrize("connections", [*range(11, 40), 1_000])
def test_every_kind_of_reads_has_a_reader_and_the_application_the_most(connections: int) -> None:
    readers = connections - _SINGLE - _TRANSACTIONS - 1  # for health checks
    own, of_application, for_users = _split(readers)
    assert own + of_application + for_users == readers
    assert 1 <= own <= of_application
    assert 1 <= for_users <= of_application


async def test_three_transactions_are_open_at_once_whatever_the_number_of_connections(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Steps], embedded_worker=False, database_connections=FEWEST) as stepwell:
        assert stepwell.process is not None
        async with AsyncExitStack() as opened, asyncio.timeout(60):
            for _ in range(3):
                await opened.enter_async_context(stepwell.process.store.transaction())


async def test_who_reads_while_all_connections_are_lost_hears_of_nothing(
    stepwell_on: StepwellOn, database: PostgresDatabase
) -> None:
    """A pooled connection that was good when it was last used says nothing about the database now."""
    async with stepwell_on([Steps], embedded_worker=False, database_connections=12) as stepwell:
        handles = await asyncio.gather(*(stepwell.runner.run(Steps, **ME) for _ in range(20)))
        await asyncio.gather(*(handle.get() for handle in handles))
        for _ in range(5):
            database.read(END_ALL)
            found = await asyncio.gather(*(handle.get() for handle in handles), return_exceptions=True)
            assert not [one for one in found if isinstance(one, StoreUnavailable)], found

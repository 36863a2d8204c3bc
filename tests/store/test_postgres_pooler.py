"""Behind a pooler in transaction mode (PgBouncer) nothing is listened for: processes ask, and lose half a second by it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from backends import PostgresDatabase
from conformance.support import ME, Gate, StepwellOn, buried, reaches, until
from servers.pooler import TransactionPooler
from servers.postgres import Postgres
from stepwell import END, Settings, Stepwell, Workflow, transition
from stepwell.errors import ConfigurationError, RunFailed

SIZE = 3

gate = Gate()
calls: list[str] = []


class Long(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        calls.append("go")
        await gate.pass_through()


class Steps(Workflow[None, None, str]):
    @transition(target="a")
    async def one(self) -> None: ...

    @transition("a", END)
    async def two(self) -> str:
        return "done"


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    calls.clear()


@pytest.fixture
def pooler(postgres_server: Postgres) -> Iterator[TransactionPooler]:
    with TransactionPooler(postgres_server.root, size=SIZE) as made:
        yield made


@pytest.fixture
def database(postgres_database_: PostgresDatabase, pooler: TransactionPooler) -> PostgresDatabase:
    url = pooler.url(postgres_database_.url.rpartition("/")[2])
    postgres_database_.settings |= {"database_url": url, "transaction_pooler": True}
    return postgres_database_


async def test_two_processes_share_few_connections(stepwell_on: StepwellOn, pooler: TransactionPooler) -> None:
    async with stepwell_on([Steps]) as one, stepwell_on([Steps]) as other:
        handles = await asyncio.gather(*(stepwell.runner.run(Steps, **ME) for stepwell in (one, other) * 100))
        assert await asyncio.gather(*(handle.result(60) for handle in handles)) == ["done"] * 200
        await asyncio.gather(*(one.runner.list(limit=10) for _ in range(50)))
    assert pooler.most <= SIZE + 1  # one more for whoever connects as the database is looked at first
    assert pooler.transactions > 20


async def test_what_one_process_does_is_seen_by_another(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Steps, Long], embedded_worker=False) as application, stepwell_on([Steps, Long]):
        handle = await application.runner.run(Steps, **ME)
        assert await handle.result(60) == "done"
        handle = await application.runner.run(Long, **ME)
        await gate.reached()
        await application.runner.cancel(handle.workflow_id)

        async def stopped() -> bool:
            return gate.cancelled == 1

        await until(stopped)
        with pytest.raises(RunFailed):
            await handle.result(60)


async def test_a_dead_processes_run_is_taken_over(stepwell_on: StepwellOn) -> None:
    one = stepwell_on([Long])
    await one.__aenter__()
    handle = await one.runner.run(Long, **ME)
    await gate.reached()
    assert one.process is not None
    await one.process.close(hand_over=False)
    gate.open()
    async with stepwell_on([Long]) as two:
        await buried(two)
        await reaches(two.runner, handle.workflow_id, "completed")
    assert calls == ["go", "go"]


async def test_a_pooler_that_isnt_named_in_the_settings_is_told_of_in_one_line(
    database: PostgresDatabase,
) -> None:
    settings: Any = Settings(_env_file=None, database_url=database.settings["database_url"])
    with pytest.raises(ConfigurationError, match=r"unsupported startup parameter.*transaction_pooler") as caught:
        async with Stepwell(apps=[], settings=settings):
            pass
    assert "\n" not in str(caught.value)

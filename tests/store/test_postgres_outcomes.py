"""A COMMIT whose sender is gone before the server makes it: doing it again waits behind it, and finds it (rule 35)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert

from backends import PostgresDatabase
from commits import Commits, postgres_commits
from conformance.support import ME, StepwellOn
from stepwell import END, Stepwell, Workflow, transition
from stepwell.errors import StoreUnavailable
from stepwell.store.postgres.store import PostgresStore

users = MetaData()
payments = Table("payments", users, Column("id", Integer, primary_key=True))
calls: list[str] = []


class Two(Workflow):
    @transition(target="between")
    async def first(self) -> None:
        calls.append("first")

    @transition("between", END)
    async def second(self) -> None:
        calls.append("second")


class Pays(Workflow):
    @transition(target=END)
    async def pay(self) -> None:
        calls.append("pay")
        async with self.transaction() as connection:
            await connection.execute(insert(payments).values())


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()


@pytest.fixture
def database(postgres_database_: PostgresDatabase) -> PostgresDatabase:
    return postgres_database_


@pytest.fixture
def commits(database: PostgresDatabase) -> Iterator[Commits]:
    with postgres_commits(database.url) as made:
        yield made


def store_of(stepwell: Stepwell) -> PostgresStore:
    assert stepwell.process is not None
    assert isinstance(stepwell.process.store, PostgresStore)
    return stepwell.process.store


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_start_that_is_committed_late_is_one_start(
    stepwell_on: StepwellOn, database: PostgresDatabase, commits: Commits, key: str | None
) -> None:
    async with stepwell_on([Two], embedded_worker=False, database_url=commits.url) as stepwell:
        happened = await store_of(stepwell).writer.call(lambda tx: commits.break_next(tx.connection.engine, "late"))
        handle = await stepwell.runner.run(Two, **ME, idempotency_key=key)
        assert happened == ["late"]
        assert handle.created
        assert database.read("SELECT id, version FROM stepwell_runs") == [(handle.workflow_id, 0)]
        assert database.read("SELECT run_id, version FROM stepwell_history") == [(handle.workflow_id, 0)]


async def test_a_checkpoint_that_is_committed_late_is_made_once(
    stepwell_on: StepwellOn, database: PostgresDatabase, commits: Commits
) -> None:
    async with stepwell_on([Two], database_url=commits.url) as stepwell:
        happened = await store_of(stepwell).writer.call(
            lambda tx: commits.break_next(tx.connection.engine, "late", if_=lambda: calls == ["first"])
        )
        handle = await stepwell.runner.run(Two, **ME)
        await handle.result(60)
        assert happened == ["late"]
    assert calls == ["first", "second"]
    assert database.read("SELECT version, transition FROM stepwell_history ORDER BY version") == [
        (0, None),
        (1, "first"),
        (2, "second"),
    ]


async def test_a_transaction_that_is_committed_late_is_done_once(
    stepwell_on: StepwellOn, database: PostgresDatabase, commits: Commits
) -> None:
    engine = database.engine()
    async with engine.begin() as connection:
        await connection.run_sync(users.create_all)
    await engine.dispose()
    async with stepwell_on([Pays], database_url=commits.url) as stepwell:
        happened = commits.break_next(store_of(stepwell)._transactions.sync_engine, "late")
        handle = await stepwell.runner.run(Pays, **ME)
        await handle.result(60)
        assert happened == ["late"]
    assert calls == ["pay"]
    assert database.read("SELECT count(*) FROM payments") == [(1,)]


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_claim_whose_answer_was_lost_is_given_back(
    stepwell_on: StepwellOn, database: PostgresDatabase, commits: Commits, side: Any
) -> None:
    """A worker releases what it owns and doesn't execute."""
    async with (
        stepwell_on([Two], embedded_worker=False) as starter,
        stepwell_on([Two], database_url=commits.url, lease_seconds=1.0) as worker,
    ):
        await (await starter.runner.run(Two, **ME)).result(60)
        calls.clear()
        happened = await store_of(worker).writer.call(
            lambda tx: commits.break_next(tx.connection.engine, side, writes="SKIP LOCKED")
        )
        handle = await starter.runner.run(Two, **ME)
        await handle.result(60)
        assert happened == [side]
        assert calls == ["first", "second"]


async def test_a_signal_whose_answer_was_lost_is_said_to_be_unknown(
    stepwell_on: StepwellOn, database: PostgresDatabase, commits: Commits
) -> None:
    async with stepwell_on([Caller], database_url=commits.url) as stepwell:
        run_id = (await stepwell.runner.run_sync(Caller, **ME)).workflow_id or ""
        happened = await store_of(stepwell).writer.call(
            lambda tx: commits.break_next(tx.connection.engine, "after", writes=r"INSERT INTO \S*stepwell_signals")
        )
        with pytest.raises(StoreUnavailable) as caught:
            await stepwell.runner.signal(run_id, "answer", idempotency_key="k")
        assert (happened, caught.value.outcome) == (["after"], "unknown")
        again = await stepwell.runner.signal(run_id, "answer", idempotency_key="k")
        assert again.workflow_id == run_id
        await stepwell.runner.handle(run_id).result(60)
        assert calls == ["answer"], "with a key, asking again is safe"


class Caller(Workflow):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def answer(self) -> None:
        calls.append("answer")

"""`connection=`: what a call writes is true exactly if the caller's transaction commits (rules 36, 37)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from backends import Database
from conformance.support import ME, StepwellOn, everything, reaches
from everywhere import backend  # noqa: F401 - on each of them
from servers.databases import Databases
from stepwell import END, Event, Start, Stepwell, Workflow, transition
from stepwell.errors import (
    ConfigurationError,
    IdempotencyConflict,
    InvalidArgs,
    RunFinished,
    StepwellError,
    StoreUnavailable,
    WorkflowNotFound,
)


class Order(Workflow[dict[str, Any]]):
    @transition(target=END)
    async def go(self) -> Any:
        return self.args


class Ask(Workflow):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def answer(self, text: str) -> str:
        return text

    @transition("open", END, on=Event("closed"))
    async def close(self) -> str:
        return "closed"


class Parent(Workflow):
    @transition(target="open")
    async def begin(self) -> None:
        self.state["child"] = await self.start(Ask, callback="done")

    @transition("open", END, wait=True)
    async def done(self) -> None: ...


Verb = Callable[[Stepwell, str, Any], Awaitable[Any]]

VERBS: dict[str, Verb] = {
    "run": lambda s, _, c: s.runner.run(Order, {"n": 1}, **ME, connection=c),
    "run with a key": lambda s, _, c: s.runner.run(Order, {"n": 1}, **ME, idempotency_key="k", connection=c),
    "run of a new user": lambda s, _, c: s.runner.run(Order, {}, app_name="shop", user_id="new", connection=c),
    "run_many": lambda s, _, c: s.runner.run_many([Start(Order, {}), Start(Order, {})], **ME, connection=c),
    "signal": lambda s, run_id, c: s.runner.signal(run_id, "answer", "yes", connection=c),
    "cancel": lambda s, run_id, c: s.runner.cancel(run_id, connection=c),
    "emit": lambda s, _, c: s.runner.emit("closed", connection=c),
}


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """The application's own engine on the same database, as an application makes it."""
    made = database.engine()
    yield made
    await made.dispose()


@asynccontextmanager
async def _connection(engine: AsyncEngine) -> AsyncIterator[Any]:
    async with engine.connect() as connection:
        yield connection


@asynccontextmanager
async def _session(engine: AsyncEngine) -> AsyncIterator[Any]:
    async with AsyncSession(engine) as session:
        yield session


WAYS = {"connection": _connection, "session": _session}


@pytest.fixture
async def seen(database: Database) -> Callable[[Stepwell], Awaitable[dict[str, Any]]]:
    """Everything that doesn't depend on the caller's transaction alone: on PostgreSQL, workspaces don't (rule 36)."""

    async def look(stepwell: Stepwell) -> dict[str, Any]:
        found = await everything(stepwell)
        if database.kind == "postgres":
            assert len(found.pop("stepwell_workspaces")) <= 2
        return found

    return look


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("verb", VERBS)
async def test_it_is_rolled_back_with_the_caller(
    stepwell_on: StepwellOn, engine: AsyncEngine, seen: Any, verb: str, way: str
) -> None:
    async with stepwell_on([Order, Ask]) as stepwell:
        parked = await stepwell.runner.run_sync(Ask, **ME)
        before = await seen(stepwell)
        async with WAYS[way](engine) as given:
            await VERBS[verb](stepwell, parked.workflow_id or "", given)
            await given.rollback()
        assert await seen(stepwell) == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("verb", VERBS)
async def test_it_is_rolled_back_with_a_savepoint_of_the_caller(
    stepwell_on: StepwellOn, engine: AsyncEngine, seen: Any, database: Database, verb: str, way: str
) -> None:
    database.execute("CREATE TABLE mine (n INTEGER)")
    async with stepwell_on([Order, Ask]) as stepwell:
        parked = await stepwell.runner.run_sync(Ask, **ME)
        before = await seen(stepwell)
        async with WAYS[way](engine) as given:
            await given.execute(text("INSERT INTO mine VALUES (1)"))
            savepoint = await given.begin_nested()
            await VERBS[verb](stepwell, parked.workflow_id or "", given)
            await savepoint.rollback()
            await given.execute(text("INSERT INTO mine VALUES (2)"))
            await given.commit()
        assert database.read("SELECT n FROM mine ORDER BY n") == [(1,), (2,)]
        assert await seen(stepwell) == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("verb", VERBS)
async def test_it_is_committed_with_the_caller_and_seen_by_nobody_before(
    stepwell_on: StepwellOn, engine: AsyncEngine, seen: Any, verb: str, way: str
) -> None:
    async with stepwell_on([Order, Ask]) as stepwell:
        parked = await stepwell.runner.run_sync(Ask, **ME)
        run_id = parked.workflow_id or ""
        before = await seen(stepwell)
        async with WAYS[way](engine) as given:
            await given.execute(text("CREATE TABLE IF NOT EXISTS mine (n INTEGER)"))
            await given.execute(text("INSERT INTO mine VALUES (1)"))
            answer = await VERBS[verb](stepwell, run_id, given)
            assert await seen(stepwell) == before
            await given.commit()
        if verb == "cancel":
            assert (await stepwell.runner.get(run_id)).status == "canceled"
        elif verb in ("signal", "emit"):
            assert await stepwell.runner.handle(run_id).result(60) == ("yes" if verb == "signal" else "closed")
        else:
            for handle in answer if isinstance(answer, list) else [answer]:
                assert handle.created
                await handle.result(60)


@pytest.mark.parametrize("commits", [True, False], ids=["commits", "rolls back"])
async def test_a_session_that_joined_a_transaction_is_true_only_with_it(
    stepwell_on: StepwellOn, engine: AsyncEngine, database: Database, seen: Any, commits: bool
) -> None:
    """Its own commit says nothing: whoever began the transaction may roll back later (rule 37)."""
    database.execute("CREATE TABLE mine (n INTEGER)")
    async with stepwell_on([Order]) as stepwell, engine.connect() as connection:
        before = await seen(stepwell)
        outer = await connection.begin()
        await connection.execute(text("INSERT INTO mine VALUES (1)"))
        async with AsyncSession(bind=connection, join_transaction_mode="create_savepoint") as session:
            handle = await stepwell.runner.run(Order, {"n": 1}, **ME, connection=session)
            await session.commit()
        await asyncio.sleep(0.1)
        assert await seen(stepwell) == before
        await (outer.commit() if commits else outer.rollback())
        if commits:
            assert await handle.result(60) == {"n": 1}
        else:
            assert await seen(stepwell) == before
            with pytest.raises(WorkflowNotFound):
                await handle.result(60)


async def test_a_caller_waits_for_other_writers_and_they_for_it(stepwell_on: StepwellOn, engine: AsyncEngine) -> None:
    async with stepwell_on([Order]) as stepwell:

        async def mine(n: int) -> Any:
            async with engine.begin() as connection:
                return await stepwell.runner.run(Order, {"n": n}, **ME, connection=connection)

        handles = await asyncio.gather(
            *(mine(n) for n in range(5)), *(stepwell.runner.run(Order, {"n": n}, **ME) for n in range(5, 30))
        )
        results = await asyncio.gather(*(handle.result(60) for handle in handles))
        assert sorted(result["n"] for result in results) == list(range(30))


async def test_refusals_write_nothing_and_leave_the_transaction_usable(
    stepwell_on: StepwellOn, engine: AsyncEngine
) -> None:
    async with stepwell_on([Order, Ask]) as stepwell:
        first = await stepwell.runner.run(Order, {"n": 1}, **ME, idempotency_key="k")
        await first.result(60)
        before = await everything(stepwell)
        async with engine.begin() as connection:
            for error, call in (
                (InvalidArgs, lambda: stepwell.runner.run(Order, "no", **ME, connection=connection)),
                (
                    IdempotencyConflict,
                    lambda: stepwell.runner.run(Order, {"n": 2}, **ME, idempotency_key="k", connection=connection),
                ),
                (RunFinished, lambda: stepwell.runner.cancel(first.workflow_id, connection=connection)),
            ):
                with pytest.raises(error):
                    await call()
            again = await stepwell.runner.run(Order, {"n": 1}, **ME, idempotency_key="k", connection=connection)
            assert (again.workflow_id, again.created) == (first.workflow_id, False)
        assert await everything(stepwell) == before


REFUSE_HISTORY = {
    "sqlite": (
        "CREATE TRIGGER refuse BEFORE INSERT ON stepwell_history BEGIN SELECT RAISE(ABORT, 'no history today'); END",
    ),
    "postgres": (
        "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'no history today'; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER refuse BEFORE INSERT ON stepwell_history FOR EACH ROW EXECUTE FUNCTION refuse()",
    ),
}
"""What makes the second statement of a start fail, in the database itself."""


async def test_a_failure_midway_leaves_nothing_of_the_call_and_all_of_the_caller(
    stepwell_on: StepwellOn, engine: AsyncEngine, database: Database, seen: Any
) -> None:
    async with stepwell_on([Order], embedded_worker=False) as stepwell:
        before = await seen(stepwell)
        for statement in REFUSE_HISTORY[database.kind]:
            database.execute(statement)
        async with engine.connect() as connection:
            await connection.execute(text("CREATE TABLE mine (n INTEGER)"))
            await connection.execute(text("INSERT INTO mine VALUES (1)"))
            with pytest.raises((StoreUnavailable, DBAPIError), match="no history today"):
                await stepwell.runner.run(Order, {}, **ME, connection=connection)
            await connection.commit()
            assert (await connection.execute(text("SELECT n FROM mine"))).scalar() == 1
        assert await seen(stepwell) == before


@pytest.fixture
def other_databases(databases: Databases, tmp_path: Path) -> Iterator[list[tuple[str, str]]]:
    """(URL, name) of databases that aren't Stepwell's, of either kind."""
    url = databases.take()
    yield [
        (f"sqlite+aiosqlite:///{tmp_path}/other.db", r"other\.db"),
        (url.replace("postgresql:", "postgresql+asyncpg:"), url.rpartition("/")[2]),
    ]
    databases.give_back(url)


async def test_another_database_or_another_thing_is_refused(
    stepwell_on: StepwellOn, other_databases: list[tuple[str, str]]
) -> None:
    async with stepwell_on([Order]) as stepwell:
        for url, name in other_databases:
            other = create_async_engine(url)
            async with other.connect() as connection:
                with pytest.raises(ConfigurationError, match=rf"{name}.*not on Stepwell's database"):
                    await stepwell.runner.run(Order, {}, **ME, connection=connection)
            await other.dispose()
        with pytest.raises(ConfigurationError, match="neither an AsyncConnection nor an AsyncSession"):
            await stepwell.runner.run(Order, {}, **ME, connection="sqlite://")  # type: ignore[arg-type]
        assert not (await everything(stepwell))["stepwell_runs"]


async def test_two_runs_in_one_transaction_share_a_new_workspace(stepwell_on: StepwellOn, engine: AsyncEngine) -> None:
    async with stepwell_on([Order]) as stepwell:
        async with engine.begin() as connection:
            one = await stepwell.runner.run(Order, {}, **ME, connection=connection)
            two = await stepwell.runner.run(Order, {}, **ME, connection=connection)
        runs = [await handle.get() for handle in (one, two)]
        assert runs[0].workspace_id == runs[1].workspace_id
        assert len((await everything(stepwell))["stepwell_workspaces"]) == 1


async def test_a_workspace_rolled_back_is_made_again(stepwell_on: StepwellOn, engine: AsyncEngine) -> None:
    async with stepwell_on([Order]) as stepwell:
        async with engine.connect() as connection:
            await stepwell.runner.run(Order, {}, **ME, connection=connection)
            await connection.rollback()
        await (await stepwell.runner.run(Order, {}, **ME)).result(60)
        assert len((await everything(stepwell))["stepwell_workspaces"]) == 1


async def test_children_of_a_run_canceled_in_a_transaction_follow_soon(
    stepwell_on: StepwellOn, engine: AsyncEngine
) -> None:
    async with stepwell_on([Parent, Ask]) as stepwell:
        handle = await stepwell.runner.run(Parent, **ME)
        run = await reaches(stepwell.runner, handle.workflow_id, "waiting")
        await reaches(stepwell.runner, run.state["child"], "waiting")
        async with engine.begin() as connection:
            await stepwell.runner.cancel(handle.workflow_id, connection=connection)
            await asyncio.sleep(0.02)
        await reaches(stepwell.runner, run.state["child"], "canceled")


async def test_verbs_that_only_read_or_wait_take_no_connection(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order]) as stepwell:
        with pytest.raises(TypeError):
            await stepwell.runner.run_sync(Order, **ME, connection=None)  # type: ignore[call-overload]
        assert issubclass(ConfigurationError, StepwellError)

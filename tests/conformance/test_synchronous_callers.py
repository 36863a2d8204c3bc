"""`runner.blocking`, `connection=`: what a call writes is true exactly if the caller's synchronous transaction commits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from backends import Database
from conformance.support import ME, StepwellOn, everything
from conformance.test_callers_transaction import REFUSE_HISTORY, Ask, Order
from everywhere import backend  # noqa: F401 - on each of them
from servers.databases import Databases
from stepwell import END, Start, Stepwell, Workflow, transition
from stepwell.errors import (
    ConfigurationError,
    IdempotencyConflict,
    InvalidArgs,
    RunFinished,
    StepwellError,
    StoreUnavailable,
    WorkflowNotFound,
)

Verb = Callable[[Any, str, Any], Any]

VERBS: dict[str, Verb] = {
    "run": lambda r, _, c: r.run(Order, {"n": "ü 😀 'x' 100% $1 ?"}, **ME, labels=["a'b"], priority=3, connection=c),
    "run with a key": lambda r, _, c: r.run(Order, {"n": 1}, **ME, idempotency_key="k", connection=c),
    "run of a new user": lambda r, _, c: r.run(Order, {}, app_name="shop", user_id="new", connection=c),
    "run_many": lambda r, _, c: r.run_many([Start(Order, {}), Start(Order, {})], **ME, connection=c),
    "signal": lambda r, run_id, c: r.signal(run_id, "answer", "yes", connection=c),
    "cancel": lambda r, run_id, c: r.cancel(run_id, reason="it's off", connection=c),
    "emit": lambda r, _, c: r.emit("closed", connection=c),
}


WAYS: dict[str, Callable[[Engine], AbstractContextManager[Any]]] = {"connection": Engine.connect, "session": Session}


@pytest.fixture
def engines(database: Database) -> Iterator[list[Engine]]:
    """The application's own engines on the same database, one of each driver."""
    made = [database.blocking_engine(driver) for driver in database.drivers]
    yield made
    for one in made:
        one.dispose()


@pytest.fixture
def engine(engines: list[Engine]) -> Engine:
    return engines[0]


def seen(stepwell: Stepwell) -> dict[str, Any]:
    """Everything that depends on the caller's transaction alone: on PostgreSQL, workspaces don't (rule 36)."""
    found = asyncio.run_coroutine_threadsafe(everything(stepwell), stepwell.opening.blocking()).result(60)
    if stepwell.process is not None and stepwell.process.store.keeps_time:
        del found["stepwell_workspaces"]
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_there_after_a_rollback(stepwell_on: StepwellOn, engines: list[Engine], verb: str, way: str) -> None:
    with stepwell_on([Order, Ask]) as stepwell:
        parked = stepwell.runner.blocking.run_sync(Ask, **ME)
        before = seen(stepwell)
        for engine in engines:
            with WAYS[way](engine) as given:
                VERBS[verb](stepwell.runner.blocking, parked.workflow_id or "", given)
                given.rollback()
            assert seen(stepwell) == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_there_after_a_rollback_to_a_savepoint_of_the_caller(
    stepwell_on: StepwellOn, engines: list[Engine], database: Database, verb: str, way: str
) -> None:
    database.execute("CREATE TABLE mine (n INTEGER)")
    with stepwell_on([Order, Ask]) as stepwell:
        parked = stepwell.runner.blocking.run_sync(Ask, **ME)
        before = seen(stepwell)
        for engine in engines:
            with WAYS[way](engine) as given:
                given.execute(text("INSERT INTO mine VALUES (1)"))
                savepoint = given.begin_nested()
                VERBS[verb](stepwell.runner.blocking, parked.workflow_id or "", given)
                savepoint.rollback()
                given.execute(text("INSERT INTO mine VALUES (2)"))
                given.commit()
        assert sorted(database.read("SELECT n FROM mine")) == [(1,)] * len(engines) + [(2,)] * len(engines)
        assert seen(stepwell) == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("verb", VERBS)
def test_it_is_there_once_the_caller_commits_and_not_before(
    stepwell_on: StepwellOn, engines: list[Engine], database: Database, verb: str, way: str
) -> None:
    database.execute("CREATE TABLE mine (n INTEGER)")
    with stepwell_on([Order, Ask]) as stepwell:
        runner = stepwell.runner.blocking
        for engine in engines:
            run_id = runner.run_sync(Ask, **ME).workflow_id or ""
            before = seen(stepwell)
            with WAYS[way](engine) as given:
                given.execute(text("INSERT INTO mine VALUES (1)"))
                answer = VERBS[verb](runner, run_id, given)
                assert seen(stepwell) == before
                given.commit()
            if verb == "cancel":
                assert runner.get(run_id).error == "canceled: it's off"
            elif verb in ("signal", "emit"):
                assert runner.handle(run_id).result(60) == ("yes" if verb == "signal" else "closed")
            else:
                for handle in answer if isinstance(answer, list) else [answer]:
                    assert handle.created is (verb != "run with a key" or engine is engines[0])
                    assert handle.result(60) == handle.get().args


def test_a_scoped_session_is_that_of_the_calling_thread(stepwell_on: StepwellOn, engine: Engine) -> None:
    session = scoped_session(sessionmaker(engine))
    with stepwell_on([Order]) as stepwell:
        before = seen(stepwell)
        stepwell.runner.blocking.run(Order, {}, **ME, connection=session)
        session.rollback()
        assert seen(stepwell) == before
        run = stepwell.runner.blocking.run(Order, {"n": 1}, **ME, connection=session)
        session.commit()
        assert run.result(60) == {"n": 1}
    session.remove()


def test_what_was_written_is_seen_in_the_same_transaction(stepwell_on: StepwellOn, engine: Engine) -> None:
    with stepwell_on([Order, Ask], embedded_worker=False) as stepwell, Session(engine) as session:
        runner = stepwell.runner.blocking
        run = runner.run(Ask, **ME, idempotency_key="k", connection=session)
        again = runner.run(Ask, **ME, idempotency_key="k", connection=session)
        assert (again.workflow_id, again.created) == (run.workflow_id, False)
        assert runner.cancel(run.workflow_id, connection=session).status == "canceled"
        with pytest.raises(RunFinished):
            runner.signal(run.workflow_id, "answer", "yes", connection=session)
        with pytest.raises(WorkflowNotFound):
            run.get()
        session.commit()
        assert run.get().status == "canceled"


def test_refusals_write_nothing_and_leave_the_transaction_usable(
    stepwell_on: StepwellOn, engines: list[Engine]
) -> None:
    with stepwell_on([Order, Ask]) as stepwell:
        runner = stepwell.runner.blocking
        first = runner.run(Order, {"n": 1}, **ME, idempotency_key="k")
        first.result(60)
        before = seen(stepwell)
        for engine in engines:
            with engine.begin() as given:
                with pytest.raises(InvalidArgs):
                    runner.run(Order, "no", **ME, connection=given)
                with pytest.raises(IdempotencyConflict):
                    runner.run(Order, {"n": 2}, **ME, idempotency_key="k", connection=given)
                with pytest.raises(RunFinished):
                    runner.cancel(first.workflow_id, connection=given)
                with pytest.raises(WorkflowNotFound):
                    runner.as_user("u2").cancel(first.workflow_id, connection=given)
                again = runner.run(Order, {"n": 1}, **ME, idempotency_key="k", connection=given)
                assert (again.workflow_id, again.created) == (first.workflow_id, False)
            assert seen(stepwell) == before


def test_a_failure_midway_leaves_nothing_of_the_call_and_all_of_the_caller(
    stepwell_on: StepwellOn, engines: list[Engine], database: Database
) -> None:
    database.execute("CREATE TABLE mine (n INTEGER)")
    with stepwell_on([Order], embedded_worker=False) as stepwell:
        before = seen(stepwell)
        for statement in REFUSE_HISTORY[database.kind]:
            database.execute(statement)
        for engine in engines:
            with engine.connect() as given:
                given.execute(text("INSERT INTO mine VALUES (1)"))
                with pytest.raises(StoreUnavailable, match="no history today"):
                    stepwell.runner.blocking.run(Order, {}, **ME, connection=given)
                given.commit()
        assert len(database.read("SELECT n FROM mine")) == len(engines)
        assert seen(stepwell) == before


LEVELS = {"sqlite": ["SERIALIZABLE"], "postgres": ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]}


def test_the_callers_isolation_level_is_kept(stepwell_on: StepwellOn, database: Database) -> None:
    database.execute("CREATE TABLE mine (n INTEGER)")
    with stepwell_on([Order]) as stepwell:
        for driver in database.drivers:
            for level in LEVELS[database.kind]:
                engine = database.blocking_engine(driver, isolation_level=level)
                with engine.begin() as given:
                    given.execute(text("INSERT INTO mine SELECT count(*) FROM mine"))  # its snapshot is taken
                    user = f"{driver} {level}"
                    run = stepwell.runner.blocking.run(Order, {}, app_name="shop", user_id=user, connection=given)
                    assert given.get_isolation_level() == level
                assert run.result(60) == {}
                engine.dispose()


# in SQLite a snapshot that isn't the newest can't be written at all
@pytest.mark.parametrize("backend", ["postgres", "pooled", "schema"])
def test_a_key_that_the_callers_snapshot_does_not_show_is_refused_with_the_cure(
    stepwell_on: StepwellOn, database: Database
) -> None:
    with stepwell_on([Order], embedded_worker=False) as stepwell:
        runner = stepwell.runner.blocking
        for driver in database.drivers:
            engine = database.blocking_engine(driver, isolation_level="REPEATABLE READ")
            with engine.begin() as given:
                given.execute(text("SELECT 1"))
                first = runner.run(Order, {}, **ME, idempotency_key=driver)
                with pytest.raises(StoreUnavailable, match="since yours began: roll back, and begin again"):
                    runner.run(Order, {}, **ME, idempotency_key=driver, connection=given)
            with engine.begin() as given:
                again = runner.run(Order, {}, **ME, idempotency_key=driver, connection=given)
            assert (again.workflow_id, again.created) == (first.workflow_id, False)
            engine.dispose()


# PostgreSQL has no lock on the database
@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_transaction_that_has_read_before_another_wrote_is_refused_with_the_cure(
    stepwell_on: StepwellOn, database: Database, engine: Engine
) -> None:
    event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with stepwell_on([Order], embedded_worker=False) as stepwell:
        runner = stepwell.runner.blocking
        with engine.connect() as given:
            given.execute(text("SELECT count(*) FROM stepwell_runs")).all()
            runner.run(Order, {}, **ME)
            with pytest.raises(StoreUnavailable, match="begin it with a write, or with BEGIN IMMEDIATE"):
                runner.run(Order, {}, **ME, connection=given)
            given.rollback()
        with engine.begin() as given:
            runner.run(Order, {}, **ME, connection=given)
        assert len(runner.list().items) == 2


def test_a_caller_waits_for_other_writers_and_they_for_it(stepwell_on: StepwellOn, engine: Engine) -> None:
    with stepwell_on([Order]) as stepwell, ThreadPoolExecutor(8) as threads:
        runner = stepwell.runner.blocking

        def mine(n: int) -> Any:
            with engine.begin() as given:
                return runner.run(Order, {"n": n}, **ME, connection=given)

        ours = [threads.submit(mine, n) for n in range(20)]
        theirs = [threads.submit(runner.run, Order, {"n": n}, **ME) for n in range(20, 40)]
        results = [one.result(60).result(60)["n"] for one in (*ours, *theirs)]
        assert results == list(range(40))


def test_one_key_in_two_transactions_starts_one_run(stepwell_on: StepwellOn, engine: Engine) -> None:
    with stepwell_on([Order]) as stepwell, ThreadPoolExecutor(2) as threads:
        both = threading.Barrier(2)

        def mine() -> Any:
            both.wait(60)
            with engine.begin() as given:
                return stepwell.runner.blocking.run(Order, {}, **ME, idempotency_key="k", connection=given)

        for _ in range(5):
            handles = [one.result(60) for one in [threads.submit(mine), threads.submit(mine)]]
            assert handles[0].workflow_id == handles[1].workflow_id
        assert len(stepwell.runner.blocking.list().items) == 1


def test_workers_are_woken_after_the_commit_however_late_it_comes(stepwell_on: StepwellOn, engine: Engine) -> None:
    with stepwell_on([Order]) as stepwell:
        assert stepwell.process is not None
        with engine.begin() as given:
            run = stepwell.runner.blocking.run(Order, {"n": 1}, **ME, connection=given)
            # Longer than the last of the hints that follow the call.
            threading.Event().wait(0.7)
        assert run.result(60) == {"n": 1}


@pytest.fixture
def others(databases: Databases, tmp_path: Path) -> Iterator[list[tuple[str, str]]]:
    """(URL, name) of databases that aren't Stepwell's, of either kind."""
    url = databases.take()
    name = url.rpartition("/")[2]
    postgres = [(url.replace("postgresql:", f"postgresql+{driver}:"), name) for driver in ("psycopg", "psycopg2")]
    yield [(f"sqlite:///{tmp_path}/other.db", r"other\.db"), *postgres]
    databases.give_back(url)


def test_another_database_is_refused(stepwell_on: StepwellOn, others: list[tuple[str, str]]) -> None:
    with stepwell_on([Order]) as stepwell:
        for url, name in others:
            other = create_engine(url)
            with (
                other.connect() as connection,
                pytest.raises(ConfigurationError, match=rf"{name}.*not on Stepwell's database"),
            ):
                stepwell.runner.blocking.run(Order, {}, app_name="shop", user_id="new", connection=connection)
            other.dispose()
        assert not any(_everything(stepwell).values())


def _everything(stepwell: Stepwell) -> dict[str, Any]:
    return asyncio.run_coroutine_threadsafe(everything(stepwell), stepwell.opening.blocking()).result(60)


async def test_a_connection_of_the_other_kind_is_refused_with_the_cure(
    stepwell_on: StepwellOn, database: Database, engine: Engine
) -> None:
    awaited = database.engine()
    async with stepwell_on([Order]) as stepwell, awaited.connect() as connection, AsyncSession(awaited) as session:
        blocking = stepwell.runner.blocking
        scope = async_scoped_session(lambda: session, asyncio.current_task)  # type: ignore[arg-type, return-value]
        for given in (connection, session, scope, session.sync_session, connection.sync_connection):
            with pytest.raises(ConfigurationError, match="is asynchronous: await the runner"):
                await asyncio.to_thread(lambda one=given: blocking.run(Order, {}, **ME, connection=one))
        with engine.connect() as plain, Session(engine) as of_session:
            for other in (plain, of_session, scoped_session(sessionmaker(engine))):
                with pytest.raises(ConfigurationError, match=r"would block the event loop: call runner\.blocking"):
                    await stepwell.runner.run(Order, {}, **ME, connection=other)  # type: ignore[arg-type]
        for wrong in (engine, "sqlite://", 5):
            with pytest.raises(ConfigurationError, match="neither a Connection nor a Session"):
                await asyncio.to_thread(lambda one=wrong: blocking.run(Order, {}, **ME, connection=one))
            with pytest.raises(ConfigurationError, match="neither an AsyncConnection nor an AsyncSession"):
                await stepwell.runner.run(Order, {}, **ME, connection=wrong)  # type: ignore[arg-type]
        assert not any((await everything(stepwell)).values())
        awaited_run = await stepwell.runner.run(Order, {}, **ME, connection=scope)
        await session.commit()
        assert await awaited_run.result(60) == {}
    await awaited.dispose()


def test_a_closed_connection_is_refused(stepwell_on: StepwellOn, engine: Engine) -> None:
    with stepwell_on([Order]) as stepwell:
        runner = stepwell.runner.blocking
        connection = engine.connect()
        connection.close()
        session = Session(engine, close_resets_only=False)
        session.close()
        for given in (connection, session):
            with pytest.raises(ConfigurationError, match=r"connection= can't be used.*closed"):
                runner.run(Order, {}, **ME, connection=given)
        with Session(engine) as ended, ended.begin():
            ended.commit()
            with pytest.raises(ConfigurationError, match=r"connection= can't be used.*closed transaction"):
                runner.run(Order, {}, **ME, connection=ended)
        with pytest.raises(ConfigurationError, match="connection= can't be used"):
            runner.run(Order, {}, **ME, connection=Session())
        assert not any(_everything(stepwell).values())


def test_a_connection_without_transactions_is_refused(stepwell_on: StepwellOn, database: Database) -> None:
    with stepwell_on([Order]) as stepwell:
        for driver in database.drivers:
            engine = database.blocking_engine(driver, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection, pytest.raises(ConfigurationError, match="it is in autocommit"):
                stepwell.runner.blocking.run(Order, {}, **ME, connection=connection)
            engine.dispose()
        assert not any(_everything(stepwell).values()), "no workspace either"


# on SQLite a workspace is part of the caller's transaction
@pytest.mark.parametrize("backend", ["postgres", "pooled", "schema"])
def test_a_transaction_in_which_nothing_can_be_written_leaves_no_workspace(
    stepwell_on: StepwellOn, database: Database
) -> None:
    """Whatever the reason, "Nothing was stored" is true: the workspace would be outside of the transaction."""
    with stepwell_on([Order]) as stepwell:
        for driver in database.drivers:
            engine = database.blocking_engine(driver)
            with engine.connect() as connection:
                stepwell.runner.blocking.emit("nothing", connection=connection)  # so that its database is known
                for unwritable in ("SET TRANSACTION READ ONLY", "SELECT 1/0"):
                    connection.rollback()
                    with suppress(DBAPIError):
                        connection.execute(text(unwritable))
                    with pytest.raises(StoreUnavailable, match="Nothing was stored"):
                        stepwell.runner.blocking.run(Order, {}, **ME, connection=connection)
            engine.dispose()
        assert not any(_everything(stepwell).values())


async def test_an_asynchronous_connection_without_transactions_is_refused(
    stepwell_on: StepwellOn, database: Database
) -> None:
    engine = database.engine(isolation_level="AUTOCOMMIT")
    async with stepwell_on([Order]) as stepwell, engine.connect() as connection:
        with pytest.raises(ConfigurationError, match="it is in autocommit"):
            await stepwell.runner.run(Order, {}, **ME, connection=connection)
        assert not any((await everything(stepwell)).values()), "no workspace either"
    await engine.dispose()


# connections to PostgreSQL may be used in any thread, one at a time
@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_connection_of_another_thread_is_refused_where_the_driver_says_so(
    stepwell_on: StepwellOn, database: Database
) -> None:
    engine = database.blocking_engine(connect_args={"check_same_thread": True})
    with stepwell_on([Order]) as stepwell, engine.connect() as connection, ThreadPoolExecutor(1) as other:
        run = other.submit(lambda: stepwell.runner.blocking.run(Order, {}, **ME, connection=connection))
        with pytest.raises(ConfigurationError, match="can only be used in that same thread"):
            run.result(60)
        connection.rollback()
        assert not seen(stepwell)["stepwell_runs"]
    engine.dispose()


async def test_on_the_loop_itself_it_is_refused(stepwell_on: StepwellOn, engine: Engine) -> None:
    async with stepwell_on([Order]) as stepwell:
        with engine.connect() as connection, pytest.raises(Exception, match="called on the event loop"):
            stepwell.runner.blocking.run(Order, {}, **ME, connection=connection)


class Interrupted(BaseException):
    """As Ctrl-C, or a web server's time limit."""


def test_an_interruption_of_the_thread_ends_the_call_and_nothing_of_it_stays(
    stepwell_on: StepwellOn, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stepwell_on([Order]) as stepwell:
        assert stepwell.process is not None
        store = stepwell.process.store

        def interrupt(_tx: Any) -> None:
            raise Interrupted

        with engine.begin() as given:
            with monkeypatch.context() as patch:
                patch.setattr(store, "announce_in", interrupt)
                with pytest.raises(Interrupted):
                    stepwell.runner.blocking.run(Order, {}, **ME, connection=given)
            loop, ends = stepwell.opening.blocking(), time.monotonic() + 60
            while any("Starting.run" in repr(task) for task in asyncio.all_tasks(loop)):
                assert time.monotonic() < ends, "the verb still waits for the thread"
                time.sleep(0.01)
            run = stepwell.runner.blocking.run(Order, {"n": 2}, **ME, connection=given)
        assert run.result(60) == {"n": 2}
        assert [one.workflow_id for one in stepwell.runner.blocking.list().items] == [run.workflow_id]


def test_a_call_during_which_stepwell_is_closed_ends_and_says_so(
    stepwell_on: StepwellOn, engine: Engine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, closed = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as other:
        with stepwell_on([Order]) as stepwell:
            assert stepwell.process is not None

            def halt(_given: Any) -> None:
                inside.set()
                assert closed.wait(60)

            def mine() -> None:
                with engine.begin() as given:
                    stepwell.runner.blocking.run(Order, {}, **ME, connection=given)

            monkeypatch.setattr(stepwell.process.store, "check_same", halt)
            call = other.submit(mine)
            assert inside.wait(60)
        closed.set()
        with pytest.raises(StepwellError, match="was closed during the call: roll your transaction back"):
            call.result(60)
    assert not database.read("SELECT id FROM stepwell_runs")


def test_a_call_without_a_connection_during_which_stepwell_is_closed_ends_and_says_so(stepwell_on: StepwellOn) -> None:
    inside = threading.Event()

    async def never() -> None:
        inside.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as other:
        with stepwell_on([Order]) as stepwell:
            call = other.submit(stepwell.runner.blocking._call, never())
            assert inside.wait(60)
        with pytest.raises(StepwellError, match="was closed during the call"):
            call.result(60)


class Starts(Workflow):
    """Its method is synchronous, and has a transaction of its own."""

    engine: Engine
    stepwell: Stepwell

    @transition(target=END)
    def go(self) -> str:
        with self.engine.begin() as given:
            run = self.stepwell.runner.blocking.run(Order, {"n": 3}, **ME, connection=given)
        return run.workflow_id


def test_a_synchronous_method_of_a_workflow_starts_a_run_in_its_own_transaction(
    stepwell_on: StepwellOn, engine: Engine
) -> None:
    with stepwell_on([Starts, Order]) as stepwell:
        Starts.engine, Starts.stepwell = engine, stepwell
        started = stepwell.runner.blocking.run(Starts, **ME).result(60)
        assert stepwell.runner.blocking.handle(started).result(60) == {"n": 3}


@pytest.mark.parametrize("backend", ["postgres", "pooled", "schema"])
async def test_an_asynchronous_engine_of_psycopg_is_as_good_as_asyncpg(
    stepwell_on: StepwellOn, database: Database
) -> None:
    engine = create_async_engine(database.url.replace("postgresql:", "postgresql+psycopg_async:"))
    async with stepwell_on([Order, Ask]) as stepwell, engine.begin() as connection:
        run = await stepwell.runner.run(Order, {"n": 1}, **ME, idempotency_key="k", connection=connection)
        await connection.commit()
        assert await run.result(60) == {"n": 1}
    await engine.dispose()

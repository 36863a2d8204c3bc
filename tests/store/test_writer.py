"""The writer: many writes per transaction, one bad item apart, fences first, and tables that match their rows."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, event, inspect, text

from stepwell import END, Stepwell, Workflow, transition
from stepwell.engine.commit import Listener
from stepwell.engine.run import HistoryRow, Run, SignalRow, StepRow
from stepwell.errors import LeaseLost, RunFinished, StoreUnavailable
from stepwell.store import history, runs, tables
from stepwell.store.base import Call, DocumentRow, Record, WorkspaceRow
from stepwell.store.store import Store
from stepwell.store.workers import WorkerRow


class Quick(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


@pytest.fixture
async def opened(stepwell_on: Callable[..., Stepwell]) -> AsyncIterator[Stepwell]:
    async with stepwell_on([Quick], embedded_worker=False) as stepwell:
        yield stepwell


@pytest.fixture
def store(opened: Stepwell) -> Store:
    assert opened.process is not None
    return opened.process.store


@pytest.mark.parametrize(
    ("table", "row"),
    [
        (tables.runs, Run),
        (tables.history, HistoryRow),
        (tables.signals, SignalRow),
        (tables.steps, StepRow),
        (tables.documents, DocumentRow),
        (tables.listeners, Listener),
        (tables.workspaces, WorkspaceRow),
        (tables.workers, WorkerRow),
    ],
    ids=str,
)
def test_rows_have_the_columns_of_their_table_in_its_order(table: Any, row: Any) -> None:
    assert tuple(table.c.keys()) == row._fields


async def test_the_migrated_database_has_exactly_the_tables_and_indexes_of_the_code(store: Store) -> None:
    def look(connection: Connection) -> dict[str, Any]:
        inspector = inspect(connection)
        return {
            name: (
                [column["name"] for column in inspector.get_columns(name)],
                sorted(str(index["name"]) for index in inspector.get_indexes(name)),
            )
            for name in inspector.get_table_names()
            if name != "stepwell_alembic_version"
        }

    expected = {
        table.name: (list(table.c.keys()), sorted(str(index.name) for index in table.indexes))
        for table in tables.metadata.sorted_tables
    }
    assert await store.read(look) == expected


async def test_what_gathers_is_one_transaction(opened: Stepwell, store: Store) -> None:
    transactions = 0
    transact = store.writer._transaction

    def counted(items: Sequence[Any]) -> Any:
        nonlocal transactions
        transactions += 1
        return transact(items)

    store.writer._transaction = counted  # type: ignore[method-assign]
    await asyncio.gather(*(opened.runner.run(Quick, app_name="shop", user_id="u1") for _ in range(300)))
    assert transactions < 30


async def test_a_poisoned_item_is_set_apart_and_the_rest_is_committed(store: Store) -> None:
    def write(n: int) -> Callable[[Connection], int]:
        def operation(connection: Connection) -> int:
            connection.execute(text("CREATE TABLE IF NOT EXISTS mine (n INTEGER UNIQUE)"))
            connection.execute(text("INSERT INTO mine VALUES (:n)"), {"n": n})
            if n == 3:
                raise ZeroDivisionError("poison")
            if n == 5:
                raise RunFinished("refused")
            if n == 7:
                connection.execute(text("INSERT INTO mine VALUES (6)"))
            return n

        return operation

    answers = await asyncio.gather(*(store.writer.call(write(n)) for n in range(10)), return_exceptions=True)
    assert [n for n, answer in enumerate(answers) if answer == n] == [0, 1, 2, 4, 6, 8, 9]
    assert isinstance(answers[3], ZeroDivisionError)
    assert isinstance(answers[5], RunFinished)
    assert isinstance(answers[7], Exception)
    stored = await store.read(lambda connection: connection.execute(text("SELECT n FROM mine ORDER BY n")).fetchall())
    assert [row[0] for row in stored] == [0, 1, 2, 4, 6, 8, 9]


async def test_a_journal_row_of_a_lost_claim_is_dropped(opened: Stepwell, store: Store) -> None:
    handle = await opened.runner.run(Quick, app_name="shop", user_id="u1")
    row = await store.read(lambda connection: runs.load_one(connection, handle.workflow_id))
    assert row is not None
    for version, claim in ((row.version, row.claim + 1), (row.version + 1, row.claim)):
        with pytest.raises(LeaseLost):
            await store.writer.write(Record(StepRow(row.id, 0, "go", "s", "1", 0), version, claim))
    assert not await store.read(lambda connection: connection.execute(tables.steps.select()).fetchall())
    await store.writer.write(Record(StepRow(row.id, 0, "go", "s", "1", 0), row.version, row.claim))


async def test_a_statement_that_the_database_refuses_is_typed(store: Store) -> None:
    with pytest.raises(StoreUnavailable, match="no such table: nowhere"):
        await store.writer.write(Call(lambda connection: connection.execute(text("INSERT INTO nowhere VALUES (1)"))))
    assert await store.writer.call(lambda connection: 1) == 1


async def test_what_the_database_refuses_of_one_item_refuses_no_other(store: Store) -> None:
    def malformed(connection: Connection) -> Any:
        return connection.execute(text("SELECT json_extract('{', '$.a')")).scalar()

    answers = await asyncio.gather(
        store.writer.call(lambda connection: 1),
        store.writer.call(malformed),
        store.writer.call(lambda connection: 2),
        return_exceptions=True,
    )
    assert (answers[0], answers[2]) == (1, 2)
    assert isinstance(answers[1], StoreUnavailable)
    assert "malformed JSON" in str(answers[1])


async def test_what_concerns_the_database_is_waited_for_once_and_not_once_per_item(
    stepwell_on: Callable[..., Stepwell],
) -> None:
    async with stepwell_on([Quick], embedded_worker=False, busy_seconds=0.3) as stepwell:
        assert stepwell.process is not None
        store = stepwell.process.store
        other = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
        poisoned = False

        def poison(connection: Connection) -> None:
            nonlocal poisoned
            poisoned = True
            raise ZeroDivisionError

        transact = store.writer._transaction

        def then_locked(items: Sequence[Any]) -> Any:
            if poisoned and len(items) == 1 and not other.in_transaction:
                other.execute("BEGIN IMMEDIATE")
            return transact(items)

        store.writer._transaction = then_locked  # type: ignore[method-assign]
        begin = time.monotonic()
        calls = [store.writer.call(poison)] + [store.writer.call(lambda connection: 1) for _ in range(20)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        seconds = time.monotonic() - begin
        store.writer._transaction = transact  # type: ignore[method-assign]
        other.rollback()
        other.close()
    assert all(isinstance(answer, StoreUnavailable) for answer in answers), answers
    assert seconds < 3, "twenty times 0.3 s"


async def test_an_answer_that_cannot_be_delivered_keeps_no_other_waiting(store: Store) -> None:
    def stop(connection: Connection) -> None:
        raise StopIteration(5)

    def then(answer: Any) -> None:
        raise ZeroDivisionError

    heard: list[int] = []
    store.writer.on_commit = lambda answered: heard.append(len(answered))
    async with asyncio.timeout(5):
        answers = await asyncio.gather(
            store.writer.call(stop),
            store.writer.write(Call(lambda connection: 1), then),
            store.writer.call(lambda connection: 2),
            return_exceptions=True,
        )
    assert isinstance(answers[0], RuntimeError)
    assert isinstance(answers[0].__cause__, StopIteration)
    assert answers[1:] == [1, 2]
    assert max(heard) >= 2


async def test_a_worker_takes_any_number_of_workflows(store: Store, opened: Stepwell) -> None:
    handles = [await opened.runner.run(Quick, app_name="shop", user_id="u1", priority=n) for n in range(3)]
    lanes = [*[("shop", f"w{n}") for n in range(1199)], ("shop", "quick")]
    sql = runs.claim_sql(lanes)
    values = ["me", 5, *[value for lane in lanes for value in (*lane, 2)], 2]
    plan = await store.read(
        lambda connection: connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", tuple(values)).fetchall()
    )
    walks = [row[3] for row in plan if "stepwell_runs_ready" in row[3]]
    assert len(walks) == 1200
    assert all(walk.startswith("SEARCH") for walk in walks)
    claimed = await store.writer.call(lambda connection: runs.claim(connection, sql, lanes, "me", 2, 5))
    assert [run.id for run in claimed] == [handles[2].workflow_id, handles[1].workflow_id]


async def test_forgetting_old_states_walks_over_none_that_are_forgotten(store: Store) -> None:
    def plan(connection: Connection) -> list[str]:
        asked: list[str] = []

        def explained(given: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if statement.startswith("UPDATE stepwell_history"):
                found = given.connection.driver_connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                asked.extend(row[3] for row in found)

        event.listen(connection, "before_cursor_execute", explained)
        row = HistoryRow("r", 0, "t", "a", "b", 1, "completed", None, None, "{}", None, 0, 0)
        for version in range(10):
            history.append(connection, [row._replace(version=version, state=str(version))], 3)
        return asked

    searches = [step for step in await store.writer.call(plan) if "stepwell_history" in step]
    assert len(searches) == 12
    assert all("stepwell_history_states (run_id=? AND version<?)" in step for step in searches), searches
    kept = await store.read(lambda connection: history.of_run(connection, "r"))
    assert [one.row.state for one in kept] == [None] * 6 + ["6", "7", "8", "9"]


async def test_the_write_lane_given_up_before_it_was_granted_blocks_nobody(store: Store) -> None:
    async with store.transaction():
        waiting = asyncio.ensure_future(store.transaction().__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with asyncio.timeout(5):
        assert await store.writer.call(lambda connection: 1) == 1


async def test_connections_write_with_full_durability(store: Store) -> None:
    def pragmas(connection: Connection) -> tuple[Any, Any]:
        run = connection.exec_driver_sql
        return run("PRAGMA journal_mode").scalar(), run("PRAGMA synchronous").scalar()

    assert await store.writer.call(pragmas) == ("wal", 2)
    async with store.transaction() as connection:
        assert await connection.run_sync(pragmas) == ("wal", 2)

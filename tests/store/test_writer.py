"""The writer: many writes per transaction, one bad item apart, fences first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import text

from backends import Database
from conformance.support import ME
from stepwell import Stepwell
from stepwell.engine.run import HistoryRow
from stepwell.errors import LeaseLost, RunFinished, StoreUnavailable
from stepwell.store import history, runs, tables
from stepwell.store.base import Store
from stepwell.store.journal import JournalRow, Record
from stepwell.store.tx import Call, Tx
from stepwell.store.writing.flush import Flusher
from store.conftest import Quick

NOWHERE = {"sqlite": "no such table: nowhere", "postgres": 'relation "nowhere" does not exist'}
MALFORMED = {
    "sqlite": ("SELECT json_extract('{', '$.a')", "malformed JSON"),
    "postgres": ("SELECT CAST('{' AS json)", "invalid input syntax for type json"),
}


def flusher(store: Store) -> Flusher:
    """The one that the writer uses."""
    writer: Any = store.writer
    found: Flusher = writer._flusher
    return found


async def test_what_gathers_is_one_transaction(opened: Stepwell, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    transactions = 0
    transact = flusher(store)._transaction

    def counted(items: Sequence[Any]) -> Any:
        nonlocal transactions
        transactions += 1
        return transact(items)

    monkeypatch.setattr(flusher(store), "_transaction", counted)
    await asyncio.gather(*(opened.runner.run(Quick, **ME) for _ in range(300)))
    assert 0 < transactions < 30


async def test_a_poisoned_item_is_set_apart_and_the_rest_is_committed(store: Store, database: Database) -> None:
    database.execute("CREATE TABLE mine (n INTEGER UNIQUE)")

    def write(n: int) -> Callable[[Tx], int]:
        def operation(tx: Tx) -> int:
            tx.execute(text("INSERT INTO mine VALUES (:n)"), {"n": n})
            if n == 3:
                raise ZeroDivisionError("poison")
            if n == 5:
                raise RunFinished("refused")
            if n == 7:
                tx.execute(text("INSERT INTO mine VALUES (6)"))
            return n

        return operation

    answers = await asyncio.gather(*(store.writer.call(write(n)) for n in range(10)), return_exceptions=True)
    assert [n for n, answer in enumerate(answers) if answer == n] == [0, 1, 2, 4, 6, 8, 9]
    assert isinstance(answers[3], ZeroDivisionError)
    assert isinstance(answers[5], RunFinished)
    assert isinstance(answers[7], Exception)
    assert database.read("SELECT n FROM mine ORDER BY n") == [(n,) for n in (0, 1, 2, 4, 6, 8, 9)]


async def test_a_journal_row_of_a_lost_claim_is_dropped(opened: Stepwell, store: Store) -> None:
    handle = await opened.runner.run(Quick, **ME)
    row = await store.read(lambda tx: runs.load_one(tx, handle.workflow_id))
    assert row is not None
    for version, claim in ((row.version, row.claim + 1), (row.version + 1, row.claim)):
        with pytest.raises(LeaseLost):
            await store.writer.write(Record(JournalRow(row.id, 0, "go", "s", "1", 0), version, claim))
    assert not await store.read(lambda tx: tx.execute(tables.steps.select()).fetchall())
    await store.writer.write(Record(JournalRow(row.id, 0, "go", "s", "1", 0), row.version, row.claim))
    assert len(await store.read(lambda tx: tx.execute(tables.steps.select()).fetchall())) == 1


async def test_a_statement_that_the_database_refuses_is_typed(store: Store, database: Database) -> None:
    with pytest.raises(StoreUnavailable, match=NOWHERE[database.kind]) as caught:
        await store.writer.write(Call(lambda tx: tx.execute(text("INSERT INTO nowhere VALUES (1)"))))
    assert caught.value.outcome == "nothing"
    assert await store.writer.call(lambda tx: 1) == 1


async def test_what_the_database_refuses_of_one_item_refuses_no_other(store: Store, database: Database) -> None:
    sql, says = MALFORMED[database.kind]
    answers = await asyncio.gather(
        store.writer.call(lambda tx: 1),
        store.writer.call(lambda tx: tx.scalar(sql)),
        store.writer.call(lambda tx: 2),
        return_exceptions=True,
    )
    assert (answers[0], answers[2]) == (1, 2)
    assert isinstance(answers[1], StoreUnavailable)
    assert says in str(answers[1])


async def test_an_answer_that_cannot_be_delivered_keeps_no_other_waiting(store: Store) -> None:
    def stop(tx: Tx) -> None:
        raise StopIteration(5)

    def then(answer: Any) -> None:
        raise ZeroDivisionError

    heard: list[int] = []
    store.writer.on_commit = lambda answered, hints: heard.append(answered)
    async with asyncio.timeout(60):
        answers = await asyncio.gather(
            store.writer.call(stop),
            store.writer.write(Call(lambda tx: 1), then),
            store.writer.call(lambda tx: 2),
            return_exceptions=True,
        )
    assert isinstance(answers[0], RuntimeError)
    assert isinstance(answers[0].__cause__, StopIteration)
    assert answers[1:] == [1, 2]
    assert max(heard) >= 2


async def test_a_worker_takes_any_number_of_workflows(store: Store, opened: Stepwell) -> None:
    handles = [await opened.runner.run(Quick, **ME, priority=n) for n in range(3)]
    lanes = [*[("shop", f"w{n}") for n in range(1199)], ("shop", "quick")]
    claimed = await store.writer.call(lambda tx: runs.claim(tx, lanes, "me", 2, 5))
    assert [run.id for run in claimed] == [handles[2].workflow_id, handles[1].workflow_id]


async def test_only_the_states_of_the_last_checkpoints_are_kept(store: Store) -> None:
    def write(tx: Tx) -> None:
        row = HistoryRow("r", 0, "t", "a", "b", 1, "completed", None, None, "{}", None, 0, 0)
        for version in range(10):
            history.append(tx, [row._replace(version=version, state=str(version))], 3)

    await store.writer.call(write)
    kept = await store.read(lambda tx: history.of_run(tx, "r"))
    assert [one.row.state for one in kept] == [None] * 6 + ["6", "7", "8", "9"]


async def test_who_gives_up_waiting_for_a_transaction_blocks_nobody(store: Store) -> None:
    async with store.transaction():
        waiting = asyncio.ensure_future(store.transaction().__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with asyncio.timeout(60):
        assert await store.writer.call(lambda tx: 1) == 1


async def test_whatever_an_operation_raises_is_its_answer_and_ends_no_writer(store: Store) -> None:
    for error in (asyncio.CancelledError, GeneratorExit, SystemExit, StopIteration, ZeroDivisionError):

        def broken(tx: Tx, error: type[BaseException] = error) -> None:
            raise error

        future = store.writer.write_from_thread(Call(broken))
        with pytest.raises((error, RuntimeError)):
            await asyncio.to_thread(future.result, 60)
        assert await asyncio.wait_for(store.writer.call(lambda tx: 1), 60) == 1

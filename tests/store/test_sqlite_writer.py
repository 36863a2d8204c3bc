"""The writer on SQLite: one write lock, walks along indexes, and a disk that is waited for."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, event

from backends import Database
from stepwell import Stepwell
from stepwell.engine.run import HistoryRow
from stepwell.errors import StoreUnavailable
from stepwell.store import history
from stepwell.store.sqlite.dialect import LEFT, claim_sql
from stepwell.store.sqlite.store import SqliteStore
from stepwell.store.tx import Call, Tx, paired
from store.conftest import Quick


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    return sqlite_database


async def test_what_concerns_the_database_is_waited_for_once_and_not_once_per_item(
    stepwell_on: Callable[..., Stepwell], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stepwell_on([Quick], embedded_worker=False, busy_seconds=0.3) as stepwell:
        assert stepwell.process is not None
        store: Any = stepwell.process.store
        other = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
        poisoned = False

        def poison(tx: Tx) -> None:
            nonlocal poisoned
            poisoned = True
            raise ZeroDivisionError

        transact = store.writer._flusher._transaction

        tries = 0

        def then_locked(items: Sequence[Any]) -> Any:
            nonlocal tries
            tries += 1
            if poisoned and len(items) == 1 and not other.in_transaction:
                other.execute("BEGIN IMMEDIATE")
            return transact(items)

        with monkeypatch.context() as patched:
            patched.setattr(store.writer._flusher, "_transaction", then_locked)
            calls = [store.writer.call(poison)] + [store.writer.call(lambda tx: 1) for _ in range(20)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
        other.rollback()
        other.close()
    assert all(isinstance(answer, StoreUnavailable) for answer in answers), answers
    assert tries < 10, "each of twenty waited for the lock"


async def test_each_workflow_that_a_worker_takes_is_a_walk_along_the_index(store: SqliteStore) -> None:
    lanes = [*[("shop", f"w{n}") for n in range(1199)], ("shop", "quick")]
    values = ["me", 5, *[value for lane in lanes for value in (*lane, 2)], 2]
    plan = await store.read(lambda tx: tx.rows(f"EXPLAIN QUERY PLAN {claim_sql(len(lanes))}", *values))
    walks = [row[3] for row in plan if "stepwell_runs_ready" in row[3]]
    assert len(walks) == 1200
    assert all(walk.startswith("SEARCH") for walk in walks)


async def test_what_a_visit_leaves_behind_is_found_by_the_index(store: SqliteStore) -> None:
    visits = paired([("r", "7")])
    plan = [row[3] for row in await store.read(lambda tx: tx.rows(f"EXPLAIN QUERY PLAN {LEFT}", visits))]
    assert any("stepwell_signals_open (run_id=? AND visit=?)" in step for step in plan), plan


async def test_forgetting_old_states_walks_over_none_that_are_forgotten(store: SqliteStore) -> None:
    def plan(tx: Tx) -> list[str]:
        asked: list[str] = []

        def explained(given: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if statement.startswith("UPDATE stepwell_history"):
                found = given.connection.driver_connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                asked.extend(row[3] for row in found)

        event.listen(tx.connection, "before_cursor_execute", explained)
        heard = Tx(tx.connection, tx.dialect)
        row = HistoryRow("r", 0, "t", "a", "b", 1, "completed", None, None, "{}", None, 0, 0)
        for version in range(10):
            history.append(heard, [row._replace(version=version, state=str(version))], 3)
        return asked

    searches = [step for step in await store.writer.call(plan) if "stepwell_history" in step]
    assert len(searches) == 12
    assert all("stepwell_history_states (run_id=? AND version<?)" in step for step in searches), searches


async def test_connections_write_with_full_durability(store: SqliteStore) -> None:
    def pragmas(connection: Connection) -> tuple[Any, Any]:
        run = connection.exec_driver_sql
        return run("PRAGMA journal_mode").scalar(), run("PRAGMA synchronous").scalar()

    assert await store.writer.call(lambda tx: pragmas(tx.connection)) == ("wal", 2)
    async with store.transaction() as connection:
        assert await connection.run_sync(pragmas) == ("wal", 2)


async def test_a_closed_process_looks_at_nothing(opened: Stepwell, store: SqliteStore) -> None:
    await opened.__aexit__(None, None, None)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.data_version()


async def test_what_gathers_on_a_blocked_loop_is_written_before_what_a_thread_writes(store: SqliteStore) -> None:
    """A checkpoint that is complete isn't undone by the release that a blocked loop's heartbeat writes."""
    order: list[str] = []
    mine = asyncio.ensure_future(store.writer.call(lambda tx: order.append("the loop's")))
    loop = asyncio.get_running_loop()

    def block() -> None:
        # Here, in one pass of the loop: it has gathered, and nothing has gone to the thread.
        store.writer.write_from_thread(Call(lambda tx: order.append("the thread's"))).result(60)

    loop.call_soon(block)
    await mine
    assert order == ["the loop's", "the thread's"]

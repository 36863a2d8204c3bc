"""What makes PostgreSQL quick: HOT checkpoints, claims along the index and past each other, one NOTIFY per flush."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest

from backends import PostgresDatabase
from stepwell import END, App, Settings, Stepwell, Workflow, transition
from stepwell.store import runs, tables
from stepwell.store.postgres.dialect import CLAIM, LEFT, Postgres
from stepwell.store.postgres.store import PostgresStore
from stepwell.store.tx import Tx, paired

ME: dict[str, Any] = {"app_name": "shop", "user_id": "u1"}
STEPS = 20


class Caller(Workflow):
    @transition(target=END, wait=True)
    async def answer(self) -> None: ...


class Long(Workflow):
    """Goes round twenty times."""

    def again(self) -> bool:
        return int(self.state.get("n", 0)) < STEPS

    @transition(target="round")
    async def first(self) -> None:
        self.state["n"] = 1

    @transition("round", "round", when=again, priority=1)
    async def more(self) -> None:
        self.state["n"] += 1

    @transition("round", END)
    async def last(self) -> None: ...


class Quick(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


Open = Callable[..., Stepwell]


@pytest.fixture
def open_(postgres_database_: PostgresDatabase) -> Open:
    def made(**options: Any) -> Stepwell:
        settings = Settings(_env_file=None, database_url=postgres_database_.url)
        return Stepwell([App("shop", workflows=[Long, Quick, Caller])], settings=settings, **options)

    return made


@pytest.fixture
async def store(open_: Open) -> AsyncIterator[PostgresStore]:
    async with open_(embedded_worker=False) as stepwell:
        assert stepwell.process is not None
        assert isinstance(stepwell.process.store, PostgresStore)
        yield stepwell.process.store


async def test_a_checkpoint_in_the_middle_of_a_run_is_a_hot_update(
    open_: Open, postgres_database_: PostgresDatabase
) -> None:
    # On a page without room an update isn't HOT either: a snapshot from before two flushes keeps that many versions.
    def updates() -> tuple[int, int]:
        postgres_database_.execute("SELECT pg_stat_force_next_flush()")
        [found] = postgres_database_.read(
            "SELECT n_tup_upd, n_tup_hot_upd + n_tup_newpage_upd FROM pg_stat_user_tables WHERE relname='stepwell_runs'"
        )
        return found[0], found[1]

    before = updates()
    async with open_() as stepwell:
        handles = await asyncio.gather(*(stepwell.runner.run(Long, **ME) for _ in range(20)))
        await asyncio.gather(*(handle.result(60) for handle in handles))
    # Server processes report what they did when they end: the pools are closed.
    all_, hot = (new - old for new, old in zip(updates(), before, strict=True))
    assert all_ >= 20 * STEPS
    assert hot / all_ > 0.85, f"{hot} of {all_}"


async def test_a_claim_walks_along_the_ready_index_however_many_wait(
    store: PostgresStore, open_: Open, postgres_database_: PostgresDatabase
) -> None:
    async with open_(embedded_worker=False) as stepwell:
        handle = await stepwell.runner.run(Quick, **ME)
    columns = [column.name for column in tables.runs.columns]
    given = {"id": "'w' || n", "status": "'waiting'", "ready_at": "NULL", "idempotency_key": "NULL"}
    values = ", ".join(given.get(name, name) for name in columns)
    postgres_database_.execute(
        f"INSERT INTO stepwell_runs ({', '.join(columns)}) SELECT {values} FROM stepwell_runs,"
        f" generate_series(1, 20000) n WHERE id='{handle.workflow_id}'"
    )
    postgres_database_.execute("ANALYZE stepwell_runs")
    sql = Postgres(None).words(f"EXPLAIN (ANALYZE, FORMAT TEXT) {CLAIM}")
    lanes = paired([("shop", "quick"), ("shop", "long")])

    def explain(tx: Tx) -> str:
        found = tx.connection.exec_driver_sql(sql, (lanes, 10, 10, "nobody", 1)).fetchall()
        tx.connection.get_transaction().rollback()  # type: ignore[union-attr]
        return "\n".join(row[0] for row in found)

    async with store.transaction() as connection:
        plan = await connection.run_sync(lambda given: explain(Tx(given, store.dialect)))
    assert "stepwell_runs_ready" in plan
    assert "Seq Scan on stepwell_runs" not in plan, plan
    claimed = await store.writer.call(lambda tx: runs.claim(tx, [("shop", "quick")], "me", 5, 1))
    assert [run.id for run in claimed] == [handle.workflow_id]


async def test_what_a_visit_leaves_behind_is_found_by_the_index_however_much_is_open(
    store: PostgresStore, open_: Open, postgres_database_: PostgresDatabase
) -> None:
    # Without statistics, as after a restore or in a table that has just grown: the planner once walked over all of it.
    async with open_(embedded_worker=False) as stepwell:
        handle = await stepwell.runner.run(Caller, **ME)
        await stepwell.runner.signal(handle.workflow_id, "answer")
    columns = [column.name for column in tables.signals.columns]
    given = {"id": "'s' || n", "visit": "1"}
    postgres_database_.execute(
        f"INSERT INTO stepwell_signals ({', '.join(columns)}) SELECT {', '.join(given.get(name, name) for name in columns)}"
        " FROM stepwell_signals, generate_series(1, 3000) n"
    )
    sql = store.dialect.words(f"EXPLAIN (ANALYZE, FORMAT TEXT) {LEFT}")

    def explain(tx: Tx) -> str:
        return "\n".join(row[0] for row in tx.connection.exec_driver_sql(sql, (paired([(handle.workflow_id, "7")]),)))

    plan = await store.writer.call(explain)
    assert "Index Cond: ((run_id = " in plan, plan
    assert "(visit = " in plan, plan
    assert "Rows Removed" not in plan, plan


async def test_claims_at_the_same_time_take_different_runs(store: PostgresStore, open_: Open) -> None:
    async with open_(embedded_worker=False) as stepwell:
        for _ in range(6):
            await stepwell.runner.run(Quick, **ME)
    lanes = [("shop", "quick")]

    def claim(worker: str) -> Callable[[Any], list[str]]:
        return lambda given: [run.id for run in runs.claim(Tx(given, store.dialect), lanes, worker, 3, 1)]

    async with asyncio.timeout(60), store.transaction() as one, store.transaction() as other:
        first, second = await one.run_sync(claim("a")), await other.run_sync(claim("b"))
        assert len(first) == len(second) == 3
        assert not set(first) & set(second)


async def test_a_flush_tells_others_once(open_: Open, postgres_database_: PostgresDatabase) -> None:
    heard: list[str] = []
    connection = await asyncpg.connect(postgres_database_.url)
    try:
        async with open_(embedded_worker=False) as stepwell:
            await connection.add_listener("stepwell", lambda *given: heard.append(given[3]))
            await asyncio.gather(*(stepwell.runner.run(Quick, **ME) for _ in range(1000)))
        await connection.fetchval("SELECT 1")  # what was notified before has arrived with the answer
    finally:
        await connection.close()
    told = [one for one in heard if '"r"' in one]
    assert 1 <= len(told) < 50

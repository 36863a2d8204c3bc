"""Rates with many first executions in their windows: what is counted, deleted and corrected is found by an index (rule 54)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from stepwell.definition.model import Rule
from stepwell.engine.gates import gate_of
from stepwell.store import gate_rooms, openings
from stepwell.store.base import Store
from stepwell.store.tx import Driver, Tx
from store.test_gates import Life

_HOUR = 3_600
_SECOND = 1_000_000
RATE = gate_of(Rule("rate", 0, 10, per=_HOUR * _SECOND), "shop", "job", "k", "u1")
NOW = 100_000 * _SECOND
MANY = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000)"
    " INSERT INTO stepwell_slots (gate, run_id, kind, taken, claim, at)"
    " SELECT CAST(? AS TEXT), 'x' || i, 'rate', 1, CAST(? AS INTEGER), CAST(? AS BIGINT)+i FROM n"
)


class Explaining:
    """A driver that keeps the plan of each statement before it is executed."""

    def __init__(self, driver: Driver, alone: bool) -> None:
        self.plans: list[str] = []
        self._driver = driver
        self._explain = "EXPLAIN QUERY PLAN" if alone else "EXPLAIN"

    def _keep(self, sql: str, parameters: tuple[Any, ...]) -> None:
        found = self._driver.rows(f"{self._explain} {sql}", parameters)
        self.plans.append("\n".join(str(row[-1]) for row in found))

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> Sequence[Any]:
        self._keep(sql, parameters)
        return self._driver.rows(sql, parameters)

    def change(self, sql: str, parameters: tuple[Any, ...] = ()) -> int:
        self._keep(sql, parameters)
        return self._driver.change(sql, parameters)

    def each(self, sql: str, rows: list[tuple[Any, ...]]) -> int:
        return self._driver.each(sql, rows)


async def plans_of(store: Store, act: Callable[[Tx], object]) -> list[str]:
    def operation(tx: Tx) -> list[str]:
        driver = Explaining(tx.driver, store.dialect.alone)
        act(Tx(tx.connection, tx.dialect, driver))
        return driver.plans

    await store.writer.call(lambda tx: tx.run("ANALYZE stepwell_slots"))
    return await store.writer.call(operation)


ACTS: dict[str, tuple[str, Callable[[Tx], object]]] = {
    "prune": ("window", lambda tx: openings.prune(tx, NOW, 100)),
    "bring back": ("window", lambda tx: openings.bring_back(tx, NOW, 60 * _SECOND)),
    "count": ("rate", lambda tx: gate_rooms.count(tx, {RATE.id: RATE}, NOW)),
}


@pytest.mark.parametrize("act", ACTS)
async def test_nothing_walks_over_all_that_a_window_has(store: Store, act: str) -> None:
    index, operation = ACTS[act]
    await store.writer.call(lambda tx: tx.run(MANY, RATE.id, _HOUR, NOW - 1_000_000))
    plans = await plans_of(store, operation)
    assert plans
    for plan in plans:
        assert f"stepwell_slots_{index}" in plan, plan
        assert "Seq Scan on stepwell_slots" not in plan, plan
        assert "SCAN stepwell_slots" not in plan, plan


async def test_no_more_is_counted_than_the_limit(store: Store) -> None:
    await store.writer.call(lambda tx: tx.run(MANY, RATE.id, _HOUR, NOW))
    rooms = await store.read(lambda tx: gate_rooms.count(tx, {RATE.id: RATE}, NOW))
    assert (rooms[RATE.id].taken, rooms[RATE.id].free) == (10, 0)


async def test_a_lowered_rate_opens_when_less_than_its_limit_is_left(store: Store) -> None:
    life = Life(store, RATE)
    began = []
    for _ in range(10):
        await life.start()
        await life.claim()
        began.append(life.now)
    life.gates = (RATE._replace(limit=3),)
    await life.start()
    assert len(await life.held()) == 1
    assert await store.read(openings.next_opening) == began[7] + _HOUR * _SECOND


async def test_windows_of_any_length_are_pruned_at_their_end(store: Store) -> None:
    day, minute = 86_400, 60
    for seconds in (day, minute):
        for age in (seconds + 1, seconds - 1):
            row = (f"g{seconds}", f"r{age}", seconds, NOW - age * _SECOND)
            sql = "INSERT INTO stepwell_slots (gate, run_id, kind, taken, claim, at) VALUES (?, ?, 'rate', 1, ?, ?)"
            await store.writer.call(lambda tx, sql=sql, row=row: tx.run(sql, *row))
    assert await store.writer.call(lambda tx: openings.prune(tx, NOW, 1)) == 1
    assert await store.writer.call(lambda tx: openings.prune(tx, NOW, 100)) == 1
    left = await store.read(lambda tx: tx.rows("SELECT run_id FROM stepwell_slots ORDER BY run_id"))
    assert [row[0] for row in left] == [f"r{minute - 1}", f"r{day - 1}"]

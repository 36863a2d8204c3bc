"""A run with thousands of checkpoints, documents and steps: its storage is linear, and going on costs as for a short one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel

from backends import Database
from conformance.support import ME, Gate, StepwellOn, buried, die, reaches
from stepwell import END, START, Document, Stepwell, Workflow, transition
from stepwell.store.postgres.dialect import Postgres
from stepwell.store.sqlite.dialect import Sqlite
from stepwell.store.tables import metadata
from stepwell.store.tx import Driver, Tx

gate = Gate()
LONG = [
    pytest.param(100, 1_000, id="a thousand"),
    pytest.param(1_000, 10_000, id="ten thousand", marks=pytest.mark.thorough),
]
OWNED = ("history", "steps", "documents")


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _closed() -> None:
    gate.clear()


class Line(Document):
    text: str


class Progress(BaseModel):
    done: int = 0
    text: str = ""


class Long(Workflow[int, Progress, int]):
    """A step and a checkpoint in each round, and a document in each tenth; then it waits, works a little, and ends."""

    def goes_on(self) -> bool:
        return self.state.done < self.args

    @transition(START, "round")
    async def begin(self) -> None: ...

    @transition("round", "round", when=goes_on)
    async def turn(self) -> None:
        self.state.text = await self.step("line", self.line)
        self.state.done += 1
        if self.state.done % 10 == 0:
            await self.documents.save(Line(text=self.state.text))

    @transition("round", "waiting")
    async def rest(self) -> None: ...

    @transition("waiting", "working", wait=True)
    async def go_on(self) -> None: ...

    @transition("working", END)
    async def work(self) -> int:
        await self.step("first", self.line)
        await gate.pass_through()
        [page] = [await self.documents.find(Line, limit=5)]
        return len(page)

    async def line(self) -> str:
        return f"{self.state.done:06}".ljust(100, "x")


async def grown(stepwell: Stepwell, rounds: int) -> str:
    parked = await stepwell.runner.run_sync(Long, rounds, **ME)
    assert (parked.status, parked.place) == ("waiting", "waiting")
    return parked.workflow_id or ""


SETTINGS = {"max_transitions_per_pass": 20_000}


# -- storage ----------------------------------------------------------------------------------------------------------


async def stored(stepwell: Stepwell, run_id: str) -> dict[str, tuple[int, int]]:
    """The rows and the bytes of each table that the run owns much in."""

    def query(tx: Tx) -> dict[str, tuple[int, int]]:
        found = {}
        for name in OWNED:
            table = metadata.tables[f"stepwell_{name}"]
            size = "+".join(f"COALESCE(length(CAST({column.name} AS TEXT)), 0)" for column in table.columns)
            [(rows, bytes_)] = tx.rows(f"SELECT count(*), sum({size}) FROM {table.name} WHERE run_id=?", run_id)
            found[name] = (int(rows), int(bytes_))
        return found

    assert stepwell.process is not None
    return await stepwell.process.store.read(query)


@pytest.mark.parametrize(("few", "many"), LONG)
async def test_storage_is_linear(stepwell_on: StepwellOn, few: int, many: int) -> None:
    # Without states that are kept of the last rows only, which weigh more in a short run.
    async with stepwell_on([Long], history_states=1, **SETTINGS) as stepwell:
        short = await stored(stepwell, await grown(stepwell, few))
        long = await stored(stepwell, await grown(stepwell, many))
        assert {name: rows for name, (rows, _) in long.items()} == {
            "history": many + 3,
            "steps": many,
            "documents": many // 10,
        }
        for name in OWNED:
            assert long[name][1] == pytest.approx(10 * short[name][1], rel=0.1), name


# -- going on ---------------------------------------------------------------------------------------------------------


class Statement(NamedTuple):
    sql: str
    parameters: tuple[Any, ...]
    rows: int
    bytes: int


class Watched:
    """A driver that notes the statements about one run."""

    def __init__(self, real: Driver, noted: list[Statement], run_id: str) -> None:
        self._real = real
        self._noted = noted
        self._run_id = run_id

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> Sequence[Any]:
        found = self._real.rows(sql, parameters)
        size = sum(len(cell) if isinstance(cell, str) else 8 for row in found for cell in row)
        self._note(sql, parameters, found, len(found), size)
        return found

    def change(self, sql: str, parameters: tuple[Any, ...] = ()) -> int:
        changed = self._real.change(sql, parameters)
        self._note(sql, parameters, (), changed, 0)
        return changed

    def each(self, sql: str, rows: list[tuple[Any, ...]]) -> int:
        changed = self._real.each(sql, rows)
        self._note(sql, rows[0], rows, changed, 0)
        return changed

    def _note(self, sql: str, parameters: tuple[Any, ...], found: Any, rows: int, size: int) -> None:
        if self._run_id in repr(parameters) or self._run_id in repr(found):
            self._noted.append(Statement(sql, parameters, rows, size))


async def gone_on(stepwell_on: StepwellOn, rounds: int, patch: pytest.MonkeyPatch) -> list[Statement]:
    """What the database was asked about such a run: by a signal, a pass, a take-over of it, and its end."""
    noted: list[Statement] = []
    gate.clear()
    async with stepwell_on([Long], **SETTINGS) as first:
        run_id = await grown(first, rounds)
        with patch.context() as watched:
            for dialect in (Sqlite, Postgres):
                real = dialect.driver
                watched.setattr(
                    dialect, "driver", lambda self, given, real=real: Watched(real(self, given), noted, run_id)
                )
            await first.runner.signal(run_id, "go_on")
            await gate.reached()
            await die(first)
            gate.open()
            async with stepwell_on([Long], **SETTINGS) as second:
                await buried(second)
                run = await reaches(second.runner, run_id, "completed")
                assert run.result == min(5, rounds // 10)
    return noted


@pytest.mark.parametrize(("few", "many"), LONG)
async def test_going_on_costs_as_for_a_short_run(
    stepwell_on: StepwellOn, database: Database, few: int, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = await gone_on(stepwell_on, few // 2, monkeypatch)
    long = await gone_on(stepwell_on, many, monkeypatch)
    assert any("stepwell_steps" in one.sql for one in long)
    # A poll more or less of the test itself, which looks for the end, isn't part of it.
    for name, of in {
        "statements": lambda found: len({one.sql for one in found}),
        "rows": lambda found: max(one.rows for one in found),
        "bytes": lambda found: max(one.bytes for one in found),
    }.items():
        assert of(long) <= 1.5 * of(short), name
    plans = await plans_of(stepwell_on, database, long)
    assert plans
    for sql, plan in plans.items():
        for name in OWNED:
            assert f"SCAN stepwell_{name}" not in plan, (sql, plan)
            assert f"Seq Scan on stepwell_{name}" not in plan, (sql, plan)


async def plans_of(stepwell_on: StepwellOn, database: Database, statements: Sequence[Statement]) -> dict[str, str]:
    """How the database goes about each of these statements in which the run's large tables are."""
    wanted = {one.sql: one for one in statements if any(f"stepwell_{name}" in one.sql for name in OWNED)}
    if database.kind == "postgres":
        database.execute("ANALYZE")
    explain = "EXPLAIN QUERY PLAN" if database.kind == "sqlite" else "EXPLAIN"

    def look(tx: Tx) -> dict[str, str]:
        return {
            sql: "\n".join(json.dumps([*map(str, row)]) for row in tx.driver.rows(f"{explain} {sql}", one.parameters))
            for sql, one in wanted.items()
        }

    async with stepwell_on([Long], embedded_worker=False) as stepwell:
        assert stepwell.process is not None
        return await stepwell.process.store.writer.call(look)

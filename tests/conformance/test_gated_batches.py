"""Runs under limits that start in a large transaction, or in a caller's: placed there, as others are (rule 54).

How often a claim had to put a run back is counted at the claims, never by the time that something took.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine

from backends import Database
from conformance.support import ME, StepwellOn, reaches, until
from stepwell import END, App, Concurrency, RateLimit, RunHandle, Start, Stepwell, Workflow, transition
from stepwell.engine.run import RunRow
from stepwell.runner import core
from stepwell.store.gates import Admission, Gates
from stepwell.store.tx import Tx
from stepwell.worker import gatekeeper
from stepwell.worker.gatekeeper import Gatekeeper

MANY = 60
HOUR = timedelta(hours=1)
log: list[str] = []
now: dict[str, int] = {}
most: dict[str, int] = {}


class Item(BaseModel):
    key: str = "a"
    n: int = 0


class Base(Workflow[Item]):
    @transition(target=END)
    async def work(self) -> None:
        log.append(f"{self.args.key}{self.args.n}")
        key = f"{type(self).__name__} {self.args.key}"
        now[key] = now.get(key, 0) + 1
        most[key] = max(most.get(key, 0), now[key])
        try:
            for _ in range(5):
                await asyncio.sleep(0)
        finally:
            now[key] -= 1


class Busy(Base, concurrency=Concurrency(2, key="args.key")): ...


class Whole(Base, concurrency=Concurrency(2, key="args.key", holds="run")): ...


class Rated(Base, rate_limit=RateLimit(2, HOUR, key="args.key")): ...


class Fair(Base, fair_by="args.key"): ...


class Open(Workflow[Item]):
    @transition(target="open")
    async def begin(self) -> None:
        log.append(f"{type(self).__name__} {self.args.n}")

    @transition("open", END, wait=True)
    async def close(self) -> None: ...


SHARED = Concurrency(1, name="shared", holds="run")
ONE = Concurrency(1, key="args.key", name="one", holds="run", on_conflict="replace")


class Replaced(Open, concurrency=[ONE, SHARED]): ...


class Instead(Open, concurrency=ONE): ...


class Shares(Open, concurrency=SHARED): ...


ALL = [Busy, Whole, Rated, Fair]


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def put_back(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """For each claim with gates, how many runs it put back."""
    for one in (log, now, most):
        one.clear()
    counted: list[int] = []
    admit = Gates.admit

    def counting(self: Gates, tx: Tx, found: list[RunRow]) -> Admission:
        answer = admit(self, tx, found)
        counted.append(answer.held + answer.contended)
        return answer

    monkeypatch.setattr(Gates, "admit", counting)
    return counted


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    made = database.engine()
    yield made
    await made.dispose()


def items(workflow: type[Base], key: str, count: int) -> list[Start]:
    return [Start(workflow, Item(key=key, n=n)) for n in range(count)]


async def scalar(stepwell: Stepwell, sql: str) -> int:
    assert stepwell.process is not None
    return int(await stepwell.process.store.read(lambda tx: tx.scalar(sql)))


async def held(stepwell: Stepwell) -> int:
    return await scalar(stepwell, "SELECT count(*) FROM stepwell_runs WHERE held_by IS NOT NULL")


async def ready(stepwell: Stepwell) -> int:
    return await scalar(stepwell, "SELECT count(*) FROM stepwell_runs WHERE ready_at IS NOT NULL")


ROOM = {Busy: 2, Whole: 2, Rated: 2, Fair: 1}


@pytest.mark.parametrize("workflow", ALL)
async def test_of_a_batch_only_so_many_are_ready_as_there_are_slots(
    stepwell_on: StepwellOn, workflow: type[Base]
) -> None:
    async with stepwell_on([App("shop", workflows=ALL)], embedded_worker=False) as stepwell:
        await stepwell.runner.run_batch(items(workflow, "a", MANY), **ME)
        assert await ready(stepwell) == ROOM[workflow]
        assert await held(stepwell) == MANY - ROOM[workflow]


@pytest.mark.parametrize("workflow", [Busy, Whole, Fair])
async def test_runs_of_a_batch_are_hardly_ever_put_back_and_others_are_not_behind_them(
    stepwell_on: StepwellOn, put_back: list[int], workflow: type[Base]
) -> None:
    async with stepwell_on([App("shop", workflows=ALL)], embedded_worker=False) as stepwell:
        await stepwell.runner.run_batch(items(workflow, "a", MANY), **ME)
        other = await stepwell.runner.run(workflow, Item(key="b"), **ME)
    async with stepwell_on([App("shop", workflows=ALL)], worker_concurrency=4) as stepwell:
        await stepwell.runner.handle(other.workflow_id).result(60)
        await until(lambda: _all_ended(stepwell), "the end of the batch")
        assert sum(put_back) <= 2
        assert log.index("b0") <= 4
        assert workflow is Fair or max(most.values()) <= 2
        assert await scalar(stepwell, "SELECT count(*) FROM stepwell_slots") == 0


async def _all_ended(stepwell: Stepwell) -> bool:
    return await scalar(stepwell, "SELECT count(*) FROM stepwell_runs WHERE status<>'completed'") == 0


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("workflow", ALL)
async def test_in_a_callers_transaction_starts_are_placed_too(
    stepwell_on: StepwellOn, engine: AsyncEngine, workflow: type[Base], commits: bool
) -> None:
    async with stepwell_on([App("shop", workflows=ALL)], embedded_worker=False) as stepwell:
        async with engine.connect() as connection:
            for start in items(workflow, "a", 6):
                await stepwell.runner.run(workflow, start.args, **ME, connection=connection)
            await stepwell.runner.run_many(items(workflow, "a", 6), **ME, connection=connection)
            await (connection.commit() if commits else connection.rollback())
        assert await ready(stepwell) == (ROOM[workflow] if commits else 0)
        assert await held(stepwell) == (12 - ROOM[workflow] if commits else 0)
        if not commits:
            assert await scalar(stepwell, "SELECT count(*) FROM stepwell_slots") == 0


@pytest.mark.parametrize("workflow", [Busy, Whole, Fair])
async def test_what_a_callers_transaction_held_back_goes_on_once_it_is_committed(
    stepwell_on: StepwellOn,
    engine: AsyncEngine,
    put_back: list[int],
    workflow: type[Base],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The slots were in use when it wrote, and are free when it commits, long after: no later end lets its runs through."""
    monkeypatch.setattr(core, "_WAKES", (0.0,))
    looked = _only_hinted(monkeypatch)
    async with stepwell_on([App("shop", workflows=ALL)], embedded_worker=False) as stepwell:
        assert stepwell.process is not None
        alone = stepwell.process.store.dialect.alone
        first = [await stepwell.runner.run(workflow, Item(n=n), **ME) for n in range(2)]
        if alone:  # nothing else can be written beside a caller's transaction
            await _cancel(first)
        async with engine.connect() as connection:
            starts = [Start(workflow, Item(n=9)) for _ in range(4)]
            new = await stepwell.runner.run_many(starts, **ME, connection=connection)
            if not alone:
                await _cancel(first)
                async with asyncio.timeout(60):
                    await looked.wait()  # after the hint that follows the call, which comes too early
            await connection.commit()
        async with stepwell_on([App("shop", workflows=ALL)]):
            for run in new:
                await run.result(60)
        assert sum(put_back) <= 2


def _only_hinted(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Gates are looked at after hints only; the event is set after each look."""
    monkeypatch.setattr(gatekeeper, "_EVERY", 3600.0)
    looked = asyncio.Event()
    look = Gatekeeper.look

    async def looking(self: Gatekeeper) -> None:
        await look(self)
        looked.set()

    monkeypatch.setattr(Gatekeeper, "look", looking)
    return looked


async def _cancel(runs: list[RunHandle[Any]]) -> None:
    for run in runs:
        await run.cancel()


async def test_another_start_of_the_key_never_waits_for_a_callers_transaction(
    stepwell_on: StepwellOn, engine: AsyncEngine, database: Database
) -> None:
    async with stepwell_on([App("shop", workflows=ALL)]) as stepwell:
        runner = stepwell.runner
        async with engine.connect() as connection:
            for workflow in ALL:
                for start in items(workflow, "a", 4):
                    await runner.run(workflow, start.args, **ME, connection=connection)
            if database.kind == "postgres":
                # Beside the open transaction: starts, claims and ends of the same keys; of each one is held back.
                for workflow in ALL:
                    others = [await runner.run(workflow, Item(n=n), **ME) for n in range(3)]
                    for run in others[:2]:
                        await run.result(60)
            await connection.commit()
        left = "SELECT count(*) FROM stepwell_runs WHERE status<>'completed' AND workflow_name<>'rated'"

        async def none_left() -> bool:
            return await scalar(stepwell, left) == 0

        await until(none_left, "the end of the caller's runs")
        assert all(count <= 2 for name, count in most.items() if not name.startswith("Fair"))


async def test_a_window_opens_for_runs_that_only_a_callers_transaction_has_held_back(
    stepwell_on: StepwellOn, engine: AsyncEngine
) -> None:
    async with stepwell_on([App("shop", workflows=ALL)]) as stepwell:
        runner = stepwell.runner
        for n in range(2):
            await (await runner.run(Rated, Item(n=n), **ME)).result(60)
        async with engine.connect() as connection:
            await runner.run(Rated, Item(n=2), **ME, connection=connection)
            await connection.commit()

        async def noted() -> bool:
            return await scalar(stepwell, "SELECT count(*) FROM stepwell_gates") == 1

        await until(noted, "the moment at which the window opens")
        assert await held(stepwell) == 1


async def test_what_a_batch_frees_by_replacing_runs_lets_others_through(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = _only_hinted(monkeypatch)
    async with stepwell_on([App("shop", workflows=[Replaced, Instead, Shares])]) as stepwell:
        runner = stepwell.runner
        first = await runner.run(Replaced, Item(n=1), **ME)
        await reaches(runner, first.workflow_id, "waiting")
        second = await runner.run(Shares, Item(n=2), **ME)
        assert await held(stepwell) == 1
        if stepwell.process is not None and not stepwell.process.store.dialect.alone:
            async with asyncio.timeout(60):
                await looked.wait()  # after the hint that the second is held
        await runner.run_batch([Start(Instead, Item(n=3))], **ME)
        assert (await first.get()).status == "canceled"
        await reaches(runner, second.workflow_id, "waiting")
        assert sorted(log) == ["Instead 3", "Replaced 1", "Shares 2"]

"""What a dead worker executed goes on under suspicion, and nobody is worn out for a neighbour (rules 32, 48)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from conformance.support import ME, Gate, StepwellOn, buried, die, reaches, until
from stepwell import END, Retry, Stepwell, Workflow, transition
from stepwell.engine.suspicion import suspicion_of
from stepwell.store import runs
from stepwell.store.tx import Tx

gate = Gate()
begun: list[int] = []

LEASE = 3_600.0
"""Seconds: who is dead is said by the tests."""


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    begun.clear()


class Stands(Workflow[int, None, int]):
    @transition(target=END)
    async def stand(self) -> int:
        begun.append(self.args)
        await gate.pass_through()
        return self.args


class Quick(Workflow[int, None, int]):
    @transition(target=END)
    async def go(self) -> int:
        return self.args


async def rows(stepwell: Stepwell) -> list[tuple[Any, ...]]:
    """(suspicion, takeovers) of each run, in order."""
    assert stepwell.process is not None

    def read(tx: Tx) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in tx.rows("SELECT suspicion, takeovers FROM stepwell_runs ORDER BY id")]

    return await stepwell.process.store.read(read)


async def killed(stepwell_on: StepwellOn, count: int, **settings: Any) -> None:
    """A worker that executes so many runs is gone."""
    dead = stepwell_on([Stands, Quick], lease_seconds=LEASE, **settings)
    async with dead:
        for _ in range(count):
            await gate.reached()
        await die(dead)


async def test_all_that_died_together_are_halved_and_none_is_charged(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stands, Quick], embedded_worker=False, lease_seconds=LEASE) as web:
        handles = [await web.runner.run(Stands, n, **ME) for n in range(5)]
        await killed(stepwell_on, 5)
        await buried(web)
        found = await rows(web)
        assert [takeovers for _, takeovers in found] == [0] * 5
        groups = [suspicion_of(suspicion).group for suspicion, _ in found]
        assert sorted(groups.count(group) for group in set(groups)) == [2, 3]
        told = str(await web.runner.explain(handles[0].workflow_id))
        assert "under suspicion: a worker died while executing it at 'start'" in told
        gate.open()
        async with stepwell_on([Stands, Quick], lease_seconds=LEASE):
            assert [await handle.result(60) for handle in handles] == list(range(5))
        assert await rows(web) == [(None, 0)] * 5, "a commit clears"


async def test_suspects_go_on_apart_from_each_other_and_from_fresh_runs(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stands, Quick], embedded_worker=False, lease_seconds=LEASE) as web:
        handles = [await web.runner.run(Stands, n, **ME) for n in range(4)]
        await killed(stepwell_on, 4)
        await buried(web)
        begun.clear()
        async with stepwell_on([Stands, Quick], lease_seconds=LEASE) as alive:
            process = alive.process
            assert process is not None
            process.passes.trial.seconds = 3600.0
            await gate.reached()
            await gate.reached()
            assert len(begun) == 2, "one half"
            fresh = await web.runner.run(Quick, 7, **ME)
            process.queue.wake()
            await asyncio.sleep(0.05)
            assert (await fresh.get()).status == "pending", "it would die with them"
            process.passes.trial.clear(handles[begun[0]].workflow_id)
            process.passes.trial.clear(handles[begun[1]].workflow_id)
            await gate.reached()
            await gate.reached()
            gate.open()
            assert await fresh.result(60) == 7
            assert [await handle.result(60) for handle in handles] == list(range(4))


async def test_fresh_runs_are_not_kept_waiting_by_a_suspect_that_takes_long(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stands, Quick], embedded_worker=False, lease_seconds=LEASE) as web:
        slow = await web.runner.run(Stands, 1, **ME)
        await killed(stepwell_on, 1)
        await buried(web)
        async with stepwell_on([Stands, Quick], lease_seconds=LEASE) as alive:
            await gate.reached()
            assert await (await web.runner.run(Quick, 2, **ME)).result(60) == 2
            assert (await alive.runner.run_sync(Quick, 3, **ME, timeout=60)).result == 3
            gate.open()
            assert await slow.result(60) == 1


opened: list[Stepwell] = []


class Awaits(Workflow[str, None, int]):
    @transition(target=END)
    async def wait(self) -> int:
        await gate.pass_through()
        answer: int = await opened[0].runner.handle(self.args).result()
        return answer


async def test_a_suspect_doesnt_wait_for_a_run_that_waits_for_it(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Awaits, Quick]) as stepwell:
        opened[:] = [stepwell]
        process = stepwell.process
        assert process is not None
        process.passes.trial.seconds = 3600.0
        suspect = await stepwell.runner.run(Quick, 7, **ME, delay=timedelta(hours=1))
        waits = await stepwell.runner.run(Awaits, suspect.workflow_id, **ME)
        await gate.reached()
        await process.store.writer.call(
            lambda tx: tx.run(
                "UPDATE stepwell_runs SET suspicion='2:g', ready_at=1, due_at=NULL WHERE id=?", suspect.workflow_id
            )
        )
        process.queue.wake()

        async def claimed() -> bool:
            assert process is not None
            return process.passes.trial.on

        await until(claimed)
        gate.open()
        assert await waits.result(60) == 7


async def test_only_a_death_alone_counts_and_the_last_one_is_told(stepwell_on: StepwellOn) -> None:
    settings = {"max_takeovers": 2}
    async with stepwell_on([Stands, Quick], embedded_worker=False, lease_seconds=LEASE) as web:
        pair = [await web.runner.run(Stands, n, **ME) for n in range(2)]
        await killed(stepwell_on, 2, **settings)
        await buried(web)
        assert [takeovers for _, takeovers in await rows(web)] == [0, 0]
        await web.runner.cancel(pair[1].workflow_id)
        for _ in range(2):
            await killed(stepwell_on, 1, **settings)
            await buried(web)
        assert (await rows(web))[0][1] == 2
        assert "2 times with no other run beside it" in str(await web.runner.explain(pair[0].workflow_id))
        async with stepwell_on([Stands, Quick], lease_seconds=LEASE, **settings):
            run = await reaches(web.runner, pair[0].workflow_id, "failed")
            assert run.error == "Stands: at 'start', its worker died 2 times here"
        assert (await rows(web))[0] == (None, 0)


async def test_who_only_waits_out_a_retry_is_no_suspect(stepwell_on: StepwellOn) -> None:
    class Retries(Workflow):
        @transition(target=END, retry=Retry(retries=1, delay=timedelta(hours=1), max_delay=timedelta(hours=1)))
        async def go(self) -> None:
            raise ValueError

    dead = stepwell_on([Retries, Stands], lease_seconds=LEASE)
    async with dead:
        held = asyncio.ensure_future(dead.runner.run_sync(Retries, **ME))
        [asleep] = await until(lambda: _retrying(dead))
        other = await dead.runner.run(Stands, 1, **ME)
        await gate.reached()
        await die(dead)
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
        async with stepwell_on([Retries, Stands], embedded_worker=False, lease_seconds=LEASE) as alive:
            await buried(alive)
            assert alive.process is not None
            row = await alive.process.store.read(lambda tx: runs.load_one(tx, asleep.workflow_id))
            assert row is not None
            assert (row.status, row.suspicion, row.takeovers) == ("retrying", None, 0)
            charged = await alive.process.store.read(lambda tx: runs.load_one(tx, other.workflow_id))
            assert charged is not None
            assert charged.takeovers == 1, "what slept beside it executed nothing"


async def _retrying(stepwell: Stepwell) -> list[Any]:
    found = await stepwell.runner.list(status="retrying")
    return list(found.items)


async def test_a_worker_that_leaves_accuses_nobody(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stands, Quick], embedded_worker=False, lease_seconds=LEASE) as web:
        handles = [await web.runner.run(Stands, n, **ME) for n in range(3)]
        async with stepwell_on([Stands, Quick], lease_seconds=LEASE, drain_seconds=0):
            for _ in range(3):
                await gate.reached()
        assert await rows(web) == [(None, 0)] * 3
        gate.open()
        async with stepwell_on([Stands, Quick], lease_seconds=LEASE):
            assert [await handle.result(60) for handle in handles] == [0, 1, 2]


async def test_a_lapsed_lease_charges_nobody(stepwell_on: StepwellOn) -> None:
    """A process that couldn't renew in time stops what it executes: none of that is the runs' own fault."""
    async with stepwell_on([Stands, Quick], lease_seconds=0.3) as stepwell:
        process = stepwell.process
        assert process is not None
        handle = await stepwell.runner.run(Stands, 1, **ME)
        await gate.reached()
        process.passes.stop_all("lost")
        await gate.reached()
        row = await process.store.read(lambda tx: runs.load_one(tx, handle.workflow_id))
        assert row is not None
        assert (row.takeovers, row.suspicion) == (0, None)
        gate.open()
        assert await handle.result(60) == 1


async def test_suspects_that_this_code_cant_execute_hide_nothing(stepwell_on: StepwellOn) -> None:
    class Newer(Workflow[int, None, int], name="stands", version=2):
        @transition(target=END)
        async def stand(self) -> int:
            await gate.pass_through()
            return self.args * 10

    async with stepwell_on([Newer], embedded_worker=False, lease_seconds=LEASE) as web:
        handles = [await web.runner.run(Newer, n, **ME) for n in range(3)]
        dead = stepwell_on([Newer], lease_seconds=LEASE)
        async with dead:
            for _ in range(3):
                await gate.reached()
            await die(dead)
        await buried(web)
        async with stepwell_on([Stands, Quick], lease_seconds=LEASE) as old:
            assert await (await old.runner.run(Quick, 5, **ME)).result(60) == 5
            process = old.process
            assert process is not None

            async def met() -> bool:
                return process.queue.has_unfit(("shop", "stands"))

            await until(met)
            gate.open()
            assert await (await old.runner.run(Stands, 6, **ME)).result(60) == 6
            assert {row[0] is not None for row in (await rows(web))[:3]} == {True}
            async with stepwell_on([Newer], lease_seconds=LEASE):
                assert [await handle.result(60) for handle in handles] == [0, 10, 20]

"""`Settings.journal_retention`: journal rows go that neither a retry nor an undo can need, and no others (rule 42)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from backends import Database
from conformance.support import ME, HarnessOn, StepwellOn, reaches, until
from stepwell import END, START, Retry, Settings, Step, Stepwell, Workflow, transition
from stepwell.store import old_steps
from stepwell.store.tx import Tx
from stepwell.testing import Harness

done: list[str] = []
DAY = timedelta(days=1)
KEPT = {"journal_retention": 7 * DAY}


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    done.clear()


async def value(what: str) -> str:
    done.append(what)
    if what == "lost":
        raise OSError("no answer")
    return what


class Long(Workflow, on_cancel="leaving"):
    """Has rows of each kind in the visits behind it, and in the one where it waits."""

    async def back(self, what: str) -> None:
        done.append(f"back {what}")

    @transition(START, "waiting")
    async def begin(self) -> None:
        await self.step("plain", value, "plain")
        await self.step(Step("once", once=True), value, "once")
        await self.step(Step("booked", undo="back"), value, "booked")

    @transition("waiting", "paused", wait=True)
    async def transfer(self) -> None:
        await self.step("before", value, "before")
        await self.step(Step("lost", once=True), value, "lost")

    @transition("waiting", "paused", wait=True)
    async def go_on(self) -> None:
        await self.step("gone on", value, "gone on")

    @transition("paused", "undone", wait=True)
    async def undo_all(self) -> None:
        await self.undo()

    @transition("undone", END, wait=True)
    async def stop(self) -> None: ...

    @transition("leaving", END)
    async def leave(self) -> None:
        await self.step("left", value, "left")


async def walked(harness: Harness, time: timedelta) -> None:
    """The time has passed, and the journal was walked over after it."""
    await harness.advance(time)
    await harness.advance(timedelta(hours=2))


async def names(stepwell: Harness | Stepwell, run_id: str) -> set[str]:
    return {row.name for row in (await stepwell.runner.steps(run_id, limit=1_000)).items}


async def gone(harness: Harness, run_id: str, left: set[str], time: timedelta = 8 * DAY) -> None:
    async def look() -> bool:
        await harness.advance(timedelta(hours=1))
        return await names(harness, run_id) == left

    await harness.advance(time)
    await until(look, f"only {left}")


async def test_rows_of_left_visits_go_and_what_a_retry_needs_stays(harness_on: HarnessOn) -> None:
    async with harness_on([Long], **KEPT) as harness:
        run = await harness.runner.run(Long, **ME)
        await harness.drain()
        await run.signal("transfer")
        await harness.drain()
        failed = await run.get()
        assert (failed.status, failed.place) == ("failed", "waiting")
        await harness.advance(6 * DAY)
        assert len(await names(harness, run.workflow_id)) == 5, "they aren't old yet"
        await gone(harness, run.workflow_id, {"booked", "before", "lost"})
        await walked(harness, 30 * DAY)
        assert await names(harness, run.workflow_id) == {"booked", "before", "lost"}
        await run.retry()
        await harness.drain()
        again = await run.get()
        assert "StepUnknown" in (again.error or ""), "the marker of a visit that isn't left stands"
        assert done == ["plain", "once", "booked", "before", "lost"], "nothing ran again"


async def test_a_step_with_undo_stays_until_it_is_undone(harness_on: HarnessOn) -> None:
    async with harness_on([Long], **KEPT) as harness:
        run = await harness.runner.run(Long, **ME)
        await harness.drain()
        await run.signal("go_on")
        await harness.drain()
        await gone(harness, run.workflow_id, {"booked"})
        await run.signal("undo_all")
        await harness.drain()
        assert done[-1] == "back booked"
        await harness.advance(6 * DAY)
        assert await names(harness, run.workflow_id) == {"booked"}, "it was undone a short time ago"
        await gone(harness, run.workflow_id, set())


@pytest.mark.parametrize("how", ["ends", "canceled"])
async def test_the_end_of_the_run_ends_what_an_undo_may_need(harness_on: HarnessOn, how: str) -> None:
    async with harness_on([Long], **KEPT) as harness:
        run = await harness.runner.run(Long, **ME)
        other = await harness.runner.run(Long, **ME)
        await harness.drain()
        await walked(harness, 8 * DAY)
        assert await names(harness, run.workflow_id) == {"booked"}
        if how == "ends":
            await run.cancel()
            await harness.drain()
            await gone(harness, run.workflow_id, {"left"}, timedelta(hours=1))
        else:
            await run.cancel(force=True)
        await gone(harness, run.workflow_id, set())
        assert await names(harness, run.workflow_id) == set()
        assert await names(harness, other.workflow_id) == {"booked"}
        assert await run.get(), "the run itself stays: that is `retention`"


class Detour(Workflow):
    """Fails after a step, and comes back to the same visit from a place where it waits for weeks."""

    @transition(START, "work")
    async def begin(self) -> None: ...

    @transition("work", END, retry=Retry(retries=1, delay=timedelta(0)), retry_target="resting")
    async def work(self) -> None:
        await self.step("first", value, "first")
        if self.info.attempt == 1:
            raise OSError("not yet")

    @transition("resting", "work", wait=True)
    async def rested(self) -> None: ...


async def test_a_detour_keeps_the_journal_of_the_visit_that_it_interrupts(harness_on: HarnessOn) -> None:
    async with harness_on([Detour], **KEPT) as harness:
        run = await harness.runner.run(Detour, **ME)
        await harness.drain()
        assert (await run.get()).place == "resting"
        await walked(harness, 30 * DAY)
        await run.signal("rested")
        await harness.drain()
        assert (await run.get()).status == "completed"
        assert done == ["first"]


async def test_nothing_of_the_journal_goes_by_default(harness_on: HarnessOn) -> None:
    async with harness_on([Long]) as harness:
        run = await harness.runner.run(Long, **ME)
        await harness.drain()
        await walked(harness, 3650 * DAY)
        assert await names(harness, run.workflow_id) == {"plain", "once", "booked"}


async def test_a_fork_runs_its_steps_again_whether_the_rows_are_there_or_not(harness_on: HarnessOn) -> None:
    async with harness_on([Long], **KEPT) as harness:
        run = await harness.runner.run(Long, **ME)
        await harness.drain()
        await run.signal("go_on")
        await harness.drain()
        await gone(harness, run.workflow_id, {"booked"})
        fork = await harness.runner.fork(run.workflow_id, checkpoint=1)
        await harness.drain()
        await fork.signal("go_on")
        await harness.drain()
        assert (await fork.get()).place == "paused"
        assert await names(harness, fork.workflow_id) == {"gone on"}
        assert done.count("gone on") == 2


# -- many rows --------------------------------------------------------------------------------------------------------

ROWS = 2_500


async def fill(stepwell: Stepwell, run_ids: Sequence[str], rows: int) -> None:
    """Each run has so many old rows of a visit that it has left."""
    assert stepwell.process is not None
    sql = (
        "INSERT INTO stepwell_steps (run_id, visit, transition, name, value, recorded_at)"
        " VALUES (?, 0, 'begin', ?, '1', 1)"
    )
    values = [(run_id, f"old {n:05}") for run_id in run_ids for n in range(rows)]
    await stepwell.process.store.writer.call(lambda tx: tx.each(sql, values))


async def waiting(stepwell: Stepwell) -> str:
    run = await stepwell.runner.run(Long, **ME)
    await reaches(stepwell.runner, run.workflow_id, "waiting")
    return run.workflow_id


async def test_they_are_deleted_some_at_a_time_and_others_write_in_between(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted: list[int] = []
    between = asyncio.Event()
    delete = old_steps.delete

    async with stepwell_on([Long]) as stepwell:
        process = stepwell.process
        assert process is not None
        run_id = await waiting(stepwell)
        await fill(stepwell, [run_id], ROWS)
        loop = asyncio.get_running_loop()

        def counted(tx: Tx, *given: Any) -> int:
            deleted.append(delete(tx, *given))
            loop.call_soon_threadsafe(between.set)
            return deleted[-1]

        monkeypatch.setattr(old_steps, "delete", counted)
        walk = asyncio.create_task(process.journal_retention.walk(3600))
        async with asyncio.timeout(60):
            await between.wait()
        await waiting(stepwell)
        assert await walk == ROWS
        assert max(deleted) <= 1_000
        assert len([some for some in deleted if some]) >= 3
        assert await names(stepwell, run_id) == {"plain", "once", "booked"}, "those are young"


async def test_two_processes_at_once_delete_each_row_once(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Long]) as first, stepwell_on([Long]) as second:
        ids = [await waiting(first) for _ in range(3)]
        await fill(first, ids, 900)
        assert first.process is not None
        assert second.process is not None
        walks = (process.journal_retention.walk(3600) for process in (first.process, second.process))
        assert sum(await asyncio.gather(*walks)) == 3 * 900


_KEY = "run_id, visit, transition, name"
KEEPS = {
    "sqlite": [
        "CREATE TRIGGER keeps BEFORE DELETE ON stepwell_steps WHEN OLD.run_id='{run}' AND OLD.name='old 00001'"
        " BEGIN SELECT RAISE(ABORT, 'paid for it'); END"
    ],
    "postgres": [
        "CREATE TABLE paid (run_id text, visit integer, transition text, name text,"
        f" FOREIGN KEY ({_KEY}) REFERENCES stepwell_steps ({_KEY}))",
        "INSERT INTO paid VALUES ('{run}', 0, 'begin', 'old 00001')",
    ],
}
"""Statements of an application that wants to keep one row of the journal."""


async def test_a_row_that_the_database_keeps_keeps_no_others(stepwell_on: StepwellOn, database: Database) -> None:
    async with stepwell_on([Long]) as stepwell:
        process = stepwell.process
        assert process is not None
        kept, *others = [await waiting(stepwell) for _ in range(3)]
        await fill(stepwell, [kept, *others], 3)
        for statement in KEEPS[database.kind]:
            database.execute(statement.format(run=kept))
        try:
            assert await process.journal_retention.walk(3600) >= 2 * 3
            assert {one async for one in _old(stepwell, [kept, *others])} >= {(kept, "old 00001")}
            assert not [one async for one in _old(stepwell, others)]
            [fault] = process.shared.faults.listed()
            assert f"the journal of run {kept}" in fault
        finally:
            database.execute("DROP TRIGGER keeps" if database.kind == "sqlite" else "DROP TABLE paid")


async def _old(stepwell: Stepwell, ids: Sequence[str]) -> Any:
    for run_id in ids:
        for name in await names(stepwell, run_id):
            if name.startswith("old"):
                yield run_id, name


@pytest.mark.parametrize("retention", [timedelta(0), timedelta(days=-1)])
def test_a_retention_that_keeps_nothing_is_refused(retention: timedelta) -> None:
    with pytest.raises(ValidationError, match="journal_retention"):
        Settings(_env_file=None, journal_retention=retention)

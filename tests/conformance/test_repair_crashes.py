"""Repairs whose process dies, and repairs that come at once: each is there as a whole or not at all, and counts once."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from backends import Database
from conformance.repair_victim import CALLS, KEY, Mend
from conformance.support import ME, StepwellOn, counts, everything, reaches, until
from stepwell import END, Start, Stepwell, Workflow, transition
from stepwell.errors import RunFinished, WorkflowNotFound

RACES = 200


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    """The database."""
    return str(request.param)


async def failed(stepwell: Stepwell) -> str:
    run = (await stepwell.runner.run(Mend, **ME)).workflow_id
    await reaches(stepwell.runner, run, "waiting", "open")
    await stepwell.runner.signal(run, "pay", 5)
    await reaches(stepwell.runner, run, "failed", "open")
    return run


async def killed(database: Database, *given: str) -> None:
    victim = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("repair_victim.py")), database.url, *given
    )
    assert await victim.wait() == -signal.SIGKILL


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", CALLS)
async def test_a_process_dies_at_its_commit(
    stepwell_on: StepwellOn, database: Database, call: str, moment: str
) -> None:
    async with stepwell_on([Mend]) as stepwell:
        runner = stepwell.runner
        run = await failed(stepwell)
        if call == "delete":
            await runner.cancel(run)
        before, rows = await everything(stepwell), await counts(stepwell)
    await killed(database, run, call, moment)
    async with stepwell_on([Mend], embedded_worker=False) as stepwell:
        if moment == "before":
            assert await everything(stepwell) == before, "nothing of it is stored"
        elif call == "delete":
            assert not {"stepwell_runs", "stepwell_history", "stepwell_documents"} & (await counts(stepwell)).keys()
        elif "fork" in call:
            assert (await counts(stepwell))["stepwell_runs"] == rows["stepwell_runs"] + 1
    async with stepwell_on([Mend]) as stepwell:
        runner, again = stepwell.runner, None
        try:  # who wasn't told asks again
            again = await CALLS[call](runner, run)
        except (RunFinished, WorkflowNotFound):
            assert (moment, call.split()[0]) in [("after", "retry"), ("after", "delete")]
        forks = [one for one in (await runner.list(workflow=Mend)).items if one.forked_from is not None]
        if "fork" in call:
            assert again is not None
            assert again.created is not (moment == "after" and call == "keyed fork")
            assert len(forks) == (2 if moment == "after" and call == "fork" else 1)
            for one in forks:
                await reaches(runner, one.workflow_id, "waiting", "open")
                await runner.signal(one.workflow_id, "pay", 10)
                assert (await reaches(runner, one.workflow_id, "completed")).result == 17
                assert len(await runner.documents(one.workflow_id)) == 1
            assert [one.idempotency_key for one in forks].count(KEY) == (call == "keyed fork")
        elif call == "delete":
            assert (await runner.list()).items == ()
        elif call == "update":
            found = await runner.get(run)
            assert (found.labels, found.subject, found.status) == (("mended",), "Mended", "failed")
        else:
            assert (await reaches(runner, run, "completed")).result == (20 if "data" in call else 65)


# -- two at once ------------------------------------------------------------------------------------------------------


class Choice(BaseModel):
    number: int = 0


class Choose(Workflow[None, Choice, int], name="choose"):
    @transition(target=END)
    async def choose(self) -> int:
        if self.state.number == 0:
            raise ValueError("nothing is chosen")
        return self.state.number


async def tried(*calls: Coroutine[Any, Any, Any]) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def chosen(stepwell: Stepwell, status: str) -> list[str]:
    """Runs that have all come to this status."""
    handles = await stepwell.runner.run_many([Start(Choose)] * RACES, **ME)

    async def there() -> bool:
        found = (await stepwell.runner.list(workflow=Choose, status=status, limit=RACES)).items
        return len(found) == RACES

    await until(there)
    return [one.workflow_id for one in handles]


async def test_two_forks_with_one_key_are_one(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Mend]) as one, stepwell_on([Mend], embedded_worker=False) as two:
        origin = await failed(one)
        for number in range(RACES):
            calls = (each.runner.fork(origin, checkpoint=1, idempotency_key=f"k{number}") for each in (one, two))
            first, second = await tried(*calls)
            assert first.workflow_id == second.workflow_id
            assert {first.created, second.created} == {True, False}


async def test_two_repairs_leave_one_state(stepwell_on: StepwellOn) -> None:
    """Each that is accepted has its row, and the run goes on with the last of them."""
    async with stepwell_on([Choose]) as one, stepwell_on([Choose], embedded_worker=False) as two:
        for run in await chosen(one, "failed"):
            calls = (each.runner.retry(run, state={"number": number}) for number, each in enumerate((one, two), 1))
            answers = await tried(*calls)
            refused = [answer for answer in answers if isinstance(answer, BaseException)]
            assert all(isinstance(error, RunFinished) for error in refused), refused
            assert len(refused) < 2
            done = await reaches(one.runner, run, "completed")
            rows = [row for row in await one.runner.history(run) if row.transition is None and row.version > 0]
            assert len(rows) == 2 - len(refused)
            assert rows[-1].state == {"number": done.result}


async def test_two_changes_are_both_kept(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Mend]) as one, stepwell_on([Mend], embedded_worker=False) as two:
        run = await failed(one)
        for number in range(RACES):
            await asyncio.gather(
                one.runner.update(run, labels=[f"l{number}"]), two.runner.update(run, subject=f"s{number}")
            )
            found = await two.runner.get(run)
            assert (found.labels, found.subject) == ((f"l{number}",), f"s{number}")


async def test_a_run_that_is_deleted_by_two_and_by_retention_is_gone_once(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Choose]) as one, stepwell_on([Choose], embedded_worker=False) as two:
        found = await chosen(one, "failed")
        for run in found:
            await one.runner.cancel(run)
        assert one.process is not None
        for index, run in enumerate(found):
            calls = [one.runner.delete(run), two.runner.delete(run)]
            if index % 20 == 10:
                calls.append(one.process.sweep.expire(0))  # type: ignore[arg-type]
            answers = await tried(*calls)
            errors = [answer for answer in answers if isinstance(answer, BaseException)]
            assert all(isinstance(error, WorkflowNotFound) for error in errors), errors
        while await one.process.sweep.expire(0):
            pass
        assert not {"stepwell_runs", "stepwell_history", "stepwell_documents"} & (await counts(one)).keys()


async def test_pages_are_read_while_their_runs_are_deleted(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Choose]) as one, stepwell_on([Choose], embedded_worker=False) as two:
        found = await chosen(one, "failed")
        for run in found:
            await one.runner.cancel(run)

        async def read(run: str) -> None:
            page = await two.runner.list(limit=50)
            for item in page.items:
                assert (item.status, item.workflow_name) == ("canceled", "choose")
            try:
                rows = await two.runner.history(run)
            except WorkflowNotFound:
                return
            assert [row.version for row in rows] in ([0, 1, 2], [])

        for run in found:
            await asyncio.gather(read(run), one.runner.delete(run), read(run))
        assert (await two.runner.list()).items == ()

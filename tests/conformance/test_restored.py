"""A database that is an older copy of itself (a restored backup, a failover): what a process knew of it is only a hint."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from backends import Database
from conformance.support import ME, StepwellOn, until
from stepwell import END, Start, Workflow, transition
from stepwell.process import Process


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Quick(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


class Parent(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        await self.start(Quick)


ORPHANS = "SELECT count(*) FROM stepwell_runs WHERE workspace_id NOT IN (SELECT id FROM stepwell_workspaces)"
OLDER = "DELETE FROM stepwell_workspaces"


@pytest.mark.parametrize("way", ["run", "run_many", "run_sync", "child", "in mine"])
async def test_the_workspace_of_each_new_run_is_there_whatever_was_known(
    stepwell_on: StepwellOn, database: Database, way: str
) -> None:
    async with stepwell_on([Quick, Parent]) as stepwell:
        runner = stepwell.runner
        for _ in range(2):
            await (await runner.run(Quick, **ME)).result(60)
            database.execute("DELETE FROM stepwell_runs")
            database.execute(OLDER)
            if way == "run":
                await runner.run(Quick, **ME)
            elif way == "run_many":
                await runner.run_many([Start(Quick), Start(Quick)], **ME)
            elif way == "run_sync":
                await runner.run_sync(Quick, **ME)
            elif way == "in mine":
                engine = database.engine()
                async with engine.begin() as connection:
                    await runner.run(Quick, **ME, connection=connection)
                await engine.dispose()
            else:
                await (await runner.run(Parent, **ME)).result(60)
            assert database.read("SELECT user_id FROM stepwell_workspaces") == [("u1",)]
            assert database.read(ORPHANS) == [(0,)]


async def test_a_worker_whose_row_is_not_in_the_copy_registers_again(
    stepwell_on: StepwellOn, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with stepwell_on([Quick], lease_seconds=1.5) as stepwell:
        database.execute("DELETE FROM stepwell_workers")

        async def registered() -> Any:
            return database.read("SELECT id FROM stepwell_workers")

        assert process_of(stepwell).worker_id in {row[0] for row in await until(registered)}
        assert (await (await stepwell.runner.run(Quick, **ME)).result(60)) is None
    assert "Traceback" not in caplog.text


async def test_a_heartbeat_that_meets_a_lock_says_so_in_one_line(
    stepwell_on: StepwellOn, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with stepwell_on([Quick], lease_seconds=1.0) as stepwell:
        with database.locked():
            await until(lambda: missed(caplog))
        await until(lambda: healthy(stepwell))
    for record in caplog.records:
        if record.name == "stepwell.worker" and "heartbeat" in record.getMessage():
            assert record.exc_info is None
            assert "\n" not in record.getMessage()
            assert record.levelno <= logging.WARNING


async def missed(caplog: pytest.LogCaptureFixture) -> bool:
    return "was not written" in caplog.text


async def healthy(stepwell: Any) -> bool:
    return await stepwell.faults() == []


def process_of(stepwell: Any) -> Process:
    found: Process = stepwell.process
    return found

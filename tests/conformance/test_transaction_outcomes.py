"""A COMMIT of `self.transaction()` that fails: what is there is looked up before anything is done again (semantics 10, 35)."""

from __future__ import annotations

import sqlite3
from typing import Literal

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, event, func, insert, select
from sqlalchemy.exc import OperationalError

from conformance.support import ME, StepwellOn
from stepwell import END, Stepwell, Workflow, transition

users = MetaData()
payments = Table("payments", users, Column("id", Integer, primary_key=True))
calls: list[str] = []


class Pays(Workflow):
    @transition(target=END)
    async def pay(self) -> None:
        calls.append("pay")
        async with self.transaction() as connection:
            await connection.execute(insert(payments).values())


def break_commit(stepwell: Stepwell, side: Literal["before", "after"]) -> None:
    """The next COMMIT of a transaction fails, before or after it was made."""
    assert stepwell.process is not None
    happened: list[str] = []

    @event.listens_for(stepwell.process.store._transactions.sync_engine, "commit")
    def failing(connection: Connection) -> None:
        if happened:
            return
        happened.append(side)
        if side == "after":
            connection.exec_driver_sql("COMMIT")
        raise OperationalError("COMMIT", None, sqlite3.OperationalError("disk I/O error"))


@pytest.mark.parametrize(("side", "times"), [("before", 2), ("after", 1)])
async def test_what_was_committed_is_not_done_again(
    stepwell_on: StepwellOn, side: Literal["before", "after"], times: int
) -> None:
    calls.clear()
    async with stepwell_on([Pays]) as stepwell:
        assert stepwell.process is not None
        await stepwell.process.store.writer.call(users.create_all)
        break_commit(stepwell, side)
        handle = await stepwell.runner.run(Pays, **ME)
        await handle.result(8)
        count = select(func.count()).select_from(payments)
        assert await stepwell.process.store.read(lambda given: given.execute(count).scalar_one()) == 1
        assert len(calls) == times
        assert [row.status for row in await stepwell.runner.history(handle.workflow_id)] == ["committed", "committed"]

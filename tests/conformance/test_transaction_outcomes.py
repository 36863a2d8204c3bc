"""A COMMIT of `self.transaction()` that fails: what is there is looked up before anything is done again (rules 10, 35)."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select

from commits import Commits
from conformance.support import ME, StepwellOn
from stepwell import END, Workflow, transition

users = MetaData()
payments = Table("payments", users, Column("id", Integer, primary_key=True))
calls: list[str] = []


class Pays(Workflow):
    @transition(target=END)
    async def pay(self) -> None:
        calls.append("pay")
        async with self.transaction() as connection:
            await connection.execute(insert(payments).values())


@pytest.mark.parametrize(("side", "times"), [("before", 2), ("after", 1)])
async def test_what_was_committed_is_not_done_again(
    stepwell_on: StepwellOn, commits: Commits, side: Literal["before", "after"], times: int
) -> None:
    calls.clear()
    async with stepwell_on([Pays], database_url=commits.url) as stepwell:
        assert stepwell.process is not None
        store: Any = stepwell.process.store
        await store.writer.call(lambda tx: users.create_all(tx.connection))
        happened = commits.break_next(store._transactions.sync_engine, side)
        handle = await stepwell.runner.run(Pays, **ME)
        await handle.result(60)
        count = select(func.count()).select_from(payments)
        assert await store.read(lambda tx: tx.execute(count).scalar_one()) == 1
        assert happened == [side]
        assert len(calls) == times
        assert [row.status for row in await stepwell.runner.history(handle.workflow_id)] == ["committed", "committed"]

"""A COMMIT that fails: what is there is looked up, and what can't be looked up is said to be unknown (semantics 35)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import pytest
from sqlalchemy import Connection, Engine, event

from stepwell import END, Stepwell, Workflow, transition
from stepwell.engine.commit import Commit
from stepwell.engine.run import HistoryRow, StepRow
from stepwell.engine.run import Run as RunRow
from stepwell.errors import LeaseLost, StoreUnavailable
from stepwell.store import history, runs
from stepwell.store.base import Advance, Record
from stepwell.store.store import Store

ME: dict[str, Any] = {"app_name": "shop", "user_id": "u1"}
CALLS: list[str] = []


class Two(Workflow):
    @transition(target="between")
    async def first(self) -> None:
        CALLS.append("first")

    @transition("between", END)
    async def second(self) -> None:
        CALLS.append("second")


@pytest.fixture
async def opened(stepwell_on: Callable[..., Stepwell]) -> AsyncIterator[Stepwell]:
    async with stepwell_on([Two], embedded_worker=False) as stepwell:
        yield stepwell


@pytest.fixture
def store(opened: Stepwell) -> Store:
    assert opened.process is not None
    return opened.process.store


async def break_commit(
    store: Store, side: Literal["before", "after"], *, blind: bool = False, if_: Callable[[], bool] = lambda: True
) -> list[str]:
    """The next COMMIT of the writer fails, before or after it was made; `blind`: and then nothing can be looked up."""
    happened: list[str] = []
    # In the writer's thread: SQLAlchemy's lists of listeners are not to be changed while they are called.
    await store.writer.call(lambda connection: _listen(connection.engine, happened, side, blind, if_))
    return happened


def _listen(engine: Engine, happened: list[str], side: str, blind: bool, if_: Callable[[], bool]) -> None:
    wrote = [False]

    @event.listens_for(engine, "begin")
    def begun(_connection: Connection) -> None:
        wrote[0] = False

    @event.listens_for(engine, "before_cursor_execute")
    def executing(_connection: Connection, _cursor: Any, sql: str, *_: Any) -> None:
        # Not a heartbeat's: the transaction of a start, a checkpoint or a journal row.
        wrote[0] |= sql.startswith(("INSERT INTO stepwell_history", "INSERT INTO stepwell_steps"))

    @event.listens_for(engine, "commit")
    def failing(connection: Connection) -> None:
        if happened or not wrote[0] or not if_():
            return
        happened.append(side)
        if side == "after":
            connection.connection.driver_connection.commit()  # type: ignore[union-attr]
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error

    @event.listens_for(engine, "connect")
    def connecting(_dbapi: Any, _record: Any) -> None:
        if blind and happened == [side]:
            happened.append("blind")
            raise sqlite3.OperationalError("unable to open database file")


async def test_a_start_whose_commit_was_made_is_answered(opened: Stepwell, store: Store) -> None:
    happened = await break_commit(store, "after")
    handle = await opened.runner.run(Two, **ME)
    assert happened == ["after"]
    assert handle.created
    assert (await handle.get()).status == "pending"


async def test_a_start_whose_commit_was_not_made_stored_nothing(opened: Stepwell, store: Store) -> None:
    await break_commit(store, "before")
    with pytest.raises(StoreUnavailable, match="Nothing was stored") as caught:
        await opened.runner.run(Two, **ME)
    assert caught.value.outcome == "nothing"
    assert not (await opened.runner.list()).items


@pytest.mark.parametrize("side", ["before", "after"])
async def test_where_nothing_can_be_asked_the_outcome_is_unknown_and_names_the_run(
    opened: Stepwell, store: Store, side: Literal["before", "after"]
) -> None:
    await break_commit(store, side, blind=True)
    with pytest.raises(StoreUnavailable) as caught:
        await opened.runner.run(Two, **ME)
    assert caught.value.outcome == "unknown"
    listed = [run.workflow_id for run in (await opened.runner.list()).items]
    assert listed == ([caught.value.workflow_id] if side == "after" else [])


async def test_what_was_committed_with_a_start_is_answered_with_it(opened: Stepwell, store: Store) -> None:
    await break_commit(store, "after")
    handle, answer = await asyncio.gather(opened.runner.run(Two, **ME), store.writer.call(lambda connection: 7))
    assert handle.created
    assert answer == 7


@pytest.mark.parametrize("blind", [False, True])
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_run_goes_on_after_a_checkpoint_whose_answer_was_lost(
    stepwell_on: Callable[..., Stepwell], side: Literal["before", "after"], blind: bool
) -> None:
    CALLS.clear()
    async with stepwell_on([Two]) as stepwell:
        assert stepwell.process is not None
        happened = await break_commit(stepwell.process.store, side, blind=blind, if_=lambda: "first" in CALLS)
        handle = await stepwell.runner.run(Two, **ME)
        await handle.result()
        rows: list[Any] = await stepwell.runner.history(handle.workflow_id)
    assert happened
    assert CALLS == ["first", "second"]
    assert [(row.version, row.transition) for row in rows] == [(0, None), (1, "first"), (2, "second")]


async def owned(opened: Stepwell, store: Store) -> RunRow:
    handle = await opened.runner.run(Two, **ME)
    found = await store.read(lambda connection: runs.load_one(connection, handle.workflow_id))
    assert found is not None
    return found


def checkpoint(run: RunRow, moment: int) -> Commit:
    row = HistoryRow(
        run.id, run.version + 1, "first", "start", "between", 1, "completed", None, None, "{}", None, moment, moment
    )
    return Commit(run.version, run.claim, run._replace(version=run.version + 1, place="between"), row)


async def test_a_checkpoint_asked_for_again_finds_itself_and_nobody_elses(opened: Stepwell, store: Store) -> None:
    commit = checkpoint(await owned(opened, store), 5)
    first = await store.writer.write(Advance(commit))
    assert await store.writer.write(Advance(commit)) == first
    with pytest.raises(LeaseLost):
        await store.writer.write(Advance(checkpoint(before(commit), 6)))
    assert await store.stored(commit, first)
    assert not await store.stored(checkpoint(before(commit), 6), first)


def before(commit: Commit) -> RunRow:
    """The run as the worker saw it before this commit."""
    return commit.run._replace(version=commit.version, claim=commit.claim)


async def test_a_journal_row_whose_commit_was_made_is_answered(opened: Stepwell, store: Store) -> None:
    run = await owned(opened, store)
    await break_commit(store, "after")
    step = StepRow(run.id, 0, "first", "s", "1", 0)
    assert await store.writer.write(Record(step, run.version, run.claim)) is None
    assert await store.read(lambda connection: history.steps_of(connection, run.id)) == [step]

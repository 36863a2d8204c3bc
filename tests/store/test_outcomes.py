"""A COMMIT that fails: what is there is looked up, and what can't be looked up is said to be unknown (rule 35)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from backends import Database
from commits import Commits
from cutter import Side
from stepwell import END, Stepwell, Workflow, transition
from stepwell.engine.commit import Commit
from stepwell.engine.run import HistoryRow, RunRow
from stepwell.errors import LeaseLost, StoreUnavailable
from stepwell.store import history, runs
from stepwell.store.base import Store
from stepwell.store.journal import JournalRow, Record
from stepwell.store.tx import Advance

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
async def opened(stepwell_on: Callable[..., Stepwell], commits: Commits) -> AsyncIterator[Stepwell]:
    async with stepwell_on([Two], embedded_worker=False, database_url=commits.url, busy_seconds=0.5) as stepwell:
        yield stepwell


@pytest.fixture
def store(opened: Stepwell) -> Store:
    assert opened.process is not None
    return opened.process.store


async def break_next(
    store: Store, commits: Commits, side: Side, *, blind: bool = False, if_: Callable[[], bool] = lambda: True
) -> list[str]:
    """The writer's next COMMIT fails; what happened is in the list."""
    # Where the writer works: SQLAlchemy's lists of listeners are not to be changed while they are called.
    return await store.writer.call(
        lambda tx: commits.break_next(tx.connection.engine, side, blind=blind, if_=if_),
    )


async def test_a_start_whose_commit_was_made_is_answered(opened: Stepwell, store: Store, commits: Commits) -> None:
    happened = await break_next(store, commits, "after")
    handle = await opened.runner.run(Two, **ME)
    assert happened == ["after"]
    assert handle.created
    assert (await handle.get()).status == "pending"
    assert [run.workflow_id for run in (await opened.runner.list()).items] == [handle.workflow_id]


async def test_a_start_whose_commit_was_not_made_is_made_again_or_stored_nothing(
    opened: Stepwell, store: Store, commits: Commits, database: Database
) -> None:
    happened = await break_next(store, commits, "before")
    if database.kind == "postgres":  # a connection was lost, which says nothing about the next one
        handle = await opened.runner.run(Two, **ME)
        assert handle.created
        assert [run.workflow_id for run in (await opened.runner.list()).items] == [handle.workflow_id]
    else:
        with pytest.raises(StoreUnavailable, match="Nothing was stored") as caught:
            await opened.runner.run(Two, **ME)
        assert caught.value.outcome == "nothing"
        assert not (await opened.runner.list()).items
    assert happened == ["before"]


@pytest.mark.parametrize("side", ["before", "after"])
async def test_where_nothing_can_be_asked_the_outcome_is_unknown_and_names_the_run(
    opened: Stepwell, store: Store, commits: Commits, side: Side
) -> None:
    await break_next(store, commits, side, blind=True)
    with pytest.raises(StoreUnavailable) as caught:
        await opened.runner.run(Two, **ME)
    commits.passes()
    assert caught.value.outcome == "unknown"
    listed = [run.workflow_id for run in (await opened.runner.list()).items]
    assert listed == ([caught.value.workflow_id] if side == "after" else [])


async def test_what_was_committed_with_a_start_is_answered_with_it_or_unknown(
    opened: Stepwell, store: Store, commits: Commits, database: Database
) -> None:
    await break_next(store, commits, "after")
    handle, answer = await asyncio.gather(
        opened.runner.run(Two, **ME), store.writer.call(lambda tx: 7), return_exceptions=True
    )
    assert not isinstance(handle, BaseException)
    assert handle.created
    if database.kind == "postgres":  # the start was done again, behind its first try; any operation can't be
        assert isinstance(answer, StoreUnavailable)
        assert answer.outcome == "unknown"
    else:
        assert answer == 7


@pytest.mark.parametrize("blind", [False, True])
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_run_goes_on_after_a_checkpoint_whose_answer_was_lost(
    stepwell_on: Callable[..., Stepwell], commits: Commits, side: Side, blind: bool
) -> None:
    CALLS.clear()
    async with stepwell_on([Two], database_url=commits.url, busy_seconds=0.5) as stepwell:
        assert stepwell.process is not None
        store = stepwell.process.store
        happened = await break_next(store, commits, side, blind=blind, if_=lambda: "first" in CALLS)
        handle = await stepwell.runner.run(Two, **ME)
        await handle.result(60)
        rows: list[Any] = await stepwell.runner.history(handle.workflow_id)
    assert happened
    assert CALLS == ["first", "second"]
    assert [(row.version, row.transition) for row in rows] == [(0, None), (1, "first"), (2, "second")]


async def owned(opened: Stepwell, store: Store) -> RunRow:
    handle = await opened.runner.run(Two, **ME)
    found = await store.read(lambda tx: runs.load_one(tx, handle.workflow_id))
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


async def test_a_journal_row_whose_commit_was_made_is_answered(
    opened: Stepwell, store: Store, commits: Commits
) -> None:
    run = await owned(opened, store)
    await break_next(store, commits, "after")
    step = JournalRow(run.id, 0, "first", "s", "1", 0)
    assert await store.writer.write(Record(step, run.version, run.claim)) is None
    assert await store.read(lambda tx: history.steps_of(tx, run.id)) == [step]

"""`runner.blocking`: the same verbs for synchronous code, from `with stepwell:` and from any thread."""

from __future__ import annotations

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import reduce
from typing import Any

import pytest

from conformance.support import ME, StepwellOn
from stepwell import END, RunHandle, Start, Workflow, WorkflowRunner, transition
from stepwell.errors import InvalidArgs, RunFailed, RunFinished, StepwellError, WorkflowNotFound
from stepwell.runner.batch_handle import BatchHandle
from stepwell.runner.blocking import BlockingHandle, BlockingRunner, BlockingSchedules
from stepwell.runner.blocking_batch import BlockingBatch
from stepwell.runner.schedules import RunnerSchedules


class Echo(Workflow[int]):
    @transition(target=END)
    async def go(self) -> int:
        return self.args


class Ask(Workflow):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def answer(self, text: str) -> str:
        return text


def test_plain_code_has_every_verb(stepwell_on: StepwellOn) -> None:
    with stepwell_on([Echo, Ask]) as stepwell:
        runner = stepwell.runner.blocking
        handle = runner.run(Echo, 7, **ME)
        assert handle.created
        assert handle.result(timeout=timedelta(seconds=60)) == 7
        assert runner.run_sync(Echo, 8, **ME).result == 8
        assert [one.result(60) for one in runner.run_many([Start(Echo, 1), Start(Echo, 2)], **ME)] == [1, 2]
        asked = runner.run_sync(Ask, **ME)
        assert runner.get(asked.workflow_id).status == "waiting"
        assert "answer" in str(runner.explain(asked.workflow_id))
        runner.signal(asked.workflow_id, "answer", "yes")
        assert runner.handle(asked.workflow_id).result(60) == "yes"
        assert runner.emit("nobody.listens").started == ()
        assert len(runner.list().items) == 5
        assert [row.version for row in runner.history(asked.workflow_id)] == [0, 1, 2]
        assert list(runner.documents(asked.workflow_id)) == []
        again = runner.run(Ask, **ME)
        assert runner.cancel(again.workflow_id).status == "canceled"
        with pytest.raises(RunFailed):
            again.result(60)
        steered = runner.run(Ask, **ME)
        assert steered.signal("answer", "by its handle").workflow_id == steered.get().workflow_id
        assert steered.result(60) == "by its handle"
        third = runner.run(Ask, **ME)
        assert third.cancel(reason="enough").error == "canceled: enough"
        with pytest.raises(RunFinished):
            third.retry()
        with pytest.raises(InvalidArgs):
            runner.run(Echo, "many", **ME)
        with pytest.raises(WorkflowNotFound):
            runner.as_user("u2").get(asked.workflow_id)
        forked = runner.fork(asked.workflow_id, checkpoint=1)
        assert forked.get().forked_from == (asked.workflow_id, 1)
        with pytest.raises(TimeoutError):
            runner.run(Ask, **ME).result(timeout=0.05)
        with pytest.raises(AttributeError, match="no attribute 'start'"):
            _ = runner.start  # type: ignore[attr-defined]
    with pytest.raises(StepwellError, match="isn't open"):
        runner.get("x")


INNER = {
    *("answer_as", "answer_by_link", "assign_as", "find", "find_batches", "find_questions"),
    *("linked_question", "page", "read", "row", "run_inline", "send"),
}
"""Coroutines of the runner and its parts that aren't for users."""

PAIRS: list[tuple[type, type]] = [
    (BlockingRunner, WorkflowRunner),
    (BlockingHandle, RunHandle),
    (BlockingBatch, BatchHandle),
    (BlockingSchedules, RunnerSchedules),
]
RENAMED = (
    *((awaited.__name__, blocking.__name__) for blocking, awaited in PAIRS),
    ("Awaited", "Blocking"),
    ("AsyncIterator", "Iterator"),
)


def awaits(one: object) -> bool:
    return inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one)


def named(shown: object) -> str:
    """What an awaited verb says of itself, as the blocking one has to say it."""
    return reduce(lambda text, pair: text.replace(*pair), RENAMED, str(shown))


@pytest.mark.parametrize(("blocking", "awaited"), PAIRS)
def test_each_verb_has_the_parameters_of_the_awaited_one_and_gives_the_same(blocking: type, awaited: type) -> None:
    verbs = {name for name, one in inspect.getmembers(awaited, awaits) if name[0] != "_"} - INNER
    assert verbs <= vars(blocking).keys()
    for name in {name for name, one in vars(blocking).items() if name[0] != "_" and callable(one)}:
        mine, its = (inspect.signature(getattr(one, name)) for one in (blocking, awaited))
        assert str(mine.replace(return_annotation=None)) == named(its.replace(return_annotation=None)), name
        assert mine.return_annotation == named(its.return_annotation), name
        assert not awaits(getattr(blocking, name)), name


def test_a_stepwell_can_be_opened_again_in_a_thread_of_its_own(stepwell_on: StepwellOn) -> None:
    stepwell = stepwell_on([Echo])
    for n in (1, 2):
        with stepwell:
            assert stepwell.runner.blocking.run_sync(Echo, n, **ME).result == n


def test_many_threads_share_one_stepwell(stepwell_on: StepwellOn) -> None:
    with stepwell_on([Echo]) as stepwell, ThreadPoolExecutor(8) as pool:

        def start(n: int) -> Any:
            return stepwell.runner.blocking.run(Echo, n, **ME).result(60)

        assert sorted(pool.map(start, range(40))) == list(range(40))


async def test_a_thread_beside_the_loop_uses_it(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Echo]) as stepwell:
        done = await asyncio.to_thread(stepwell.runner.blocking.run_sync, Echo, 3, **ME)
        assert done.result == 3


async def test_on_the_loop_itself_it_is_refused(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Echo]) as stepwell:
        with pytest.raises(StepwellError, match="await the runner"):
            stepwell.runner.blocking.run(Echo, 3, **ME)


def test_an_error_while_opening_leaves_no_thread_behind(stepwell_on: StepwellOn) -> None:
    before = set(threading.enumerate())
    with pytest.raises(StepwellError), stepwell_on([Echo], database_url="sqlite:////no/such/folder/x.db"):
        pass
    assert set(threading.enumerate()) <= before

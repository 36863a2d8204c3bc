"""Two processes on one database: the other is told of what one does, and doesn't find it (rules 26, 37)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from backends import Database
from conformance.support import ME, Gate, StepwellOn, reaches
from conformance.test_callers_transaction import WAYS
from stepwell import END, Event, Start, Stepwell, Workflow, transition
from stepwell.errors import RunFailed
from stepwell.runner import ends
from stepwell.worker import loop

gate = Gate()
began: set[int] = set()


class Quick(Workflow[dict[str, Any]]):
    @transition(target=END)
    async def go(self) -> Any:
        began.add(self.args.get("n", 0))
        return self.args


class Long(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        await gate.pass_through()


class Ask(Workflow[None, None, str]):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def answer(self, text: str) -> str:
        return text

    @transition("open", END, on=Event("closed"))
    async def close(self) -> str:
        return "closed"


APPS = [Quick, Long, Ask]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    began.clear()


@pytest.fixture(autouse=True)
def _told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who isn't told would look after an hour, and the test would not end. On SQLite looking is how processes are told."""
    if database.kind != "sqlite":
        monkeypatch.setattr(loop, "_POLL", 3600.0)
        monkeypatch.setattr(ends, "_FALLBACK", 3600.0)


@pytest.fixture
async def pair(stepwell_on: StepwellOn) -> AsyncIterator[tuple[Stepwell, Stepwell]]:
    """(an application that executes nothing, a worker), both at rest."""
    async with stepwell_on(APPS, embedded_worker=False) as application, stepwell_on(APPS) as worker:
        await (await application.runner.run(Quick, {}, **ME)).result(60)
        yield application, worker


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    made = database.engine()
    yield made
    await made.dispose()


async def test_an_idle_worker_picks_up_what_another_process_starts(pair: tuple[Stepwell, Stepwell]) -> None:
    application, _ = pair
    for n in range(1, 11):
        handle = await application.runner.run(Quick, {"n": n}, **ME)
        await handle.result(60)
    assert began == set(range(11))


async def test_a_result_is_heard_of_in_another_process(pair: tuple[Stepwell, Stepwell]) -> None:
    application, _ = pair
    handle = await application.runner.run(Long, **ME)
    await gate.reached()
    waiting = asyncio.ensure_future(handle.result(60))
    await asyncio.sleep(0.05)
    gate.open()
    await waiting


async def test_a_cancel_stops_what_another_process_executes(pair: tuple[Stepwell, Stepwell]) -> None:
    application, worker = pair
    handle = await application.runner.run(Long, **ME)
    await gate.reached()
    assert worker.process is not None
    [executing] = worker.process.passes.tasks.values()
    await application.runner.cancel(handle.workflow_id)
    await asyncio.wait([executing], timeout=60)
    assert gate.cancelled == 1
    with pytest.raises(RunFailed):
        await handle.result(60)


@pytest.mark.parametrize("verb", ["signal", "emit"])
async def test_a_signal_or_an_event_goes_on_in_another_process(pair: tuple[Stepwell, Stepwell], verb: str) -> None:
    application, _ = pair
    handle = await application.runner.run(Ask, **ME)
    await reaches(application.runner, handle.workflow_id, "waiting")
    if verb == "signal":
        await application.runner.signal(handle.workflow_id, "answer", "yes")
    else:
        await application.runner.emit("closed")
    assert await handle.result(60) in ("yes", "closed")


@pytest.mark.parametrize("way", WAYS)
async def test_the_doorbell_of_a_transaction_rings_after_its_commit(
    pair: tuple[Stepwell, Stepwell], engine: AsyncEngine, way: str
) -> None:
    application, _ = pair
    async with WAYS[way](engine) as given:
        handle = await application.runner.run(Quick, {"n": 1}, **ME, connection=given)
        many = await application.runner.run_many([Start(Quick, {"n": n}) for n in (2, 3)], **ME, connection=given)
        await asyncio.sleep(0.3)
        assert began == {0}, "nobody sees it before the commit"
        await given.commit()
    await asyncio.gather(*(one.result(60) for one in (handle, *many)))
    assert began == {0, 1, 2, 3}


@pytest.mark.parametrize("verb", ["signal", "cancel", "emit"])
async def test_what_a_transaction_does_to_a_run_is_told_after_its_commit(
    pair: tuple[Stepwell, Stepwell], engine: AsyncEngine, verb: str
) -> None:
    application, _ = pair
    verbs: dict[str, Callable[..., Awaitable[Any]]] = {
        "signal": lambda run_id, given: application.runner.signal(run_id, "answer", "yes", connection=given),
        "cancel": lambda run_id, given: application.runner.cancel(run_id, connection=given),
        "emit": lambda run_id, given: application.runner.emit("closed", connection=given),
    }
    handle = await application.runner.run(Ask, **ME)
    await reaches(application.runner, handle.workflow_id, "waiting")
    ended = asyncio.ensure_future(handle.result(60))
    async with engine.connect() as given:
        await verbs[verb](handle.workflow_id, given)
        await asyncio.sleep(0.2)
        assert (await handle.get()).status == "waiting"
        await given.commit()
    await asyncio.wait([ended])
    assert ended.exception() is None or verb == "cancel"


async def test_a_cancel_in_a_transaction_stops_what_another_process_executes(
    pair: tuple[Stepwell, Stepwell], engine: AsyncEngine
) -> None:
    application, worker = pair
    handle = await application.runner.run(Long, **ME)
    await gate.reached()
    assert worker.process is not None
    [executing] = worker.process.passes.tasks.values()
    async with engine.connect() as given:
        await application.runner.cancel(handle.workflow_id, connection=given)
        await given.commit()
        await asyncio.wait([executing], timeout=60)
    assert gate.cancelled == 1


async def test_fault_08_calls_of_two_processes_with_one_key_make_one_run(pair: tuple[Stepwell, Stepwell]) -> None:
    batches = [[f"{number} {n}" for n in range(size)] for number, size in enumerate([1] * 20 + [40])]
    for keys in batches:
        calls = [one.runner.run(Quick, {}, **ME, idempotency_key=key) for key in keys for one in pair]
        handles = await asyncio.gather(*calls)
        for first, second in zip(handles[::2], handles[1::2], strict=True):
            assert first.workflow_id == second.workflow_id
            assert [first.created, second.created].count(True) == 1
    assert len((await pair[0].runner.list(limit=1000)).items) == 60 + 1


async def test_fault_08_first_calls_of_two_processes_make_one_workspace(
    pair: tuple[Stepwell, Stepwell], database: Database
) -> None:
    users = [f"user{n}" for n in range(40)]
    await asyncio.gather(*(one.runner.run(Quick, {}, app_name="shop", user_id=user) for user in users for one in pair))
    found = database.read(
        "SELECT user_id, count(*) FROM stepwell_workspaces WHERE user_id LIKE 'user%' GROUP BY user_id"
    )
    assert sorted(found) == sorted((user, 1) for user in users)


@pytest.mark.parametrize("commits", [True, False], ids=["commits", "rolls back"])
async def test_fault_08_two_callers_with_one_key_in_open_transactions_make_one_run(
    pair: tuple[Stepwell, Stepwell], engine: AsyncEngine, commits: bool
) -> None:
    one, two = (stepwell.runner for stepwell in pair)
    async with engine.connect() as given:
        first = await one.run(Quick, {}, **ME, idempotency_key="k", connection=given)

        async def later() -> Any:
            async with engine.begin() as theirs:
                return await two.run(Quick, {}, **ME, idempotency_key="k", connection=theirs)

        waiting = asyncio.ensure_future(later())
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done, "whether the first commits isn't known yet"
        await (given.commit() if commits else given.rollback())
    second = await asyncio.wait_for(waiting, 60)
    assert (second.workflow_id == first.workflow_id, second.created) == (commits, not commits)
    assert await second.result(60) == {}
    assert len((await one.list(limit=1000)).items) == 2

"""Pauses: what is paused isn't begun, what executes goes to its next checkpoint, what was lifted goes on (rule 59)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from backends import Database
from conformance.support import ME, Gate, StepwellOn, buried, die, reaches, until
from stepwell import END, App, Event, Pause, Retry, Start, Stepwell, Workflow, transition
from stepwell.errors import InvalidArgs, NoAccess, UnknownApp, UnknownWorkflow
from stepwell.queue.claims import Claims
from stepwell.runner import ends
from stepwell.store import outlook, pauses, runs
from stepwell.store.tx import Call
from stepwell.worker import loop

gate = Gate()
began: list[Any] = []


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


class Quick(Workflow[int]):
    @transition(target=END)
    async def go(self) -> int:
        began.append(self.args)
        return self.args


class Other(Workflow[int]):
    @transition(target=END)
    async def go(self) -> int:
        began.append(-self.args)
        return self.args


class Steps(Workflow):
    """Three in a row; the first waits at the gate."""

    @transition(target="second")
    async def first(self) -> None:
        self.state["first"] = True
        began.append("first")
        await gate.pass_through()

    @transition("second", "third")
    async def go_on(self) -> None:
        began.append("second")

    @transition("third", END)
    async def close(self) -> str:
        began.append("third")
        return "done"


class Ask(Workflow[None, None, str]):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def answer(self, text: str) -> str:
        began.append(text)
        return text

    @transition("open", END, on=Event("closed"))
    async def close(self) -> str:
        began.append("closed")
        return "closed"


class Flaky(Workflow):
    @transition(target=END, retry=Retry(retries=3, delay=timedelta(hours=1)))
    async def go(self) -> int:
        began.append(self.info.attempt)
        if self.info.attempt == 1:
            raise ValueError("not yet")
        return self.info.attempt


SHOP = [Quick, Other, Steps, Ask, Flaky]
STORE = App("store", workflows=[Quick])
APPS = [*SHOP, STORE]


@pytest.fixture
async def stepwell(stepwell_on: StepwellOn) -> AsyncIterator[Stepwell]:
    """With a worker."""
    async with stepwell_on(APPS) as made:
        yield made


@pytest.fixture
async def pair(stepwell_on: StepwellOn) -> AsyncIterator[tuple[Stepwell, Stepwell]]:
    """(an application that executes nothing, a worker), both at rest."""
    async with stepwell_on(APPS, embedded_worker=False) as application, stepwell_on(APPS) as worker:
        await (await application.runner.run(Other, 0, **ME)).result(60)
        began.clear()
        yield application, worker


async def claims_nothing(stepwell: Stepwell) -> None:
    """A claim that has looked at everything came back with nothing."""
    assert stepwell.process is not None
    assert await stepwell.process.queue.claims.claim(100) == []  # type: ignore[attr-defined]


# -- what a pause is --------------------------------------------------------------------------------------------------


async def test_pauses_are_listed_with_reasons_and_each_is_its_own(stepwell: Stepwell) -> None:
    runner = stepwell.runner
    assert await runner.paused() == []
    one = await runner.pause("shop", Quick, "the bank is away", by="ada")
    two = await runner.pause(workflow="quick")
    three = await runner.pause(app_name="shop", reason="a migration")
    every = await runner.pause()
    assert await runner.paused() == [one, two, three, every]
    assert (one.app_name, one.workflow, one.reason, one.who) == ("shop", "quick", "the bank is away", "ada")
    assert (two.app_name, two.workflow, two.reason, two.who) == (None, "quick", None, None)
    assert (every.app_name, every.workflow) == (None, None)
    assert isinstance(one, Pause)
    assert one.paused_at.tzinfo is not None
    with pytest.raises(ValidationError):
        one.reason = "another"  # type: ignore[misc]
    assert await runner.resume(app_name="shop") == three
    assert await runner.paused() == [one, two, every]
    assert await runner.resume(app_name="shop") is None
    assert await runner.resume("store", "quick") is None
    assert await runner.resume() == every
    assert await runner.resume("shop", "quick") == one
    assert await runner.paused() == [two]


async def test_pausing_twice_changes_the_reason_and_nothing_else(stepwell: Stepwell) -> None:
    runner = stepwell.runner
    first = await runner.pause("shop", reason="a look", by="ada")
    assert await runner.pause("shop") == first
    second = await runner.pause("shop", reason="it takes longer", by="bob")
    assert second == first.model_copy(update={"reason": "it takes longer", "who": "bob"})
    assert await runner.paused() == [second]


async def test_unknown_names_and_single_users_are_refused(stepwell: Stepwell) -> None:
    runner = stepwell.runner
    for verb in (runner.pause, runner.resume):
        with pytest.raises(UnknownApp, match="No app 'shpo': did you mean 'shop'"):
            await verb("shpo")
        with pytest.raises(
            UnknownWorkflow, match="The app 'store' doesn't list the workflow 'quik': did you mean 'quick'"
        ):
            await verb("store", "quik")
        with pytest.raises(UnknownWorkflow, match="No app lists the workflow 'step': did you mean 'steps'"):
            await verb(workflow="step")
        with pytest.raises(UnknownApp):
            await verb("")
        with pytest.raises(UnknownWorkflow):
            await verb(workflow="")
        with pytest.raises(UnknownApp, match="app_name='store'"):
            await verb(STORE)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgs):
            await verb(workflow=7)  # type: ignore[call-overload]
    for refused in (runner.as_user("u1").pause, runner.as_user("u1").resume):
        with pytest.raises(NoAccess, match="concerns the runs of all users"):
            await refused("shop")
    with pytest.raises(InvalidArgs):
        await runner.pause("shop", reason="x\0")
    with pytest.raises(InvalidArgs):
        await runner.pause("shop", by="")
    assert await runner.paused() == []


async def test_what_only_other_workers_or_stored_runs_have_can_be_paused(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Quick], embedded_worker=False) as web:
        with pytest.raises(UnknownApp):
            await web.runner.pause("store")
        async with stepwell_on([STORE]) as worker:
            await web.runner.pause("store", "quick")
            assert await web.runner.resume("store", "quick")
            await (await worker.runner.run(Quick, 1, app_name="store", user_id="u1")).result(60)
        await web.runner.pause("store")
        await web.runner.pause("store", "quick")
        with pytest.raises(UnknownWorkflow, match="did you mean 'quick'"):
            await web.runner.pause("store", "quack")


async def test_synchronous_code_pauses_too(stepwell: Stepwell) -> None:
    blocking = stepwell.runner.blocking
    pause = await asyncio.to_thread(blocking.pause, "shop", Quick, "why not")
    assert await asyncio.to_thread(blocking.paused) == [pause]
    assert await asyncio.to_thread(blocking.resume, "shop", "quick") == pause


# -- what isn't begun -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what",
    [{}, {"app_name": "shop"}, {"workflow": Quick}, {"app_name": "shop", "workflow": "quick"}],
    ids=["everything", "app", "workflow", "workflow of app"],
)
async def test_nothing_of_it_begins_until_it_is_resumed(stepwell: Stepwell, what: dict[str, Any]) -> None:
    runner = stepwell.runner
    await runner.pause(**what)
    first = await runner.run(Quick, 1, **ME)
    many = await runner.run_many([Start(Quick, 2), Start(Quick, 3)], **ME)
    later = await runner.run(Quick, 4, **ME, delay=timedelta(milliseconds=1))
    await until(lambda: _ready(later))
    await claims_nothing(stepwell)
    runs = [await one.get() for one in (first, *many, later)]
    assert {run.status for run in runs} == {"pending"}
    assert all(run.ready_at for run in runs)
    assert began == []
    assert await runner.resume(**what)
    for n, handle in enumerate((first, *many, later), 1):
        assert await handle.result(60) == n


async def test_a_pause_of_one_holds_no_other_back(stepwell: Stepwell) -> None:
    runner = stepwell.runner
    await runner.pause("shop", Quick)
    held = await runner.run(Quick, 1, **ME)
    assert await (await runner.run(Other, 2, **ME)).result(60) == 2
    assert await (await runner.run(Quick, 3, app_name="store", user_id="u1")).result(60) == 3
    await runner.pause("store")
    also = await runner.run(Quick, 4, app_name="store", user_id="u1")
    assert await runner.resume("shop", Quick)
    assert await held.result(60) == 1
    await claims_nothing(stepwell)
    assert (await also.get()).status == "pending"
    assert began == [-2, 3, 1]


async def _ready(handle: Any) -> bool:
    return (await handle.get()).ready_at is not None


async def test_run_sync_waits_for_the_end_of_the_pause(stepwell: Stepwell) -> None:
    runner = stepwell.runner
    await runner.pause("shop")
    waited = await runner.run_sync(Quick, 1, **ME, timeout=0.05)
    assert (waited.status, waited.place) == ("pending", "start")
    waiting = asyncio.ensure_future(runner.run_sync(Quick, 2, **ME))
    await until(lambda: _stored(runner, 2))
    assert began == []
    assert not waiting.done()
    await runner.resume("shop")
    assert (await waiting).result == 2
    await reaches(runner, waited.workflow_id or "", "completed")


async def test_run_sync_goes_on_where_no_worker_is(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(SHOP, embedded_worker=False) as web:
        await web.runner.pause("shop")
        waiting = asyncio.ensure_future(web.runner.run_sync(Quick, 1, **ME))
        await until(lambda: _stored(web.runner, 1))
        await web.runner.resume("shop")
        assert (await waiting).result == 1
        executing = asyncio.ensure_future(web.runner.run_sync(Steps, **ME))
        await gate.reached()
        await web.runner.pause("shop", Steps)
        gate.open()
        await until(lambda: _at_second(web.runner))
        assert began == [1, "first"]
        await web.runner.resume("shop", Steps)
        assert (await executing).result == "done"


async def _at_second(runner: Any) -> bool:
    [run] = (await runner.list(workflow=Steps)).items
    return (run.status, run.place) == ("pending", "second")


async def _stored(runner: Any, count: int) -> bool:
    return len((await runner.list(workflow=Quick)).items) == count


async def test_a_pause_outlives_processes(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(SHOP, embedded_worker=False) as web:
        await web.runner.pause("shop", reason="until monday")
        handle = await web.runner.run(Quick, 1, **ME)
    async with stepwell_on(SHOP) as again:
        [pause] = await again.runner.paused()
        assert pause.reason == "until monday"
        await claims_nothing(again)
        assert began == []
        await again.runner.resume("shop")
        assert await again.runner.handle(handle.workflow_id).result(60) == 1


async def test_what_arrives_is_stored_and_acted_on_after_the_pause(stepwell: Stepwell) -> None:
    runner = stepwell.runner
    asked = await runner.run(Ask, **ME)
    closed = await runner.run(Ask, app_name="shop", user_id="u2")
    for one in (asked, closed):
        await reaches(runner, one.workflow_id, "waiting")
    await runner.pause("shop")
    await asked.signal(Ask.answer, "yes")
    emitted = await runner.emit("closed", user_id="u2")
    assert emitted.resumed == (closed.workflow_id,)
    await claims_nothing(stepwell)
    assert began == []
    await runner.resume("shop")
    assert (await asked.result(60), await closed.result(60)) == ("yes", "closed")


# -- what executes ----------------------------------------------------------------------------------------------------


async def test_what_executes_stops_at_its_next_checkpoint(stepwell: Stepwell) -> None:
    runner = stepwell.runner
    handle = await runner.run(Steps, **ME)
    await gate.reached()
    await runner.pause("shop", Steps)
    gate.open()
    run = await reaches(runner, handle.workflow_id, "pending", "second")
    assert run.state == {"first": True}
    assert run.ready_at is not None
    assert began == ["first"]
    assert gate.cancelled == 0
    await runner.resume("shop", Steps)
    assert await handle.result(60) == "done"
    assert began == ["first", "second", "third"]


async def test_a_pause_that_ends_before_the_checkpoint_changes_nothing(stepwell: Stepwell) -> None:
    runner = stepwell.runner
    handle = await runner.run(Steps, **ME)
    await gate.reached()
    claim = await _claim(stepwell, handle.workflow_id)
    await runner.pause("shop")
    await runner.resume("shop")
    gate.open()
    assert await handle.result(60) == "done"
    assert await _claim(stepwell, handle.workflow_id) == claim + 1  # its end is one, handing it back would be another


async def _claim(stepwell: Stepwell, run_id: str) -> int:
    assert stepwell.process is not None
    [(claim,)] = await stepwell.process.store.read(
        lambda tx: tx.rows("SELECT claim FROM stepwell_runs WHERE id=?", run_id)
    )
    return int(claim)


async def test_a_retry_that_is_waited_for_keeps_its_delay(stepwell: Stepwell) -> None:
    runner = stepwell.runner
    waiting = asyncio.ensure_future(runner.run_sync(Flaky, **ME, timeout=60))
    await until(lambda: _status(runner, "retrying"))
    await runner.pause("shop", Flaky)
    [run] = (await runner.list(workflow=Flaky)).items
    due = run.due_at
    await until(lambda: _released(stepwell, run.workflow_id))
    run = await runner.get(run.workflow_id)
    assert (run.status, run.due_at, began) == ("retrying", due, [1])
    waiting.cancel()


async def _status(runner: Any, status: str) -> bool:
    return bool((await runner.list(workflow=Flaky, status=status)).items)


async def _released(stepwell: Stepwell, run_id: str) -> bool:
    assert stepwell.process is not None
    return run_id not in stepwell.process.passes.tasks


async def test_another_process_stops_too_and_wakes_again(pair: tuple[Stepwell, Stepwell]) -> None:
    application, worker = pair
    handle = await application.runner.run(Steps, **ME)
    await gate.reached()
    await application.runner.pause("shop", Steps)
    assert worker.process is not None
    await until(lambda: _knows(worker, 1))
    gate.open()
    await reaches(application.runner, handle.workflow_id, "pending", "second")
    quick = await application.runner.run(Quick, 1, **ME)
    assert await quick.result(60) == 1
    assert began == ["first", 1]
    await application.runner.resume("shop", Steps)
    assert await handle.result(60) == "done"


async def _knows(stepwell: Stepwell, count: int) -> bool:
    assert stepwell.process is not None
    return len(stepwell.process.pauses.known) == count


async def test_a_checkpoint_meets_a_pause_that_its_process_has_not_heard_of(
    pair: tuple[Stepwell, Stepwell], monkeypatch: pytest.MonkeyPatch
) -> None:
    application, worker = pair
    assert worker.process is not None
    handle = await application.runner.run(Steps, **ME)
    await gate.reached()
    with monkeypatch.context() as patch:
        patch.setattr(worker.process.pauses, "changed", lambda: None)
        patch.setattr(worker.process.pauses, "look", _nothing)
        await application.runner.pause("shop", Steps)
        gate.open()
        await reaches(application.runner, handle.workflow_id, "pending", "second")
    assert began == ["first"]
    await application.runner.resume("shop", Steps)
    worker.process.pauses.changed()
    assert await handle.result(60) == "done"


async def _nothing() -> None: ...


async def test_a_lost_hint_is_made_up_for(pair: tuple[Stepwell, Stepwell], monkeypatch: pytest.MonkeyPatch) -> None:
    application, worker = pair
    assert worker.process is not None
    monkeypatch.setattr(worker.process.pauses, "changed", lambda: None)
    await application.runner.pause("shop", Quick)
    handle = await application.runner.run(Quick, 1, **ME)
    await claims_nothing(worker)
    await worker.process.pauses.look()
    assert await _knows(worker, 1)
    await application.runner.resume("shop", Quick)
    # It believes that it is paused still: what it claims it gives back, and looks.
    monkeypatch.undo()
    worker.process.queue.resumed()
    assert await handle.result(60) == 1


async def test_runs_of_the_dead_wait_like_others(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(SHOP, embedded_worker=False) as web:
        dead = stepwell_on(SHOP)
        await dead.__aenter__()
        handle = await web.runner.run(Steps, **ME)
        await gate.reached()
        await die(dead)
        await web.runner.pause("shop", Steps)
        await buried(web)
        assert (await handle.get()).status == "pending"
        gate.open()
        async with stepwell_on(SHOP) as worker:
            await claims_nothing(worker)
            assert await (await worker.runner.run(Quick, 1, **ME)).result(60) == 1
            assert began == ["first", 1]
            await web.runner.resume("shop", Steps)
            assert await handle.result(60) == "done"


# -- claims that are under way ----------------------------------------------------------------------------------------


async def test_starts_claims_and_pauses_at_once(pair: tuple[Stepwell, Stepwell]) -> None:
    """Whatever is under way when it is paused: once that has returned, nothing more begins."""
    application, worker = pair

    async def start(stepwell: Stepwell, first: int) -> None:
        for n in range(first, first + 40):
            await stepwell.runner.run(Quick, n, **ME)

    for turn in range(5):
        starting = [asyncio.create_task(start(one, 1 + 1000 * turn + 500 * n)) for n, one in enumerate(pair)]
        await asyncio.sleep(0.01)
        await worker.runner.pause(workflow=Quick)
        then = len(began)
        await asyncio.gather(*starting)
        await claims_nothing(worker)
        assert len(began) == then
        await application.runner.resume(workflow=Quick)
        await until(lambda: _all(80 * (turn + 1)))  # noqa: B023


async def _all(count: int) -> bool:
    return len(began) == count


async def test_every_way_of_claiming_passes_over_what_is_paused(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(SHOP, embedded_worker=False) as web:
        process = web.process
        assert process is not None
        handles = [await web.runner.run(Quick, n, **ME) for n in range(3)]
        other = await web.runner.run(Other, 1, **ME)
        ids = [one.workflow_id for one in (*handles, other)]

        def claims() -> Claims:
            return Claims(
                process.store, process.shared.registry, process.worker_id, process.lanes, process.shared.clock.now
            )

        await process.store.writer.call(
            lambda tx: tx.run("UPDATE stepwell_runs SET suspicion='1:g' WHERE workflow_name='quick'")
        )
        await web.runner.pause("shop", Quick)
        apart = claims()
        apart._suspected = True
        assert await apart.apart(10) == []
        assert not apart.more
        await process.store.writer.call(lambda tx: tx.run("UPDATE stepwell_runs SET suspicion=NULL"))
        walked = claims()
        walked.mark_unfit(await _row(web, ids[0]), "a test")
        assert [one.run.id for _ in range(2) for one in await walked.claim(10)] == [other.workflow_id]
        assert not walked.more
        found, held, left = await claims().claim_ids(ids)
        assert (found, held, left) == ([], set(), set())
        assert await claims().claim(10) == []
        await web.runner.resume("shop", Quick)
        found, _, _ = await claims().claim_ids(ids)
        assert {one.run.id for one in found} == set(ids[:3])


async def _row(stepwell: Stepwell, run_id: str) -> Any:
    return await stepwell.runner.row(run_id)


async def test_what_is_paused_wakes_no_worker(stepwell: Stepwell) -> None:
    """A lane with ready runs wakes its workers each time that the sweep looks; one that is paused never does."""
    process = stepwell.process
    assert process is not None
    await stepwell.runner.pause("shop", Quick)
    await stepwell.runner.run(Quick, 1, **ME)
    lanes = process.lanes
    ready = (await process.store.read(lambda tx: outlook.look(tx, lanes, ()))).ready
    later = process.shared.clock.now() + 10**9
    assert not ready
    assert await process.store.read(lambda tx: runs.ready_before(tx, lanes, later, 10)) == []
    await stepwell.runner.resume("shop", Quick)


async def test_a_pause_waits_for_claims_that_have_not_seen_it(
    pair: tuple[Stepwell, Stepwell], database: Database
) -> None:
    """On PostgreSQL claims and pauses of several processes are under way at once. SQLite writes one thing at a time."""
    if database.kind == "sqlite":
        with database.locked():
            pausing = asyncio.ensure_future(pair[0].runner.pause("shop"))
            await asyncio.sleep(0.2)
            assert not pausing.done()
        await pausing
        return
    application, worker = pair
    assert worker.process is not None
    assert application.process is not None
    with database.holding(f"SELECT 1 WHERE {pauses.OPEN}"):  # type: ignore[attr-defined]
        pausing = asyncio.ensure_future(application.runner.pause("shop"))
        await until(database.blocked)  # type: ignore[attr-defined]
        assert not pausing.done()
    await pausing
    with database.holding("LOCK TABLE stepwell_pauses IN EXCLUSIVE MODE"):  # type: ignore[attr-defined]
        claiming = asyncio.ensure_future(worker.process.queue.claims.claim(10))  # type: ignore[attr-defined]
        by_ids = asyncio.ensure_future(application.process.store.writer.write(Call(lambda tx: pauses.fenced(tx))))
        await until(database.blocked)  # type: ignore[attr-defined]
        assert not claiming.done()
        assert not by_ids.done()
    await claiming
    await by_ids

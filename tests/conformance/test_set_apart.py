"""Nobody is punished for a neighbour: one bad item of a loop or a page is set apart, told, and keeps no other back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from backends import Database
from conformance.support import ME, Gate, HarnessOn, StepwellOn, reaches, until
from stepwell import END, Document, Event, Stepwell, Workflow, transition
from stepwell.console.reading.deliveries import Deliveries
from stepwell.console.reading.overview import Machines, Overview
from stepwell.console.reading.parts import Parts
from stepwell.execution.operations import Operations
from stepwell.process import Process
from stepwell.store.tx import Tx
from stepwell.worker import sweep

gate = Gate()


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    """The database; what stands beside it has no part in this."""
    return str(request.param)


class Note(Document):
    text: str


class Quick(Workflow[int]):
    @transition(target=END)
    async def go(self) -> int:
        await self.documents.save(Note(text="done"), key="one")
        return self.args


class Patient(Workflow[None, None, None]):
    @transition(target="waiting")
    async def begin(self) -> None: ...

    @transition("waiting", END, wait=True)
    async def answer(self) -> None: ...


class Soon(Workflow):
    @transition(target="waiting")
    async def begin(self) -> None: ...

    @transition("waiting", END, after=timedelta(seconds=5))
    async def wake(self) -> None: ...


class Listening(Workflow):
    @transition(target="waiting")
    async def begin(self) -> None: ...

    @transition("waiting", END, on=Event("rang"))
    async def hear(self) -> None: ...


class Parent(Workflow):
    @transition(target="waiting")
    async def begin(self) -> None:
        for _ in range(3):
            await self.start(Patient, on_parent_end="cancel")

    @transition("waiting", END, wait=True)
    async def finish(self) -> None: ...


def process_of(stepwell: Stepwell) -> Process:
    assert stepwell.process is not None
    return stepwell.process


def refuse(database: Database, what: str, run_id: str) -> Callable[[], None]:
    """The database refuses to do this to one run, as a constraint of the application's own tables does; a way back."""
    if database.kind == "sqlite":
        database.execute(
            f"CREATE TRIGGER refused BEFORE {what} ON stepwell_runs WHEN OLD.id='{run_id}'"
            " BEGIN SELECT RAISE(ABORT, 'an invoice refers to it'); END"
        )
        return lambda: database.execute("DROP TRIGGER refused")
    database.execute(
        "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'an invoice refers to it'"
        " USING ERRCODE='foreign_key_violation'; END $$ LANGUAGE plpgsql"
    )
    database.execute(
        f"CREATE TRIGGER refused BEFORE {what} ON stepwell_runs FOR EACH ROW WHEN (OLD.id='{run_id}')"
        " EXECUTE FUNCTION refuse()"
    )
    return lambda: database.execute("DROP TRIGGER refused ON stepwell_runs")


def logged(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR)


# -- pages ------------------------------------------------------------------------------------------------------------

HUGE = "9" * 5000
"""JSON that an older version stored, and Python makes no number of: shown as text, and no fault of the row."""

SPOILT = [
    ("args", "{"),
    ("state", "[1, 2"),
    ("result", '"\\ud800"'),
    ("result", HUGE),
    ("result", "[" * 3000 + "]" * 3000),
    ("result", "[" * 100_000 + "]" * 100_000),
    ("labels", "not JSON"),
    ("labels", '{"a": 1}'),
    ("labels", '["\\q"]'),
    ("status", "sleeping"),
    ("created_at", 2**62),
    ("created_at", -(2**62)),
    ("updated_at", -(2**62)),
    ("finished_at", 2**62),
    ("failing", "{"),
    ("detours", "nonsense"),
]
ONLY_SQLITE = [("priority", "high"), ("created_at", "yesterday"), ("updated_at", "now"), ("finished_at", "never")]


@pytest.mark.parametrize(
    ("backend", "column", "value"),
    [
        *((backend, *one) for backend in ("sqlite", "postgres") for one in SPOILT),
        *(("sqlite", *one) for one in ONLY_SQLITE),
    ],
    ids=lambda value: str(value)[:12],
)
async def test_one_bad_row_hides_no_other(stepwell_on: StepwellOn, database: Database, column: str, value: Any) -> None:
    async with stepwell_on([Quick]) as stepwell:
        runner = stepwell.runner
        handles = [await runner.run(Quick, n, labels=["mine"], **ME) for n in range(3)]
        for handle in handles:
            await handle.result(60)
        bad = handles[1].workflow_id
        database.execute(f"UPDATE stepwell_runs SET {column}=? WHERE id=?", value, bad)

        found = {run.workflow_id: run for run in (await runner.list()).items}
        assert set(found) == {handle.workflow_id for handle in handles}
        assert [found[handles[n].workflow_id].result for n in (0, 2)] == [0, 2]
        assert all(found[handles[n].workflow_id].error is None for n in (0, 2))
        if value == HUGE:
            assert found[bad].result == HUGE
        elif column in ("args", "state", "result", "labels", "status"):
            assert f"can't be read: invalid values in {column}" in (found[bad].error or "")
        found[bad].model_dump_json()

        labelled = {run.workflow_id for run in (await runner.list(label="mine")).items}
        assert labelled >= {handles[n].workflow_id for n in (0, 2)}
        assert (await runner.get(bad)).workflow_id == bad
        overview = Overview(runner)
        await overview.counts()
        await overview.failures()
        await overview.by_workflow()
        await overview.metrics("hour")


@pytest.mark.parametrize(
    ("column", "value"),
    [("content", "{"), ("content", "[]"), ("tags", "no list"), ("errors", "{"), ("meta", "]"), ("ui", "?")],
)
async def test_one_bad_document_hides_no_other(
    stepwell_on: StepwellOn, database: Database, column: str, value: str
) -> None:
    async with stepwell_on([Quick]) as stepwell:
        runner = stepwell.runner
        handle = await runner.run(Quick, 1, **ME)
        await handle.result(60)
        database.execute(f"UPDATE stepwell_documents SET {column}=?", value)
        [document] = await runner.documents(handle.workflow_id)
        assert f"invalid values in {column}" in document.errors[0]["message"]


async def test_bad_rows_of_workers_histories_and_steps_hide_nothing(
    stepwell_on: StepwellOn, database: Database
) -> None:
    async with stepwell_on([Quick]) as stepwell:
        runner = stepwell.runner
        handle = await runner.run(Quick, 1, **ME)
        await handle.result(60)
        database.execute(
            "INSERT INTO stepwell_workers (id, counter, host, pid, takes, started_at, seen_at)"
            " VALUES ('odd', 0, 'h', 0, '{[', ?, ?)",
            -(2**62),
            2**62,
        )
        database.execute("UPDATE stepwell_history SET state='{', status='odd' WHERE version=1")
        machines = Machines(runner)
        assert {one.id: len(one.takes) for one in await machines.workers(60)}["odd"] == 0
        await machines.queue(60)
        await runner.explain(handle.workflow_id)
        rows = await runner.history(handle.workflow_id)
        assert "can't be read: invalid values in" in (rows[1].error or "")
        assert rows[0].error is None
        database.execute(
            "INSERT INTO stepwell_steps (run_id, visit, transition, name, value, recorded_at) VALUES (?, 0, 'go', 's', '{', 0)",
            handle.workflow_id,
        )
        [step] = await Parts(runner).steps(handle.workflow_id)
        assert step.value is None


async def test_a_delivery_without_a_run_and_one_of_garbage_hide_no_other(
    stepwell_on: StepwellOn, database: Database
) -> None:
    async with stepwell_on([Quick]) as stepwell:
        handle = await stepwell.runner.run(Quick, 1, **ME)
        await handle.result(60)
        database.execute("UPDATE stepwell_runs SET internal=1, result='{' WHERE id=?", handle.workflow_id)
        for delivery, run_id, at in (("a", handle.workflow_id, 1), ("b", "no run", 2), ("c", "none", 2**62)):
            database.execute(
                "INSERT INTO stepwell_deliveries (app_name, route, delivery_id, run_id, received_at)"
                " VALUES ('shop', 'in', ?, ?, ?)",
                delivery,
                run_id,
                at,
            )
        page = await Deliveries(stepwell.runner, stepwell.apps).list()
        assert [one.delivery_id for one in page.items] == ["c", "b", "a"]


async def test_a_stream_tells_of_the_others(stepwell_on: StepwellOn, database: Database) -> None:
    async with stepwell_on([Patient]) as stepwell:
        tail = process_of(stepwell).tail

        def raises(_: Any) -> bool:
            raise RuntimeError

        bad, good = await tail.join(raises), await tail.join(lambda _: True)
        await stepwell.runner.run(Patient, **ME)
        async with asyncio.timeout(60):
            assert await good.next(8)
            while not bad.cut_off:
                await bad.next(8)


# -- duties -----------------------------------------------------------------------------------------------------------


async def test_a_run_that_cannot_be_deleted_keeps_no_other(
    stepwell_on: StepwellOn, database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_RETENTION_AGAIN", 0.05)
    async with stepwell_on([Quick]) as stepwell:
        handles = [await stepwell.runner.run(Quick, n, **ME) for n in range(4)]
        for handle in handles:
            await handle.result(60)
        bad = handles[0].workflow_id
        mend = refuse(database, "DELETE", bad)
        own = process_of(stepwell).sweep
        assert await own.expire(0) == 3
        await asyncio.sleep(0.06)
        assert await own.expire(0) == 0
        assert [run.workflow_id for run in (await stepwell.runner.list()).items] == [bad]
        assert logged(caplog, f"run {bad}, which is to be deleted: StoreUnavailable") == 1
        assert "an invoice refers to it" in (await stepwell.faults())[0]
        assert (await stepwell.condition()).ready

        mend()
        await asyncio.sleep(0.06)
        assert await own.expire(0) == 1
        assert await stepwell.faults() == []


async def test_more_runs_than_a_batch_that_cannot_be_deleted_keep_no_other(
    stepwell_on: StepwellOn, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_BATCH", 1)
    async with stepwell_on([Quick]) as stepwell:
        handles = [await stepwell.runner.run(Quick, n, **ME) for n in range(3)]
        for handle in handles:
            await handle.result(60)
        [first] = database.read("SELECT id FROM stepwell_runs ORDER BY finished_at LIMIT 1")
        refuse(database, "DELETE", first[0])
        own = process_of(stepwell).sweep
        assert [await own.expire(0) for _ in range(4)] == [0, 1, 1, 0]


async def test_a_timer_that_cannot_fire_keeps_no_other(harness_on: HarnessOn, database: Database) -> None:
    async with harness_on([Soon]) as harness:
        handles = [await harness.runner.run(Soon, **ME) for _ in range(3)]
        await harness.drain()
        refuse(database, "UPDATE", handles[0].workflow_id)
        harness.clock.move_to(harness.clock.now() + 5_000_000)
        for handle in handles[1:]:
            await reaches(harness.runner, handle.workflow_id, "completed")
        [told] = await harness.stepwell.faults()
        assert told.startswith(f"run {handles[0].workflow_id}, which is due: StoreUnavailable: The database refuses")
        assert (await harness.stepwell.condition()).ready


async def test_a_child_that_cannot_be_ended_keeps_no_other(
    stepwell_on: StepwellOn, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, bad = Operations.end_child, []

    def end_child(self: Operations, workflow_id: str, reason: str) -> Any:
        if workflow_id in bad:
            raise ValueError("spoilt")
        return real(self, workflow_id, reason)

    monkeypatch.setattr(Operations, "end_child", end_child)
    async with stepwell_on([Parent, Patient], lease_seconds=0.6) as stepwell:
        parent = await stepwell.runner.run(Parent, **ME)
        await reaches(stepwell.runner, parent.workflow_id, "waiting")
        children = [run.workflow_id for run in (await stepwell.runner.list(parent_id=parent.workflow_id)).items]
        for child in children:
            await reaches(stepwell.runner, child, "waiting")
        bad.append(min(children))
        await stepwell.runner.signal(parent.workflow_id, "finish")
        for child in children:
            if child not in bad:
                await reaches(stepwell.runner, child, "canceled")
        told = f"child {bad[0]}, which is to end with its parent: ValueError: spoilt"
        await until(lambda: _tells(stepwell, told), told)
        bad.clear()
        for child in children:
            await reaches(stepwell.runner, child, "canceled")
        await until(lambda: _well(stepwell), "no fault")
    assert logged(caplog, told) == 1


async def _tells(stepwell: Stepwell, told: str) -> bool:
    return told in await stepwell.faults()


async def _well(stepwell: Stepwell) -> bool:
    return not await stepwell.faults()


async def test_a_dead_worker_that_cannot_be_buried_keeps_no_other(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stepwell_on([Patient]) as stepwell:
        own = process_of(stepwell).sweep

        def strangers(tx: Tx) -> Any:
            return [], ["first", "bad", "last"]

        taken: list[str] = []

        def take_over(owner: str, now: int) -> Any:
            def operation(tx: Tx) -> list[str]:
                if owner == "bad":
                    raise ValueError("spoilt")
                taken.append(owner)
                return []

            return operation

        monkeypatch.setattr(sweep.workers, "seen", strangers)
        monkeypatch.setattr(sweep, "_take_over_stranger", take_over)
        await own.bury()
        assert taken == ["first", "last"]
        assert await stepwell.faults() == ["worker bad, which has no row: ValueError: spoilt"]


@pytest.mark.parametrize("column", ["detours", "failing", "state"])
async def test_one_bad_listener_keeps_an_event_from_no_other(
    stepwell_on: StepwellOn, database: Database, column: str
) -> None:
    async with stepwell_on([Listening]) as stepwell:
        handles = [await stepwell.runner.run(Listening, **ME) for _ in range(3)]
        for handle in handles:
            await reaches(stepwell.runner, handle.workflow_id, "waiting")
        database.execute(f"UPDATE stepwell_runs SET {column}='{{' WHERE id=?", handles[0].workflow_id)
        emitted = await stepwell.runner.emit("rang", {})
        assert set(emitted.resumed) >= {handle.workflow_id for handle in handles[1:]}
        for handle in handles[1:]:
            await reaches(stepwell.runner, handle.workflow_id, "completed")


async def test_a_listener_within_the_process_keeps_no_other(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Quick]) as stepwell:

        def raises(_: Any) -> None:
            raise RuntimeError

        hub = process_of(stepwell).hub
        hub._listeners.insert(0, raises)
        handle = await stepwell.runner.run(Quick, 1, **ME)
        assert await handle.result(60) == 1


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_rows_that_sqlite_alone_takes_keep_no_other(stepwell_on: StepwellOn, database: Database) -> None:
    async with stepwell_on([Quick, Soon], embedded_worker=False) as web:
        handles = [await web.runner.run(Quick, n, **ME) for n in range(3)]
        database.execute("UPDATE stepwell_runs SET priority='high' WHERE id=?", handles[0].workflow_id)
        late = await web.runner.run(Quick, 9, delay=timedelta(hours=1), **ME)
        database.execute("UPDATE stepwell_runs SET due_at='soon' WHERE id=?", late.workflow_id)
    async with stepwell_on([Quick, Soon]) as stepwell:
        for handle in handles[1:]:
            await reaches(stepwell.runner, handle.workflow_id, "completed")
        assert await stepwell.faults() == []


@pytest.mark.parametrize("backend", ["postgres"])
async def test_what_postgres_notifies_of_can_be_anything(stepwell_on: StepwellOn, database: Database) -> None:
    async with stepwell_on([Quick]) as stepwell:
        process = process_of(stepwell)
        watcher: Any = process.watcher
        heard: list[Any] = []
        process.hub.subscribe(heard.append)
        for payload in ("", "null", "[]", "{}", '["x", 7]', '"\\ud800"', "[" * 8000, '["a", "r", "d"]', "\x01"):
            watcher._notified(None, 0, "", payload)
        assert len(heard) == 9
        assert all(one.ready and one.due for one in heard)


async def test_a_duty_that_ends_begins_again_and_is_told(
    stepwell_on: StepwellOn, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepwell.worker.duties._PAUSE", 0.01)
    async with stepwell_on([Quick]) as stepwell:
        process, calls = process_of(stepwell), []

        async def duty() -> None:
            calls.append(1)
            if len(calls) == 2:
                raise asyncio.CancelledError  # of something within
            if len(calls) > 2:
                await asyncio.Event().wait()

        process.duties.begin([duty])

        async def thrice() -> bool:
            return len(calls) == 3

        await until(thrice)
        assert not process.duties.over
        assert any("duty failed" in one for one in await stepwell.faults())
        assert not (await stepwell.condition()).ready
    assert process.duties.over
    assert "ended; it restarts" in caplog.text
    assert "failed; it restarts" in caplog.text

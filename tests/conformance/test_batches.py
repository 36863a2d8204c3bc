"""Batches: many runs that are started together or not at all, and looked at together."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel, Field

from backends import Database
from conformance.support import ME, Gate, HarnessOn, StepwellOn, counts, until
from everywhere import backend  # noqa: F401 - on each of them
from stepwell import END, App, NonRetryable, Start, Workflow, transition
from stepwell.errors import (
    BatchNotFound,
    IdempotencyConflict,
    InvalidArgs,
    StepwellError,
    UnknownApp,
    UnknownWorkflow,
    WorkspaceNotFound,
)
from stepwell.execution import members
from stepwell.runner import batch_starts

gate = Gate()
bad: set[int] = set()
numbers = count()


class Parcel(BaseModel):
    number: int
    token: str = Field(default_factory=lambda: uuid4().hex)


class Deliver(Workflow[Parcel, None, int]):
    @transition(target=END)
    async def go(self) -> int:
        if self.args.number in bad:
            raise NonRetryable(f"nobody is at home at {self.args.number}")
        return self.args.number * 2


class Wait(Workflow[int, None, int]):
    @transition(target=END)
    async def go(self) -> int:
        await gate.pass_through()
        return self.args


class Counted(BaseModel):
    number: int = Field(default_factory=lambda: next(numbers))


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    bad.clear()


def parcels(total: int, **given: Any) -> list[Start]:
    return [Start(Deliver, {"number": number}, **given) for number in range(total)]


async def test_all_are_stored_when_the_handle_is_returned_and_the_result_waits_for_all(stepwell_on: StepwellOn) -> None:
    bad.update({3, 8})
    async with stepwell_on([Deliver]) as stepwell:
        handle = await stepwell.runner.run_batch(parcels(30), **ME, label="monday")
        assert handle.created
        found = await handle.progress()
        assert (found.group_id, found.total) == (handle.batch_id, 30)
        done = await handle.result(timeout=timedelta(seconds=60))
        assert (done.completed, done.failed, done.canceled, done.pending, done.running) == (28, 2, 0, 0, 0)
        assert done.finished_at is not None
        assert done.finished_at >= done.started_at
        items = [item async for item in handle.items()]
        assert [item.index for item in items] == list(range(30))
        assert [item.result for item in items if item.status == "completed"] == [
            n * 2 for n in range(30) if n not in bad
        ]
        failed = [item async for item in handle.items(status="failed")]
        assert [item.index for item in failed] == [3, 8]
        assert all("nobody is at home" in (item.error or "") for item in failed)
        run = await stepwell.runner.get(items[5].workflow_id)
        assert (run.status, run.args["number"], run.user_id) == ("completed", 5, "u1")
        [listed] = (await stepwell.runner.batches()).items
        assert (listed.batch_id, listed.label, listed.status, listed.app_name) == (
            handle.batch_id,
            "monday",
            "ended",
            "shop",
        )
        assert listed.progress.completed == 28


async def test_items_are_read_in_pages(stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch) -> None:
    from stepwell.runner import batch_handle

    monkeypatch.setattr(batch_handle, "_PAGE", 3)
    monkeypatch.setattr(batch_starts, "_CHUNK", 4)
    async with stepwell_on([Deliver], embedded_worker=False) as stepwell:
        handle = await stepwell.runner.run_batch(parcels(10), **ME)
        assert [item.index async for item in handle.items()] == list(range(10))
        assert [item.index async for item in handle.items(status="pending")] == list(range(10))
        assert [item async for item in handle.items(status="failed")] == []
        with pytest.raises(InvalidArgs, match="status='broken' isn't a status"):
            _ = [item async for item in handle.items(status="broken")]  # type: ignore[arg-type]


async def test_an_empty_batch_has_ended(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Deliver], embedded_worker=False) as stepwell:
        handle = await stepwell.runner.run_batch([], **ME)
        done = await handle.result(timeout=60)
        assert done.total == 0
        assert done.finished_at is not None
        assert [item async for item in handle.items()] == []
        assert (await handle.get()).status == "ended"
        assert [found.total async for found in handle.follow()] == [0]
        assert await handle.retry_failed() == 0
        assert await handle.cancel() == 0


async def test_labels_delays_priorities_keys_and_apps_hold_as_in_single_starts(stepwell_on: StepwellOn) -> None:
    shop, store = App("shop", workflows=[Deliver]), App("store", workflows=[Wait])
    async with stepwell_on([shop, store], embedded_worker=False) as stepwell:
        starts = [
            Start(Deliver, {"number": 1}, labels=["a"], priority=4, idempotency_key="k1"),
            Start("deliver", Parcel(number=2), delay=timedelta(hours=1)),
            Start(Wait, 3, app_name="store"),
        ]
        handle = await stepwell.runner.run_batch(starts, **ME)
        first, second, third = [await stepwell.runner.get(item.workflow_id) async for item in handle.items()]
        assert (first.labels, first.priority, first.idempotency_key) == (("a",), 4, "k1")
        assert second.due_at is not None
        assert second.ready_at is None
        assert (third.app_name, third.workflow_name, third.args) == ("store", "wait", 3)
        assert third.workspace_id != first.workspace_id
        assert (await handle.get()).workflow_name is None


async def test_a_start_of_run_many_may_name_its_app(stepwell_on: StepwellOn) -> None:
    apps = [App("shop", workflows=[Deliver]), App("store", workflows=[Deliver, Wait])]
    async with stepwell_on(apps, embedded_worker=False) as stepwell:
        starts = [Start(Wait, 1, app_name="store"), Start(Deliver, {"number": 1})]
        made = [await handle.get() for handle in await stepwell.runner.run_many(starts, **ME)]
        assert [run.app_name for run in made] == ["store", "shop"]
        assert made[0].workspace_id != made[1].workspace_id
        [alone] = await stepwell.runner.run_many(starts[:1], user_id="u1")
        assert (await alone.get()).app_name == "store"
        with pytest.raises(UnknownApp):
            await stepwell.runner.run_many([Start(Wait, 1, app_name="nowhere")], **ME)


async def test_the_app_may_be_left_out_where_exactly_one_lists_the_workflows(stepwell_on: StepwellOn) -> None:
    apps = [App("shop", workflows=[Deliver, Wait]), App("store", workflows=[Wait])]
    async with stepwell_on(apps, embedded_worker=False) as stepwell:
        handle = await stepwell.runner.run_batch(parcels(1), user_id="u1")
        assert (await handle.get()).app_name == "shop"
        with pytest.raises(InvalidArgs, match="app_name is missing"):
            await stepwell.runner.run_batch([Start(Wait, 1)], user_id="u1")
        with pytest.raises(UnknownApp):
            await stepwell.runner.run_batch([], app_name="nowhere", user_id="u1")


class TestRefused:
    """Nothing is stored, and the text names the start."""

    @pytest.mark.parametrize(
        ("start", "error", "text"),
        [
            (Start(Deliver, {"number": "x"}), InvalidArgs, r"starts\[2\]: The args of Deliver don't fit"),
            (Start("unknown"), UnknownWorkflow, r"starts\[2\]: The app 'shop' doesn't list"),
            (Start(Deliver, {"number": 1}, app_name="x"), UnknownApp, r"starts\[2\]: No app 'x'"),
            (Start(Deliver, {"number": 1}, priority="high"), InvalidArgs, r"starts\[2\]: priority='high'"),  # type: ignore[arg-type]
            (Start(Deliver, {"number": 1}, idempotency_key="event:x"), InvalidArgs, r"starts\[2\]: idempotency_key"),
            (Start(Deliver, {"number": 1}, workspace_id="x"), WorkspaceNotFound, r"starts\[2\]: No workspace 'x'"),
            (Start(Deliver, {"number": 1}, idempotency_key="k"), IdempotencyConflict, r"starts\[2\]: .*starts\[1\] too"),
            (Start(Deliver, {"number": 1}, idempotency_key="old"), IdempotencyConflict, r"starts\[2\] wouldn't make a run"),
            (Start(Deliver, {"number": 5}, idempotency_key="old"), IdempotencyConflict, r"starts\[2\] wouldn't make a run"),
            (Start(Deliver, {"number": 1}, workspace_id="0197a1b2-0000-7000-8000-000000000000"), WorkspaceNotFound, "No work"),
            ("deliver", InvalidArgs, r"starts\[2\] is 'deliver': give a Start"),
            (None, InvalidArgs, r"starts\[2\] is None: give a Start"),
        ],
    )  # fmt: skip
    async def test_a_start_that_is_wrong(
        self, stepwell_on: StepwellOn, start: Any, error: type[StepwellError], text: str
    ) -> None:
        async with stepwell_on([Deliver], embedded_worker=False) as stepwell:
            old = await stepwell.runner.run(Deliver, {"number": 1, "token": "t"}, idempotency_key="old", **ME)
            before = await counts(stepwell)
            good = [Start(Deliver, {"number": 0}), Start(Deliver, {"number": 0}, idempotency_key="k")]
            with pytest.raises(error, match=text):
                await stepwell.runner.run_batch([*good, start, *good[:1]], **ME)
            assert await counts(stepwell) == before
            assert (await old.get()).status == "pending"

    @pytest.mark.parametrize(
        "options",
        [
            {"label": ""},
            {"label": 5},
            {"max_in_flight": 0},
            {"max_in_flight": True},
            {"max_in_flight": 1.5},
            {"stop_after_failures": -1},
            {"stop_after_failures": 1.0},
            {"stop_after_failures": True},
            {"stop_after_failures": float("nan")},
            {"stop_after_failures": "5%"},
            {"idempotency_key": ""},
            {"idempotency_key": "handler:x"},
        ],
        ids=str,
    )
    async def test_options(self, stepwell_on: StepwellOn, options: dict[str, Any]) -> None:
        async with stepwell_on([Deliver], embedded_worker=False) as stepwell:
            with pytest.raises(InvalidArgs, match=next(iter(options))):
                await stepwell.runner.run_batch(parcels(2), **ME, **options)
            assert "stepwell_runs" not in await counts(stepwell)

    async def test_more_than_a_batch_holds(self, stepwell_on: StepwellOn) -> None:
        async with stepwell_on([Deliver], embedded_worker=False) as stepwell:
            with pytest.raises(InvalidArgs, match="100,001 starts: a batch has at most 100,000"):
                await stepwell.runner.run_batch([Start(Deliver, {"number": 1})] * 100_001, **ME)
            for wrong in (7, "deliver", {"a": 1}):
                with pytest.raises(InvalidArgs, match="give a list of Start"):
                    await stepwell.runner.run_batch(wrong, **ME)  # type: ignore[arg-type]


class TestKeys:
    async def test_the_same_starts_again_lead_to_the_same_batch(self, stepwell_on: StepwellOn) -> None:
        async with stepwell_on([Deliver], embedded_worker=False) as stepwell:
            run_batch = stepwell.runner.run_batch
            first = await run_batch(parcels(5), **ME, idempotency_key="k")
            # The tokens are made anew, and the callers gave none (rule 49).
            again = await run_batch(parcels(5, labels=["x"]), **ME, idempotency_key="k", label="other")
            assert (again.batch_id, again.created) == (first.batch_id, False)
            assert (await counts(stepwell))["stepwell_runs"] == 5
            # A run's key of the same name is another one, and so is another user's, or another app's.
            assert (await stepwell.runner.run(Deliver, {"number": 1}, idempotency_key="k", **ME)).created
            other = await run_batch(parcels(5), app_name="shop", user_id="u2", idempotency_key="k")
            assert other.created

    @pytest.mark.parametrize("other", [parcels(4), parcels(6), [*parcels(4), Start(Deliver, {"number": 9})]], ids=len)
    async def test_other_starts_with_the_key_are_refused(self, stepwell_on: StepwellOn, other: list[Start]) -> None:
        async with stepwell_on([Deliver], embedded_worker=False) as stepwell:
            first = await stepwell.runner.run_batch(parcels(5), **ME, idempotency_key="k")
            before = await counts(stepwell)
            with pytest.raises(IdempotencyConflict, match=f"belongs to batch {first.batch_id}"):
                await stepwell.runner.run_batch(other, **ME, idempotency_key="k")
            assert await counts(stepwell) == before

    async def test_many_at_once_with_one_key_make_one_batch(self, stepwell_on: StepwellOn) -> None:
        starts = [Start(Deliver, {"number": number, "token": "t"}) for number in range(20)]
        async with stepwell_on([Deliver]) as one, stepwell_on([Deliver]) as two:
            made = await asyncio.gather(
                *(each.runner.run_batch(starts, **ME, idempotency_key="k") for each in (one, two) for _ in range(3))
            )
            assert len({handle.batch_id for handle in made}) == 1
            assert [handle.created for handle in made].count(True) == 1
            assert (await made[0].result(timeout=60)).completed == 20


class TestUsers:
    async def test_another_users_batch_does_not_exist(self, stepwell_on: StepwellOn) -> None:
        async with stepwell_on([Deliver], embedded_worker=False) as stepwell:
            mine = await stepwell.runner.run_batch(parcels(2), **ME)
            theirs = stepwell.runner.as_user("u2")
            for verb in ("get", "progress", "result", "retry_failed", "cancel"):
                with pytest.raises(BatchNotFound, match="of user 'u2'"):
                    await getattr(theirs.batch(mine.batch_id), verb)()
            for walk in (theirs.batch(mine.batch_id).items(), theirs.batch(mine.batch_id).follow()):
                with pytest.raises(BatchNotFound):
                    await anext(walk)
            assert (await theirs.batches()).items == ()
            assert (await mine.progress()).pending == 2
            assert (await stepwell.runner.as_user("u1").batch(mine.batch_id).progress()).pending == 2

    @pytest.mark.parametrize("unknown", ["nonsense", "0197a1b2-0000-7000-8000-000000000000"])
    async def test_an_unknown_batch(self, stepwell_on: StepwellOn, unknown: str) -> None:
        async with stepwell_on([Deliver], embedded_worker=False) as stepwell:
            handle = stepwell.runner.batch(unknown)
            for verb in ("get", "progress", "result", "retry_failed", "cancel"):
                with pytest.raises(BatchNotFound, match="No batch"):
                    await getattr(handle, verb)()

    async def test_pages_of_batches(self, stepwell_on: StepwellOn) -> None:
        apps = [App("shop", workflows=[Deliver]), App("store", workflows=[Deliver])]
        async with stepwell_on(apps, embedded_worker=False) as stepwell:
            runner = stepwell.runner
            made = [await runner.run_batch(parcels(1), app_name="shop", user_id="u1") for _ in range(3)]
            other = await runner.run_batch(parcels(1), app_name="store", user_id="u2")
            page = await runner.batches(limit=2)
            assert [one.batch_id for one in page.items] == [other.batch_id, made[2].batch_id]
            rest = await runner.batches(limit=2, cursor=page.next_cursor)
            assert [one.batch_id for one in rest.items] == [made[1].batch_id, made[0].batch_id]
            assert rest.next_cursor is None
            assert len((await runner.batches(user_id="u1")).items) == 3
            assert [one.batch_id for one in (await runner.batches(app_name="store")).items] == [other.batch_id]
            with pytest.raises(InvalidArgs):
                await runner.batches(limit=0)


async def test_follow_tells_how_far_it_is_until_the_end(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Wait]) as stepwell:
        handle = await stepwell.runner.run_batch([Start(Wait, n) for n in range(3)], **ME)
        seen = []
        async for found in handle.follow(every=timedelta(milliseconds=30)):
            seen.append(found)
            if found.running == 3:
                gate.open()
        assert seen[-1].completed == 3
        assert all(one.completed < 3 for one in seen[:-1])
        assert len(seen) > 1


@pytest.mark.parametrize("given", [timedelta(seconds=-1), math.nan, True, "1s"])
async def test_a_duration_that_is_none_is_refused_by_its_name(stepwell_on: StepwellOn, given: Any) -> None:
    async with stepwell_on([Wait]) as stepwell:
        handle = await stepwell.runner.run_batch([Start(Wait, 1)], **ME)
        with pytest.raises(InvalidArgs, match=r"timeout=.*: give a timedelta, or seconds"):
            await handle.result(timeout=given)
        with pytest.raises(InvalidArgs, match=r"every=.*: give a timedelta, or seconds"):
            [found async for found in handle.follow(every=given)]
        gate.open()
        await handle.result(timeout=60)


async def test_result_gives_up_at_its_timeout_and_the_batch_goes_on(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Wait]) as stepwell:
        handle = await stepwell.runner.run_batch([Start(Wait, 1)], **ME)
        with pytest.raises(TimeoutError):
            await handle.result(timeout=0.1)
        gate.open()
        assert (await handle.result(timeout=60)).completed == 1


async def test_failed_runs_are_retried_and_the_batch_runs_again(stepwell_on: StepwellOn) -> None:
    bad.update({1, 2, 4})
    async with stepwell_on([Deliver]) as stepwell:
        handle = await stepwell.runner.run_batch(parcels(6), **ME)
        assert (await handle.result(timeout=60)).failed == 3
        bad.clear()
        stepwell.process.passes.accepting = False  # type: ignore[union-attr]
        assert await handle.retry_failed() == 3
        assert (await handle.get()).status == "running"
        assert (await handle.get()).progress.finished_at is None
        stepwell.process.passes.accepting = True  # type: ignore[union-attr]
        stepwell.process.queue.wake()  # type: ignore[union-attr]
        done = await handle.result(timeout=60)
        assert (done.completed, done.failed) == (6, 0)
        assert (await handle.get()).status == "ended"
        assert await handle.retry_failed() == 0


async def test_cancel_ends_what_has_not_ended(stepwell_on: StepwellOn) -> None:
    bad.add(0)
    async with stepwell_on([Deliver, Wait]) as stepwell:
        handle = await stepwell.runner.run_batch(
            [Start(Deliver, {"number": 0}), Start(Deliver, {"number": 1}), *(Start(Wait, n) for n in range(3))], **ME
        )
        for _ in range(3):
            await gate.reached()

        async def rest() -> bool:
            found = await handle.progress()
            return (found.completed, found.failed) == (1, 1)

        await until(rest)
        assert await handle.cancel(reason="enough") == 3
        done = await handle.result(timeout=60)
        assert (done.completed, done.failed, done.canceled) == (1, 1, 3)
        assert (await handle.get()).status == "ended"
        assert {item.error async for item in handle.items(status="canceled")} == {"canceled: enough"}
        assert await handle.cancel() == 0


async def test_the_same_verbs_for_synchronous_code(stepwell_on: StepwellOn) -> None:
    bad.add(1)

    def work(runner: Any) -> None:
        handle = runner.run_batch(parcels(3), **ME, idempotency_key="k")
        assert handle.created
        assert handle.result(timeout=60).failed == 1
        assert [item.index for item in handle.items()] == [0, 1, 2]
        assert [item.status for item in handle.items(status="failed")] == ["failed"]
        assert [found.total for found in handle.follow(timedelta(seconds=0.1))] == [3]
        assert handle.cancel() == 0
        bad.clear()
        assert handle.retry_failed() == 1
        assert runner.batch(handle.batch_id).result(timeout=60).completed == 3
        assert [one.batch_id for one in runner.batches().items] == [handle.batch_id]
        assert not runner.run_batch(parcels(3), **ME, idempotency_key="k").created
        with pytest.raises(BatchNotFound):
            runner.batch(str(uuid4())).progress()

    async with stepwell_on([Deliver]) as stepwell:
        await asyncio.to_thread(work, stepwell.runner.blocking)


class TestConnection:
    @pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])
    async def test_the_batch_is_there_exactly_if_the_callers_transaction_commits(
        self, stepwell_on: StepwellOn, database: Database, commits: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(batch_starts, "_CHUNK", 4)
        engine = database.engine()
        try:
            async with stepwell_on([Deliver]) as stepwell:
                async with engine.connect() as connection:
                    await connection.begin()
                    runner = stepwell.runner
                    handle = await runner.run_batch(parcels(10), **ME, connection=connection, idempotency_key="k")
                    again = await runner.run_batch(parcels(10), **ME, connection=connection, idempotency_key="k")
                    assert (again.batch_id, again.created) == (handle.batch_id, False)
                    await (connection.commit() if commits else connection.rollback())
                if commits:
                    assert (await handle.result(timeout=60)).completed == 10
                else:
                    with pytest.raises(BatchNotFound):
                        await handle.progress()
                    assert "stepwell_runs" not in await counts(stepwell)
        finally:
            await engine.dispose()


async def test_a_transition_may_wait_for_a_batch(stepwell_on: StepwellOn) -> None:
    class Outer(Workflow[None, None, int]):
        @transition(target=END)
        async def go(self) -> int:
            handle = await stepwell.runner.run_batch(parcels(3), **ME, idempotency_key=self.info.workflow_id)
            return (await handle.result(timeout=60)).completed

    async with stepwell_on([Outer, Deliver], worker_concurrency=1) as stepwell:
        assert await (await stepwell.runner.run(Outer, **ME)).result(timeout=60) == 3


class TestLimited:
    async def test_at_most_so_many_are_under_way_in_the_order_of_the_starts(self, stepwell_on: StepwellOn) -> None:
        async with stepwell_on([Wait]) as stepwell:
            handle = await stepwell.runner.run_batch([Start(Wait, n) for n in range(6)], **ME, max_in_flight=2)
            found = await handle.progress()
            assert (found.held, found.total) == (4, 6)
            for _ in range(2):
                await gate.reached()
            assert gate.arrivals == 2
            assert [item.status async for item in handle.items()] == ["running", "running", *["pending"] * 4]
            gate.open()
            done = await handle.result(timeout=60)
            assert (done.completed, done.held) == (6, 0)

    async def test_a_delay_counts_from_the_turn(self, harness_on: HarnessOn) -> None:
        async with harness_on([Deliver]) as harness:
            hour = timedelta(hours=1)
            starts = parcels(3, delay=hour)
            handle = await harness.runner.run_batch(starts, **ME, max_in_flight=1)
            for completed in range(3):
                await harness.drain()
                assert (await handle.progress()).completed == completed
                await harness.advance(hour)
            assert (await handle.progress()).completed == 3

    async def test_too_many_failures_stop_it(self, stepwell_on: StepwellOn) -> None:
        bad.update(range(100))
        async with stepwell_on([Deliver]) as stepwell:
            handle = await stepwell.runner.run_batch(parcels(20), **ME, max_in_flight=1, stop_after_failures=2)
            done = await handle.result(timeout=60)
            assert (done.completed, done.failed, done.canceled, done.total) == (0, 3, 17, 20)
            assert (await handle.get()).status == "stopped"
            assert [item.index async for item in handle.items(status="failed")] == [0, 1, 2]
            # Cancelled ones stay as they are, and the batch may be stopped again.
            bad.clear()
            assert await handle.retry_failed() == 3
            done = await handle.result(timeout=60)
            assert (done.completed, done.failed, done.canceled) == (3, 0, 17)
            assert (await handle.get()).status == "ended"

    @pytest.mark.parametrize(
        ("given", "tolerated"), [(0, 0), (0.0, 0), (0.29, 29), (0.07, 7), (0.05, 5), (100, 100), (None, 100)]
    )
    def test_a_share_is_of_all(self, given: Any, tolerated: int) -> None:
        options = batch_starts.options_of(None, None, given, None)
        assert (100 if given is None else options.stop_after(100)) == tolerated

    async def test_as_many_as_are_tolerated_may_fail(self, stepwell_on: StepwellOn) -> None:
        bad.update(range(3))
        async with stepwell_on([Deliver]) as stepwell:
            handle = await stepwell.runner.run_batch(parcels(10), **ME, stop_after_failures=0.3)
            done = await handle.result(timeout=60)
            assert (done.completed, done.failed, done.canceled) == (7, 3, 0)
            assert (await handle.get()).status == "ended"

    async def test_failed_runs_wait_for_their_turn_again(self, stepwell_on: StepwellOn) -> None:
        bad.update(range(4))
        async with stepwell_on([Deliver]) as stepwell:
            handle = await stepwell.runner.run_batch(parcels(4), **ME, max_in_flight=1)
            assert (await handle.result(timeout=60)).failed == 4
            bad.clear()
            assert await handle.retry_failed() == 4
            assert (await handle.result(timeout=60)).completed == 4

    async def test_what_is_held_is_cancelled_and_never_begins(self, stepwell_on: StepwellOn) -> None:
        async with stepwell_on([Wait]) as stepwell:
            handle = await stepwell.runner.run_batch([Start(Wait, n) for n in range(5)], **ME, max_in_flight=1)
            await gate.reached()
            assert await handle.cancel("enough") == 5
            done = await handle.result(timeout=60)
            assert (done.canceled, done.held) == (5, 0)
            assert gate.arrivals == 1
            assert {item.error async for item in handle.items()} == {"canceled: enough"}


async def test_a_cancel_goes_on_after_a_crash(stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stepwell_on([Deliver], embedded_worker=False) as one:
        handle = await one.runner.run_batch(parcels(5, delay=timedelta(hours=1)), **ME)

        async def crash(step: Any) -> int:
            raise RuntimeError("died")

        with monkeypatch.context() as patch:
            patch.setattr(type(handle), "_in_steps", lambda self, step: crash(step))
            with pytest.raises(RuntimeError):
                await handle.cancel("enough")
    async with stepwell_on([Deliver]) as two:
        done = await two.runner.batch(handle.batch_id).result(timeout=60)
        assert done.canceled == 5


class TestRetriedInSteps:
    @pytest.mark.parametrize(("mended", "status"), [(True, "ended"), (False, "stopped")])
    async def test_a_batch_whose_retry_breaks_off_runs_again_and_may_be_stopped_again(
        self, stepwell_on: StepwellOn, database: Database, monkeypatch: pytest.MonkeyPatch, mended: bool, status: str
    ) -> None:
        """What failed before the retry, and wasn't retried, doesn't stop it."""
        bad.update(range(12))
        monkeypatch.setattr(members, "_STEP", 4)
        retry, taken = members.MemberOperations.retry, count()

        def breaks(self: Any, *given: Any) -> int:
            if next(taken):
                raise RuntimeError("died")
            return retry(self, *given)

        async with stepwell_on([Deliver]) as stepwell:
            handle = await stepwell.runner.run_batch(parcels(12), **ME)
            await handle.result(timeout=60)
            last = "SELECT max(ended_at) FROM stepwell_runs"
            stopped = f"stop_after=2, status='stopped', outcome='stopped', decided_at=({last}), finished_at=({last})"
            database.execute(f"UPDATE stepwell_groups SET {stopped}")
            assert (await handle.get()).status == "stopped"
            if mended:
                bad.clear()
            with monkeypatch.context() as patch:
                patch.setattr(members.MemberOperations, "retry", breaks)
                with pytest.raises(RuntimeError, match="died"):
                    await handle.retry_failed()
            done = await handle.result(timeout=60)
            assert done.failed == (8 if mended else 12)

            async def settled() -> bool:
                return database.read("SELECT 1 FROM stepwell_groups WHERE finished_at IS NOT NULL") != []

            await until(settled, "the end of the batch")
            assert (await handle.get()).status == status

    async def test_an_unknown_workflow_is_told_before_any_is_retried(
        self, stepwell_on: StepwellOn, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bad.update(range(4))
        monkeypatch.setattr(members, "_STEP", 1)
        async with stepwell_on([Deliver]) as stepwell:
            handle = await stepwell.runner.run_batch(parcels(4), **ME)
            await handle.result(timeout=60)
            last = "SELECT id FROM stepwell_runs ORDER BY ended_at DESC LIMIT 1"
            database.execute(f"UPDATE stepwell_runs SET workflow_name='gone' WHERE id=({last})")
            with pytest.raises(UnknownWorkflow, match="gone"):
                await handle.retry_failed()
            assert (await handle.progress()).failed == 4

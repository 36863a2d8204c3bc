"""Starting runs: `run`, `run_sync`, `run_many`, their keys, delays, priorities and workspaces (rules 20 to 24)."""

from __future__ import annotations

import asyncio
import contextvars
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from conformance.support import ME, Gate, StepwellOn, counts, everything, reaches
from everywhere import backend  # noqa: F401 - on each of them
from stepwell import END, App, Start, StepwellError, Workflow, transition
from stepwell.errors import (
    IdempotencyConflict,
    InvalidArgs,
    StatelessError,
    TransitionTimeout,
    UnknownWorkflow,
    WorkspaceNotFound,
)


class OrderArgs(BaseModel):
    order_id: str = "A0"
    total: int = 0


class Receipt(BaseModel):
    order_id: str
    paid: bool


class Order(Workflow[OrderArgs, dict[str, Any], Receipt]):
    @transition(target="charged")
    async def charge(self) -> None:
        self.state["charged"] = self.args.total

    @transition("charged", END)
    async def ship(self) -> Receipt:
        return Receipt(order_id=self.args.order_id, paid=True)


class Ask(Workflow[OrderArgs, dict[str, Any], str]):
    @transition(target="open")
    async def ask(self) -> None:
        self.result = "asked"

    @transition("open", END, wait=True)
    async def answer(self, text: str) -> str:
        return text


gate = Gate()
requested_by: contextvars.ContextVar[str] = contextvars.ContextVar("requested_by", default="nobody")


class Slow(Workflow):
    @transition(target=END)
    async def work(self) -> str:
        await gate.pass_through()
        return "done"


class WhoAsked(Workflow):
    @transition(target=END)
    def tell(self) -> str:
        return requested_by.get()


class Broken(Workflow):
    @transition(target=END)
    async def work(self) -> None:
        raise RuntimeError("no luck")


@pytest.fixture(autouse=True)
def _closed_gate() -> None:
    gate.clear()


async def test_a_run_is_stored_when_the_handle_is_returned_and_ends_by_itself(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order]) as stepwell:
        handle = await stepwell.runner.run(Order, OrderArgs(order_id="A1", total=9), **ME)
        assert handle.created
        assert await stepwell.runner.get(handle.workflow_id)
        assert await handle.result(timeout=timedelta(seconds=60)) == Receipt(order_id="A1", paid=True)
        run = await handle.get()
        assert (run.status, run.place, run.version, run.state) == ("completed", END, 2, {"charged": 9})
        assert run.finished_at is not None


@pytest.mark.parametrize("workflow", [Order, "order"], ids=["class", "name"])
@pytest.mark.parametrize("args", [OrderArgs(order_id="A1"), {"order_id": "A1"}], ids=["model", "mapping"])
async def test_workflows_are_named_by_class_or_name_and_args_by_model_or_mapping(
    stepwell_on: StepwellOn, workflow: Any, args: Any
) -> None:
    async with stepwell_on([Order]) as stepwell:
        done = await stepwell.runner.run_sync(workflow, args, **ME)
        assert done.result == Receipt(order_id="A1", paid=True)


async def test_the_app_may_be_left_out_where_exactly_one_lists_the_workflow(stepwell_on: StepwellOn) -> None:
    shop, store = App("shop", workflows=[Order, Slow]), App("store", workflows=[Order, WhoAsked])
    async with stepwell_on([shop, store], embedded_worker=False) as stepwell:
        runner = stepwell.runner
        assert (await (await runner.run(Slow, user_id="u1")).get()).app_name == "shop"
        assert (await (await runner.run("who_asked", user_id="u1")).get()).app_name == "store"
        many = [Start(Slow), Start("slow"), Start(Order, {"order_id": "A1"})]
        assert {(await one.get()).app_name for one in await runner.run_many(many, user_id="u1")} == {"shop"}
        before = await counts(stepwell)
        for refused in (
            runner.run(Order, {"order_id": "A1"}, user_id="u1"),
            runner.run_sync(Order, {"order_id": "A1"}, user_id="u1", stateless=True),
            runner.run_many([Start(Order, {"order_id": "A1"})], user_id="u1"),
        ):
            with pytest.raises(InvalidArgs, match="Order is listed by the apps 'shop', 'store': give one"):
                await refused
        for unknown in (runner.run(Ask, user_id="u1"), runner.run_many([Start(Slow), Start(WhoAsked)], user_id="u1")):
            with pytest.raises(UnknownWorkflow, match="No app lists"):
                await unknown
        assert await counts(stepwell) == before


async def test_any_mapping_will_do_for_args(stepwell_on: StepwellOn) -> None:
    from types import MappingProxyType

    async with stepwell_on([Order]) as stepwell:
        done = await stepwell.runner.run_sync(Order, MappingProxyType({"order_id": "A1"}), **ME)
        assert done.result is not None
        assert done.result.order_id == "A1"


async def test_no_args_are_all_defaults(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order, Slow]) as stepwell:
        done = await stepwell.runner.run_sync(Order, **ME)
        assert done.result == Receipt(order_id="A0", paid=True)
        handle = await stepwell.runner.run(Slow, **ME)
        assert (await handle.get()).args is None
        gate.open()
        await handle.result(60)


async def test_what_was_given_can_be_read_back(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order]) as stepwell:
        handle = await stepwell.runner.run(
            Order, {"order_id": "A1"}, **ME, labels=["vip", "eu", "vip"], idempotency_key="k1", priority=7
        )
        run = await handle.get()
        assert run.labels == ("vip", "eu")
        assert (run.idempotency_key, run.priority, run.user_id, run.app_name) == ("k1", 7, "u1", "shop")
        assert run.args == {"order_id": "A1", "total": 0}
        assert run.workflow_version == 1
        assert run.created_at.tzinfo is not None


# -- later ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["delay", "at"])
async def test_a_delayed_run_is_stored_and_not_begun(stepwell_on: StepwellOn, form: str) -> None:
    due = datetime.now(UTC) + timedelta(hours=1)
    when: dict[str, Any] = {"delay": timedelta(hours=1)} if form == "delay" else {"at": due}
    async with stepwell_on([Order]) as stepwell:
        run = await (await stepwell.runner.run(Order, **ME, **when)).get()
        assert (run.status, run.place) == ("pending", "start")
        assert run.due_at is not None
        assert due <= run.due_at <= datetime.now(UTC) + timedelta(hours=1)


@pytest.mark.parametrize("when", [{"delay": timedelta(0)}, {"at": datetime(2020, 1, 1, tzinfo=UTC)}], ids=["0", "past"])
async def test_a_moment_that_is_over_means_now(stepwell_on: StepwellOn, when: dict[str, Any]) -> None:
    async with stepwell_on([Order]) as stepwell:
        handle = await stepwell.runner.run(Order, **ME, **when)
        assert await handle.result(60)


async def test_a_delayed_run_begins_when_its_moment_comes(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order]) as stepwell:
        handle = await stepwell.runner.run(Order, **ME, delay=timedelta(milliseconds=60))
        assert await handle.result(60)
        run = await handle.get()
        assert run.finished_at is not None
        assert run.finished_at - run.created_at >= timedelta(milliseconds=60)


# -- many -------------------------------------------------------------------------------------------------------------


async def test_run_many_starts_all_in_order(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order, Ask]) as stepwell:
        handles = await stepwell.runner.run_many(
            [Start(Order, {"order_id": "A1"}), Start("ask"), Start(Order, OrderArgs(order_id="A3"), labels=["x"])], **ME
        )
        assert [handle.created for handle in handles] == [True] * 3
        assert (await handles[0].result(60)).order_id == "A1"
        assert (await handles[2].result(60)).order_id == "A3"
        assert (await handles[2].get()).labels == ("x",)
        await reaches(stepwell.runner, handles[1].workflow_id, "waiting")


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (Start(Order, {"total": "many"}), InvalidArgs),
        (Start("nowhere"), StepwellError),
        (Start(Order, idempotency_key="same", args={"total": 2}), IdempotencyConflict),
        (Start(Order, workspace_id="someone-elses"), WorkspaceNotFound),
        (Start(Order, delay=timedelta(seconds=-1)), InvalidArgs),
    ],
    ids=["args", "workflow", "key", "workspace", "delay"],
)
async def test_run_many_is_all_or_nothing(stepwell_on: StepwellOn, bad: Start, error: type[Exception]) -> None:
    async with stepwell_on([Order]) as stepwell:
        await (await stepwell.runner.run(Order, {"total": 1}, **ME, idempotency_key="same")).result(60)
        before = await everything(stepwell)
        with pytest.raises(error):
            await stepwell.runner.run_many([Start(Order), bad, Start(Order)], **ME)
        assert await everything(stepwell) == before


async def test_starts_may_come_from_a_generator(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order]) as stepwell:
        for app_name in ("shop", None):
            starts: Any = (Start(Order, {"total": n}) for n in range(3))
            assert len(await stepwell.runner.run_many(starts, app_name=app_name, user_id="u1")) == 3
        assert (await counts(stepwell))["stepwell_runs"] == 6


@pytest.mark.parametrize("app_name", ["shop", None])
@pytest.mark.parametrize("starts", [None, 5, "order", {"total": 1}, Start(Order), [Order], [None]], ids=repr)
async def test_what_is_no_list_of_starts_is_refused(stepwell_on: StepwellOn, starts: Any, app_name: str | None) -> None:
    async with stepwell_on([Order]) as stepwell:
        with pytest.raises(InvalidArgs, match=r"starts(\[0\])?.*: give a (list of )?Start\(workflow, args\)"):
            await stepwell.runner.run_many(starts, app_name=app_name, user_id="u1")
        assert await counts(stepwell) == {}


async def test_run_many_of_nothing_is_nothing(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order]) as stepwell:
        assert await stepwell.runner.run_many([], **ME) == []
        assert await counts(stepwell) == {}
        with pytest.raises(InvalidArgs, match="user_id is missing"):
            await stepwell.runner.run_many([], app_name="shop")


async def test_a_key_given_twice_in_one_run_many_is_one_run(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order]) as stepwell:
        first, second = await stepwell.runner.run_many(
            [Start(Order, idempotency_key="k"), Start(Order, idempotency_key="k")], **ME
        )
        assert (first.workflow_id, first.created, second.created) == (second.workflow_id, True, False)
        await first.result(60)


# -- keys -------------------------------------------------------------------------------------------------------------


async def test_the_same_key_leads_to_the_first_run(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order]) as stepwell:
        first = await stepwell.runner.run(Order, {"order_id": "A1"}, **ME, idempotency_key="k")
        again = await stepwell.runner.run(
            Order, OrderArgs(order_id="A1"), **ME, idempotency_key="k", delay=timedelta(hours=1), labels=["other"]
        )
        assert (again.workflow_id, again.created) == (first.workflow_id, False)
        await first.result(60)
        later = await stepwell.runner.run(Order, {"order_id": "A1", "total": 0}, **ME, idempotency_key="k")
        assert (later.workflow_id, later.created) == (first.workflow_id, False)
        assert (await counts(stepwell))["stepwell_runs"] == 1


async def test_a_key_belongs_to_one_app_and_user(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([App("shop", workflows=[Order]), App("store", workflows=[Order])]) as stepwell:
        run = stepwell.runner.run
        handles = await asyncio.gather(
            run(Order, app_name="shop", user_id="u1", idempotency_key="k"),
            run(Order, app_name="shop", user_id="u2", idempotency_key="k"),
            run(Order, app_name="store", user_id="u1", idempotency_key="k"),
        )
        assert len({handle.workflow_id for handle in handles}) == 3
        assert all(handle.created for handle in handles)


@pytest.mark.parametrize(("workflow", "args"), [(Order, {"total": 2}), (Ask, {"total": 1})], ids=["args", "workflow"])
async def test_a_key_used_for_something_else_is_a_conflict(stepwell_on: StepwellOn, workflow: Any, args: Any) -> None:
    async with stepwell_on([Order, Ask]) as stepwell:
        first = await stepwell.runner.run(Order, {"total": 1}, **ME, idempotency_key="k")
        await first.result(60)
        before = await everything(stepwell)
        for start in (stepwell.runner.run, stepwell.runner.run_sync):
            with pytest.raises(IdempotencyConflict, match=rf"'k'.*{first.workflow_id}.*another key"):
                await start(workflow, args, **ME, idempotency_key="k")
        assert await everything(stepwell) == before


async def test_fault_08_one_key_races_in_gather_and_between_two_processes_to_one_run(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order]) as one, stepwell_on([Order]) as two:
        starts = [
            runner.run(Order, {"total": n // 20}, **ME, idempotency_key=f"k{n // 20}")
            for n in range(100)
            for runner in (one.runner, two.runner)
        ]
        handles = await asyncio.gather(*starts)
        assert len({handle.workflow_id for handle in handles}) == 5
        assert sum(handle.created for handle in handles) == 5
        await asyncio.gather(*(handle.result(60) for handle in handles))
        assert (await counts(one))["stepwell_runs"] == 5


async def test_a_key_that_races_with_other_args_is_refused_for_all_but_one_of_them(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order]) as stepwell:
        starts = [stepwell.runner.run(Order, {"total": n}, **ME, idempotency_key="k") for n in range(10)]
        answers = await asyncio.gather(*starts, return_exceptions=True)
        assert sum(isinstance(one, IdempotencyConflict) for one in answers) == 9
        assert (await counts(stepwell))["stepwell_runs"] == 1


# -- workspaces -------------------------------------------------------------------------------------------------------


async def test_fault_08_a_workspace_is_made_once_however_many_callers_race(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order]) as one, stepwell_on([Order]) as two:
        handles = await asyncio.gather(
            *(runner.run(Order, **ME) for _ in range(20) for runner in (one.runner, two.runner)),
            *(runner.run(Order, app_name="shop", user_id="u2") for runner in (one.runner, two.runner)),
        )
        runs = await asyncio.gather(*(handle.get() for handle in handles))
        assert len({run.workspace_id for run in runs if run.user_id == "u1"}) == 1
        assert len({run.workspace_id for run in runs}) == 2
        assert (await counts(one))["stepwell_workspaces"] == 2


async def test_workspace_id_picks_a_workspace_of_the_same_user(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([App("shop", workflows=[Order]), App("store", workflows=[Order])]) as stepwell:
        elsewhere = await (await stepwell.runner.run(Order, app_name="store", user_id="u1")).get()
        run = await (await stepwell.runner.run(Order, **ME, workspace_id=elsewhere.workspace_id)).get()
        assert run.workspace_id == elsewhere.workspace_id


# -- run_sync ---------------------------------------------------------------------------------------------------------


async def test_run_sync_answers_when_the_run_ends(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order]) as stepwell:
        done = await stepwell.runner.run_sync(Order, {"order_id": "A1", "total": 5}, **ME)
        assert (done.status, done.place, done.state, done.error) == ("completed", END, {"charged": 5}, None)
        assert done.result == Receipt(order_id="A1", paid=True)
        assert done.workflow_id is not None
        assert (await stepwell.runner.get(done.workflow_id)).status == "completed"


async def test_run_sync_answers_when_the_run_parks_and_the_run_goes_on_later(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ask]) as stepwell:
        parked = await stepwell.runner.run_sync(Ask, **ME)
        assert (parked.status, parked.place, parked.result) == ("waiting", "open", "asked")
        assert parked.workflow_id is not None
        await stepwell.runner.signal(parked.workflow_id, "answer", "yes")
        assert await stepwell.runner.handle(parked.workflow_id).result(60) == "yes"


async def test_run_sync_of_a_run_that_fails_says_so_and_raises_nothing(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Broken]) as stepwell:
        done = await stepwell.runner.run_sync(Broken, **ME)
        assert (done.status, done.place, done.result) == ("failed", "start", None)
        assert done.error == "Broken.work: RuntimeError: no luck"
        assert [document.name for document in done.documents] == ["error"]


async def test_run_sync_works_without_a_worker_in_the_process(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order], embedded_worker=False) as stepwell:
        done = await stepwell.runner.run_sync(Order, **ME)
        assert done.status == "completed"
        queued = await stepwell.runner.run(Order, **ME)
        assert (await queued.get()).status == "pending"


async def test_run_sync_sees_the_callers_context_variables(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([WhoAsked]) as stepwell:
        token = requested_by.set("request 7")
        try:
            assert (await stepwell.runner.run_sync(WhoAsked, **ME)).result == "request 7"
            assert (await stepwell.runner.run_sync(WhoAsked, **ME, stateless=True)).result == "request 7"
        finally:
            requested_by.reset(token)
        assert (await stepwell.runner.run_sync(WhoAsked, **ME)).result == "nobody"


async def test_run_sync_whose_time_is_over_answers_running_and_the_run_goes_on(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Slow]) as stepwell:
        left = await stepwell.runner.run_sync(Slow, **ME, timeout=timedelta(milliseconds=50))
        assert left.status == "running"
        assert left.workflow_id is not None
        gate.open()
        assert await stepwell.runner.handle(left.workflow_id).result(60) == "done"
        assert (gate.arrivals, gate.cancelled) == (1, 0)


async def test_run_sync_whose_caller_is_cancelled_goes_on_as_any_run(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Slow]) as stepwell:
        call = asyncio.ensure_future(stepwell.runner.run_sync(Slow, **ME))
        await gate.reached()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        [run] = (await stepwell.runner.list()).items
        assert run.status == "running"
        gate.open()
        assert await stepwell.runner.handle(run.workflow_id).result(60) == "done"


async def test_run_sync_with_a_key_answers_for_the_first_run(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Slow]) as stepwell:
        first = asyncio.ensure_future(stepwell.runner.run_sync(Slow, **ME, idempotency_key="k"))
        await gate.reached()
        second = asyncio.ensure_future(stepwell.runner.run_sync(Slow, **ME, idempotency_key="k"))
        gate.open()
        assert (await first).workflow_id == (await second).workflow_id
        assert gate.arrivals == 1


async def test_many_run_syncs_at_once_dont_wait_for_each_other(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Slow], worker_concurrency=1) as stepwell:
        calls = [asyncio.ensure_future(stepwell.runner.run_sync(Slow, **ME)) for _ in range(5)]
        for _ in calls:
            await gate.reached()
        gate.open()
        assert {done.result for done in await asyncio.gather(*calls)} == {"done"}


# -- stateless --------------------------------------------------------------------------------------------------------


async def test_stateless_works_before_anything_is_open_and_touches_no_database(
    stepwell_on: StepwellOn, tmp_path: Path
) -> None:
    stepwell = stepwell_on([Order], database_url=f"sqlite:///{tmp_path}/none/x.db")
    done = await stepwell.runner.run_sync(Order, {"order_id": "A1", "total": 5}, **ME, stateless=True)
    assert (done.status, done.workflow_id, done.state) == ("completed", None, {"charged": 5})
    assert done.result == Receipt(order_id="A1", paid=True)
    assert not (tmp_path / "none").exists()


async def test_a_stateless_run_that_fails_says_why(stepwell_on: StepwellOn) -> None:
    done = await stepwell_on([Broken]).runner.run_sync(Broken, **ME, stateless=True)
    assert (done.status, done.error) == ("failed", "Broken.work: RuntimeError: no luck")


async def test_a_stateless_run_whose_time_is_over_is_stopped(stepwell_on: StepwellOn) -> None:
    with pytest.raises(TransitionTimeout, match=r"Slow.*0\.05 s"):
        await stepwell_on([Slow]).runner.run_sync(Slow, **ME, stateless=True, timeout=timedelta(milliseconds=50))
    assert (gate.arrivals, gate.cancelled) == (1, 1)


async def test_a_stateless_run_whose_caller_is_cancelled_is_stopped(stepwell_on: StepwellOn) -> None:
    call = asyncio.ensure_future(stepwell_on([Slow]).runner.run_sync(Slow, **ME, stateless=True))
    await gate.reached()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert gate.cancelled == 1


async def test_a_stateless_run_cant_wait(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ask]) as stepwell:
        with pytest.raises(StatelessError, match=r"Ask waits at 'open' \(answer\).*without stateless=True"):
            await stepwell.runner.run_sync(Ask, **ME, stateless=True)
        assert await counts(stepwell) == {}


# -- not open ---------------------------------------------------------------------------------------------------------


async def test_a_stepwell_that_isnt_open_says_how_to_open_it(stepwell_on: StepwellOn) -> None:
    stepwell = stepwell_on([Order])
    runner = stepwell.runner
    verbs = (runner.get, runner.history, runner.documents, runner.explain, runner.cancel, runner.retry)
    calls = [runner.run(Order, **ME), runner.run_sync(Order, **ME), runner.signal("x", "answer"), runner.list()]
    for call in (*calls, *(verb("x") for verb in verbs)):
        with pytest.raises(StepwellError, match="async with stepwell"):
            await call
    async with stepwell:
        assert await stepwell.runner.run_sync(Order, **ME)
    with pytest.raises(StepwellError, match="async with stepwell"):
        await stepwell.runner.run(Order, **ME)


async def test_a_stepwell_can_be_opened_again_and_knows_its_runs(stepwell_on: StepwellOn) -> None:
    stepwell = stepwell_on([Order])
    async with stepwell:
        first = await stepwell.runner.run_sync(Order, **ME)
    async with stepwell:
        assert first.workflow_id is not None
        assert (await stepwell.runner.get(first.workflow_id)).status == "completed"
        assert (await stepwell.runner.run_sync(Order, **ME)).status == "completed"

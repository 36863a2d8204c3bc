"""Reading: get, list, history, documents, explain, handles (rules 22, 25)."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from conformance.support import ME, Gate, StepwellOn, reaches
from stepwell import END, App, Workflow, transition
from stepwell.errors import InvalidArgs, RunFailed, WorkflowNotFound

gate = Gate()


class Held(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        await gate.pass_through()


class Item(Workflow[int]):
    @transition(target="open")
    async def begin(self) -> None:
        if self.args < 0:
            raise ValueError("negative")
        self.state["n"] = self.args

    @transition("open", END, wait=True)
    async def close(self) -> None: ...


class Quick(Workflow, version=3):
    @transition(target=END)
    async def go(self) -> str:
        return "done"


async def test_list_filters_by_everything_it_names(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([App("shop", workflows=[Item, Quick]), App("store", workflows=[Quick])]) as stepwell:
        runner = stepwell.runner
        item = await runner.run(Item, 1, **ME, labels=["vip", "eu"])
        bad = await runner.run(Item, -1, app_name="shop", user_id="u2", labels=["eu"])
        shop = await runner.run(Quick, **ME)
        store = await runner.run(Quick, app_name="store", user_id="u1", labels=["vi"])
        await asyncio.gather(shop.result(60), store.result(60))
        first = await reaches(runner, item.workflow_id, "waiting")
        await reaches(runner, bad.workflow_id, "failed")

        async def ids(**wanted: Any) -> list[str]:
            return [run.workflow_id for run in (await runner.list(**wanted)).items]

        newest_first = [one.workflow_id for one in (store, shop, bad, item)]
        assert await ids() == newest_first
        assert await ids(app_name="store") == [store.workflow_id]
        assert await ids(workflow=Quick) == [store.workflow_id, shop.workflow_id]
        assert await ids(workflow="item") == [bad.workflow_id, item.workflow_id]
        assert await ids(status="waiting") == [item.workflow_id]
        assert await ids(status=["waiting", "failed"]) == [bad.workflow_id, item.workflow_id]
        assert await ids(label="vip") == [item.workflow_id]
        assert await ids(label="eu", user_id="u2") == [bad.workflow_id]
        assert await ids(workspace_id=first.workspace_id) == [shop.workflow_id, item.workflow_id]
        assert await ids(parent_id=item.workflow_id) == []
        assert await ids(app_name="nowhere") == []


async def test_pages_cover_all_runs_once(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Item]) as stepwell:
        handles = [await stepwell.runner.run(Item, n, **ME) for n in range(7)]
        seen: list[str] = []
        cursor = None
        pages = 0
        while True:
            page = await stepwell.runner.list(limit=3, cursor=cursor)
            seen += [run.workflow_id for run in page.items]
            pages += 1
            cursor = page.next_cursor
            if cursor is None:
                break
            await stepwell.runner.run(Item, 99, **ME)  # newer ones don't disturb what comes after the cursor
        assert seen == [handle.workflow_id for handle in reversed(handles)]
        assert pages == 3
        assert (await stepwell.runner.list(limit=1000)).next_cursor is None


async def test_fault_12_a_page_has_fifty_items_unless_told_otherwise(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Item], embedded_worker=False) as stepwell:
        await asyncio.gather(*(stepwell.runner.run(Item, n, **ME) for n in range(60)))
        page = await stepwell.runner.list()
        assert len(page.items) == 50
        assert len((await stepwell.runner.list(cursor=page.next_cursor)).items) == 10


async def test_history_has_the_states_and_the_moments(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Item]) as stepwell:
        parked = await stepwell.runner.run_sync(Item, 5, **ME)
        await stepwell.runner.signal(parked.workflow_id or "", "close")
        await stepwell.runner.handle(parked.workflow_id or "").result(60)
        rows = await stepwell.runner.history(parked.workflow_id or "")
        assert [(row.version, row.transition, row.source, row.target, row.state) for row in rows] == [
            (0, None, None, None, {}),
            (1, "begin", "start", "open", {"n": 5}),
            (2, "close", "open", END, {"n": 5}),
        ]
        assert all(row.started_at <= row.finished_at for row in rows)
        assert rows[2].signal_id is not None


async def test_fault_12_a_history_and_documents_come_in_parts(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Item]) as stepwell:
        parked = await stepwell.runner.run_sync(Item, 5, **ME)
        run_id = parked.workflow_id or ""
        await stepwell.runner.signal(run_id, "close")
        await stepwell.runner.handle(run_id).result(60)
        assert [row.version for row in await stepwell.runner.history(run_id, limit=2)] == [0, 1]
        [last] = await stepwell.runner.history(run_id, after=1)
        assert (last.version, last.state) == (2, {"n": 5})
        assert await stepwell.runner.documents(run_id, limit=1) == []
        for limit in (0, 10_001, "1"):
            with pytest.raises(InvalidArgs, match="1 to 10,000"):
                await stepwell.runner.history(run_id, limit=limit)  # type: ignore[arg-type]
            with pytest.raises(InvalidArgs, match="1 to 10,000"):
                await stepwell.runner.documents(run_id, limit=limit)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgs, match="after='1'"):
            await stepwell.runner.history(run_id, after="1")  # type: ignore[arg-type]


async def test_fault_15_a_user_sees_neither_tracebacks_nor_machines(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Item, Held]) as stepwell:
        runner, restricted = stepwell.runner, stepwell.runner.as_user("u1")
        failed = await runner.run_sync(Item, -1, **ME)
        run_id = failed.workflow_id or ""
        assert "Traceback" in ((await runner.history(run_id))[-1].trace or "")
        rows = await restricted.history(run_id)
        assert ([row.trace for row in rows], "negative" in (rows[-1].error or "")) == ([None, None], True)
        gate.clear()
        held = await runner.run(Held, **ME)
        await gate.reached()
        assert f"(pid {os.getpid()} on " in str(await runner.explain(held.workflow_id))
        shown = str(await restricted.explain(held.workflow_id))
        assert ("is executing it at 'start'" in shown, "pid" in shown) == (True, False)
        gate.open()


async def test_what_is_read_is_frozen(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Quick]) as stepwell:
        done = await stepwell.runner.run_sync(Quick, **ME)
        run = await stepwell.runner.get(done.workflow_id or "")
        with pytest.raises(ValidationError):
            run.status = "failed"  # type: ignore[misc]
        assert (run.workflow_name, run.workflow_version, run.result) == ("quick", 3, "done")


async def test_handles_wait_and_give_up_without_harm(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Item, Quick]) as stepwell:
        handle = await stepwell.runner.run(Item, 1, **ME)
        for timeout in (timedelta(milliseconds=30), 0.03):
            with pytest.raises(TimeoutError):
                await handle.result(timeout=timeout)
        waiting = [asyncio.ensure_future(stepwell.runner.handle(handle.workflow_id).result(60)) for _ in range(3)]
        await reaches(stepwell.runner, handle.workflow_id, "waiting")
        await handle.signal("close")
        assert await asyncio.gather(*waiting) == [None] * 3
        assert stepwell.runner.handle(handle.workflow_id).created is False


async def test_a_handle_of_a_canceled_or_failed_run_tells_which(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Item]) as stepwell:
        failed = await stepwell.runner.run(Item, -1, **ME)
        with pytest.raises(RunFailed, match=r"Item\.begin: ValueError: negative") as caught:
            await failed.result(60)
        assert (caught.value.status, caught.value.workflow_id) == ("failed", failed.workflow_id)
        canceled = await stepwell.runner.run(Item, 1, **ME)
        await canceled.cancel(reason="changed my mind")
        with pytest.raises(RunFailed, match="changed my mind") as caught:
            await canceled.result(60)
        assert caught.value.status == "canceled"


async def test_a_handle_hears_of_an_end_in_another_process(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Quick], embedded_worker=False) as web, stepwell_on([Quick]):
        assert await (await web.runner.run(Quick, **ME)).result(60) == "done"


async def test_a_process_that_lacks_the_code_reads_the_run_all_the_same(stepwell_on: StepwellOn) -> None:
    async with (
        stepwell_on([App("shop", workflows=[Quick])]) as one,
        stepwell_on([App("store", workflows=[Item])]) as two,
    ):
        done = await one.runner.run_sync(Quick, **ME)
        run = await two.runner.get(done.workflow_id or "")
        assert (run.status, run.result) == ("completed", "done")
        assert len(await two.runner.history(run.workflow_id)) == 2
        assert await two.runner.handle(run.workflow_id).result(60) == "done"


@pytest.mark.parametrize("given", ["a\0", "a\ud800", "", "no id", None, 7], ids=ascii)
async def test_what_cant_be_an_id_is_refused_and_keeps_nobody_else_waiting(stepwell_on: StepwellOn, given: Any) -> None:
    async with stepwell_on([Item]) as stepwell:
        item = await stepwell.runner.run(Item, 1, **ME)
        end = asyncio.create_task(item.result(60))
        with pytest.raises(WorkflowNotFound, match="No run "):
            await stepwell.runner.handle(given).result(60)
        await item.signal("close")
        assert await end is None


@pytest.mark.parametrize("name", ["app_name", "workflow", "label", "user_id", "workspace_id", "parent_id"])
async def test_what_no_database_holds_is_refused_as_a_filter(stepwell_on: StepwellOn, name: str) -> None:
    async with stepwell_on([Item]) as stepwell:
        for given in ("a\0", "a\ud800"):
            with pytest.raises(InvalidArgs, match=f"{name}=.*without NUL"):
                await stepwell.runner.list(**{name: given})


async def test_explain_says_why_in_plain_words(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Item, Quick]) as stepwell:
        runner = stepwell.runner

        async def why(run_id: str) -> str:
            return str(await runner.explain(run_id))

        item = await runner.run_sync(Item, 1, **ME)
        assert "waits at 'open' for a signal: close" in await why(item.workflow_id or "")
        bad = await runner.run_sync(Item, -1, **ME)
        assert "failed at 'start': Item.begin: ValueError: negative" in await why(bad.workflow_id or "")
        assert "runner.retry" in await why(bad.workflow_id or "")
        later = await runner.run(Quick, **ME, delay=timedelta(hours=1))
        assert "starts at" in await why(later.workflow_id)
        done = await runner.run_sync(Quick, **ME)
        assert "completed at" in await why(done.workflow_id or "")
        await later.cancel(reason="no")
        assert "cancelled" in await why(later.workflow_id)

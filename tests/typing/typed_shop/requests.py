"""Calls of the runner, as from an API's handlers."""

from datetime import timedelta
from typing import Any, assert_type

from stepwell import GroupProgress, Run, RunHandle, RunResult, Start, WorkflowRunner

from .workflows import Cleanup, Decision, OrderArgs, Outcome, ProcessOrder, Quote, Signed

ARGS = OrderArgs(order_id="A1", total_cents=900)


async def start(runner: WorkflowRunner) -> None:
    run = await runner.run(ProcessOrder, ARGS, app_name="orders", user_id="u1", delay=timedelta(hours=1))
    assert_type(run, RunHandle[Outcome])
    assert_type(run.workflow_id, str)
    assert_type(await run.result(timeout=timedelta(seconds=10)), Outcome)
    assert_type(await run.get(), Run)
    assert_type(
        await runner.run(ProcessOrder, {"order_id": "A1", "total_cents": 900}, app_name="orders"), RunHandle[Outcome]
    )
    done = await runner.run_sync(Quote, ARGS, app_name="orders", user_id="u1", stateless=True)
    assert_type(done, RunResult[int])
    assert_type(done.result, int | None)
    await runner.run(Cleanup, app_name="orders")
    await runner.run(Cleanup)


async def start_by_name(runner: WorkflowRunner) -> None:
    run = await runner.run("process_order", {"order_id": "A1"}, app_name="orders")
    assert_type(run, RunHandle[Any])
    assert_type(await run.result(), Any)
    assert_type(await runner.run("process_order", ARGS, app_name="orders"), RunHandle[Any])
    assert_type(await runner.run("cleanup", app_name="orders"), RunHandle[Any])
    assert_type(await runner.run_sync("cleanup", app_name="orders"), RunResult[Any])
    starts = [Start("process_order", ARGS, labels=["vip"]), Start(Quote, ARGS), Start("cleanup")]
    assert_type(await runner.run_many(starts, app_name="orders"), list[RunHandle[Any]])
    [first, *_] = await runner.run_many(starts, app_name="orders")
    assert_type(await first.result(), Any)


async def group(runner: WorkflowRunner) -> None:
    found = await runner.group("1", user_id="u1")
    assert_type(found, GroupProgress)
    assert_type(found.completed, int)
    assert_type(runner.blocking.group("1"), GroupProgress)


async def signal(runner: WorkflowRunner, run: RunHandle[Outcome]) -> None:
    assert_type(await runner.signal("1", ProcessOrder.decide, Decision(approved=True), user_id="u1"), Run)
    await runner.signal("1", ProcessOrder.decide, Signed(approved=True, by="ada"))
    await runner.signal("1", ProcessOrder.hand_over, Decision(approved=True), answered_by="ada")
    await runner.signal("1", ProcessOrder.quoted, 5)
    await runner.signal("1", ProcessOrder.approve)
    await runner.signal("1", ProcessOrder.comment)
    await runner.signal("1", ProcessOrder.comment, None)
    await runner.signal("1", ProcessOrder.comment, Decision(approved=True))
    await runner.signal("1", ProcessOrder.vote)
    await runner.signal("1", ProcessOrder.vote, "no")
    await runner.signal("1", ProcessOrder.tag, ["a"])
    await runner.signal("1", ProcessOrder.tag, [])
    await runner.signal("1", ProcessOrder.patch, {"note": "long", "days": 5})
    await runner.signal("1", ProcessOrder.mail, "hello")
    await runner.signal("1", ProcessOrder.remind)
    await runner.signal("1", "decide", {"approved": True}, idempotency_key="k")
    await runner.signal("1", name="decide", data=Decision(approved=True))
    await runner.signal("1", name=ProcessOrder.decide, data=Decision(approved=True))
    await runner.as_user("u1").handle("1").signal(ProcessOrder.vote, "yes")
    assert_type(await run.signal(ProcessOrder.decide, Decision(approved=True), idempotency_key="k"), Run)
    await run.signal(ProcessOrder.hand_over, Decision(approved=True))
    await run.signal(ProcessOrder.approve)
    await run.signal(ProcessOrder.comment)
    await run.signal(ProcessOrder.patch, {"note": "long", "days": 5})
    await run.signal("decide", {"approved": True})


async def start_wrongly(runner: WorkflowRunner) -> str:
    await runner.run(ProcessOrder, Decision(approved=True), app_name="orders")  # error: other args
    await runner.run(ProcessOrder, ARGS, app_name=5)  # error: no text
    await runner.run(ProcessOrder, ARGS, app_name="orders", delay=5)  # error: no timedelta
    await runner.run(Decision, ARGS, app_name="orders")  # error: no workflow
    await runner.run_sync(Quote, 5, app_name="orders")  # error: other args
    await runner.run_sync("quote", ARGS, app_name="orders", delay=timedelta(1))  # error: it is executed at once
    await runner.run_many([ProcessOrder], app_name="orders")  # error: no Start
    Start("quote", label="vip")  # error: a slip
    await runner.list(state="failed")  # error: a slip
    return await (await runner.run(Quote, ARGS, app_name="orders")).result()  # error: an int


async def signal_wrongly(runner: WorkflowRunner, run: RunHandle[Outcome]) -> None:
    await runner.signal("1", ProcessOrder.decide, ARGS)  # error: another model
    await runner.signal("1", ProcessOrder.decide, {"approved": True})  # error: no model
    await runner.signal("1", ProcessOrder.decide, None)  # error: no model
    await runner.signal("1", ProcessOrder.decide)  # error: no data
    await runner.signal("1", ProcessOrder.hand_over, ARGS)  # error: another model
    await runner.signal("1", ProcessOrder.hand_over)  # error: no data
    await runner.signal("1", ProcessOrder.quoted, "5")  # error: a text
    await runner.signal("1", ProcessOrder.approve, Decision(approved=True))  # error: it takes none
    await runner.signal("1", ProcessOrder.comment, "long")  # error: a text
    await runner.signal("1", ProcessOrder.vote, "maybe")  # error: no choice
    await runner.signal("1", ProcessOrder.tag, [5])  # error: no texts
    await runner.signal("1", ProcessOrder.mail, 5)  # error: no text
    await runner.signal("1", ProcessOrder.decide, Decision(approved=True), user="u1")  # error: a slip
    await runner.signal("1", charged, None)  # error: no method of a workflow
    await runner.signal("1", ProcessOrder, None)  # error: a class
    await run.signal(ProcessOrder.decide, ARGS)  # error: another model
    await run.signal(ProcessOrder.decide)  # error: no data
    await run.signal(ProcessOrder.hand_over, ARGS)  # error: another model
    await run.signal(ProcessOrder.approve, "yes")  # error: it takes none
    await run.signal(ProcessOrder.comment, 5)  # error: another model
    await run.signal(ProcessOrder.decide, Decision(approved=True), user_id="u1")  # error: the handle has a user


def charged(order: str) -> None: ...

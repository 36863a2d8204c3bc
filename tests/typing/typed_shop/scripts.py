"""Calls of the blocking runner, as from scripts and plain web frameworks."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, assert_type

from stepwell import App, Checkpoint, Run, RunResult, Start, Stepwell, StoredDocument

from .workflows import Cleanup, Decision, OrderArgs, Outcome, ProcessOrder, Quote

ARGS = OrderArgs(order_id="A1", total_cents=900)
orders = App("orders", title="Orders", workflows=[ProcessOrder, Quote, Cleanup])


def script() -> None:
    with Stepwell(apps=[orders]) as stepwell:
        runner = stepwell.runner.blocking.as_user("u1")
        run = runner.run(ProcessOrder, ARGS, app_name="orders", labels=["vip"])
        assert_type(run.workflow_id, str)
        assert_type(run.created, bool)
        assert_type(run.result(timeout=timedelta(seconds=10)), Outcome)
        assert_type(run.get(), Run)
        assert_type(run.cancel(reason="enough"), Run)
        assert_type(run.retry(), Run)
        assert_type(runner.run("process_order", {"order_id": "A1"}, app_name="orders").result(), Any)
        assert_type(runner.run("cleanup", app_name="orders").result(), Any)
        assert_type(runner.run_sync(Quote, ARGS, app_name="orders"), RunResult[int])
        assert_type(runner.run_sync("quote", ARGS, app_name="orders").result, Any | None)
        assert_type([one.result() for one in runner.run_many([Start("quote", ARGS)], app_name="orders")], list[Any])
        assert_type(runner.get(run.workflow_id, user_id="u1"), Run)
        assert_type(runner.list(status="failed", limit=5).items, tuple[Run, ...])
        assert_type(runner.history(run.workflow_id), Sequence[Checkpoint])
        assert_type(runner.documents(run.workflow_id, replaced=True), Sequence[StoredDocument])
        assert_type(runner.explain(run.workflow_id).reasons, tuple[str, ...])
        assert_type(runner.emit("order.withdrawn", {"order_id": "A1"}).started, tuple[str, ...])
        assert_type(runner.cancel(run.workflow_id, reason="enough"), Run)
        assert_type(runner.retry(run.workflow_id), Run)
        assert_type(runner.handle(run.workflow_id).result(), Any)


def signal(stepwell: Stepwell) -> None:
    runner = stepwell.runner.blocking
    assert_type(runner.signal("1", ProcessOrder.decide, Decision(approved=True), user_id="u1"), Run)
    runner.signal("1", ProcessOrder.hand_over, Decision(approved=True))
    runner.signal("1", ProcessOrder.approve)
    runner.signal("1", ProcessOrder.comment)
    runner.signal("1", ProcessOrder.vote, "no")
    runner.signal("1", ProcessOrder.patch, {"note": "long", "days": 5})
    runner.signal("1", "decide", {"approved": True}, idempotency_key="k")
    run = runner.handle("1")
    assert_type(run.signal(ProcessOrder.decide, Decision(approved=True), idempotency_key="k"), Run)
    run.signal(ProcessOrder.hand_over, Decision(approved=True))
    run.signal(ProcessOrder.approve)
    run.signal(ProcessOrder.comment)
    run.signal(ProcessOrder.vote, "no")
    run.signal("decide", {"approved": True})


def wrong(stepwell: Stepwell) -> str:
    runner = stepwell.runner.blocking
    runner.strat(ProcessOrder, ARGS, app_name="orders")  # error: a slip
    runner.run(ProcessOrder, Decision(approved=True), app_name="orders")  # error: other args
    runner.run(ProcessOrder, ARGS, app_name=5)  # error: no text
    runner.run_sync(Quote, 5, app_name="orders")  # error: other args
    runner.get("1", user="u1")  # error: a slip
    runner.cancel("1", "enough")  # error: by its name only
    runner.signal("1", ProcessOrder.decide, ARGS)  # error: another model
    runner.signal("1", ProcessOrder.decide)  # error: no data
    runner.signal("1", ProcessOrder.hand_over, ARGS)  # error: another model
    runner.signal("1", ProcessOrder.approve, "yes")  # error: it takes none
    runner.signal("1", ProcessOrder.comment, 5)  # error: another model
    runner.handle("1").signal(ProcessOrder.decide, ARGS)  # error: another model
    runner.handle("1").signal(ProcessOrder.approve, "yes")  # error: it takes none
    runner.handle("1").result("10")  # error: no number
    return runner.run(Quote, ARGS, app_name="orders").result()  # error: an int

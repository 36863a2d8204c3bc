"""Tests with the testing kit, as users write them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, assert_type

from stepwell import App, RunHandle, Signal, Stepwell, StoredDocument
from stepwell.testing import Committed, CrashReport, EmittedEvent, Harness, StartedChild

from .workflows import Decision, OrderArgs, OrderState, Outcome, ProcessOrder, Quote, slip_number

ARGS = OrderArgs(order_id="A1", total_cents=900)
orders = App("orders", title="Orders", workflows=[ProcessOrder, Quote])


async def setup(stepwell: Stepwell) -> None:
    assert_type(stepwell.settings.database_url, str)


async def test_parts() -> None:
    async with Harness([orders], setup, server="postgresql://postgres@host/postgres") as harness:
        assert_type(harness.url, str)
        done = await harness.run_transition(ProcessOrder, "charge", args=ARGS, state=OrderState(charge_id="c"))
        assert_type(done, Committed[OrderState, Outcome])
        assert_type(done.state, OrderState)
        assert_type(done.result, Outcome | None)
        assert_type(done.documents, tuple[StoredDocument, ...])
        assert_type(done.children, tuple[StartedChild, ...])
        assert_type(done.events, tuple[EmittedEvent, ...])
        data: Signal[Any] = Signal(None, "failed", "lost", "1", None, None)
        assert_type(await harness.run_transition("process_order", "decide", data=data), Committed[Any, Any])
        await harness.run_transition(ProcessOrder, ProcessOrder.decide, data=Decision(approved=True), place="review")
        run = await harness.at(ProcessOrder, "review", args={"order_id": "A1"}, state={"charge_id": "c"})
        assert_type(run, RunHandle[Outcome])
        harness.steps({"charge": "c1", "slip": slip_number, "mail": ConnectionError("away")})


async def test_crashes(harness: Harness) -> None:
    report = await harness.crash_everywhere(
        ProcessOrder,
        ARGS,
        app_name="orders",
        signals=[
            timedelta(days=1),
            ("decide", {"approved": True}),
            (ProcessOrder.decide, Decision(approved=True)),
            ("emit", "order.withdrawn", {"order_id": "A1"}),
            ("child", 1, "approve", None),
        ],
        expect=lambda run: run.result is not None,
        setup=setup,
    )
    assert_type(report, CrashReport)
    assert_type(report.names, tuple[str, ...])


async def wrong(harness: Harness) -> Sequence[str]:
    await harness.run_transition(ProcessOrder, "charge", args=Decision(approved=True))  # error: other args
    await harness.run_transition(ProcessOrder, "charge", stat={})  # error: a slip
    await harness.run_transition(Quote, 5)  # error: no name
    await harness.at(ProcessOrder, 5)  # error: no place
    harness.steps(["charge"])  # error: no mapping
    await harness.crash_everywhere(Quote, ARGS, signals=[5])  # error: nothing that happens
    await harness.crash_everywhere(Quote, ARGS, expect=5)  # error: no expectation
    Harness([orders], lambda stepwell: 5)  # error: it isn't async
    return (await harness.at(Quote, "start")).workflow_id.encode()  # error: a text

"""With BullMQ and bull-board from npm: a service in Node starts runs, and an operator sees the queues."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from nodejs import service

from conformance.support import ME, StepwellOn, everything
from stepwell import END, Workflow, transition

LANE = "stepwell.shop.ship"


class Ship(Workflow[str]):
    @transition(target=END)
    async def ship(self) -> str:
        return f"{self.args} shipped"


def start(args: Any, **more: Any) -> dict[str, Any]:
    return {"app": "shop", "workflow": "ship", "user": "u1", "args": args, **more}


async def test_a_service_in_node_starts_runs_and_hears_what_became_of_them(bull_on: StepwellOn, redis_url: str) -> None:
    async with bull_on([Ship]) as stepwell:
        begun, same, other, refused, lost = await service(
            redis_url,
            "start",
            start("A1", idempotencyKey="order-A1", labels=["node"]),
            start("A1", idempotencyKey="order-A1"),
            start("A2"),
            start(7),
            start("A3", workflow="sail"),
        )
        assert begun["runId"] == same["runId"] != other["runId"]
        assert [begun["created"], same["created"]].count(True) == 1
        assert await stepwell.runner.handle(begun["runId"]).result(8) == "A1 shipped"
        assert await stepwell.runner.handle(other["runId"]).result(8) == "A2 shipped"
        assert refused["error"].startswith("InvalidArgs: The args of Ship don't fit str: ")
        assert lost["error"].startswith("UnknownWorkflow: The app 'shop' doesn't list the workflow 'sail'.")
        assert len((await everything(stepwell))["stepwell_runs"]) == 2
        counts = await service(redis_url, "counts", "stepwell", LANE)
        assert (counts["stepwell"]["completed"], counts["stepwell"]["failed"]) == (3, 2)
        assert not any(counts[LANE].values())


async def test_bull_board_shows_what_waits_and_why_a_start_was_refused(bull_on: StepwellOn, redis_url: str) -> None:
    async with bull_on([Ship]) as stepwell:
        later = await stepwell.runner.run(Ship, "B1", **ME, delay=timedelta(hours=1), priority=5)
        await service(redis_url, "start", start(["no text"]))
        board = await service(redis_url, "board", "stepwell", LANE)

        [refused] = board["stepwell"]["jobs"]
        assert board["stepwell"]["counts"]["failed"] == 1
        assert refused["isFailed"] is True
        assert refused["data"] == start(["no text"])
        assert refused["failedReason"].startswith("InvalidArgs: The args of Ship don't fit str: ")

        [waiting] = board[LANE]["jobs"]
        assert board[LANE]["counts"]["delayed"] == 1
        assert waiting["data"] == {"run": later.workflow_id}
        assert waiting["name"] == "ship"
        assert waiting["priority"] == 2**20 - 5
        assert 0 <= 3_600_000 - waiting["delay"] < 60_000

"""With BullMQ and bull-board from npm: a service in Node starts runs, and an operator sees the queues."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from nodejs import output, service
from pydantic import BaseModel

from conformance.support import ME, StepwellOn, everything
from stepwell import END, Workflow, transition

LANE = "stepwell.shop.ship"


PAGE = Path(__file__).parents[2] / "docs" / "bullmq.md"


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
        assert await stepwell.runner.handle(begun["runId"]).result(60) == "A1 shipped"
        assert await stepwell.runner.handle(other["runId"]).result(60) == "A2 shipped"
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


class Order(BaseModel):
    order_id: str


class ShipOrder(Workflow[Order], name="ship"):
    @transition(target=END)
    async def ship(self) -> str:
        return f"{self.args.order_id} shipped"


async def test_what_the_documentation_shows_of_node_works(bull_on: StepwellOn, redis_url: str) -> None:
    start_one, board = re.findall(r"^```js\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    async with bull_on([ShipOrder]) as stepwell:
        shown = await output(redis_url, f"{start_one}\n{board}\nprocess.exit(0);")
        run_id, created = shown.split()
        assert created == "true"
        assert await stepwell.runner.handle(run_id).result(60) == "A1 shipped"

"""The workflows of the databases in `earlier/`, and what was done with them there.

To make them again with an older Stepwell: `PYTHONPATH=OLDER/src python tests/store/earlier_shop.py URL`; then a copy of the
file, compressed, or what `pg_dump --inserts --no-owner` says. The process kills itself, so that what it was executing is
still its own there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from stepwell import END, App, Document, Event, Retry, Settings, Stepwell, Workflow, transition

ME: dict[str, Any] = {"app_name": "shop", "user_id": "u1"}
EARLIER = "STEPWELL_TEST_EARLIER"
BEFORE, NOW = "drawn before", "drawn now"


class Order(BaseModel):
    order: str
    cents: int = 100


class Receipt(Document, title="Receipt"):
    cents: int


class Progress(BaseModel):
    steps: list[str] = []


class Buy(Workflow[Order, Progress, int]):
    """Saved a document, and waits for a person."""

    @transition(target="review")
    async def ask(self) -> None:
        self.state.steps.append("asked")
        await self.documents.save(Receipt(cents=self.args.cents), key="receipt")

    @transition("review", END, wait=True)
    async def approve(self) -> int:
        self.state.steps.append("approved")
        (receipt,) = await self.documents.find(Receipt)
        return int(receipt.cents)


class Pack(Workflow[Order, Progress, str]):
    """Waits for an event."""

    @transition(target="unpaid")
    async def wrap(self) -> None: ...

    @transition("unpaid", END, on=Event("order.paid", match={"order": "args.order"}))
    async def send(self) -> str:
        return f"sent {self.args.order}"


class Sell(Workflow[Order, Progress, int]):
    """Waits for its child."""

    @transition(target="selling")
    async def begin(self) -> None:
        await self.start(Buy, self.args, callback="bought")

    @transition("selling", END, wait=True)
    async def bought(self, cents: int) -> int:
        return cents + 1


class Draw(Workflow[None, Progress, str]):
    """Failed once, and is tried again a day later; its step is in the journal."""

    @transition(target=END, retry=Retry(3, delay=timedelta(days=1), max_delay=timedelta(days=1)))
    async def go(self) -> str:
        found = await self.step("draw", draw)
        if EARLIER in os.environ:
            raise RuntimeError("not yet")
        return str(found)


async def draw() -> str:
    return BEFORE if EARLIER in os.environ else NOW


class Walk(Workflow[None, Progress, str]):
    """Was in its second transition when its process was killed."""

    @transition(target="half")
    async def first(self) -> None:
        self.state.steps.append("first")

    @transition("half", END)
    async def second(self) -> str:
        if EARLIER in os.environ:
            await asyncio.sleep(3600)
        return "+".join([*self.state.steps, "second"])


class Later(Workflow[None, Progress, str]):
    """Was started, and nobody took it up."""

    @transition(target=END)
    async def go(self) -> str:
        return "went"


SHOP = App("shop", workflows=[Buy, Pack, Sell, Draw, Walk, Later])


async def _fill(url: str) -> None:
    os.environ[EARLIER] = "1"
    settings = Settings(database_url=url, auto_migrate=True)
    async with Stepwell(apps=[SHOP], settings=settings, embedded_worker=False) as stepwell:
        await stepwell.runner.run(Later, **ME)
    async with Stepwell(apps=[App("shop", workflows=[Buy, Pack, Sell, Draw, Walk])], settings=settings) as stepwell:
        runner = stepwell.runner
        bought = await runner.run_sync(Buy, Order(order="A0", cents=5), **ME, timeout=60)
        await runner.signal(bought.workflow_id or "", "approve")
        await runner.handle(bought.workflow_id or "").result(60)
        await runner.run_sync(Buy, Order(order="A1"), **ME, idempotency_key="A1", labels=["vip"], timeout=60)
        await runner.run_sync(Pack, Order(order="A2"), **ME, timeout=60)
        await runner.run_sync(Sell, Order(order="A3", cents=7), **ME, timeout=60)
        for workflow, status, place in ((Draw, "retrying", "start"), (Walk, "running", "half")):
            handle = await runner.run(workflow, **ME)
            while ((run := await handle.get()).status, run.place) != (status, place):
                await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(_fill(sys.argv[1]))

"""Keeping the stock in step with a warehouse that is slow, or down: what a run looks like that isn't done at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel

from stepwell import END, Concurrency, Message, Retry, Workflow, transition
from stepwell.ui import Radio

Warehouse = Literal["north", "east", "south"]


class StockArgs(BaseModel):
    warehouse: Annotated[Warehouse, Radio()] = "north"
    """`north` answers, `east` needs a quarter of an hour, `south` is down."""


class SyncStock(
    Workflow[StockArgs, None, str], title="Sync the stock", concurrency=Concurrency(1, key="args.warehouse")
):
    """Ask a warehouse what it has, one question at a time."""

    @transition(target="asking")
    async def begin(self) -> None:
        await self.documents.save(
            Message(role="assistant", text=f"I'll ask the warehouse in the {self.args.warehouse}.")
        )

    @transition(
        "asking",
        END,
        retry=Retry(retries=50, delay=timedelta(seconds=30), max_delay=timedelta(minutes=10)),
        timeout=timedelta(minutes=20),
    )
    async def ask(self) -> str:
        if self.args.warehouse == "south":
            raise ConnectionError("the warehouse in the south doesn't answer")
        await asyncio.sleep(900 if self.args.warehouse == "east" else 0)
        return "42 lamps, 7 pianos"

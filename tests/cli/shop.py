"""The application of these tests; they run it by the real console script."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from stepwell import END, App, Step, Stepwell, Workflow, transition


def there(name: str) -> bool:
    return Path(name).exists()


def note_nap() -> None:
    with Path("naps").open("a") as file:
        file.write(f"{os.getpid()}\n")


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class Order(BaseModel):
    number: str
    cents: int = 0
    size: Size = Size.SMALL
    tags: list[str] = []
    note: str | None = None


class Pack(Workflow[Order, None, dict[str, Any]]):
    """Pack an order."""

    @transition(target="packed")
    async def pack(self) -> None: ...

    @transition("packed", END)
    async def ship(self) -> dict[str, Any]:
        return self.args.model_dump(mode="json")


class Stay(Workflow, on_cancel="leaving"):
    """Books a room, waits, and gives it back if it is cancelled."""

    @transition(target="booked")
    async def book(self) -> None:
        await self.step(Step("room", undo="free"), self.room)

    @transition("booked", END, wait=True)
    async def check_out(self) -> None: ...

    @transition("leaving", END)
    async def leave(self) -> None:
        await self.undo()

    async def room(self) -> int:
        return 101

    async def free(self, number: int) -> None: ...


class Decision(BaseModel):
    approved: bool
    note: str = ""


class Review(Workflow[None, None, str]):
    @transition(target="review")
    async def ask(self) -> None: ...

    @transition("review", END, wait=True)
    async def decide(self, decision: Decision) -> str:
        return f"{decision.approved} {decision.note}"


class Break(Workflow):
    @transition(target=END)
    async def snap(self) -> None:
        if not there("mended"):
            raise ValueError("snapped")


class Nap(Workflow[None, None, str]):
    @transition(target="woken")
    async def sleep(self) -> None:
        note_nap()
        if not there("awake"):
            await asyncio.sleep(600)

    @transition("woken", END)
    async def wake(self) -> str:
        return "awake"


class Tea(Workflow[None, None, str]):
    @transition(target="drawn")
    async def pour(self) -> None: ...

    @transition("drawn", END, after=timedelta(milliseconds=300))
    async def drink(self) -> str:
        return "tea"


shop = App("shop", workflows=[Pack, Review, Break, Nap, Tea, Stay])
annex = App("annex", workflows=[Tea])
stepwell = Stepwell(apps=[shop, annex])

"""What is repaired in Studio: a payment that takes any answer badly, and a stay that gives back what it holds."""

from __future__ import annotations

from pydantic import BaseModel, Field, field_validator

from stepwell import END, START, App, Step, Workflow, transition

APP = "desk"
GIVEN_BACK: list[int] = []


class Payment(BaseModel):
    cents: int = Field(ge=0)
    note: str = ""


class Book(BaseModel):
    limit: int = 100

    @field_validator("limit")
    @classmethod
    def even(cls, limit: int) -> int:
        if limit % 2:
            raise ValueError("the limit must be even")
        return limit


class Refund(Workflow[None, Book, int], title="Refund"):
    @transition(START, "open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def pay(self, payment: Payment) -> int:
        """How much is paid back?"""
        if payment.cents > self.state.limit:
            raise ValueError(f"{payment.cents} is over the limit of {self.state.limit}")
        return payment.cents


class Stay(Workflow[None, None, None], title="Stay", on_cancel="leaving"):
    @transition(START, "booked")
    async def book(self) -> None:
        await self.step(Step("room", undo="free_room"), self.reserve)

    @transition("booked", END, wait=True)
    async def check_out(self) -> None: ...

    @transition("leaving", "left", wait=True)
    async def hand_over_the_key(self) -> None: ...

    @transition("left", END)
    async def leave(self) -> None:
        await self.undo()

    async def reserve(self) -> int:
        return 101

    async def free_room(self, number: int) -> None:
        GIVEN_BACK.append(number)


def apps() -> list[App]:
    """New each time: an app belongs to one open Stepwell."""
    return [App(APP, title="Desk", workflows=[Refund, Stay])]

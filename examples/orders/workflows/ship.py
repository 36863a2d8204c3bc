"""The way of a parcel: a child of `ProcessOrder`, which is called back when it has arrived."""

from __future__ import annotations

from pydantic import BaseModel

from examples.orders.settings import settings
from stepwell import END, Workflow, transition


class Parcel(BaseModel):
    order_id: str
    item: str


class ShipState(BaseModel):
    tracking: str = ""


class Delivery(BaseModel):
    tracking: str


async def book_carrier(order_id: str) -> str:
    """The tracking number of a carrier that isn't one."""
    return f"TRACK-{order_id}"


class Ship(Workflow[Parcel, ShipState, Delivery], title="Ship a parcel"):
    """Book a carrier, and wait until the parcel has arrived."""

    @transition(target="on its way")
    async def book(self) -> None:
        self.state.tracking = await self.step("book", book_carrier, self.args.order_id)

    # The carrier of this example needs a moment. A real one would call a webhook, which would signal `arrive`.
    @transition("on its way", END, after=settings.carrier)
    async def arrive(self) -> Delivery:
        return Delivery(tracking=self.state.tracking)

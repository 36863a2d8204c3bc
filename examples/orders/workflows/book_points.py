"""Loyalty points: started by an event, so that `ProcessOrder` needn't know of them."""

from __future__ import annotations

from pydantic import BaseModel
from sqlalchemy import insert

from examples.orders.tables import points
from stepwell import END, Event, Workflow, transition

UNLUCKY_CENTS = 66_600


class CompletedOrder(BaseModel):
    order_id: str
    total_cents: int


class BookPoints(Workflow[CompletedOrder, None, int], on=Event("order.completed"), title="Book loyalty points"):
    """One point for each euro."""

    @transition(target=END)
    async def book(self) -> int:
        if self.args.total_cents == UNLUCKY_CENTS and self.info.attempt == 1:
            raise ConnectionError("the points service didn't answer")  # no retry policy: a person retries it in Studio
        earned = self.args.total_cents // 100
        async with self.transaction() as connection:
            await connection.execute(
                insert(points).values(order_id=self.args.order_id, user_id=self.info.user_id, points=earned)
            )
        return earned

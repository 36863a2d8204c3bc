"""Money that came by itself: started by Stripe's webhook, it resumes the order that waits for it."""

from __future__ import annotations

from pydantic import BaseModel
from sqlalchemy import insert

from examples.orders.tables import payments
from stepwell import END, Workflow, transition


class Payment(BaseModel):
    payment_id: str
    order_id: str
    cents: int


class RecordPayment(Workflow[Payment, None, str], title="Record a payment"):
    """Book the payment, and tell the run that waits for it: both or neither."""

    @transition(target=END)
    async def book(self) -> str:
        payment = self.args
        await self.emit("payment.received", payment)
        async with self.transaction() as connection:
            await connection.execute(
                insert(payments).values(id=payment.payment_id, order_id=payment.order_id, cents=payment.cents)
            )
        return f"{payment.cents} cents for {payment.order_id}"

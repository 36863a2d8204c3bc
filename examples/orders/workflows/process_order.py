"""The shop's main workflow: from an order to its receipt."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel

from examples.orders.gateway import AT_ONCE, PaymentGateway
from examples.orders.tables import number_receipt, set_status
from examples.orders.workflows.record_payment import Payment
from examples.orders.workflows.ship import Delivery, Parcel, Ship
from stepwell import END, Concurrency, Document, Event, Markdown, Retry, Workflow, transition
from stepwell.ui import Form, Number, TextArea

LARGE_ORDER_CENTS = 100_000


class OrderArgs(BaseModel):
    order_id: str
    item: str
    total_cents: Annotated[int, Number(min=1)]
    card: str


class OrderState(BaseModel):
    approved_by: str | None = None
    charge_id: str = ""


class OrderResult(BaseModel):
    outcome: str
    receipt: int | None = None


class Decision(BaseModel):
    """The answer of the operator."""

    by: str
    note: Annotated[str, TextArea(rows=3, placeholder="Why")] = ""


class Receipt(Document, tags=["receipt"]):
    number: int
    order_id: str
    total_cents: int
    charge_id: str
    tracking: str


class ProcessOrder(
    Workflow[OrderArgs, OrderState, OrderResult],
    title="Process an order",
    # In all processes together, and only while an order is worked on: one that waits for a person holds none.
    concurrency=Concurrency(AT_ONCE, name="bank"),
    ui=[
        Form(transition="approve", enabled_at=["review"], label="Approve"),
        Form(transition="reject", enabled_at=["review"], label="Reject"),
    ],
):
    """Ask a person about large orders, charge the card, ship, and write the receipt."""

    def is_large(self) -> bool:
        return self.args.total_cents > LARGE_ORDER_CENTS

    @transition(target="review", when=is_large, priority=1)
    async def ask(self) -> None:
        await self.documents.save(Markdown(text=f"**{self.args.item}** costs {self.args.total_cents} cents. Sell it?"))

    @transition(target="approved")
    async def accept(self) -> None: ...

    @transition("review", "approved", wait=True)
    async def approve(self, decision: Decision) -> None:
        self.state.approved_by = decision.by

    @transition("review", END, wait=True)
    async def reject(self, decision: Decision) -> OrderResult:
        return await self._close("rejected")

    @transition("review", END, after=timedelta(days=2))
    async def expire(self) -> OrderResult:
        return await self._close("expired")

    @transition(
        "approved",
        "paid",
        retry=Retry(retries=3, delay=timedelta(milliseconds=500)),
        timeout=timedelta(seconds=10),
        error_place="unpaid",
    )
    async def charge(self, gateway: PaymentGateway) -> None:
        # The step is journaled: whatever happens after it, the card isn't charged again.
        self.state.charge_id = await self.step(
            "charge", gateway.charge, self.args.card, self.args.total_cents, self.info.idempotency_key
        )
        async with self.transaction() as connection:
            await set_status(connection, self.args.order_id, "paid")

    @transition("unpaid", "paid", on=Event("payment.received", match={"order_id": "args.order_id"}))
    async def take_payment(self, payment: Payment) -> None:
        self.state.charge_id = payment.payment_id
        async with self.transaction() as connection:
            await set_status(connection, self.args.order_id, "paid")

    @transition("unpaid", END, after=timedelta(days=3))
    async def give_up(self) -> OrderResult:
        return await self._close("unpaid")

    @transition("paid", "shipping")
    async def hand_over(self) -> None:
        parcel = Parcel(order_id=self.args.order_id, item=self.args.item)
        await self.start(Ship, parcel, callback="delivered", label="Shipping")

    @transition("shipping", END, wait=True)
    async def delivered(self, delivery: Delivery) -> OrderResult:
        order_id, charge_id = self.args.order_id, self.state.charge_id
        await self.emit("order.completed", {"order_id": order_id, "total_cents": self.args.total_cents})
        # The status, the receipt's number, the document and the event are in one commit with the checkpoint.
        async with self.transaction() as connection:
            await set_status(connection, order_id, "completed")
            number = await number_receipt(connection, order_id, charge_id)
        await self.documents.save(
            Receipt(
                number=number,
                order_id=order_id,
                total_cents=self.args.total_cents,
                charge_id=charge_id,
                tracking=delivery.tracking,
            )
        )
        return OrderResult(outcome="completed", receipt=number)

    async def _close(self, outcome: str) -> OrderResult:
        async with self.transaction() as connection:
            await set_status(connection, self.args.order_id, outcome)
        return OrderResult(outcome=outcome)

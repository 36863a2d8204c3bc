"""The delayed follow-up: started together with the order, due days later."""

from __future__ import annotations

from pydantic import BaseModel

from examples.orders.tables import Reading, status_of
from stepwell import END, Plain, Workflow, transition


class ReviewArgs(BaseModel):
    order_id: str


class AskForReview(Workflow[ReviewArgs, None, str], title="Ask how it was"):
    """Ask the customer of a completed order for a review; leave the others in peace."""

    @transition(target=END)
    async def ask(self, connection: Reading) -> str:
        status = await status_of(connection, self.args.order_id)
        if status != "completed":
            return f"not asked: the order is {status}"
        await self.documents.save(Plain(text=f"How do you like your order {self.args.order_id}?"))
        return "asked"

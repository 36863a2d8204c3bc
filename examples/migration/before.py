"""The code before: amounts are cents, loans wait at `review`, and `decide` takes the answer."""

from __future__ import annotations

from pydantic import BaseModel

from examples.migration.ledger import book
from stepwell import END, App, Stepwell, Workflow, transition


class Application(BaseModel):
    cents: int


class LoanState(BaseModel):
    cents: int = 0
    notes: list[str] = []


class Loan(Workflow[Application, LoanState, str]):
    """Wait for a decision, and pay."""

    @transition(target="review")
    async def apply(self) -> None:
        self.state.cents = self.args.cents

    @transition("review", "paying", wait=True)
    async def decide(self, note: str) -> None:
        self.state.notes.append(note)

    @transition("paying", "paid")
    async def pay(self) -> None:
        await self.step("book", book, self.info.idempotency_key, self.state.cents)

    @transition("paid", END, wait=True)
    async def close(self) -> str:
        return f"{self.state.cents} cents, {', '.join(self.state.notes)}"


app = App("bank", workflows=[Loan])
stepwell = Stepwell(apps=[app])

"""The code after it: amounts have a currency, `review` is `desk`, `decide` is `approve`, and `pay` is `pay_out`."""

from __future__ import annotations

from pydantic import BaseModel

from examples.migration.ledger import book
from stepwell import END, App, Migration, Stepwell, Workflow, migrate, transition


class Money(BaseModel):
    cents: int = 0
    currency: str = "EUR"


class Application(BaseModel):
    amount: Money


class LoanState(BaseModel):
    amount: Money = Money()
    notes: list[str] = []


class Loan(Workflow[Application, LoanState, str], version=2):
    """Wait for a decision, and pay."""

    @migrate(from_version=1)
    def give_amounts_a_currency(old: Migration) -> None:  # type: ignore[misc]
        """Bring a run of `before.py` to this code."""
        old.args = {"amount": {"cents": old.args["cents"], "currency": "EUR"}}
        old.state["amount"] = {"cents": old.state.pop("cents"), "currency": "EUR"}
        old.place = {"review": "desk"}.get(old.place, old.place)

    @transition(target="desk")
    async def apply(self) -> None:
        self.state.amount = self.args.amount

    @transition("desk", "paying", wait=True, was="decide")
    async def approve(self, note: str) -> None:
        self.state.notes.append(note)

    @transition("paying", "paid", was="pay")
    async def pay_out(self) -> None:
        await self.step("book", book, self.info.idempotency_key, self.state.amount.cents)

    @transition("paid", END, wait=True)
    async def close(self) -> str:
        return f"{self.state.amount.cents} {self.state.amount.currency}, {', '.join(self.state.notes)}"


app = App("bank", workflows=[Loan])
stepwell = Stepwell(apps=[app])

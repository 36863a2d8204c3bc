"""What the Studio of the tests shows: workflows of a shop that come to rest in every state a run can have."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from enum import Enum
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from stepwell import (
    END,
    App,
    Document,
    Markdown,
    Message,
    NonRetryable,
    Plain,
    Retry,
    Signal,
    WebhookEvent,
    Workflow,
    WorkflowRunner,
    transition,
)
from stepwell.triggers import stripe_signature
from stepwell.ui import Button, Form, PromptInput, TextArea

SECRET = "whsec_of_the_tests"
APP = "shop"


class Till:
    """The world outside: it works again when somebody says so."""

    broken = True


class Priority(Enum):
    low = "low"
    normal = "normal"
    high = "high"


class Customer(BaseModel):
    name: str = Field(min_length=1, description="As on the parcel.")
    email: str | None = None


class Line(BaseModel):
    sku: str
    quantity: int = Field(1, ge=1, le=99)
    gift: bool = False


class Card(BaseModel):
    kind: Literal["card"] = "card"
    number: str


class Invoice(BaseModel):
    kind: Literal["invoice"] = "invoice"
    reference: str
    days: int = 30


class OrderArgs(BaseModel):
    customer: Customer
    lines: list[Line] = Field(default_factory=list)
    payment: Annotated[Card | Invoice, Field(discriminator="kind")]
    priority: Priority = Priority.normal
    deliver_on: date | None = None
    total_cents: int = Field(0, ge=0, description="Orders over 1,000.00 are reviewed.")
    note: Annotated[str, TextArea(rows=3)] = ""


class Decision(BaseModel):
    approved: bool = Field(description="Whether the order goes out.")
    note: Annotated[str, TextArea(rows=2)] = ""


class Parcel(Document, title="What we packed", tags=["parcel"]):
    customer: str
    pieces: int
    tracking: str


class OrderState(BaseModel):
    charged: bool = False
    approved: bool | None = None


class FulfilOrder(
    Workflow[OrderArgs, OrderState, dict[str, str]],
    title="Fulfil an order",
    ui=[
        Form(transition="decide", label="Send the decision", enabled_at=["review"]),
        Button(transition="hold", label="Put on hold", variant="secondary", enabled_at=["review"]),
    ],
):
    """Charge the customer, let a person look at large orders, and pack the parcel."""

    @transition(target="charged")
    async def charge(self) -> None:
        self.state.charged = True
        await self.documents.save(
            Markdown(text=f"## Order of {self.args.customer.name}\n\n- **{len(self.args.lines)}** lines")
        )

    def is_large(self) -> bool:
        return self.args.total_cents > 100_000

    @transition("charged", "review", when=is_large, priority=1)
    async def ask(self) -> None:
        await self.documents.save(Message(role="assistant", text="This order is large. Please have a look."))

    @transition("charged", "packing")
    async def pass_by(self) -> None: ...

    @transition("review", "packing", wait=True)
    async def decide(self, decision: Decision) -> None:
        """Does this order go out?"""
        self.state.approved = decision.approved

    @transition("review", "held", wait=True)
    async def hold(self) -> None: ...

    @transition("held", "packing", after=timedelta(days=3))
    async def release(self) -> None: ...

    @transition("packing", END)
    async def pack(self) -> dict[str, str]:
        parcel = Parcel(customer=self.args.customer.name, pieces=len(self.args.lines), tracking="SW-1")
        await self.documents.save(parcel)
        return {"outcome": "sent"}


class ChargeArgs(BaseModel):
    order_id: str = "A-1"
    cents: int = 1_900


class ChargeCard(Workflow[ChargeArgs, None, str], title="Charge a card"):
    """Takes the money, where the bank has an open door."""

    @transition(target="reserved")
    async def reserve(self) -> None:
        await self.documents.save(Plain(text=f"Reserved {self.args.cents} cents for {self.args.order_id}."))

    @transition("reserved", END)
    async def capture(self) -> str:
        if Till.broken:
            raise NonRetryable("The bank says: the card is stolen.")
        return "paid"


class SyncStock(Workflow[None, None, None], title="Sync the stock"):
    """Asks a warehouse that is down, and asks again."""

    @transition(target=END, retry=Retry(retries=9, delay=timedelta(hours=1), backoff="fixed"))
    async def ask_warehouse(self) -> None:
        raise ConnectionError("The warehouse doesn't answer.")


class RemindCustomer(Workflow[None, None, None], title="Remind a customer"):
    """Waits two weeks, and writes to them."""

    @transition(target="silent")
    async def wait_for_them(self) -> None: ...

    @transition("silent", END, after=timedelta(days=14))
    async def write(self) -> None: ...


class Said(BaseModel):
    text: str = Field(min_length=1)


class SupportChat(
    Workflow[None, None, None],
    title="Support chat",
    ui=[
        PromptInput(transition="say", field="text", placeholder="Write to us"),
        Button(transition="close", label="Close"),
    ],
):
    """A talk that ends when somebody closes it."""

    @transition(target="listening")
    async def greet(self) -> None:
        await self.documents.save(Message(role="assistant", text="Hello, what can we do for you?"))

    @transition("listening", "listening", wait=True)
    async def say(self, said: Said) -> None:
        await self.documents.save(Message(role="user", text=said.text))
        await self.documents.save(Message(role="assistant", text=f"You said: {said.text}"))

    @transition("listening", END, wait=True)
    async def close(self) -> None: ...


class SupplierArgs(BaseModel):
    supplier: str = "North"


class AskSupplier(Workflow[SupplierArgs, None, str], title="Ask a supplier"):
    @transition(target="asked")
    async def send(self) -> None: ...

    @transition("asked", END, wait=True)
    async def answer(self, price: int) -> str:
        """What do they want for it?"""
        return f"{self.args.supplier}: {price}"


class Restock(Workflow[None, dict[str, str], dict[str, str]], title="Restock"):
    """Asks two suppliers at once."""

    @transition(target="asking")
    async def ask(self) -> None:
        for name in ("North", "South"):
            await self.start(AskSupplier, SupplierArgs(supplier=name), callback="hear", label=name)

    def all_heard(self) -> bool:
        return len(self.state) == 2

    @transition("asking", "heard", wait=True)
    async def hear(self, answer: Signal[str]) -> None:
        self.state[answer.workflow_id or ""] = str(answer.data)

    @transition("heard", END, when=all_heard, priority=1)
    async def choose(self) -> dict[str, str]:
        return self.state

    @transition("heard", "asking")
    async def go_on(self) -> None: ...


class ManyArgs(BaseModel):
    documents: int = Field(100, ge=0, le=100_000)
    each: int = Field(500, ge=1)
    pause_seconds: float = 0.0


class Count(BaseModel):
    done: int = 0


class ImportCatalogue(Workflow[ManyArgs, Count, int], title="Import the catalogue"):
    """Writes as many documents as it is asked for, a few at a time."""

    @transition(target="reading")
    async def open(self) -> None: ...

    def is_done(self) -> bool:
        return self.state.done >= self.args.documents

    @transition("reading", "closed", when=is_done, priority=1)
    async def close(self) -> None: ...

    @transition("reading", "reading")
    async def read(self) -> None:
        for number in range(self.state.done, min(self.state.done + self.args.each, self.args.documents)):
            await self.documents.save(Plain(text=f"Article {number}"))
        self.state.done += self.args.each
        await asyncio.sleep(self.args.pause_seconds)

    @transition("closed", END, wait=True)
    async def confirm(self) -> int:
        return self.state.done


class CountStock(Workflow[None, None, None], title="Count the stock"):
    """Takes its time: it is running whenever somebody looks."""

    @transition(target=END, timeout=timedelta(0))
    async def count(self) -> None:
        await asyncio.sleep(3600)


class TakePayment(Workflow[ChargeArgs, None, str], title="Take a payment"):
    @transition(target=END)
    async def book(self) -> str:
        return self.args.order_id


WORKFLOWS = [
    FulfilOrder,
    ChargeCard,
    SyncStock,
    RemindCustomer,
    SupportChat,
    AskSupplier,
    Restock,
    ImportCatalogue,
    CountStock,
    TakePayment,
]


def apps() -> list[App]:
    """New each time: an app belongs to one open Stepwell."""
    app = App(APP, title="Shop", workflows=WORKFLOWS)
    app.schedule("nightly-stock", workflow=RemindCustomer, cron="30 2 * * *", timezone="Europe/Berlin")
    app.schedule("reminders", workflow=RemindCustomer, every=timedelta(hours=6))

    @app.webhook("/webhooks/payments", verify=stripe_signature(secret=SECRET))
    async def payments(event: WebhookEvent, runner: WorkflowRunner) -> None:
        if Till.broken and event.json.get("stolen"):
            raise ConnectionError("The till doesn't open.")
        await runner.run(TakePayment, {"order_id": event.id}, app_name=APP, user_id="ada")

    return [app]

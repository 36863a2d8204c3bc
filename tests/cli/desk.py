"""An application whose workflows ask people, show documents and have a schedule."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, Field, field_validator

from stepwell import END, App, Document, Markdown, Message, Plain, Stepwell, Workflow, transition
from stepwell.ui import Hidden, Radio


class Verdict(StrEnum):
    GOOD = "good"
    BAD = "bad"


class Opinion(BaseModel):
    verdict: Annotated[Verdict, Radio(labels={"good": "It is good"})]
    stars: int = Field(3, description="1 to 5", ge=1, le=5)
    note: str | None = None
    source: Annotated[str, Hidden()] = "form"


class Judge(Workflow[None, None, Any], title="Judge it"):
    @transition(target="desk")
    async def ask(self) -> None: ...

    @transition("desk", END, wait=True)
    async def opine(self, opinion: Opinion) -> Any:
        """Say what you think."""
        return opinion.model_dump(mode="json")

    @transition("desk", "desk", wait=True)
    async def remark(self, text: str) -> None:
        await self.documents.save(Plain(text=f"noted: {text}"))

    @transition("desk", END, wait=True)
    async def decline(self) -> str:
        return "declined"


class Item(BaseModel):
    name: str
    count: int = 1

    @field_validator("name")
    @classmethod
    def is_known(cls, name: str) -> str:
        if name not in ("book", "lamp"):
            raise ValueError("there is book and lamp")
        return name


class Order(BaseModel):
    items: list[Item]
    express: bool = False


class Fill(Workflow[None, None, Any], title="Fill in an order"):
    @transition(target="form")
    async def ask(self) -> None: ...

    @transition("form", END, wait=True)
    async def fill(self, order: Order) -> Any:
        return order.model_dump(mode="json")


class Hurry(Workflow[None, None, str]):
    @transition(target="waiting")
    async def ask(self) -> None: ...

    @transition("waiting", END, wait=True)
    async def answer(self, text: str) -> str:
        return text

    @transition("waiting", END, after=timedelta(hours=1))
    async def expire(self) -> str:
        return "expired"


class Receipt(Document, title="Your \x1b[31mreceipt"):
    number: int
    text: str


class Terms(Markdown, name="markdown", title="Our terms"): ...


class Invoice(Document):
    number: int


class Tell(Workflow[None, None, str]):
    @transition(target="told")
    async def tell(self) -> None:
        await self.documents.save(Message(role="assistant", text="Hello \x1b[31mthere"))
        await self.documents.save(Markdown(text="Some **bold** words"))
        await self.documents.save(Receipt(number=7, text="x" * 500))
        await self.documents.save(Terms(text="All of *them*"))
        await self.documents.save(Invoice(number=8))
        await self.start(Hurry, show="link", label="Hurry up", on_parent_end="abandon")

    @transition("told", END)
    async def finish(self) -> str:
        return "told"


desk = App("desk", workflows=[Judge, Fill, Hurry, Tell])
desk.schedule("nightly", workflow=Tell, user_id="system", every=timedelta(hours=6))
stepwell = Stepwell(apps=[desk])

"""A desk where every kind of thing is filled in, and shown: types and widgets that forms and documents have trouble with."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from stepwell import END, App, Document, Workflow, transition
from stepwell.ui import Button, Code, Form, Group, Hidden, Layout, MarkdownEditor, PromptInput, Select


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Node(BaseModel):
    name: str
    children: list[Node] = []


class Order(BaseModel):
    price: Annotated[Decimal, Field(ge=0, decimal_places=2)]
    discount: Decimal | None = None
    every: timedelta = timedelta(hours=1, minutes=30)
    size: tuple[int, str] = (3, "cm")
    numbers: set[int] = set()
    colours: Annotated[list[Colour], Select()] = []
    modes: Annotated[list[Literal["fast", "slow"]], Select(labels={"fast": "As fast as it goes"})] = []
    stock: dict[str, int] = {}
    raw: bytes = b""
    ratio: int | float = 1
    mixed: Literal[1, "a", None] = 1
    tree: Node | None = None
    anything: Any = None


class Take(Workflow[Order, None, dict[str, Any]]):
    """Takes every odd thing, and gives it back."""

    @transition(target=END)
    async def give(self) -> dict[str, Any]:
        return self.args.model_dump(mode="json")


class Script(BaseModel):
    code: Annotated[str, Code(language="python", rows=6)]
    query: Annotated[str, Code(language="sql", rows=3)] = "select 1"
    data: Any = None


class RunScript(Workflow[Script, None, str], title="Run a script"):
    @transition(target=END)
    async def go(self) -> str:
        return self.args.code


class Report(Document):
    model_config = ConfigDict(
        json_schema_extra=Layout(order=["summary", "code"], groups=[Group("Numbers", ["total", "per_day"])]).as_schema()
    )

    total: int = Field(title="In all", description="Since the beginning")
    per_day: list[int]
    code: Annotated[str, Code(language="python")]
    summary: Annotated[str, MarkdownEditor()] = Field(title="What came of it")
    source: Annotated[str, Hidden()] = "cache"
    log: str = ""


class Letter(BaseModel):
    text: Annotated[str, MarkdownEditor(rows=4)]
    key: Annotated[str, Field(json_schema_extra={"format": "password", "writeOnly": True})] | None = None


class Said(BaseModel):
    text: str


class Review(
    Workflow[None, None, str],
    title="Review a report",
    ui=[
        Form(transition="write", title="Write the letter"),
        Button(transition="refuse", label="Refuse", variant="danger"),
        PromptInput(transition="talk", field="text", placeholder="Ask about it"),
    ],
):
    @transition(target="review")
    async def make(self) -> None:
        lines = "\n".join(f"line {number} of the log" for number in range(1, 81))
        await self.documents.save(
            Report(total=42, per_day=[20, 22], code="print('made')", summary="It went **well**.", log=lines)
        )

    @transition("review", END, wait=True)
    async def write(self, letter: Letter) -> str:
        return letter.text

    @transition("review", END, wait=True)
    async def refuse(self) -> str:
        return "refused"

    @transition("review", "review", wait=True, keep=True)
    async def talk(self, said: Said) -> None: ...


def apps() -> list[App]:
    return [App("desk", workflows=[Take, RunScript, Review])]

"""Two apps whose runs come into every state, and people who ask for them over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, Header
from pydantic import BaseModel

from stepwell import END, App, Document, Markdown, Stepwell, Workflow, transition
from stepwell.fastapi import Principal

StepwellOf = Callable[..., Stepwell]
ClientOf = Callable[..., Any]


class Order(BaseModel):
    order_id: str
    note: str = ""


class Address(BaseModel):
    street: str
    express: bool = False


class Ship(Workflow[Order, dict[str, Any], str], title="Ship an order"):
    """Pack it, ask where it goes, send it."""

    @transition(target="packed")
    async def pack(self) -> None:
        self.state["weight"] = await self.step("weigh", len, self.args.order_id)
        await self.documents.save(Markdown(text=f"packed {self.args.order_id}"))

    @transition("packed", END, wait=True)
    async def send(self, address: Address) -> str:
        """Where does it go?"""
        return address.street


class Secret(Document, internal=True):
    text: str


class Draft(Document, title="Your draft"):
    text: str


class Write(Workflow[None, dict[str, Any], str]):
    """Writes three drafts of one key, with others between them."""

    @transition(target="second")
    async def first(self) -> None:
        await self.documents.save(Draft(text="one"), key="draft")
        await self.documents.save(Secret(text="inside"))
        self.state["drafts"] = 1

    @transition("second", "third")
    async def again(self) -> None:
        await self.documents.save(Markdown(text="between"))
        await self.documents.save(Draft(text="two"), key="draft")
        self.state["drafts"] = 2

    @transition("third", END)
    async def last(self) -> str:
        await self.documents.save(Draft(text="three"), key="draft")
        self.state["drafts"] = 3
        return "written"


class Fault(BaseModel):
    text: str = "broken"
    mended: bool = False


mended: set[str] = set()
"""Texts of faults that aren't there any more."""


class Break(Workflow[Fault, None, str], name="break_it"):
    @transition(target=END)
    async def crash(self) -> str:
        if self.args.text in mended:
            return "well"
        raise RuntimeError(self.args.text)


class Parent(Workflow[None, dict[str, Any], None]):
    """Waits for what its child says, and for nobody else."""

    @transition(target="asked")
    async def begin(self) -> None:
        await self.start(Ship, {"order_id": "child"}, callback="done", label="The shipment")

    @transition("asked", END, wait=True)
    async def done(self, where: str) -> None:
        self.state["where"] = where


class Family(Workflow[None, dict[str, Any], None]):
    """Waits for its child, or for a person who has had enough. Shows its children in every way."""

    @transition(target="asked")
    async def begin(self) -> None:
        await self.start(Ship, {"order_id": "c1"}, callback="done", show="inline", label="First")
        await self.start(Ship, {"order_id": "c2"}, show="link", label="Second", on_parent_end="abandon")
        await self.start(Ship, {"order_id": "c3"}, show="hidden", on_parent_end="cancel")

    @transition("asked", END, wait=True)
    async def done(self, where: str) -> None: ...

    @transition("asked", END, wait=True)
    async def give_up(self) -> None:
        """It takes too long."""


class Quiet(Workflow[None, None, str]):
    @transition(target=END)
    async def pass_by(self) -> str:
        return "passed"


def shop() -> App:
    return App("shop", title="The shop", workflows=[Ship, Write, Break, Parent, Family, Quiet])


def lab() -> App:
    return App("lab", title="The lab", workflows=[Quiet, Ship, Break])


async def who(
    x_user: Annotated[str, Header()] = "",
    x_role: Annotated[Any, Header()] = "operator",
    x_everybody: Annotated[bool, Header()] = False,
    x_apps: Annotated[str | None, Header()] = None,
) -> Principal | None:
    if not x_user:
        return None
    apps = None if x_apps is None else frozenset(x_apps.split())
    return Principal(x_user, x_role, x_everybody, apps)


def served(stepwell: Stepwell, user: Any = who) -> FastAPI:
    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app, user=Depends(user))
    return app


def being(user: str, role: str = "operator", everybody: bool = False, apps: str | None = None) -> dict[str, str]:
    """The headers of somebody."""
    named = {} if apps is None else {"x-apps": apps}
    return {"x-user": user, "x-role": role, "x-everybody": str(everybody).lower(), **named}


ROOT = being("root", "admin")
U1 = being("u1")
U2 = being("u2")
VIEWER = being("u1", "viewer")


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem that is answered, which has this status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == status
    assert found["detail"]
    return found


def good(answer: httpx.Response, status: int = 200) -> Any:
    """What is answered, which is as it should be."""
    assert answer.status_code == status, answer.text
    return answer.json()


def ids(page: Any) -> list[str]:
    """Those of a page of runs."""
    return [run["workflow_id"] for run in page["items"]]

"""An office that asks people: by name, as a group, with a time; and one whose time is over."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel

from stepwell import END, App, Ask, Document, Markdown, Workflow, transition

APP = "office"


class Claim(BaseModel):
    what: str
    manager: str | None = "otto"
    group: str | None = None
    days: float = 2


class Verdict(BaseModel):
    approved: bool
    note: str = ""


class Receipt(Document, title="The receipt"):
    what: str


class Expense(Workflow[Claim, None, bool], title="Expense", subject="Expense {args.what}"):
    def question(self) -> str:
        return f"May we buy **{self.args.what}**? <b>now</b>"

    def manager(self) -> str | None:
        return self.args.manager

    def team(self) -> str | None:
        return self.args.group

    def until(self) -> timedelta:
        return timedelta(days=self.args.days)

    @transition(target="review")
    async def hand_in(self) -> None:
        await self.documents.save(Receipt(what=self.args.what))
        await self.documents.save(Markdown(text="The salary list, which is nobody's business."))

    @transition(
        "review",
        END,
        wait=True,
        ask=Ask("Approve an expense", text=question, assignee=manager, group=team, due=until, documents=[Receipt]),
    )
    async def decide(self, verdict: Verdict) -> bool:
        return verdict.approved


def apps() -> list[App]:
    """New each time: an app belongs to one open Stepwell."""
    return [App(APP, title="Office", workflows=[Expense])]

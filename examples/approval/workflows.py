"""The purchase that a manager approves, and the round that sends the links and hands overdue questions to the director."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel

from examples.approval.mail import Mail, mailbox
from stepwell import END, App, Ask, Document, Question, Tick, Workflow, WorkflowRunner, transition

DIRECTOR = "dora"


class Order(BaseModel):
    """A purchase, and the manager who is asked first."""

    item: str
    euros: int
    manager: str


class Decision(BaseModel):
    """The answer of the person who is asked."""

    approved: bool
    remark: str = ""


class Offer(Document):
    """The offer, which the person who is asked sees beside the question."""

    item: str
    euros: int


class Purchase(Workflow[Order, None, str], subject="Purchase of {args.item}"):
    """Has a manager approve a purchase within two days, and the director after that."""

    def question(self) -> str:
        return f"May **{self.info.user_id}** buy *{self.args.item}* for {self.args.euros} euros?"

    def manager(self) -> str:
        return self.args.manager

    @transition(target="review")
    async def hand_in(self) -> None:
        await self.documents.save(Offer(item=self.args.item, euros=self.args.euros))

    @transition(
        "review",
        END,
        wait=True,
        ask=Ask("A purchase", text=question, assignee=manager, due=timedelta(days=2), documents=[Offer]),
    )
    async def decide(self, decision: Decision) -> str:
        return "approved" if decision.approved else f"declined: {decision.remark}"

    @transition("review", END, after=timedelta(days=5))
    async def give_up(self) -> str:
        return "not decided"


office = App("office", title="Office", workflows=[Purchase])


@office.cron("0 */6 * * *")
async def make_the_round(runner: WorkflowRunner, tick: Tick) -> None:
    """Hand what is overdue to the director, and mail a link for each question that hasn't been mailed to its assignee."""
    for question in await questions(runner, overdue=True):
        if question.assignee != DIRECTOR:
            await runner.assign(question.workflow_id, question.transition, assignee=DIRECTOR, by="office")
    for question in await questions(runner):
        await mail(runner, question)


async def questions(runner: WorkflowRunner, *, overdue: bool | None = None) -> list[Question]:
    """Return all open questions about purchases."""
    found: list[Question] = []
    cursor: str | None = None
    while True:
        page = await runner.inbox(workflow=Purchase, overdue=overdue, cursor=cursor)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


async def mail(runner: WorkflowRunner, question: Question) -> None:
    """Mail a link to the person who is asked; once, however often the round is made."""
    person = question.assignee or question.user_id
    link = await runner.answer_link(question.workflow_id, question.transition, by=person, expires=timedelta(days=5))
    text = f"{question.title}: {question.text}\nAnswer here, without a login:\n{link}"
    mailbox().send(f"{question.workflow_id} {question.visit} {person}", Mail(person, text))

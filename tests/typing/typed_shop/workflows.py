"""The workflows, with all kinds of payloads."""

from datetime import timedelta
from typing import Annotated, Any, Literal, assert_type

from pydantic import BaseModel

from stepwell import (
    END,
    Concurrency,
    Debounce,
    Depends,
    Document,
    Event,
    Group,
    GroupItem,
    RateLimit,
    Retry,
    Signal,
    Start,
    Workflow,
    transition,
)


class OrderArgs(BaseModel):
    order_id: str
    total_cents: int


class OrderState(BaseModel):
    charge_id: str | None = None


class Decision(BaseModel):
    approved: bool
    note: str = ""


class Signed(Decision):
    by: str = ""


class Outcome(BaseModel):
    text: str


class Receipt(Document, tags=["receipt"]):
    order_id: str
    charge_id: str


class Mailer:
    async def send(self, text: str) -> None: ...


def make_mailer() -> Mailer:
    return Mailer()


async def charge_card(order_id: str, *, cents: int) -> str:
    return f"{order_id}: {cents}"


def slip_number(order_id: str) -> int:
    return len(order_id)


class ProcessOrder(Workflow[OrderArgs, OrderState, Outcome], title="Process an order"):
    @transition(target="charged", retry=Retry(retries=3, delay=timedelta(seconds=1)), timeout=timedelta(seconds=30))
    async def charge(self) -> None:
        self.state.charge_id = await self.step("charge", charge_card, self.args.order_id, cents=self.args.total_cents)
        assert_type(await self.step("slip", slip_number, self.args.order_id), int)

    def is_large(self) -> bool:
        return self.args.total_cents > 100_000

    @transition("charged", "review", when=is_large, priority=10)
    async def ask(self) -> None:
        child = await self.start(Quote, OrderArgs(order_id="A1", total_cents=5), callback="quoted")
        assert_type(child, str)

    @transition("charged", "shipping")
    async def skip_review(self) -> None: ...

    @transition("review", "shipping", wait=True)
    async def decide(self, decision: Decision) -> None: ...

    @transition("review", "shipping", wait=True)
    def hand_over(self, decision: Signal[Decision]) -> None:
        assert_type(decision.data, Decision)

    @transition("review", "shipping", wait=True)
    async def quoted(self, cents: int) -> None: ...

    @transition("review", "shipping", wait=True)
    async def approve(self) -> None: ...

    @transition("review", "shipping", wait=True)
    async def comment(self, decision: Decision | None) -> None: ...

    @transition("review", "shipping", wait=True)
    async def vote(self, choice: Literal["yes", "no"] = "yes") -> None: ...

    @transition("review", "shipping", wait=True)
    async def tag(self, tags: list[str]) -> None: ...

    @transition("review", "shipping", wait=True)
    async def patch(self, fields: dict[str, object]) -> None: ...

    @transition("review", "shipping", wait=True)
    async def mail(self, text: str, mailer: Annotated[Mailer, Depends(make_mailer)]) -> None:
        await mailer.send(text)

    @transition("review", "shipping", wait=True)
    async def remind(self, mailer: Mailer = Depends(make_mailer)) -> None:  # noqa: B008
        await mailer.send("Please decide.")

    @transition("review", END, after=timedelta(days=2))
    async def expire(self) -> dict[str, Any]:
        return {"text": "expired"}

    @transition("review", END, on=Event("order.withdrawn", match={"order_id": "args.order_id"}))
    async def withdraw(self, decision: Decision) -> Outcome:
        return Outcome(text=decision.note)

    @transition("shipping", END)
    async def ship(self) -> Outcome:
        await self.documents.save(Receipt(order_id=self.args.order_id, charge_id=self.state.charge_id or ""))
        assert_type(await self.documents.find(Receipt), list[Receipt])
        return Outcome(text="shipped")


class Quote(Workflow[OrderArgs, dict[str, Any], int]):
    @transition(target=END)
    async def quote(self) -> int:
        return self.args.total_cents


class Cleanup(Workflow):
    @transition(target=END)
    async def clean(self) -> None: ...


def by_order(args: OrderArgs) -> str:
    return args.order_id


def all_of(args: OrderArgs) -> list[str]:
    return [args.order_id]


class Limited(
    Workflow[OrderArgs, None, str],
    concurrency=[Concurrency(2, key="args.order_id"), Concurrency(5, name="shop", holds="run", on_conflict="skip")],
    rate_limit=RateLimit(100, per=timedelta(minutes=1), key=by_order),
    debounce=Debounce(timedelta(seconds=5), key=lambda args: args.order_id, max_wait=timedelta(minutes=1)),
    fair_by="user_id",
    expires=timedelta(hours=1),
    priority=5,
):
    @transition(target=END)
    async def go(self) -> str:
        return self.args.order_id


class OneOfEach(
    Workflow, concurrency=Concurrency(1), rate_limit=[RateLimit(1, timedelta(seconds=1))], fair_by=by_order
):
    @transition(target=END)
    async def go(self) -> None: ...


def wrong_limits() -> None:
    Concurrency("2")  # error: a number
    Concurrency(2, holds="running")  # error: executing or run
    Concurrency(2, on_conflict="drop")  # error: queue, skip or replace
    Concurrency(2, "args.order_id")  # error: by keyword only
    Concurrency(2, key=all_of)  # error: a list is no key
    RateLimit(100)  # error: per what
    RateLimit(100, per=60)  # error: a timedelta
    RateLimit(100, timedelta(minutes=1), holds="run")  # error: of slots only
    Debounce(5)  # error: a timedelta
    Debounce(timedelta(seconds=5), name="shop")  # error: it has none


class Wrong(Workflow, expires=5): ...  # error: a timedelta


class Wronger(Workflow, concurrency=RateLimit(1, timedelta(seconds=1))): ...  # error: slots


class Wrongest(Workflow, debounce=[Debounce(timedelta(seconds=1))]): ...  # error: one


async def wrong(order: ProcessOrder) -> None:
    order.args.total = 5  # error: no such field
    order.state.charge_id = 5  # error: a text
    order.result = 5  # error: an Outcome
    await order.step("charge", charge_card, 5, cents=5)  # error: the id is a text
    await order.step("charge", charge_card, "A1")  # error: cents are missing
    await order.start(Quote, Decision(approved=True))  # error: other args


def marked() -> None:
    transition("a", "b", wiat=True)  # error: a slip
    transition("a", "b", after=5)  # error: no timedelta


class QuoteAll(Workflow[list[OrderArgs], None, dict[str, int]]):
    @transition(target="quoting")
    async def begin(self) -> None:
        ids = await self.start_many(
            [Start(Quote, one, labels=[one.order_id], delay=timedelta(hours=1)) for one in self.args],
            callback="quoted",
            until="all_ended",
            max_in_flight=50,
        )
        assert_type(ids, list[str])
        await self.start_many([Start("quote", app_name="orders")], show="link", on_parent_end="abandon")
        await self.start(Quote, self.args[0], app_name="orders")
        await self.start_many([Start(Quote)], until="all")  # error: no such moment
        await self.start_many([Quote])  # error: a workflow isn't a start
        await self.start_many([Start(5)])  # error: a number isn't a workflow

    @transition("quoting", END, wait=True)
    async def quoted(self, end: Signal[Group[int]]) -> dict[str, int]:
        assert_type(end.data, Group[int])
        assert_type(end.data.results, tuple[GroupItem[int], ...])
        assert_type(end.data.results[0].result, int | None)
        async for item in self.children(end.data.group_id):
            assert_type(item, GroupItem[Any])
        return {"ok": end.data.completed, "failed": end.data.failed}

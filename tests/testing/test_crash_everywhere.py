"""Crashes before and after every commit: what survives them is reported, what doesn't is shown."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import timedelta

import pytest
from pydantic import BaseModel
from sqlalchemy import text

from stepwell import END, App, Document, Retry, Run, Signal, Workflow, transition
from stepwell.testing import CrashReport, Harness
from stepwell.testing.expectation import Expectation

calls: Counter[str] = Counter()
draw = itertools.count(1)


class Order(BaseModel):
    number: str


class Memory(BaseModel):
    charge: str | None = None
    reminders: int = 0
    drawn: int = 0


class Receipt(Document):
    charge: str


async def charge_card(number: str) -> str:
    calls["charge"] += 1
    return f"charge-{number}"


class Pay(Workflow[Order, Memory, str]):
    @transition(target="charged")
    async def charge(self) -> None:
        self.state.charge = await self.step("charge", charge_card, self.args.number)

    @transition("charged", "open")
    async def receipt(self) -> None:
        await self.documents.save(Receipt(charge=self.state.charge or ""), key="receipt")

    @transition("open", "open", after=timedelta(days=7))
    async def remind(self) -> None:
        self.state.reminders += 1

    @transition("open", END, wait=True)
    async def confirm(self, note: str) -> str:
        return f"{note} after {self.state.reminders}"


class Stumbling(Workflow[None, Memory]):
    @transition(target=END, retry=Retry(retries=2, delay=timedelta(minutes=1)))
    async def work(self) -> int:
        if self.info.attempt < 3:
            raise ValueError(f"attempt {self.info.attempt}")
        return self.info.attempt


class Family(Workflow[None, Memory]):
    @transition(target="waiting")
    async def begin(self) -> None:
        await self.start(Pay, Order(number="7"), callback="paid", label="the payment")

    @transition("waiting", END, wait=True)
    async def paid(self, done: Signal[str]) -> str:
        return f"child: {done.status}"

    @transition("waiting", END, after=timedelta(days=10))
    async def give_up(self) -> str:
        return "gave up"


class Booking(Workflow[Order]):
    @transition(target="booked")
    async def book(self) -> None:
        async with self.transaction() as connection:
            await connection.execute(text("CREATE TABLE IF NOT EXISTS entries (run TEXT)"))
            await connection.execute(text("INSERT INTO entries VALUES (:run)"), {"run": self.info.workflow_id})

    @transition("booked", END)
    async def count(self) -> int:
        async with self.transaction() as connection:
            found = await connection.execute(text("SELECT count(*) FROM entries"))
            return int(found.scalar_one())


class Careless(Workflow[None, Memory]):
    @transition(target=END)
    async def draw(self) -> None:
        self.state.drawn = next(draw)


class Plain(Workflow):
    @transition(target="there")
    def go(self) -> None: ...

    @transition("there", END)
    def arrive(self) -> str:
        return "arrived"


class Refusing(Workflow):
    @transition(target="asked")
    async def ask(self) -> None: ...

    @transition("asked", END)
    async def answer(self) -> None:
        raise ValueError("the bank says no")


class Toggling(Workflow[None, Memory]):
    @transition(target=END)
    async def flip(self) -> object:
        return 1 if next(flips) else True


flips = itertools.count(0)


app = App("shop", workflows=[Pay, Stumbling, Family, Booking, Careless, Plain, Refusing, Toggling])


async def survived(workflow: type[Workflow], args: object = None, **options: object) -> CrashReport:
    async with Harness(apps=[app]) as harness:
        return await harness.crash_everywhere(workflow, args, app_name="shop", **options)


async def test_each_commit_is_tried_from_both_sides() -> None:
    report = await survived(Plain)
    assert report.names == (
        "the start of plain",
        "version 1 of plain: 'go' committed",
        "version 2 of plain: 'arrive' committed",
    )
    assert (report.commits, report.crashes) == (3, 6)


async def test_signals_timers_steps_and_documents_survive() -> None:
    calls.clear()
    signals = [timedelta(days=8), ("confirm", "thanks")]
    report = await survived(Pay, Order(number="7"), signals=signals)
    assert "the step 'charge' of 'charge'" in report.names
    assert "a signal" in report.names
    assert report.crashes == 2 * report.commits
    # Once undisturbed, once per crash, and once more only where the crash came between the call and its journal row.
    assert calls["charge"] == 1 + report.crashes + 1


async def test_retries_survive() -> None:
    report = await survived(Stumbling)
    assert report.names[1] == "version 1 of stumbling: 'work' failed"


async def test_children_and_what_ends_them_survive() -> None:
    report = await survived(Family)
    assert "a cancel" in report.names


async def test_transactions_survive() -> None:
    report = await survived(Booking, Order(number="7"))
    assert report.names[1] == "version 1 of booking: 'book' committed with its transaction"
    assert report.crashes == 6


async def test_what_depends_on_something_outside_is_shown() -> None:
    with pytest.raises(AssertionError) as failure:
        await survived(Careless)
    assert "After a crash before commit 1 of 2 (the start of careless) the run ended differently:" in str(failure.value)
    assert "state.drawn: 1 undisturbed, 2 after the crash" in str(failure.value)


async def test_a_harness_is_left_alone_by_its_crashes() -> None:
    async with Harness(apps=[app]) as harness:
        await harness.crash_everywhere(Plain, app_name="shop")
        assert not (await harness.runner.list()).items
        await harness.runner.run(Plain, app_name="shop", user_id="u1")
        await harness.drain()


async def test_a_run_that_fails_undisturbed_fails_the_test_with_its_error() -> None:
    with pytest.raises(AssertionError) as failure:
        await survived(Refusing)
    said = str(failure.value)
    assert "The undisturbed run of 'refusing' ended as 'failed' at 'asked' with" in said
    assert "the bank says no" in said
    assert "It was expected to be 'completed'." in said
    assert "`expect=`" in said


async def test_a_run_that_still_waits_fails_the_test_and_says_for_what() -> None:
    with pytest.raises(AssertionError, match=r"ended as 'waiting' at 'open'\n.*confirm") as failure:
        await survived(Pay, Order(number="7"), within=timedelta(0))
    assert "expected to be 'completed'" in str(failure.value)


def ends_at_asked(run: Run) -> bool:
    return run.place == "asked"


@pytest.mark.parametrize("expect", ["failed", ends_at_asked, lambda run: "says no" in (run.error or "")])
async def test_a_run_may_be_expected_to_fail(expect: Expectation) -> None:
    assert (await survived(Refusing, expect=expect)).crashes == 6


@pytest.mark.parametrize("expect", ["waiting", "open", lambda run: run.state["charge"]])
async def test_a_run_may_be_expected_to_wait(expect: Expectation) -> None:
    assert (await survived(Pay, Order(number="7"), within=timedelta(0), expect=expect)).crashes > 0


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("completed", "It was expected to be 'completed'."),
        ("canceled", "It was expected to be 'canceled'."),
        ("asked", "It was expected to be at 'asked', neither failed nor canceled."),
        ("complete", "It was expected to be at 'complete'"),
        (lambda run: None, "<lambda> returned None."),
        (lambda run: run.status == "completed", "<lambda> returned False."),
    ],
)
async def test_a_run_that_ends_otherwise_says_what_was_expected(expect: Expectation, said: str) -> None:
    with pytest.raises(AssertionError) as failure:
        await survived(Refusing, expect=expect)
    assert said in str(failure.value)


async def test_signals_that_are_never_sent_fail_the_test() -> None:
    with pytest.raises(AssertionError, match=r"'plain' was 'completed' at 'end' before it was sent 'go_on', 'stop'"):
        await survived(Plain, signals=[("go_on", None), timedelta(days=1), ("stop", None)])
    assert (await survived(Plain, signals=[timedelta(days=1)])).crashes == 6


async def test_true_is_not_one() -> None:
    with pytest.raises(AssertionError, match=r"result: true undisturbed, 1 after the crash"):
        await survived(Toggling)

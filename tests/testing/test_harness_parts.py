"""Parts of workflows in the kit: one transition, a run at a place, and steps that are replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from stepwell import (
    END,
    App,
    Ask,
    Document,
    Event,
    Group,
    NonRetryable,
    Retry,
    Settings,
    Signal,
    Start,
    Step,
    Stepwell,
    StepwellError,
    Workflow,
    transition,
)
from stepwell.errors import (
    ConfigurationError,
    InvalidArgs,
    InvalidPayload,
    InvalidState,
    UnknownTransition,
    UnknownWorkflow,
)
from stepwell.testing import Committed, EmittedEvent, Harness, StartedChild

calls: Counter[str] = Counter()
MakeHarness = Callable[..., Harness]


class Order(BaseModel):
    number: str
    cents: int = 500


class Memory(BaseModel):
    charge: str | None = None
    reminders: int = 0


class Payment(BaseModel):
    id: str


class Receipt(Document):
    charge: str


class Courier(Workflow[Order]):
    @transition(target=END)
    async def go(self) -> None:
        calls["courier"] += 1


async def charge(cents: int) -> Payment:
    calls["charge"] += 1
    return Payment(id=f"real {cents}")


def pack() -> str:
    calls["pack"] += 1
    return "a real parcel"


class Buy(Workflow[Order, Memory, str]):
    @transition(target="paid")
    async def pay(self) -> None:
        payment = await self.step(Step("charge", retry=Retry(retries=1, delay=timedelta(seconds=5))), charge, 500)
        self.state.charge = payment.id

    @transition("paid", "open")
    async def receipt(self) -> None:
        await self.documents.save(Receipt(charge=self.state.charge or "none"), key="receipt")
        await self.start(Courier, self.args, callback="delivered")
        await self.emit("order.paid", {"number": self.args.number})

    @transition("open", "open", after=timedelta(days=7))
    async def remind(self) -> None:
        calls["remind"] += 1
        self.state.reminders += 1

    @transition("open", END, wait=True)
    async def confirm(self, note: str) -> str:
        return f"{note} {self.state.charge}"

    @transition("open", END, wait=True)
    async def delivered(self, end: Signal[Any]) -> str:
        return f"delivered: {end.status} {end.error}"

    @transition("open", "late", after=timedelta(days=365))
    async def lapse(self) -> None: ...

    @transition(["late", "open"], "given up", wait=True)
    async def give_up(self) -> None:
        raise NonRetryable("nobody gives up")

    @transition("given up", END)
    async def pack_up(self) -> str:
        return await self.step("pack", pack)


SHOP = App("shop", workflows=[Buy, Courier])
ORDER = Order(number="A1")


async def table(stepwell: Stepwell) -> None:
    """Make the table of the test's workflow."""
    calls["setup"] += 1
    engine = create_async_engine(stepwell.settings.database_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE entries (number VARCHAR(40))"))
    await engine.dispose()


class Book(Workflow[Order, Memory, int]):
    @transition(target=END)
    async def book(self) -> int:
        async with self.transaction() as connection:
            await connection.execute(text("INSERT INTO entries VALUES (:number)"), {"number": self.args.number})
            found = await connection.execute(text("SELECT count(*) FROM entries"))
            return int(found.scalar_one())


BOOKS = App("books", workflows=[Book])


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


# -- one transition ---------------------------------------------------------------------------------------------------


async def test_a_transition_gives_what_it_would_commit() -> None:
    async with Harness([SHOP]) as harness:
        done = await harness.run_transition(Buy, "receipt", args=ORDER, state=Memory(charge="c1"))
        receipt, link = done.documents
        assert link.name == "link"
        assert (receipt.name, receipt.key, receipt.content) == ("receipt", "receipt", {"charge": "c1"})
        assert done == Committed(
            "open",
            Memory(charge="c1"),
            None,
            (receipt, link),
            (StartedChild("courier", {"number": "A1", "cents": 500}, "shop", "delivered"),),
            (EmittedEvent("order.paid", {"number": "A1"}),),
        )
        await harness.drain()
        assert not calls, "its child isn't executed, and nothing else of the run"
        assert not (await harness.runner.list()).items


async def test_a_transition_takes_a_state_and_data_and_gives_a_result() -> None:
    async with Harness([SHOP]) as harness:
        done = await harness.run_transition(Buy, Buy.confirm, args=ORDER, state={"charge": "c2"}, data="thanks")
        assert (done.place, done.result, done.state) == (END, "thanks c2", Memory(charge="c2"))
        timer = await harness.run_transition("buy", "remind", args=ORDER)
        assert (timer.place, timer.state.reminders, timer.result) == ("open", 1, None)


async def test_a_child_that_failed_is_told_by_a_whole_signal() -> None:
    end: Signal[Any] = Signal(None, "failed", "lost", "a child", None, None)
    async with Harness([SHOP]) as harness:
        done = await harness.run_transition(Buy, "delivered", args=ORDER, data=end)
    assert done.result == "delivered: failed lost"


async def test_what_a_transition_raises_is_raised() -> None:
    async with Harness([SHOP]) as harness:
        with pytest.raises(NonRetryable, match="nobody gives up"):
            await harness.run_transition(Buy, "give_up", args=ORDER, place="open")


class Ship(Workflow[Order, Memory, str]):
    def is_paid(self) -> bool:
        return self.state.charge is not None

    @transition(target=END, when=is_paid)
    async def ship(self) -> str:
        return "shipped"

    @transition(target=END)
    async def wait_for_money(self) -> str:
        return "unpaid"


async def test_a_transition_that_its_guard_refuses_fails_the_test() -> None:
    async with Harness([App("shop", workflows=[Ship])]) as harness:
        with pytest.raises(AssertionError, match=r"The guard is_paid refused 'ship': a run .* at 'start' wouldn't"):
            await harness.run_transition(Ship, "ship", args=ORDER)
        assert (await harness.run_transition(Ship, "ship", args=ORDER, state={"charge": "c"})).result == "shipped"


class Family(Workflow[None, Memory]):
    @transition(target="waiting")
    async def begin(self) -> None:
        await self.start_many([Start(Courier, ORDER)] * 2, callback="told", until="all_ended")

    @transition("waiting", END, wait=True)
    async def told(self, end: Group[Any]) -> int:
        return end.total

    @transition("waiting", "failing", after=timedelta(days=1))
    async def fail(self) -> None: ...

    def never(self) -> Any:
        return "never"

    @transition("failing", END, after=never)
    async def end(self) -> None: ...

    @transition("waiting", END, on=Event("family.over", match={"number": "state.reminders"}))
    async def over(self, data: dict[str, int]) -> int:
        return data["number"]


async def test_groups_events_and_moments_are_as_in_a_run() -> None:
    async with Harness([App("shop", workflows=[Family, Courier])]) as harness:
        assert [one.args["number"] for one in (await harness.run_transition(Family, "begin")).children] == ["A1", "A1"]
        assert (await harness.run_transition(Family, "over", data={"number": 7})).result == 7
        with pytest.raises(StepwellError, match=r"after=never .* returned str"):
            await harness.run_transition(Family, "fail")


async def test_a_transition_may_write_to_tables(harness_for: MakeHarness) -> None:
    async with harness_for([BOOKS], table) as harness:
        assert (await harness.run_transition(Book, "book", args=ORDER)).result == 1
        assert (await harness.run_transition(Book, "book", args=ORDER)).result == 2
        run = await harness.runner.run(Book, ORDER, user_id="u1")
        await harness.drain()
        assert await run.result() == 3
        engine = create_async_engine(harness.url)
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM entries"))).scalar_one() == 3
        await engine.dispose()
    assert calls["setup"] == 1


@pytest.mark.parametrize(
    ("name", "options", "error", "said"),
    [
        ("confrim", {}, UnknownTransition, "Buy has no transition 'confrim'; did you mean 'confirm'?"),
        (Courier.go, {}, UnknownTransition, "Buy has no transition 'go'; choose from"),
        ("confirm", {"place": "paid"}, InvalidArgs, "place='paid': 'confirm' leaves 'open'."),
        ("give_up", {}, InvalidArgs, "'give_up' leaves 'late', 'open': say from which, as in place='late'."),
        ("pay", {"data": 1}, InvalidArgs, "data=1: no signal and no event fires 'pay'; leave data= out."),
        ("remind", {"data": None}, InvalidArgs, "data=None: no signal"),
        ("pay", {"state": {"reminders": "many"}}, InvalidState, "The state doesn't fit Buy"),
        ("pay", {"args": {"cents": 1}}, InvalidArgs, "number"),
        ("confirm", {"data": 7, "state": {"charge": "c"}}, InvalidPayload, "The payload of Buy.confirm doesn't fit"),
    ],
)
async def test_a_transition_that_cannot_be_is_refused(
    name: Any, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    async with Harness([SHOP]) as harness:
        with pytest.raises(error) as refused:
            await harness.run_transition(Buy, name, **{"args": ORDER, **options})
        assert said in str(refused.value)
        with pytest.raises(UnknownWorkflow, match="No app of this harness lists Book: add it"):
            await harness.run_transition(Book, "book", args=ORDER)


# -- at a place -------------------------------------------------------------------------------------------------------


async def test_a_run_stands_where_the_test_says_with_its_waits_and_timers(harness_for: MakeHarness) -> None:
    async with harness_for([SHOP]) as harness:
        run = await harness.at(Buy, "open", args=ORDER, state=Memory(charge="c3"))
        found = await run.get()
        assert (found.status, found.place, found.state) == ("waiting", "open", {"charge": "c3", "reminders": 0})
        assert set(found.waiting_for) == {"confirm", "delivered", "give_up"}
        await harness.advance(timedelta(days=7))
        assert calls == {"remind": 1}
        await run.signal("confirm", "thanks")
        await harness.drain()
        assert await run.result() == "thanks c3"
        creation, *_ = await harness.runner.history(run.workflow_id)
        assert (creation.version, creation.target) == (0, "open")


class Visit(Workflow[Order, Memory, str]):
    def at_noon(self) -> datetime:
        return datetime.fromisoformat("2026-01-06T12:00:00+00:00")

    @transition(target="asked")
    async def begin(self) -> None: ...

    @transition("asked", END, wait=True, ask=Ask(title="Is he in?", assignee="ann"))
    async def answered(self, answer: str) -> str:
        return answer

    @transition("asked", END, after=at_noon)
    async def over(self) -> str:
        return "no answer"


async def test_a_place_asks_its_questions_and_works_out_its_moments(harness_for: MakeHarness) -> None:
    async with harness_for([App("shop", workflows=[Visit])]) as harness:
        run = await harness.at(Visit, "asked", args=ORDER)
        [question] = (await harness.runner.inbox(user_id="ann")).items
        assert (question.workflow_id, question.title) == (run.workflow_id, "Is he in?")
        await harness.advance(timedelta(hours=35))
        assert (await run.get()).status == "waiting"
        await harness.advance(timedelta(hours=1))
        assert await run.result() == "no answer"


async def test_a_run_at_a_place_that_goes_on_by_itself_goes_on() -> None:
    async with Harness([SHOP]) as harness:
        run = await harness.at(Buy, "given up", args=ORDER)
        assert await run.result() == "a real parcel"


@pytest.mark.parametrize(
    ("place", "state", "error", "said"),
    [
        ("opne", {}, InvalidArgs, "place='opne': Buy has no such place; did you mean open?"),
        (END, {}, InvalidArgs, "place=END: no run stands there."),
        (7, {}, InvalidArgs, "place=7: Buy has no such place; choose from start, paid, open, late, given up."),
        ("open", {"reminders": None}, InvalidState, "The state doesn't fit Buy"),
    ],
)
async def test_a_run_cannot_stand_anywhere(place: Any, state: Any, error: type[Exception], said: str) -> None:
    async with Harness([SHOP]) as harness:
        with pytest.raises(error) as refused:
            await harness.at(Buy, place, args=ORDER, state=state)
        assert said in str(refused.value)
        assert not (await harness.runner.list()).items


# -- steps ------------------------------------------------------------------------------------------------------------


async def doubled(cents: int) -> Payment:
    calls["doubled"] += 1
    return Payment(id=f"{2 * cents}")


@pytest.mark.parametrize(
    ("instead", "kept"),
    [
        (Payment(id="fixed"), "fixed"),
        ({"id": "as JSON"}, "as JSON"),
        (lambda cents: Payment(id=f"called with {cents}"), "called with 500"),
        (doubled, "1000"),
    ],
    ids=["a value", "JSON", "a function", "an async function"],
)
async def test_a_step_is_replaced_by_its_name(harness_for: MakeHarness, instead: object, kept: str) -> None:
    async with harness_for([SHOP]) as harness:
        harness.steps({"charge": instead})
        assert (await harness.run_transition(Buy, "pay", args=ORDER)).state.charge == kept
        run = await harness.runner.run(Buy, ORDER, user_id="u1")
        await harness.drain()
        assert (await run.get()).state["charge"] == kept
        [row] = (await harness.runner.steps(run.workflow_id)).items
        assert (row.name, row.status, row.value) == ("charge", "completed", {"id": kept})
    assert not calls["charge"]


@pytest.mark.parametrize("error", [ConnectionError("no bank"), ConnectionError], ids=["an error", "its class"])
async def test_a_step_raises_what_the_test_says_and_is_tried_again(error: object) -> None:
    async with Harness([SHOP]) as harness:
        harness.steps({"charge": error})
        run = await harness.runner.run(Buy, ORDER, user_id="u1")
        await harness.advance(timedelta(minutes=1))
        assert (await run.get()).status == "failed"
        [row] = (await harness.runner.steps(run.workflow_id)).items
        assert (row.status, row.attempts) == ("failed", 2)
        harness.steps({"charge": Payment(id="after all")})
        await run.retry()
        await harness.drain()
        assert (await run.get()).state["charge"] == "after all"


async def test_a_value_that_does_not_fit_the_step_is_refused_as_its_own_would_be() -> None:
    async with Harness([SHOP]) as harness:
        harness.steps({"charge": 7})
        with pytest.raises(NonRetryable, match="What the step 'charge' returned can't be kept"):
            await harness.run_transition(Buy, "pay", args=ORDER)


async def replacing(steps: dict[str, object], then: Callable[[Harness], Awaitable[object]]) -> None:
    async with Harness([SHOP]) as harness:
        harness.steps(steps)
        await then(harness)


async def buy(harness: Harness) -> None:
    await harness.run_transition(Buy, "pay", args=ORDER)
    await harness.at(Buy, "given up", args=ORDER)


async def nothing(harness: Harness) -> None: ...


async def fail(harness: Harness) -> None:
    raise KeyError("the test's own")


class Patient(Workflow[Order, Memory, int]):
    @transition(target=END)
    async def pay(self) -> int:
        tries = Step("charge", retry=Retry(retries=2, delay=timedelta(seconds=20), backoff="fixed"))
        return await self.step(tries, charged, self.args.cents)


async def charged(cents: int) -> int:
    raise RuntimeError("the real service")


async def test_a_rehearsed_step_waits_for_its_next_try_in_no_time() -> None:
    async def declined(cents: int) -> int:
        calls["charge"] += 1
        raise ValueError("declined")

    calls.clear()
    async with Harness([App("shop", workflows=[Patient])]) as harness:
        before = harness.clock.now()
        harness.steps({"charge": declined})
        with pytest.raises(ValueError, match="declined"):
            await harness.run_transition(Patient, "pay", args=ORDER)
        assert calls["charge"] == 3
        assert harness.clock.now() == before


async def test_a_name_that_no_step_had_is_told() -> None:
    with pytest.raises(AssertionError, match=r"replaced 'chrage', but no step of that name was called: did you mean"):
        await replacing({"chrage": 1, "pack": "never real"}, buy)
    with pytest.raises(AssertionError, match=r"replaced 'charge', but no step was called\."):
        await replacing({"charge": 1}, nothing)
    with pytest.raises(KeyError, match="the test's own"):
        await replacing({"charge": 1}, fail)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("charge", "give a mapping of names of steps"),
        ({"": 1}, "the name of a step is a text"),
        ({7: 1}, "the name of a step is a text"),
        ({"charge": KeyboardInterrupt}, "a step raises an Exception, and this isn't one."),
    ],
)
async def test_steps_that_cannot_be_replaced_are_refused(steps: Any, said: str) -> None:
    async with Harness([SHOP]) as harness:
        with pytest.raises(InvalidArgs, match=said):
            harness.steps(steps)
    with pytest.raises(StepwellError, match="isn't open"):
        harness.steps({"charge": 1})


async def test_a_coroutine_in_place_of_its_function_is_refused() -> None:
    async with Harness([SHOP]) as harness:
        with pytest.raises(InvalidArgs, match="that is a coroutine, which runs once; give the function itself"):
            harness.steps({"charge": doubled(5)})


# -- what a harness is made of ----------------------------------------------------------------------------------------


def unready(stepwell: Stepwell) -> int:
    return 7


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"setup": "tables"}, InvalidArgs, "setup='tables': give an async function"),
        (
            {"server": "mysql://u:secret@host"},
            ConfigurationError,
            "server='mysql' isn't the URL of a PostgreSQL server",
        ),
        ({"server": 7}, ConfigurationError, "server=7 isn't the URL"),
        ({"setpu": table}, TypeError, "did you mean setup=?"),
    ],
)
def test_a_harness_of_something_else_is_refused(options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as refused:
        Harness([SHOP], **options)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


async def test_a_setup_that_is_not_async_is_refused() -> None:
    with pytest.raises(InvalidArgs, match=r"setup=unready returned 7: write it as `async def`\."):
        async with Harness([SHOP], unready):
            raise AssertionError("it is open")


async def test_the_url_is_that_of_the_database(harness_for: MakeHarness, backend: str) -> None:
    async with harness_for([SHOP], settings=Settings(_env_file=None, max_args_bytes=2_000)) as harness:
        begins = "sqlite+aiosqlite:///" if backend == "sqlite" else "postgresql+asyncpg://"
        assert harness.url.startswith(begins)
        assert harness.url == harness.stepwell.settings.database_url
    with pytest.raises(StepwellError, match="isn't open"):
        _ = harness.url

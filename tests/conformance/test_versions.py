"""Runs of earlier code under later code: migrated when they are loaded, and known by their present names (rules 34, 56)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from conformance.support import ME, StepwellOn, everything, reaches, until
from stepwell import END, Event, Migration, Retry, Start, Stepwell, Workflow, migrate, transition
from stepwell.console.reading.parts import Questions
from stepwell.engine.run import RunRow
from stepwell.runner.query import Filter
from stepwell.store import runs

# -- the code before ---------------------------------------------------------------------------------------------------


class OldState(BaseModel):
    total: int = 0
    seen: list[str] = []


class OldArgs(BaseModel):
    amount: int


class OldOrder(Workflow[OldArgs, OldState, Any], name="order"):
    @transition(target="review")
    async def begin(self) -> None:
        self.state.total = self.args.amount
        self.result = "begun"

    @transition("review", END, wait=True)
    async def decide(self, answer: str) -> str:
        return answer

    @transition("review", "review", wait=True)
    async def note(self, text: str) -> None:
        self.state.seen.append(text)


# -- the code after it -------------------------------------------------------------------------------------------------


class Money(BaseModel):
    amount: int
    currency: str


class NewState(BaseModel):
    total: Money = Money(amount=0, currency="EUR")
    seen: list[str] = []
    urgent: bool = False


class NewArgs(BaseModel):
    amount: int
    currency: str = "none"


class NewOrder(Workflow[NewArgs, NewState, Any], name="order", version=3):
    @migrate(from_version=2)
    def give_it_a_currency(old: Migration) -> None:  # type: ignore[misc]
        old.state["total"] = {"amount": old.state["total"], "currency": "EUR"}
        old.args["currency"] = "EUR"
        old.result = [old.result, old.workflow_version]

    @migrate(from_version=1)
    def rename_the_review(old: Migration) -> None:  # type: ignore[misc]
        old.place = {"review": "desk"}.get(old.place, old.place)
        old.result = [old.result, old.workflow_version]

    @transition(target="desk")
    async def begin(self) -> None: ...

    @transition("desk", END, wait=True)
    async def decide(self, answer: str) -> list[Any]:
        return [answer, self.args.currency, self.state.total.currency, self.result]

    @transition("desk", "desk", wait=True)
    async def note(self, text: str) -> None:
        self.state.seen.append(text)


async def row_of(stepwell: Stepwell, run_id: str) -> RunRow:
    assert stepwell.process is not None
    row = await stepwell.process.store.read(lambda tx: runs.load_one(tx, run_id))
    assert row is not None
    return row


async def parked(stepwell_on: StepwellOn, workflow: type[Workflow[Any, Any, Any]] = OldOrder) -> str:
    """A run of the code before, which waits at `review`."""
    async with stepwell_on([workflow]) as before:
        run = await before.runner.run(workflow, {"amount": 3}, **ME)
        await reaches(before.runner, run.workflow_id, "waiting", "review")
        return run.workflow_id


async def test_migrations_run_in_order_and_are_stored_with_the_next_checkpoint(stepwell_on: StepwellOn) -> None:
    run_id = await parked(stepwell_on)
    async with stepwell_on([NewOrder]) as after:
        run = await after.runner.get(run_id)
        assert (run.workflow_version, run.place, run.state["total"]) == (1, "review", 3), "readers show what is stored"
        assert run.waiting_for == ("decide", "note"), "and what may be sent to it now"
        for brief in (False, True):
            [listed] = (await after.runner.find(Filter(), brief=brief)).items
            assert (listed.workflow_version, listed.place, listed.waiting_for) == (1, "review", run.waiting_for)
        await after.runner.signal(run_id, "note", "first")
        run = await reaches(after.runner, run_id, "waiting", "desk", version=2)
        assert (run.workflow_version, run.args) == (3, {"amount": 3, "currency": "EUR"})
        assert run.state == {"total": {"amount": 3, "currency": "EUR"}, "seen": ["first"], "urgent": False}
        assert run.result == [["begun", 1], 2]
        await after.runner.signal(run_id, "decide", "yes")
        assert (await reaches(after.runner, run_id, "completed")).result == ["yes", "EUR", "EUR", [["begun", 1], 2]]


async def test_a_checkpoint_that_leaves_the_state_alone_stores_the_migrated_one_in_the_history(
    stepwell_on: StepwellOn,
) -> None:
    run_id = await parked(stepwell_on)
    async with stepwell_on([NewOrder]) as after:
        await after.runner.signal(run_id, "decide", "no")
        await reaches(after.runner, run_id, "completed")
        rows = (await everything(after))["stepwell_history"]
        [last] = [row for row in rows if row[0] == run_id and row[1] == 2]
        assert any(isinstance(value, str) and '"currency":"EUR"' in value for value in last)


async def test_parking_stores_nothing_of_it(stepwell_on: StepwellOn) -> None:
    """A run that is woken and finds nothing to do is left as the code before knows it: a rollback goes on with it."""
    run_id = await parked(stepwell_on)
    async with stepwell_on([NewOrder]) as after:
        before = await row_of(after, run_id)
        process = after.process
        assert process is not None
        await process.store.writer.call(lambda tx: runs.wake(tx, [run_id], process.shared.clock.now()))
        process.queue.wake()

        async def looked_at() -> bool:
            row = await row_of(after, run_id)
            return row.claim > before.claim and row.owner is None

        await until(looked_at)
        again = await row_of(after, run_id)
        same = [
            "workflow_version", "args", "state", "result", "place", "bound", "failing", "detours", "callbacks", "status",
        ]  # fmt: skip
        assert [getattr(again, one) for one in same] == [getattr(before, one) for one in same]
    async with stepwell_on([OldOrder]) as back:
        await back.runner.signal(run_id, "decide", "old")
        assert (await reaches(back.runner, run_id, "completed")).result == "old"


async def test_a_failed_attempt_is_a_checkpoint_too(stepwell_on: StepwellOn) -> None:
    class Failing(Workflow[NewArgs, NewState, Any], name="order", version=2):
        @migrate(from_version=1)
        def all_at_once(old: Migration) -> None:  # type: ignore[misc]
            old.state, old.place = {"urgent": True}, "desk"

        @transition(target="desk")
        async def begin(self) -> None: ...

        @transition("desk", END, wait=True)
        async def decide(self, answer: str) -> None:
            raise ValueError(answer)

    run_id = await parked(stepwell_on)
    async with stepwell_on([Failing]) as after:
        await after.runner.signal(run_id, "decide", "x")
        run = await reaches(after.runner, run_id, "failed")
        assert (run.workflow_version, run.place, run.state["urgent"]) == (2, "desk", True)
        history = await after.runner.history(run_id)
        assert history[-1].state["urgent"] is True


def _raises(old: Migration) -> None:
    raise SystemExit(3)


def _drops_the_total(old: Migration) -> None:
    old.state["total"] = {"amount": 1}


def _moves_to_nowhere(old: Migration) -> None:
    old.place = "nowhere"


def _keeps_a_set(old: Migration) -> None:
    old.state["seen"] = object()


def _numbers_itself(old: Migration) -> None:
    old.workflow_version = 7  # type: ignore[misc]


@pytest.mark.parametrize(
    ("migration", "why"),
    [
        (_raises, "SystemExit"),
        (_drops_the_total, "what it makes of the state doesn't fit"),
        (_moves_to_nowhere, "no place 'nowhere'"),
        (_keeps_a_set, "what it makes of the state doesn't fit"),
        (_numbers_itself, "AttributeError"),
        (None, "no @migrate(from_version=1) leads from version 1 to 2"),
    ],
)
async def test_a_run_that_cant_be_migrated_is_left_as_it_is(
    stepwell_on: StepwellOn, migration: Callable[[Migration], None] | None, why: str
) -> None:
    class Later(Workflow[NewArgs, NewState, Any], name="order", version=3):
        @migrate(from_version=2)
        def second(old: Migration) -> None: ...  # type: ignore[misc]

        if migration is not None:
            first = migrate(from_version=1)(migration)

        @transition(target="review")
        async def begin(self) -> None: ...

        @transition("review", END, wait=True)
        async def decide(self, answer: str) -> str:
            return answer

    run_id = await parked(stepwell_on)
    async with stepwell_on([Later]) as later:
        before = await row_of(later, run_id)
        await later.runner.signal(run_id, "decide", "yes")
        process = later.process
        assert process is not None
        await until(lambda: _is_left(later, run_id))
        row = await row_of(later, run_id)
        assert (row.version, row.state, row.args, row.place) == (
            before.version,
            before.state,
            before.args,
            before.place,
        )
        assert why in str(await later.runner.explain(run_id))
        other = await later.runner.run(Later, {"amount": 1}, **ME)
        await reaches(later.runner, other.workflow_id, "waiting", "review")
        async with stepwell_on([OldOrder]) as old:
            assert (await reaches(old.runner, run_id, "completed")).result == "yes", (
                "the code that fits goes on with it"
            )


async def _is_left(stepwell: Stepwell, run_id: str) -> bool:
    assert stepwell.process is not None
    row = await row_of(stepwell, run_id)
    stepwell.process.queue.wake()
    return row.owner is None and row.ready_at is not None and stepwell.process.queue.is_unfit(row)


async def test_a_class_without_migrations_goes_on_with_runs_of_earlier_versions(stepwell_on: StepwellOn) -> None:
    class Compatible(OldOrder, name="order", version=9):
        pass

    run_id = await parked(stepwell_on)
    async with stepwell_on([Compatible]) as after:
        await after.runner.signal(run_id, "decide", "yes")
        assert (await reaches(after.runner, run_id, "completed")).workflow_version == 1


async def test_a_guard_sees_the_migrated_run(stepwell_on: StepwellOn) -> None:
    class Guarded(Workflow[NewArgs, NewState, Any], name="order", version=2):
        @migrate(from_version=1)
        def urgent(old: Migration) -> None:  # type: ignore[misc]
            old.state, old.place = {"urgent": True}, "desk"

        @transition(target="desk")
        async def begin(self) -> None: ...

        def is_urgent(self) -> bool:
            return self.state.urgent

        @transition("desk", END, when=is_urgent)
        async def hurry(self) -> str:
            return "hurried"

        @transition("desk", END, wait=True)
        async def decide(self) -> None: ...

    run_id = await parked(stepwell_on)
    async with stepwell_on([Guarded]) as after:
        process = after.process
        assert process is not None
        await process.store.writer.call(lambda tx: runs.wake(tx, [run_id], process.shared.clock.now()))
        process.queue.wake()
        assert (await reaches(after.runner, run_id, "completed")).result == "hurried"


# -- old names ---------------------------------------------------------------------------------------------------------


KEYS: list[str] = []
RAN: list[str] = []


def _ran(name: str) -> str:
    RAN.append(name)
    return name


class OldShop(Workflow[None, dict[str, Any], Any], name="renamed"):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", "paying", wait=True)
    async def order(self, what: str) -> None:
        self.state["what"] = what

    @transition("paying", "packing", wait=True, retry=Retry(retries=3, delay=timedelta(hours=1)))
    async def pay(self, amount: int) -> None:
        KEYS.append(self.info.idempotency_key)
        await self.step("charge", _ran, "charge")
        raise ConnectionError("not now")

    @transition("packing", END, wait=True)
    async def packed(self) -> None: ...


class NewShop(Workflow[None, dict[str, Any], Any], name="renamed"):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", "paying", wait=True, was="order")
    async def place_order(self, what: str) -> None:
        self.state["what"] = what

    @transition("paying", "packing", wait=True, retry=Retry(retries=3, delay=timedelta(hours=1)), was=["pay", "paid"])
    async def take_payment(self, amount: int) -> None:
        KEYS.append(self.info.idempotency_key)
        self.state["charged"] = await self.step("charge", _ran, "charge")
        self.state["attempt"] = self.info.attempt

    @transition("packing", END, wait=True, was="packed")
    async def pack(self) -> dict[str, Any]:
        return self.state


async def test_a_bound_retry_and_its_journal_reach_the_renamed_transition(stepwell_on: StepwellOn) -> None:
    KEYS.clear()
    RAN.clear()
    async with stepwell_on([OldShop]) as before:
        run = await before.runner.run(OldShop, **ME)
        await reaches(before.runner, run.workflow_id, "waiting", "open")
        await before.runner.signal(run.workflow_id, "packed")  # kept: the run isn't there yet
        await before.runner.signal(run.workflow_id, "order", "a lamp")
        await reaches(before.runner, run.workflow_id, "waiting", "paying")
        await before.runner.signal(run.workflow_id, "pay", 5)
        await reaches(before.runner, run.workflow_id, "retrying", "paying")
    async with stepwell_on([NewShop]) as after:
        await after.runner.retry(run.workflow_id)
        end = await reaches(after.runner, run.workflow_id, "completed")
        assert end.result == {"what": "a lamp", "charged": "charge", "attempt": 2}
    assert RAN == ["charge"], "a step that is journaled under the old name isn't run again"
    assert [f"{run.workflow_id}:pay:2"] * 2 == KEYS, "the key stays as it was"


async def test_calls_under_an_old_name_reach_the_transition_once(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([NewShop], embedded_worker=False) as web:
        async with stepwell_on([NewShop]) as after:
            run = await after.runner.run(NewShop, **ME)
            await reaches(after.runner, run.workflow_id, "waiting", "open")
        await web.runner.signal(run.workflow_id, "order", "a lamp", idempotency_key="one")
        await web.runner.signal(run.workflow_id, "place_order", "a lamp", idempotency_key="one")
        with pytest.raises(Exception, match="has been answered at 'open' already"):
            await web.runner.signal(run.workflow_id, "place_order", "a chair")
        async with stepwell_on([NewShop]) as after:
            await reaches(after.runner, run.workflow_id, "waiting", "paying")


async def test_an_open_signal_under_the_old_name_is_an_answer_already(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([OldShop]) as before:
        run = await before.runner.run(OldShop, **ME)
        await reaches(before.runner, run.workflow_id, "waiting", "open")
    async with stepwell_on([OldShop], embedded_worker=False) as before:
        await before.runner.signal(run.workflow_id, "order", "a lamp")
    async with stepwell_on([NewShop], embedded_worker=False) as after:
        with pytest.raises(Exception, match="has been answered at 'open' already"):
            await after.runner.signal(run.workflow_id, "place_order", "a chair")


class Child(Workflow[None, None, int]):
    @transition(target="wait")
    async def begin(self) -> None: ...

    @transition("wait", END, wait=True)
    async def go(self) -> int:
        return 7


class OldParent(Workflow[None, dict[str, Any], Any], name="parent"):
    @transition(target="waits")
    async def begin(self) -> None:
        self.state["child"] = await self.start(Child, callback="child_ended")
        await self.start_many([Start(Child)], callback="group_ended", until="all_ended", on_parent_end="abandon")

    @transition("waits", "more", wait=True)
    async def child_ended(self, number: int) -> None: ...

    @transition("more", END, wait=True)
    async def group_ended(self, group: Any) -> None: ...


class NewParent(Workflow[None, dict[str, Any], Any], name="parent"):
    @transition(target="waits")
    async def begin(self) -> None: ...

    @transition("waits", "more", wait=True, was="child_ended")
    async def collected(self, number: int) -> None:
        self.state["number"] = number

    @transition("more", END, wait=True, was="group_ended")
    async def gathered(self, group: Any) -> int:
        return int(self.state["number"])


class Careless(Workflow[None, None, Any]):
    """Its helper still starts the child by the old name."""

    @transition(target="waits")
    async def begin(self) -> None:
        await self.start(Child, callback="child_ended")

    @transition("waits", END, wait=True, was="child_ended")
    async def collected(self, number: int) -> int:
        return number


async def test_a_child_may_be_started_with_the_old_name_of_its_callback(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Careless, Child]) as stepwell:
        run = await stepwell.runner.run(Careless, **ME)
        await reaches(stepwell.runner, run.workflow_id, "waiting", "waits")
        [child] = (await stepwell.runner.list(workflow=Child)).items
        await stepwell.runner.signal(child.workflow_id, "go")
        assert (await reaches(stepwell.runner, run.workflow_id, "completed")).result == 7


async def test_callbacks_of_children_reach_the_renamed_transition(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([OldParent, Child]) as before:
        run = await before.runner.run(OldParent, **ME)
        await reaches(before.runner, run.workflow_id, "waiting", "waits")
        for child in (await before.runner.list(workflow=Child)).items:
            await reaches(before.runner, child.workflow_id, "waiting")
    async with stepwell_on([NewParent, Child]) as after:
        with pytest.raises(Exception, match="is the callback of a child"):
            await after.runner.signal(run.workflow_id, "collected", 1)
        with pytest.raises(Exception, match="is the callback of a child"):
            await after.runner.signal(run.workflow_id, "child_ended", 1)
        assert (await after.runner.get(run.workflow_id)).waiting_for == ()
        children = await after.runner.list(workflow=Child)
        assert len(children.items) == 2
        for child in children.items:
            await after.runner.signal(child.workflow_id, "go")
        assert (await reaches(after.runner, run.workflow_id, "completed")).result == 7


class OldListener(Workflow[None, dict[str, Any], Any], name="listener"):
    @transition(target="listens")
    async def begin(self) -> None:
        self.state["id"] = "a"

    @transition("listens", "listens_on", on=Event("paid", match={"id": "state.id"}))
    async def paid(self, data: Any) -> None: ...

    @transition("listens_on", END, wait=True)
    async def close(self) -> None: ...


class NewListener(Workflow[None, dict[str, Any], Any], name="listener"):
    @transition(target="listens")
    async def begin(self) -> None: ...

    @transition("listens", "listens_on", on=Event("paid", match={"id": "state.id"}), was="paid")
    async def payment_came(self, data: Any) -> None:
        self.state["n"] = data["n"]

    @transition("listens_on", END, wait=True)
    async def close(self) -> None: ...


async def test_events_reach_what_listens_under_the_old_name_once(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([OldListener]) as before:
        run = await before.runner.run(OldListener, **ME)
        await reaches(before.runner, run.workflow_id, "waiting", "listens")
    async with stepwell_on([NewListener]) as after:
        sent = await after.runner.emit("paid", {"id": "a", "n": 1}, event_id="e1")
        assert sent.resumed == (run.workflow_id,)
        await reaches(after.runner, run.workflow_id, "waiting", "listens_on")
        await after.runner.emit("paid", {"id": "a", "n": 1}, event_id="e1")
        names = [row for row in (await everything(after))["stepwell_signals"] if run.workflow_id in row]
        assert len(names) == 1, "one event is taken once, whatever the transition was called then"
        again = await after.runner.emit("paid", {"id": "a", "n": 2}, event_id="e2")
        assert again.resumed == (run.workflow_id,), "and it listens on under its present name"


async def test_a_detour_comes_back_to_a_place_and_a_transition_that_were_renamed(stepwell_on: StepwellOn) -> None:
    class Before(Workflow[None, dict[str, Any], Any], name="detour"):
        @transition(target="form")
        async def begin(self) -> None: ...

        @transition("form", END, wait=True, retry=Retry(retries=2, delay=timedelta(0)), retry_target="repair")
        async def send(self, text: str) -> str:
            raise ValueError(text)

        @transition("repair", "form", wait=True)
        async def repaired(self) -> None: ...

    class After(Workflow[None, dict[str, Any], Any], name="detour", version=2):
        @migrate(from_version=1)
        def rename(old: Migration) -> None:  # type: ignore[misc]
            old.place = {"form": "sheet", "repair": "workshop"}.get(old.place, old.place)

        @transition(target="sheet")
        async def begin(self) -> None: ...

        @transition(
            "sheet", END, wait=True, retry=Retry(retries=2, delay=timedelta(0)), retry_target="workshop", was="send"
        )
        async def submit(self, text: str) -> str:
            return f"{text} {self.info.attempt}"

        @transition("workshop", "sheet", wait=True)
        async def repaired(self) -> None: ...

    async with stepwell_on([Before]) as before:
        run = await before.runner.run(Before, **ME)
        await reaches(before.runner, run.workflow_id, "waiting", "form")
        await before.runner.signal(run.workflow_id, "send", "hello")
        await reaches(before.runner, run.workflow_id, "waiting", "repair")
    async with stepwell_on([After]) as after:
        await after.runner.signal(run.workflow_id, "repaired")
        assert (await reaches(after.runner, run.workflow_id, "completed")).result == "hello 2"


async def test_questions_of_runs_at_a_renamed_place_are_still_asked(stepwell_on: StepwellOn) -> None:
    run_id = await parked(stepwell_on)
    async with stepwell_on([NewOrder], embedded_worker=False) as after:
        fresh = await after.runner.run(NewOrder, {"amount": 1}, **ME)
        questions = Questions(after.runner)
        [waiting] = (await questions.waiting()).items
        assert waiting.run.workflow_id == run_id != fresh.workflow_id
        assert [ask.transition for ask in waiting.asks] == ["decide", "note"]
        assert (waiting.run.place, waiting.run.waiting_for) == ("review", ("decide", "note"))
        assert [ask.transition for ask in await questions.asks(run_id)] == ["decide", "note"]
        assert "It waits at 'review' for a signal: decide, note." in str(await after.runner.explain(run_id))


# -- side by side ------------------------------------------------------------------------------------------------------


async def test_each_code_leaves_alone_what_only_the_other_knows(stepwell_on: StepwellOn) -> None:
    """A signal under the new name, and a run that the new code has migrated, mean nothing to the code before."""
    orders = await parked(stepwell_on)
    async with stepwell_on([OldShop]) as old:
        shop = await old.runner.run(OldShop, **ME)
        await reaches(old.runner, shop.workflow_id, "waiting", "open")
    async with stepwell_on([NewOrder]) as new:
        await new.runner.signal(orders, "note", "by the new code")
        await reaches(new.runner, orders, "waiting", "desk")
    async with stepwell_on([NewOrder, NewShop], embedded_worker=False) as web, stepwell_on([OldOrder, OldShop]) as old:
        await web.runner.signal(orders, "decide", "yes")
        await web.runner.signal(shop.workflow_id, "place_order", "a lamp")
        await until(lambda: _is_left(old, orders))
        await until(lambda: _is_left(old, shop.workflow_id))
        left = [await row_of(old, run_id) for run_id in (orders, shop.workflow_id)]
        assert [(row.place, row.status, row.error) for row in left] == [
            ("desk", "waiting", None), ("open", "waiting", None),
        ]  # fmt: skip
        async with stepwell_on([NewOrder, NewShop]) as new:
            assert (await reaches(new.runner, orders, "completed")).result[0] == "yes"
            await reaches(new.runner, shop.workflow_id, "waiting", "paying")

"""Questions: worked out when the place is entered, in its commit; and the inbox of those who are asked (rule 57)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from conformance.support import ME, HarnessOn, StepwellOn, everything, reaches, until
from stepwell import END, START, Ask, Document, Question, Retry, Workflow, transition
from stepwell.errors import DefinitionError, InvalidArgs, UnknownTransition, WorkflowNotFound
from stepwell.store import questions
from stepwell.store.tx import Tx
from stepwell.testing import Harness


class Purchase(BaseModel):
    item: str = "a chair"
    assignee: str | None = None
    group: str | None = None
    days: int | None = None


class Verdict(BaseModel):
    approved: bool
    note: str = ""


class Offer(Document):
    price: int


class Secret(Document):
    margin: int


class Review(Workflow[Purchase, Purchase, str]):
    """The question comes from the state that the transition into the place leaves."""

    def question(self) -> str:
        return f"May {self.info.user_id} buy {self.state.item}?"

    def person(self) -> str | None:
        return self.state.assignee

    def team(self) -> str | None:
        return self.state.group

    def until(self) -> timedelta | None:
        return None if self.state.days is None else timedelta(days=self.state.days)

    @transition(target="review")
    async def prepare(self) -> None:
        self.state = self.args
        await self.documents.save(Offer(price=100))
        await self.documents.save(Secret(margin=7))

    @transition(
        "review",
        END,
        wait=True,
        ask=Ask(title="Approve a purchase", text=question, assignee=person, group=team, due=until, documents=[Offer]),
    )
    async def decide(self, verdict: Verdict) -> str:
        return f"{verdict.approved} {verdict.note}"

    @transition("review", END, after=timedelta(days=30))
    async def expire(self) -> str:
        return "expired"


def keys(found: Any) -> list[tuple[str, str]]:
    return [(one.workflow_id, one.transition) for one in found.items]


async def begun(harness: Harness, args: Purchase, user: str = "u1") -> str:
    run = await harness.runner.run(Review, args, app_name="shop", user_id=user)
    await harness.drain()
    return run.workflow_id


async def test_a_question_is_worked_out_from_the_state_that_enters_the_place(harness_on: HarnessOn) -> None:
    async with harness_on([Review]) as harness:
        run_id = await begun(harness, Purchase(item="a desk", assignee="ann", group="ops", days=2))
        [question] = (await harness.runner.inbox(user_id="ann")).items
        run = await harness.runner.get(run_id)
        assert isinstance(question, Question)
        assert (question.title, question.text) == ("Approve a purchase", "May u1 buy a desk?")
        assert (question.workflow_id, question.transition, question.visit) == (run_id, "decide", 1)
        assert (question.assignee, question.group, question.user_id) == ("ann", "ops", "u1")
        assert (question.asked_at, question.due_at) == (run.updated_at, run.updated_at + timedelta(days=2))
        assert question.payload_schema is not None
        assert set(question.payload_schema["properties"]) == {"approved", "note"}
        # Of the run's documents they see those that the question names.
        assert [(one.name, one.content) for one in question.documents] == [("offer", {"price": 100})]


async def test_an_inbox_holds_what_is_asked_of_the_person_of_their_groups_and_of_nobody_in_their_own_runs(
    harness_on: HarnessOn,
) -> None:
    async with harness_on([Review]) as harness:
        named = await begun(harness, Purchase(assignee="ann"))
        grouped = await begun(harness, Purchase(group="ops"))
        own = await begun(harness, Purchase(), "u1")
        inbox = harness.runner.inbox
        assert keys(await inbox(user_id="ann")) == [(named, "decide")]
        assert keys(await inbox(user_id="bob", groups={"ops", "sales"})) == [(grouped, "decide")]
        assert keys(await inbox(user_id="ann", groups=["ops"])) == [(named, "decide"), (grouped, "decide")]
        assert keys(await inbox(user_id="u1")) == [(own, "decide")]
        assert keys(await inbox(user_id="stranger")) == []
        assert keys(await inbox()) == [(named, "decide"), (grouped, "decide"), (own, "decide")]
        assert keys(await harness.runner.as_user("u1").inbox()) == [(own, "decide")]
        assert keys(await inbox(app_name="shop", workflow=Review, user_id="ann")) == [(named, "decide")]
        assert keys(await inbox(workflow="other", user_id="ann")) == []


async def test_the_most_urgent_comes_first_and_pages_go_on_where_they_ended(harness_on: HarnessOn) -> None:
    async with harness_on([Review]) as harness:
        days = [None, 3, 1, None, 2, 1]
        runs = [await begun(harness, Purchase(assignee="ann", days=one)) for one in days]
        wanted = [(runs[n], "decide") for n in (2, 5, 4, 1, 0, 3)]
        found, cursor = [], None
        while True:
            page = await harness.runner.inbox(user_id="ann", limit=2, cursor=cursor)
            found += keys(page)
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == wanted
        await harness.advance(timedelta(days=1, hours=1))
        assert keys(await harness.runner.inbox(user_id="ann", overdue=True)) == wanted[:2]
        assert keys(await harness.runner.inbox(user_id="ann", overdue=False)) == wanted[2:]


async def test_leaving_the_place_ends_its_questions(harness_on: HarnessOn) -> None:
    async with harness_on([Review]) as harness:
        expired = await begun(harness, Purchase(assignee="ann"))
        canceled = await begun(harness, Purchase(assignee="ann"))
        await harness.runner.cancel(canceled)
        assert keys(await harness.runner.inbox()) == [(expired, "decide")]
        await harness.advance(timedelta(days=31))
        assert keys(await harness.runner.inbox()) == []
        store = harness.stepwell.opening.core.store
        for run_id in (expired, canceled):
            [row] = await store.read(lambda tx, run_id=run_id: questions.of_run(tx, run_id))  # type: ignore[misc]
            assert (row.closed_at is not None, row.answered_by, row.answered_at) == (True, None, None)


class Waits(Workflow[None, None, str]):
    @transition(START, "waiting")
    async def begin(self) -> None: ...

    @transition("waiting", END, wait=True)
    async def say_when(self, word: str) -> str:
        return word

    @transition("waiting", "waiting", wait=True)
    async def nudge(self) -> None: ...


async def test_what_waits_without_a_question_is_in_the_inbox_of_the_runs_user(harness_on: HarnessOn) -> None:
    async with harness_on([Waits]) as harness:
        runs = [(await harness.runner.run(Waits, **ME)).workflow_id for _ in range(3)]
        await harness.drain()
        page = await harness.runner.inbox(user_id="u1", limit=4)
        rest = await harness.runner.inbox(user_id="u1", limit=4, cursor=page.next_cursor)
        everyone = sorted((run, name) for run in runs for name in ("nudge", "say_when"))
        assert sorted(keys(page) + keys(rest)) == everyone
        assert {one.title for one in page.items} == {"Say when", "Nudge"}
        assert keys(await harness.runner.inbox(user_id="other")) == []


class Both(Workflow[Purchase, None, str]):
    """Asks a person at one place for what it takes from its user at another; and both at a third."""

    def person(self) -> str | None:
        return self.args.assignee

    @transition(target="both")
    async def begin(self) -> None: ...

    @transition("both", END, wait=True, ask=Ask(assignee=person))
    async def decide(self) -> str:
        return "decided"

    @transition("both", END, wait=True)
    async def withdraw(self) -> str:
        return "withdrawn"


async def paged(harness: Harness, limit: int, **given: Any) -> list[tuple[str, str]]:
    """All entries of an inbox, by pages of this size, none of which is empty."""
    found, cursor = [], None
    while True:
        page = await harness.runner.inbox(limit=limit, cursor=cursor, **given)
        assert page.items, "a page that isn't the only one has an entry"
        found += keys(page)
        cursor = page.next_cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 50])
async def test_pages_lose_nothing_that_has_waited_longer_than_what_is_due(harness_on: HarnessOn, limit: int) -> None:
    async with harness_on([Waits, Review, Both]) as harness:
        dated, undated, own = [], [], Purchase()
        for n in range(3):
            run = (await harness.runner.run(Waits, **ME)).workflow_id
            undated += [(run, "nudge"), (run, "say_when")]
            await harness.drain()
            await harness.advance(timedelta(seconds=1))
            dated.append((await begun(harness, Purchase(days=n + 1)), "decide"))
            undated.append((await begun(harness, own), "decide"))
            both = (await harness.runner.run(Both, own, **ME)).workflow_id
            undated += [(both, "decide"), (both, "withdraw")]
            await harness.drain()
            await harness.advance(timedelta(seconds=1))
        assert await paged(harness, limit, user_id="u1") == dated + undated
        assert await paged(harness, limit) == dated + undated


class Calls(Workflow[None, None, str]):
    """Waits for the end of a child only, of which a person is asked as well."""

    @transition(target="working")
    async def begin(self) -> None:
        await self.start(Waits, callback="done")

    @transition("working", END, wait=True)
    async def done(self, word: str) -> str:
        return word


class CallsAsked(Calls, name="calls_asked"):
    @transition("working", END, wait=True, ask=Ask("Is it done?", assignee="ann"))
    async def done(self, word: str) -> str:
        return word


async def test_a_page_begins_with_what_is_asked_however_many_runs_wait_for_others(harness_on: HarnessOn) -> None:
    async with harness_on([Review, Calls, Waits, Both]) as harness:
        for _ in range(4):
            await begun(harness, Purchase(assignee="boss"))
            await harness.runner.run(Calls, **ME)
        await harness.drain()
        for child in (await harness.runner.list(workflow=Waits)).items:
            await harness.runner.signal(child.workflow_id, "nudge")
            await harness.runner.cancel(child.workflow_id)
        await harness.advance(timedelta(seconds=1))
        both = (await harness.runner.run(Both, Purchase(assignee="ann"), **ME)).workflow_id
        await harness.drain()
        page = await harness.runner.inbox(user_id="u1", limit=2)
        assert (keys(page), page.next_cursor) == ([(both, "withdraw")], None)


async def test_a_callback_that_is_asked_for_is_in_no_inbox_and_is_given_to_nobody(harness_on: HarnessOn) -> None:
    async with harness_on([CallsAsked, Waits]) as harness:
        runner = harness.runner
        parent = (await runner.run(CallsAsked, **ME)).workflow_id
        await harness.drain()
        assert keys(await runner.inbox(user_id="ann")) == []
        assert {run for run, _ in keys(await runner.inbox())} == {one.workflow_id for one in await children(harness)}
        assert "Is it done?" not in str(await runner.explain(parent))
        with pytest.raises(UnknownTransition):
            await runner.answer(parent, "done", "x", by="ann")
        with pytest.raises(UnknownTransition):
            await runner.assign(parent, "done", assignee="bob")


async def children(harness: Harness) -> Any:
    return (await harness.runner.list(workflow=Waits)).items


async def test_a_user_of_many_groups_sees_what_all_of_them_are_asked_in_few_statements(
    harness_on: HarnessOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with harness_on([Review]) as harness:
        asked = [(await begun(harness, Purchase(group=f"g{n}", days=n + 1)), "decide") for n in (0, 21, 999)]
        await begun(harness, Purchase(group="other"))
        rows, statements = Tx.rows, []

        def counted(tx: Tx, sql: str, *parameters: Any) -> Sequence[Any]:
            statements.append(sql)
            return rows(tx, sql, *parameters)

        monkeypatch.setattr(Tx, "rows", counted)
        page = await harness.runner.inbox(groups=[f"g{n}" for n in range(1_000)])
        assert keys(page) == asked
        assert 0 < sum("FROM stepwell_questions q JOIN" in one for one in statements) <= 3


class Drawing(Document):
    text: str


class Thick(Workflow[None, None, str]):
    @transition(target="review")
    async def draw(self) -> None:
        await self.documents.save(Drawing(text="x" * 900_000))

    @transition("review", END, wait=True, ask=Ask(assignee="ann", documents=[Drawing]))
    async def decide(self) -> str:
        return "decided"


async def test_a_page_has_a_bound_in_bytes_and_the_next_goes_on_behind_it(harness_on: HarnessOn) -> None:
    async with harness_on([Thick]) as harness:
        runs = [((await harness.runner.run(Thick, **ME)).workflow_id, "decide") for _ in range(20)]
        await harness.drain()
        page = await harness.runner.inbox(user_id="ann")
        assert 15 < len(page.items) < 20
        assert len(page.model_dump_json()) < 16.1 * 1024 * 1024
        rest = await harness.runner.inbox(user_id="ann", cursor=page.next_cursor)
        assert sorted(keys(page) + keys(rest)) == sorted(runs)
        assert rest.next_cursor is None


class Broken(Workflow[Purchase, Purchase, str]):
    def raises(self) -> str:
        raise ValueError("no such person")

    @transition(target="review")
    async def prepare(self) -> None: ...

    @transition("review", END, wait=True, ask=Ask(assignee=raises))
    async def decide(self) -> None: ...


class AtStart(Workflow[Purchase, Purchase, str]):
    def person(self) -> Any:
        return self.args.assignee or 7

    @transition(START, END, wait=True, ask=Ask(assignee=person))
    async def decide(self) -> str:
        return "decided"


async def test_an_ask_that_raises_fails_the_transition_into_the_place_and_at_the_start_refuses_it(
    harness_on: HarnessOn,
) -> None:
    async with harness_on([Broken, AtStart]) as harness:
        run_id = (await harness.runner.run(Broken, Purchase(), **ME)).workflow_id
        await harness.drain()
        run = await harness.runner.get(run_id)
        assert (run.status, run.place) == ("failed", "start")
        assert run.error == "Broken.prepare: ValueError: no such person"
        before = await everything(harness.stepwell)
        with pytest.raises(
            InvalidArgs, match=r"Ask\(assignee=person\) of AtStart.decide returned int: return a text or None"
        ):
            await harness.runner.run(AtStart, Purchase(), **ME)
        assert await everything(harness.stepwell) == before
        started = await harness.runner.run(AtStart, Purchase(assignee="ann"), **ME)
        await harness.drain()
        assert keys(await harness.runner.inbox(user_id="ann")) == [(started.workflow_id, "decide")]


class Rescue(Workflow[Purchase, Purchase, str]):
    """Its place with a question is entered by a failure, which works nothing out."""

    @transition(target="done", error_place="help")
    async def work(self) -> None:
        raise ValueError("no")

    @transition("done", END)
    async def end(self) -> None: ...

    @transition("help", END, wait=True, ask=Ask("Help", assignee="ann"))
    async def helped(self) -> str:
        return "helped"


async def test_a_place_that_a_failure_enters_asks_before_the_run_waits(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Rescue]) as stepwell:
        run_id = (await stepwell.runner.run(Rescue, Purchase(), **ME)).workflow_id
        await reaches(stepwell.runner, run_id, "waiting", "help")
        assert keys(await stepwell.runner.inbox(user_id="ann")) == [(run_id, "helped")]


class Detour(Workflow[Purchase, Purchase, str]):
    """An answer that can't be carried out goes by way of another place; the question waits meanwhile."""

    @transition(target="review")
    async def prepare(self) -> None: ...

    @transition(
        "review",
        END,
        wait=True,
        ask=Ask(assignee="ann"),
        retry=Retry(retries=1, delay=timedelta(0)),
        retry_target="mend",
    )
    async def decide(self, verdict: Verdict) -> str:
        if self.info.attempt == 1:
            raise ValueError("not yet")
        return verdict.note

    @transition("mend", "review", wait=True, ask=Ask(assignee="bob"))
    async def mended(self) -> None: ...


async def test_a_detour_interrupts_a_question_that_was_answered(harness_on: HarnessOn) -> None:
    async with harness_on([Detour]) as harness:
        run_id = (await harness.runner.run(Detour, Purchase(), **ME)).workflow_id
        await harness.drain()
        await harness.runner.answer(run_id, "decide", {"approved": True, "note": "go"}, by="ann")
        await harness.drain()
        assert keys(await harness.runner.inbox()) == [(run_id, "mended")]
        await harness.runner.answer(run_id, "mended", by="bob")
        await harness.drain()
        assert (await harness.runner.get(run_id)).result == "go"
        assert keys(await harness.runner.inbox()) == []


def _async_person(self: Any) -> Any: ...


async def _awaited(self: Any) -> str:
    return ""


@pytest.mark.parametrize(
    ("ask", "wait", "said"),
    [
        (Ask(title=""), True, "its Ask(title='') isn't a text of 1 to 200 characters"),
        (Ask(assignee="a" * 257), True, "isn't a text of 1 to 256 characters"),  # no such user could answer
        (Ask(group="g" * 257), True, "isn't a text of 1 to 256 characters"),
        (Ask(assignee=7), True, "its Ask(assignee=7) isn't a text"),  # type: ignore[arg-type]
        (Ask(group="\0"), True, "its Ask(group='\\x00') isn't a text"),
        (Ask(due=2), True, "its Ask(due=2) isn't a timedelta"),
        (Ask(due=timedelta(-1)), True, "is negative"),
        (Ask(documents="offer"), True, "its Ask(documents='offer') isn't a list"),
        (Ask(documents=[int]), True, "holds <class 'int'>"),  # type: ignore[list-item]
        (Ask(text=_awaited), True, "its Ask(text=) method _awaited isn't a plain def"),  # type: ignore[arg-type]
        ("Who?", True, "its ask='Who?' isn't an Ask"),
        (Ask(), False, "it has ask= but takes no signal"),
    ],
)
def test_a_question_that_is_none_is_refused_when_the_class_is_made(ask: Any, wait: bool, said: str) -> None:
    with pytest.raises(DefinitionError) as caught:

        class Wrong(Workflow):
            @transition(target=END, wait=wait, ask=ask)
            async def decide(self) -> None: ...

    assert said in str(caught.value)


def test_an_unknown_keyword_of_a_question_is_refused() -> None:
    with pytest.raises(DefinitionError, match="assignee="):
        Ask(asignee="ann")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "given",
    [{"groups": "ops"}, {"groups": [7]}, {"cursor": "x"}, {"limit": 0}, {"overdue": 1}, {"user_id": 7}],
)
async def test_an_inbox_that_cant_be_is_refused(harness_on: HarnessOn, given: dict[str, Any]) -> None:
    async with harness_on([Review]) as harness:
        with pytest.raises(InvalidArgs):
            await harness.runner.inbox(**given)


class Override(Review, name="override"):
    def person(self) -> str | None:
        return "boss"


async def test_a_subclass_overrides_a_method_of_the_question(harness_on: HarnessOn) -> None:
    async with harness_on([Override]) as harness:
        run_id = (await harness.runner.run(Override, Purchase(), **ME)).workflow_id
        await harness.drain()
        assert keys(await harness.runner.inbox(user_id="boss")) == [(run_id, "decide")]


class Dated(Workflow[None, None, str]):
    def until(self) -> datetime:
        return datetime.fromisoformat("2026-02-01T12:00:00+01:00")

    @transition(START, END, wait=True, ask=Ask(due=until))
    async def decide(self) -> str:
        return "decided"


async def test_a_question_may_be_due_at_a_moment(harness_on: HarnessOn) -> None:
    async with harness_on([Dated]) as harness:
        await harness.runner.run(Dated, **ME)
        [question] = (await harness.runner.inbox(user_id="u1")).items
        assert question.due_at == datetime.fromisoformat("2026-02-01T11:00:00Z")


class LongAgo(Workflow[int, None, str]):
    def until(self) -> datetime:
        return datetime(1969, 12, 31, tzinfo=UTC) - timedelta(days=self.args)

    @transition(START, END, wait=True, ask=Ask(due=until))
    async def decide(self) -> str:
        return "decided"


async def test_pages_go_on_behind_a_question_that_was_due_before_1970(harness_on: HarnessOn) -> None:
    async with harness_on([LongAgo]) as harness:
        runs = [(await harness.runner.run(LongAgo, n, **ME)).workflow_id for n in (1, 500_000, 2)]
        assert await paged(harness, 1) == [(runs[n], "decide") for n in (1, 2, 0)]


class PlainDesk(Workflow[None, None, None], name="desk"):
    @transition(target="review")
    async def begin(self) -> None: ...

    @transition("review", END, wait=True)
    async def approve(self) -> None: ...


class AskingDesk(Workflow[None, None, None], name="desk"):
    @transition(target="review")
    async def begin(self) -> None: ...

    @transition("review", END, wait=True, ask=Ask("Approve", assignee="ann"))
    async def approve(self) -> None: ...


async def test_a_question_is_asked_of_runs_that_wait_when_it_is_deployed(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([PlainDesk]) as before:
        run_id = (await before.runner.run(PlainDesk, **ME)).workflow_id
        await reaches(before.runner, run_id, "waiting", "review")
    async with stepwell_on([AskingDesk]) as after:
        runner = after.runner

        async def asked() -> bool:
            with pytest.raises((UnknownTransition, WorkflowNotFound)):
                await runner.answer(run_id, "approve", by="u1")  # nobody approves their own, whenever it is
            return bool(keys(await runner.inbox(user_id="ann")))

        await until(asked)
        assert keys(await runner.inbox(user_id="u1")) == []
        await reaches(runner, run_id, "waiting", "review")
        await runner.answer(run_id, "approve", by="ann")
        await reaches(runner, run_id, "completed")

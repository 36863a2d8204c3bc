"""`crash_everywhere` on both databases: all that may happen to a run, tables of the test's own, and replaced steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from servers.postgres import Postgres
from stepwell import END, App, Event, Settings, Signal, Step, Stepwell, Workflow, transition
from stepwell.errors import InvalidArgs
from stepwell.store.postgres import scratch
from stepwell.testing import Harness

calls: Counter[str] = Counter()
MakeHarness = Callable[..., Harness]


class Child(Workflow[None, None, str]):
    @transition(target="asked")
    async def begin(self) -> None: ...

    @transition("asked", END, wait=True)
    async def answer(self, data: str) -> str:
        return data


class Who(BaseModel):
    name: str


class Story(Workflow[Who, dict[str, Any], Any]):
    @transition(target="alone")
    async def begin(self) -> None:
        self.state["seen"] = []

    @transition("alone", "called", on=Event("called", match={"name": "args.name"}))
    async def hear(self, data: dict[str, str]) -> None:
        self.state["seen"].append(data["what"])

    @transition("called", "family")
    async def found(self) -> None:
        for n in range(2):
            await self.start(Child, callback="child_ended", meta={"n": n})

    @transition("family", "family", wait=True)
    async def child_ended(self, end: Signal[str]) -> None:
        self.state["seen"].append(end.data)

    @transition("family", END, after=timedelta(days=9))
    async def close(self) -> Any:
        return self.state["seen"]


ADA = Who(name="ada")
STORY = App("story", workflows=[Story, Child])
SCRIPT: Any = [
    ("emit", "called", {"name": "ada", "what": "a call"}),
    ("child", 2, "answer", "the second"),
    timedelta(days=1),
    ("child", 1, Child.answer, "the first"),
]


async def test_events_and_signals_to_children_are_part_of_the_story(harness_for: MakeHarness) -> None:
    async with harness_for([STORY]) as harness:
        report = await harness.crash_everywhere(
            Story, ADA, signals=SCRIPT, expect=lambda run: run.result == ["a call", "the second", "the first"]
        )
    assert report.crashes == 2 * report.commits
    assert "version 2 of story: 'hear' committed" in report.names


@pytest.mark.parametrize(
    ("signals", "said"),
    [
        (
            [*SCRIPT[:1], ("child", 3, "answer", "x")],
            "There is no child 3: at 'family' the run of 'story' had started 2.",
        ),
        ([*SCRIPT, timedelta(days=9), ("emit", "later", 1)], "before it was sent the event 'later': remove"),
        ([*SCRIPT, timedelta(days=9), ("child", 1, "answer", 1)], "before it was sent 'answer' to child 1: remove"),
    ],
)
async def test_what_is_never_sent_fails_the_test(signals: Any, said: str) -> None:
    async with Harness([STORY]) as harness:
        with pytest.raises(AssertionError) as failure:
            await harness.crash_everywhere(Story, ADA, signals=signals)
    assert said in str(failure.value)


async def never_awaited(run: Any) -> bool:
    return False


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"signals": "answer"}, "signals='answer': give a list"),
        ({"signals": [("answer", 1), ("emti", "called", 1)]}, "signals[1]=('emti', 'called', 1): did you mean 'emit'?"),
        ({"signals": [("child", 0, "answer", 1)]}, "children are counted from 1."),
        ({"signals": [("child", "1", "answer", 1)]}, "An entry is a timedelta, (name, data)"),
        ({"signals": [timedelta(days=-1)]}, "time goes forward only."),
        ({"signals": [7]}, "signals[0]=7: an entry is"),
        ({"expect": None}, "expect=None: give a status, a place, or a callable of the run."),
        ({"expect": never_awaited}, "its answer is never awaited, so it would always be true; give a plain def."),
        ({"expect": lambda run: never_awaited(run)}, "returned an awaitable, which is never awaited"),
        ({"setup": 7}, "setup=7: give an async function"),
    ],
)
async def test_a_story_that_cannot_be_told_is_refused(options: Any, said: str) -> None:
    async with Harness([STORY]) as harness:
        with pytest.raises(InvalidArgs) as refused:
            await harness.crash_everywhere(Story, ADA, **options)
    assert said in str(refused.value)


async def entries(stepwell: Stepwell) -> None:
    """Make the table of the test's workflow."""
    calls[stepwell.settings.database_url] += 1
    engine = create_async_engine(stepwell.settings.database_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE entries (what VARCHAR(40))"))
    await engine.dispose()


async def really() -> str:
    calls["really"] += 1
    return "really"


class Booking(Workflow[None, None, int]):
    @transition(target="booked")
    async def book(self) -> None:
        what = await self.step(Step("call", undo="undo_call"), really)
        async with self.transaction() as connection:
            await connection.execute(text("INSERT INTO entries VALUES (:what)"), {"what": what})

    @transition("booked", END)
    async def count(self) -> int:
        async with self.transaction() as connection:
            found = await connection.execute(text("SELECT count(*) FROM entries WHERE what = 'instead'"))
            return int(found.scalar_one())

    async def undo_call(self, value: str) -> None: ...


async def test_each_database_is_set_up_once_and_steps_stay_replaced(harness_for: MakeHarness) -> None:
    calls.clear()
    async with harness_for([App("books", workflows=[Booking])], entries) as harness:
        harness.steps({"call": "instead"})
        report = await harness.crash_everywhere(Booking, expect=lambda run: run.result == 1)
        assert report.names[2] == "version 1 of booking: 'book' committed with its transaction"
        assert report.crashes == 2 * report.commits
    assert calls.pop("really", 0) == 0
    assert len(calls) == 1 + 1 + report.crashes, "the harness's own, that of the undisturbed run, and one per crash"
    assert set(calls.values()) == {1}


async def test_a_setup_may_be_of_one_story_only(harness_for: MakeHarness) -> None:
    calls.clear()
    async with harness_for([App("books", workflows=[Booking])]) as harness:
        harness.steps({"call": "instead"})
        await harness.crash_everywhere(Booking, setup=entries)
        assert harness.url not in calls


async def test_nothing_is_left_on_the_server(postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    async def noted(settings: Settings, name: str, template: str | None = None) -> None:
        made.append(name)
        await create(settings, name, template)

    create = scratch.create
    monkeypatch.setattr(scratch, "create", noted)
    sql = "SELECT count(*) FROM pg_database WHERE datname = ANY($1)"
    async with Harness([STORY], server=postgres_server.root) as harness:
        report = await harness.crash_everywhere(Child, signals=[("answer", "yes")])
        assert postgres_server.sql.read(sql, made) == [(1,)], "the harness's own; each run's was dropped after it"
    assert len(made) == 1 + 1 + 1 + report.crashes, "the harness's own, a template, and one for each run"
    assert postgres_server.sql.read(sql, made) == [(0,)]

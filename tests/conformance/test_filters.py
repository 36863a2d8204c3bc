"""Every filter of `Reader.find`, alone and with others, against the same question asked of a list in Python."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from conformance.support import StepwellOn, until
from stepwell import END, App, NonRetryable, Run, Stepwell, Workflow, transition
from stepwell.execution.clock import to_moment
from stepwell.store.reading import queries
from stepwell.store.reading.queries import Filter
from stepwell.testing import VirtualClock

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
RUNS = 200
LABELS = ("vip", "eu", 'odd "label"', "100%_\\", "日本")
USERS = ("u1", "u2", "User_3%")
TEXTS = ("plain", "100%", "under_score", "back\\slash", 'quo"te', "Ünïcode", "UPPER")


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    """What the queue is makes no difference here."""
    return str(request.param)


class What(BaseModel):
    case: str = "ends"
    text: str = ""


class Plain(Workflow[What, None, str]):
    @transition(target="left")
    async def begin(self) -> None:
        if self.args.case == "fails":
            raise NonRetryable(f"no {self.args.text}")

    def waits(self) -> bool:
        return self.args.case != "ends"

    @transition("left", "asked", when=waits, priority=1)
    async def ask(self) -> None: ...

    @transition("left", END)
    async def finish(self) -> str:
        return self.args.text

    @transition("asked", END, wait=True)
    async def answer(self) -> None: ...


class Other(Plain, name="other"):
    pass


class Family(Workflow[What, None, None]):
    @transition(target=END)
    async def begin(self) -> None:
        for _ in range(3):
            await self.start(Plain, self.args)


@dataclass(frozen=True)
class World:
    """The runs that there are, the newest first, and who knows them."""

    stepwell: Stepwell
    runs: tuple[Run, ...]

    async def found(self, wanted: Filter, limit: int = 50, **more: Any) -> list[Run]:
        """The runs of all pages."""
        result: list[Run] = []
        cursor = None
        for _ in range(1000):
            page = await self.stepwell.runner.find(wanted, limit=limit, cursor=cursor, **more)
            assert len(page.items) <= limit
            result += page.items
            cursor = page.next_cursor
            if cursor is None:
                return result
        raise AssertionError("the pages have no end")


async def made(stepwell: Stepwell, clock: VirtualClock, given: random.Random) -> World:
    """A random lot of runs, at rest."""
    for _ in range(RUNS // 8):
        for _ in range(7 if given.random() < 0.8 else 4):
            case = given.choice(("ends", "waits", "fails"))
            workflow = given.choice(("plain", "other", "family"))
            await stepwell.runner.run(
                workflow,
                {"case": "ends" if workflow == "family" else case, "text": given.choice(TEXTS)},
                app_name=given.choice(("shop", "lab")),
                user_id=given.choice(USERS),
                labels=given.sample(LABELS, given.randrange(3)),
                idempotency_key=f"Key_{given.random()}" if given.random() < 0.3 else None,
                delay=timedelta(days=1) if given.random() < 0.1 else None,
            )
        clock.move_to(clock.now() + 60_000_000)

    async def at_rest() -> bool:
        assert stepwell.process is not None
        return not await stepwell.process.store.read(
            lambda tx: tx.rows("SELECT 1 FROM stepwell_runs WHERE ready_at IS NOT NULL OR owner IS NOT NULL LIMIT 1")
        )

    await until(at_rest, "rest")
    page = await stepwell.runner.list(limit=1000)
    chosen = [run for run in page.items if run.status == "waiting"]
    for run in given.sample(chosen, len(chosen) // 3):
        await stepwell.runner.cancel(run.workflow_id, reason="Too_late%")
    page = await stepwell.runner.list(limit=1000)
    assert page.next_cursor is None
    assert {run.status for run in page.items} == {"pending", "waiting", "failed", "completed", "canceled"}
    return World(stepwell, page.items)


@dataclass(frozen=True)
class Given:
    on: StepwellOn

    async def world(self, use: Any) -> None:
        clock = VirtualClock(NOW)
        apps = [App("shop", workflows=[Plain, Other, Family]), App("lab", workflows=[Plain, Other, Family])]
        async with self.on(apps, clock=clock) as stepwell:
            await use(await made(stepwell, clock, random.Random(7)))


# -- the oracle -------------------------------------------------------------------------------------------------------


def fits(run: Run, wanted: Filter) -> bool:
    """What the filter says, in Python."""
    created = to_moment(run.created_at)
    return all(
        (
            wanted.app_name in (None, run.app_name),
            wanted.workflow_name in (None, run.workflow_name),
            wanted.status is None or run.status in wanted.status,
            wanted.label is None or wanted.label in run.labels,
            wanted.user_id in (None, run.user_id),
            wanted.workspace_id in (None, run.workspace_id),
            wanted.parent_id in (None, run.parent_id),
            wanted.apps is None or run.app_name in wanted.apps,
            wanted.place in (None, run.place),
            wanted.created_after is None or created >= wanted.created_after,
            wanted.created_before is None or created < wanted.created_before,
            wanted.text is None or holds(run, wanted.text),
        )
    )


def holds(run: Run, text: str) -> bool:
    plain = text.lower()
    looked = (run.workflow_name, run.user_id, run.place, *run.labels, run.idempotency_key or "", run.error or "")
    return run.workflow_id.startswith(plain) or any(
        plain in one.lower() for one in (*looked, run.args["text"], run.args["case"])
    )


def choices(world: World, given: random.Random) -> dict[str, list[Any]]:
    """Values to filter by: those that runs have, and some that none has."""
    some = given.sample(world.runs, 12)
    times = [to_moment(run.created_at) for run in some]
    parents = [run.parent_id for run in world.runs if run.parent_id is not None]
    return {
        "app_name": ["shop", "lab", "none"],
        "workflow_name": ["plain", "other", "family", "none"],
        "status": [
            ("completed",),
            ("waiting",),
            ("failed", "canceled"),
            ("completed", "waiting"),
            ("pending",),
            ("running",),
        ],
        "label": [*LABELS, "vi", "100", "none"],
        "user_id": [*USERS, "user_3%", "none"],
        "workspace_id": [some[0].workspace_id, some[1].workspace_id, "none"],
        "parent_id": [*given.sample(parents, 3), "none"],
        "apps": [("shop",), ("shop", "lab"), ("none",), ()],
        "place": ["asked", "end", "start", "none"],
        "text": [
            "plain",
            "100%",
            "Ünï",
            'o"t',
            "日本",
            "r_s",
            "k\\s",
            "upper",
            "key_",
            "too_late%",
            "vip",
            "user_3%",
            "no 100",
            "PLAIN",
            "zzz",
        ],
        "created_after": [times[0], times[1], times[2] + 1, 0],
        "created_before": [times[3], times[4], times[5] + 1, 0],
    }


def questions(world: World, given: random.Random) -> Iterator[Filter]:
    """Each value alone, then many together."""
    known = choices(world, given)
    for name, values in known.items():
        for value in values:
            yield replace(Filter(), **{name: value})
    for _ in range(50):
        names = given.sample(sorted(known), given.randrange(2, 5))
        yield replace(Filter(), **{name: given.choice(known[name]) for name in names})


# -- the tests --------------------------------------------------------------------------------------------------------


async def test_filters_find_what_they_say(stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(world: World) -> None:
        given = random.Random(11)
        await every_question(world, given)
        await ids_and_their_beginnings(world)
        await brief_runs(world)
        await narrow_walks(world, given, monkeypatch)

    await Given(stepwell_on).world(use)


async def every_question(world: World, given: random.Random) -> None:
    hits = 0
    for wanted in questions(world, given):
        expected = [run for run in world.runs if fits(run, wanted)]
        assert await world.found(wanted, limit=given.choice((7, 50, 1000))) == expected, wanted
        hits += 0 < len(expected) < len(world.runs)
    assert hits > 40, "the questions should part the runs"


async def ids_and_their_beginnings(world: World) -> None:
    for run in world.runs[::40]:
        for text in (run.workflow_id, run.workflow_id.upper(), run.workflow_id[:20], run.workflow_id.replace("-", "")):
            assert run in await world.found(Filter(text=text)), text
        assert await world.found(Filter(text=run.workflow_id)) == [run]
        assert await world.found(Filter(text=run.workflow_id, user_id="none")) == []
        start = run.workflow_id[:11]
        alike = [one for one in world.runs if one.workflow_id.startswith(start)]
        assert await world.found(Filter(text=start), limit=3) == alike


async def brief_runs(world: World) -> None:
    light = [run.model_copy(update={"args": None, "state": None, "result": None}) for run in world.runs]
    assert await world.found(Filter(), brief=True) == light
    wanted = Filter(text="upper", status=("completed",))
    assert await world.found(wanted, brief=True) == [light[n] for n, run in enumerate(world.runs) if fits(run, wanted)]


async def narrow_walks(world: World, given: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few runs are tried for one page, the pages together have all of them."""
    monkeypatch.setattr(queries, "TRIED", 17)
    monkeypatch.setattr(queries, "TEXTS_TRIED", 11)
    for wanted in given.sample(list(questions(world, given)), 20):
        expected = [run for run in world.runs if fits(run, wanted)]
        assert await world.found(wanted, limit=4) == expected, wanted
    page = await world.stepwell.runner.find(Filter(place="nowhere"), limit=4)
    assert (page.items, page.next_cursor) == ((), world.runs[16].workflow_id)
    for run in world.runs[::60]:
        assert run in await world.found(Filter(text=run.workflow_id), limit=2)

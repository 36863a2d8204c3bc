"""Keys of limits: worked out at the start, kept with the run, and refused where they are none (rule 54)."""

from __future__ import annotations

import asyncio
import enum
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, RootModel

from conformance.support import ME, HarnessOn, StepwellOn, counts, everything
from stepwell import (
    END,
    App,
    Concurrency,
    Debounce,
    Event,
    RateLimit,
    Start,
    Stepwell,
    Workflow,
    transition,
)
from stepwell.engine.gates import gates_of, parts_of
from stepwell.errors import InvalidArgs

MINUTE = timedelta(minutes=1)
ID = UUID("0193a1b2-0000-7000-8000-000000000001")


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Colour(enum.Enum):
    RED = "red"
    ONE = 1
    PAIR = (1, 2)


class Word(enum.StrEnum):
    YES = "yes"


class Number(enum.IntEnum):
    TWO = 2


class Name(str):
    def __str__(self) -> str:
        raise RuntimeError("no name")


class Host(RootModel[str]):
    pass


@dataclass
class Place:
    town: str = "Bern"


class Site(BaseModel):
    host: str = "a.example"
    place: Place = Place()
    root: Host = Host("r")
    text: str = Field("t", alias="theText")


class Page(BaseModel):
    url: str = "u"
    number: int = 1
    flag: bool = True
    id: UUID = ID
    colour: Colour = Colour.RED
    site: Site = Site()
    maybe: Site | None = None
    nothing: str | None = None
    price: float = 1.5
    day: date = date(2026, 1, 5)
    tags: list[str] = []
    any: dict[str, Any] = {}


def crawl(key: Any, args: Any = Page, **keywords: Any) -> type[Workflow[Any, Any, Any]]:
    given = {"concurrency": Concurrency(2, key=key)} | keywords

    class Crawl(Workflow[args], **{"name": "crawl", **given}):
        @transition(target="open")
        async def go(self) -> None: ...

        @transition("open", END, wait=True)
        async def close(self) -> None: ...

    return Crawl


async def stored_key(stepwell: Stepwell, workflow_id: str) -> str | None:
    """The key of the only gate of a run."""
    rows = (await everything(stepwell))["stepwell_runs"]
    [text] = [column for row in rows if row[0] == workflow_id for column in row if str(column).startswith("[[")]
    [gate] = gates_of(text)
    parts = parts_of(gate.id)
    assert parts is not None
    return parts.key


VALUES: list[tuple[Any, str]] = [
    ("user_id", '"u1"'),
    ("args.url", '"u"'),
    ("args.number", "1"),
    ("args.flag", "true"),
    ("args.id", f'"{ID}"'),
    ("args.colour", '"red"'),
    ("args.site.host", '"a.example"'),
    ("args.site.place.town", '"Bern"'),
    ("args.site.root", '"r"'),
    ("args.site.theText", '"t"'),
    (lambda page: page.url, '"u"'),
    (lambda page: Colour.ONE, "1"),
    (lambda page: Word.YES, '"yes"'),
    (lambda page: Number.TWO, "2"),
    (lambda page: Name("x"), '"x"'),
    (lambda page: False, "false"),
    (lambda page: 10**30, str(10**30)),
    (lambda page: 'ü"\0\ud800', '"\\u00fc\\"\\u0000\\ud800"'),
]


async def test_a_key_is_kept_as_its_json_text(stepwell_on: StepwellOn) -> None:
    crawls = [(crawl(key, name=f"crawl{n}"), text) for n, (key, text) in enumerate(VALUES)]
    async with stepwell_on([one for one, _ in crawls], embedded_worker=False) as stepwell:
        for Crawl, text in crawls:
            handle = await stepwell.runner.run(Crawl, **ME)
            assert await stored_key(stepwell, handle.workflow_id) == text


async def test_the_workspace_may_be_a_key(stepwell_on: StepwellOn) -> None:
    Crawl = crawl("workspace_id")
    async with stepwell_on([Crawl], embedded_worker=False) as stepwell:
        handle = await stepwell.runner.run(Crawl, **ME)
        workspace = (await handle.get()).workspace_id
        assert await stored_key(stepwell, handle.workflow_id) == json.dumps(workspace)


async def test_none_is_no_limit(stepwell_on: StepwellOn) -> None:
    keys: list[Any] = ["args.nothing", "args.maybe.host", "args.maybe.place.town", lambda page: None]
    crawls = [crawl(key, name=f"crawl{n}") for n, key in enumerate(keys)]
    async with stepwell_on(crawls, embedded_worker=False) as stepwell:
        for Crawl in crawls:
            await stepwell.runner.run(Crawl, **ME)
        rows = (await everything(stepwell))["stepwell_runs"]
        assert not [column for row in rows for column in row if str(column).startswith("[[")]


async def test_very_long_keys_are_still_distinct(stepwell_on: StepwellOn) -> None:
    Crawl = crawl("args", str)
    async with stepwell_on([Crawl], embedded_worker=False) as stepwell:
        texts = [text for n in (197, 199, 100_000) for text in ("x" * n, "x" * (n - 1) + "y", "x" * (n + 1))]
        handles = [await stepwell.runner.run(Crawl, text, **ME) for text in texts]
        keys = {await stored_key(stepwell, handle.workflow_id) for handle in handles}
        assert len(keys) == 9
        assert all(len(key or "") <= 220 for key in keys)


async def test_a_text_and_a_number_are_different_keys(stepwell_on: StepwellOn) -> None:
    Crawl = crawl("args", str | int | bool)
    async with stepwell_on([Crawl], embedded_worker=False) as stepwell:
        handles = [await stepwell.runner.run(Crawl, value, **ME) for value in ("1", 1, True, "true")]
        assert len({await stored_key(stepwell, handle.workflow_id) for handle in handles}) == 4


# -- refusals ---------------------------------------------------------------------------------------------------------


class Awkward(Exception):
    def __str__(self) -> str:
        raise RuntimeError("unreadable")


def raising(error: BaseException) -> Callable[[Page], str]:
    def key(page: Page) -> str:
        raise error

    return key


async def coroutine() -> str:
    return "x"


REFUSED: list[tuple[Any, str]] = [
    ("args.price", "it is 1.5 of type float"),
    ("args.day", r"it is datetime.date\(2026, 1, 5\) of type date"),
    ("args.tags", r"it is \[\] of type list"),
    ("args.site", "of type Site"),
    ("args", "of type Page"),
    ("args.any.host", "it raised KeyError"),
    (lambda page: 1.0, "it is 1.0 of type float. A key is a text, a whole number, a bool, an enum, a UUID, or None"),
    (lambda page: b"x", "of type bytes"),
    (lambda page: Colour.PAIR, "of type Colour"),
    (lambda page: object(), "of type object"),
    (lambda page: coroutine(), "of type coroutine"),
    (lambda page: 10**5000, "can't be a key: Exceeds the limit"),
    (lambda page: page.nowhere, "it raised AttributeError: .*nowhere"),
    (raising(StopIteration()), "it raised StopIteration"),
    (raising(SystemExit(3)), "it raised SystemExit: 3"),
    (raising(KeyboardInterrupt()), "it raised KeyboardInterrupt"),
    (raising(asyncio.CancelledError()), "it raised CancelledError"),
    (raising(GeneratorExit()), "it raised GeneratorExit"),
    (raising(Awkward()), "it raised Awkward: .its message can't be read"),
    (raising(BaseExceptionGroup("many", [SystemExit()])), "it raised BaseExceptionGroup"),
]


MAKE: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "concurrency": ("Concurrency", lambda key: [Concurrency(1), Concurrency(2, key=key)]),
    "rate_limit": ("RateLimit", lambda key: RateLimit(1, MINUTE, key=key)),
    "debounce": ("Debounce", lambda key: Debounce(MINUTE, key=key)),
    "fair_by": ("fair_by", lambda key: key),
}


@pytest.mark.parametrize("keyword", MAKE)
async def test_what_is_no_key_refuses_the_start(stepwell_on: StepwellOn, keyword: str) -> None:
    written, make = MAKE[keyword]
    refused = REFUSED if keyword == "concurrency" else REFUSED[-8:]
    crawls = [
        (crawl(None, **{"concurrency": (), keyword: make(key)}, name=f"crawl{n}"), text)
        for n, (key, text) in enumerate(refused)
    ]
    async with stepwell_on([one for one, _ in crawls]) as stepwell:
        before = await counts(stepwell)
        for Crawl, text in crawls:
            runner = stepwell.runner
            for start in (runner.run(Crawl, **ME), runner.run_sync(Crawl, **ME), runner.run_many([Start(Crawl)], **ME)):
                with pytest.raises(InvalidArgs, match=f"Crawl: the key of {written}.*{text}") as caught:
                    await start
                assert caught.value.http_status == 422
                assert caught.value.errors()[0]["type"] == "limit_key"
        assert await counts(stepwell) == before


async def test_all_or_nothing_of_many_starts(stepwell_on: StepwellOn) -> None:
    Crawl = crawl("args.any.host")
    async with stepwell_on([Crawl], embedded_worker=False) as stepwell:
        with pytest.raises(InvalidArgs):
            await stepwell.runner.run_many([Start(Crawl, {"any": {"host": "a"}}), Start(Crawl, {"any": {}})], **ME)
        assert "stepwell_runs" not in await counts(stepwell)


async def test_a_function_gets_args_of_its_own(stepwell_on: StepwellOn) -> None:
    def changing(page: Page) -> str:
        page.url += "!"
        page.tags.append("x")
        return page.url

    Crawl = crawl(None, concurrency=[Concurrency(1, key=changing), Concurrency(1, key=changing)], fair_by=changing)
    async with stepwell_on([Crawl], embedded_worker=False) as stepwell:
        handle = await stepwell.runner.run(Crawl, Page(url="a"), **ME)
        run = await handle.get()
        assert (run.args["url"], run.args["tags"]) == ("a", [])
        [text] = [
            column
            for row in (await everything(stepwell))["stepwell_runs"]
            for column in row
            if str(column).startswith("[[")
        ]
        assert {parts.key for gate in gates_of(text) if (parts := parts_of(gate.id))} == {'"a!"'}


async def test_an_event_that_a_key_refuses_is_listed(stepwell_on: StepwellOn) -> None:
    def host(page: Page) -> str:
        return str(page.any["host"])

    class Listens(Workflow[Page], on=Event("seen"), concurrency=Concurrency(1, key=host)):
        @transition(target=END)
        async def go(self) -> None: ...

    class Other(Workflow[Page], on=Event("seen")):
        @transition(target=END)
        async def go(self) -> None: ...

    async with stepwell_on([Listens, Other]) as stepwell:
        emitted = await stepwell.runner.emit("seen", {"any": {}})
        assert len(emitted.started) == 1
        [refused] = emitted.refused
        assert (refused.workflow_name, refused.transition) == ("listens", None)
        assert "the key of Concurrency(1, key=host)" in refused.reason
        assert "KeyError" in refused.reason
        emitted = await stepwell.runner.emit("seen", {"any": {"host": "a"}})
        assert (len(emitted.started), emitted.refused) == (2, ())


async def test_a_tick_that_a_key_refuses_is_told(
    harness_of: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    app = App("shop", workflows=[Refusing])
    app.schedule("nightly", workflow=Refusing, every=MINUTE)
    app.schedule("daily", workflow=Refusing, args={"url": "ok"}, every=MINUTE)
    async with harness_of([app]) as harness:
        await harness.advance(MINUTE)
        rows = (await everything(harness.stepwell))["stepwell_ticks"]
        assert sorted((row[1], row[4]) for row in rows) == [("daily", "fired"), ("nightly", "refused")]
        assert "could not fire its tick" in caplog.text


def refusing(page: Page) -> str:
    if page.url != "ok":
        raise SystemExit
    return page.url


class Refusing(Workflow[Page], concurrency=Concurrency(1, key=refusing)):
    @transition(target=END)
    async def go(self) -> None: ...


class Parent(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        await self.start(Refusing, {"url": "bad"})


async def test_a_child_that_a_key_refuses_fails_the_attempt(harness_on: HarnessOn) -> None:
    async with harness_on([Parent, Refusing]) as harness:
        done = await harness.runner.run_sync(Parent, **ME)
        assert done.status == "failed"
        assert "InvalidArgs: Refusing: the key of Concurrency(1, key=refusing)" in (done.error or "")
        assert len((await everything(harness.stepwell))["stepwell_runs"]) == 1


async def test_stateless_runs_have_no_limits(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Refusing]) as stepwell:
        done = await stepwell.runner.run_sync(Refusing, Page(url="bad"), **ME, stateless=True)
        assert done.status == "completed"

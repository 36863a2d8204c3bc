"""The trips of docs/architecture.md name the files that are really entered: they are taken here, and watched."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from pydantic import BaseModel

import stepwell
from servers.postgres import Postgres
from stepwell import END, App, Settings, Stepwell, Workflow, transition

PACKAGE = Path(stepwell.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
TIMES = 30
"""How often a trip is taken. What runs beside it now and then (a heartbeat, a sweep) is there a few times only."""


class Watch:
    """Notes the package's files that are entered while it is on, in the order of their first calls."""

    def __init__(self) -> None:
        self.on = False
        self.taken: list[dict[str, None]] = []
        self.task: asyncio.Task[Any] | None = None

    def begin(self, task: asyncio.Task[Any] | None = None) -> None:
        """Of the loop's tasks only this one is watched, if one is given: not those that a notification wakes."""
        self.taken.append({})
        self.task = task
        self.on = True
        sys.setprofile(self.note)

    def end(self) -> None:
        sys.setprofile(None)
        self.on = False

    def files(self) -> list[str]:
        """Those that most of the trips entered."""
        times = Counter(name for trip in self.taken for name in trip)
        return [name for name, number in times.items() if number > len(self.taken) / 2]

    def note(self, frame: FrameType, event: str, _: object) -> None:
        if self.on and event == "call":
            name = in_package(frame.f_code.co_filename)
            if name is not None and not self._beside(frame.f_code.co_name):
                self.taken[-1][name] = None

    def _beside(self, function: str) -> bool:
        thread = threading.current_thread()
        if thread is not threading.main_thread():
            return thread.name == "stepwell-heartbeat"
        if function == "_seen":  # by which the thread of the heartbeat knows that the loop isn't blocked
            return True
        return self.task is not None and asyncio.current_task() not in (None, self.task)


@cache
def in_package(file: str) -> str | None:
    """The path inside the package; None for what isn't in it."""
    path = Path(file)
    return path.relative_to(PACKAGE).as_posix() if PACKAGE in path.parents else None


class Order(BaseModel):
    number: int


class State(BaseModel):
    decision: str = ""


class Review(Workflow[Order, State, str]):
    """Waits for a decision."""

    @transition(target="review")
    async def ask(self) -> None: ...

    @transition("review", END, wait=True)
    async def decide(self, decision: str) -> str:
        return decision


class Ship(Workflow[Order, State, str]):
    """The trip of a checkpoint leads from the end of one method to the beginning of the next."""

    watch: Watch

    @transition(target="packed")
    async def pack(self) -> None:
        await asyncio.sleep(0.05)  # whoever started it has gone on meanwhile
        self.state.decision = "ship"
        self.watch.begin()

    @transition("packed", END)
    async def send(self) -> str:
        self.watch.end()
        return "sent"


@contextmanager
def profiled(watch: Watch) -> Iterator[None]:
    threading.setprofile(watch.note)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


@asynccontextmanager
async def opened(url: str, watch: Watch, *, worker: bool) -> AsyncIterator[Stepwell]:
    settings = Settings(database_url=url, auto_migrate=True)
    with profiled(watch):
        async with Stepwell(
            apps=[App("trips", workflows=[Review, Ship])], settings=settings, embedded_worker=worker
        ) as one:
            yield one


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/trips.db"


async def start(one: Stepwell, number: int) -> str:
    return (await one.runner.run(Review, Order(number=number), app_name="trips", user_id="u1")).workflow_id


def trip(title: str) -> set[str]:
    """The files that this trip of the page names."""
    _, _, rest = PAGE.read_text().partition(f"\n### {title}\n")
    return set(re.findall(r"`([\w/]+\.py)`", re.split(r"\n##", rest)[0]))


@pytest.mark.thorough
async def test_a_start(watch: Watch, file: str) -> None:
    async with opened(file, watch, worker=False) as one:
        await start(one, 0)
        for number in range(TIMES):
            watch.begin(asyncio.current_task())
            await start(one, number)
            watch.end()
    assert trip("A start") == set(watch.files()), watch.files()


@pytest.mark.thorough
async def test_a_signal(watch: Watch, file: str) -> None:
    async with opened(file, watch, worker=False) as one:
        started = [
            await one.runner.run_sync(Review, Order(number=number), app_name="trips", user_id="u1")
            for number in range(TIMES + 1)
        ]
        await one.runner.signal(str(started[0].workflow_id), "decide", "yes")
        for run in started[1:]:
            watch.begin(asyncio.current_task())
            await one.runner.signal(str(run.workflow_id), "decide", "yes")
            watch.end()
    assert trip("A signal") == set(watch.files()), watch.files()


@pytest.mark.thorough
async def test_a_checkpoint_on_postgresql(watch: Watch, postgres_server: Postgres) -> None:
    Ship.watch = watch
    url = postgres_server.create_database("trips")
    async with opened(url, watch, worker=True) as one:
        for number in range(TIMES + 1):
            run = await one.runner.run(Ship, Order(number=number), app_name="trips", user_id="u1")
            await run.result()
    postgres_server.drop_database("trips")
    del watch.taken[0]
    assert trip("A checkpoint on PostgreSQL") == set(watch.files()), watch.files()


def test_what_the_page_names_exists() -> None:
    text, _, faults = PAGE.read_text().partition("\n## What must never happen\n")
    named = set(re.findall(r"`([\w/]+(?:\.py|/))`", text)) - {"src/stepwell/"}
    tests = set(re.findall(r"`([\w/]+\.py)`", faults))
    missing = {name for name in named if not any((top / name).exists() for top in (PACKAGE, ROOT))}
    assert not missing | {name for name in tests if not (ROOT / "tests" / name).exists()}

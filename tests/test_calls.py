"""How many calls a transition costs on the event loop: the part of its cost that doesn't depend on the machine.

Each number is a bound with some room over what is counted today. Whoever needs more raises it, and says in the commit why;
docs/why/calls.md has where the calls go.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from cProfile import Profile
from pathlib import Path

from pydantic import BaseModel

from stepwell import END, App, Settings, Stepwell, Workflow, transition

RUNS = 300
STEPS = 3
ME = {"app_name": "calls", "user_id": "user"}


class Number(BaseModel):
    number: int = 0


class Total(BaseModel):
    total: int = 0


class ThreeSteps(Workflow[Number, Total]):
    @transition(target="one")
    async def first(self) -> None: ...

    @transition("one", "two")
    async def second(self) -> None: ...

    @transition("two", END)
    async def third(self) -> None: ...


async def calls_of(act: Callable[[], Awaitable[None]]) -> int:
    """Calls of Python's and C's functions in the thread of the loop."""
    gc.collect()
    profile = Profile()
    profile.enable()
    try:
        await act()
    finally:
        profile.disable()
    return sum(entry.callcount for entry in profile.getstats())


def opened(path: Path) -> Stepwell:
    settings = Settings(database_url=f"sqlite+aiosqlite:///{path / 'calls.db'}")
    return Stepwell(apps=[App("calls", workflows=[ThreeSteps])], settings=settings)


async def test_calls_of_a_durable_transition(tmp_path: Path) -> None:
    """From the start to the result. A flush costs some thirty calls, and a slow machine may need one for each write."""
    async with opened(tmp_path) as stepwell:

        async def one() -> None:
            await (await stepwell.runner.run(ThreeSteps, {"number": 1}, **ME)).result()

        async def all_of_them() -> None:
            await asyncio.gather(*(one() for _ in range(RUNS)))

        await one()
        assert await calls_of(all_of_them) / RUNS / STEPS < 180


async def test_calls_of_a_stateless_transition(tmp_path: Path) -> None:
    async with opened(tmp_path) as stepwell:

        async def one() -> None:
            await stepwell.runner.run_sync(ThreeSteps, {"number": 1}, **ME, stateless=True)

        async def all_of_them() -> None:
            for _ in range(RUNS):
                await one()

        await one()
        assert await calls_of(all_of_them) / RUNS / STEPS < 85

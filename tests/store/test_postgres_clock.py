"""Machines whose clocks disagree by minutes agree about moments: those of the database (fault 13)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

from backends import PostgresDatabase
from stepwell import END, App, Settings, Stepwell, Workflow, transition
from stepwell.execution.clock import SystemClock, to_moment

MINUTES = 5 * 60 * 1_000_000_000


class Wait(Workflow[None, None, str]):
    @transition(target="waiting")
    async def begin(self) -> None: ...

    @transition("waiting", END, after=timedelta(seconds=1))
    async def wake(self) -> str:
        return "rang"


def ahead(nanoseconds: int) -> Callable[[], int]:
    return lambda: time.time_ns() + nanoseconds


async def test_fault_13_a_timer_is_due_when_the_database_says_so_whatever_the_clocks_of_two_processes_say(
    postgres_database_: PostgresDatabase,
) -> None:
    app = App("shop", workflows=[Wait])
    settings = Settings(_env_file=None, database_url=postgres_database_.url)
    fast = Stepwell([app], settings=settings, clock=SystemClock(ahead(MINUTES)))
    slow = Stepwell([app], settings=settings, clock=SystemClock(ahead(-MINUTES)), embedded_worker=False)
    async with fast, slow:
        handles = [await one.runner.run(Wait, app_name="shop", user_id="u1") for one in (slow, fast)]
        began = time.monotonic()
        assert await asyncio.gather(*(handle.result(60) for handle in handles)) == ["rang", "rang"]
        assert time.monotonic() - began > 0.9
        for handle in handles:
            created = to_moment((await handle.get()).created_at)
            assert abs(created - time.time_ns() // 1000) < 120_000_000

"""Crashes at every commit: each time another process takes over, and everything must end as if nothing had happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from stepwell.app import App
from stepwell.composition import Stepwell
from stepwell.process import Process
from stepwell.settings import Settings
from stepwell.store import workers
from stepwell.testing.clock import Rest, VirtualClock
from stepwell.testing.expectation import differences
from stepwell.testing.player import Player, Story
from stepwell.testing.seams import Crash, Side, install
from stepwell.testing.setting_up import RehearsedStepwell, Setup, set_up
from stepwell.testing.snapshot import snapshot

_SHOWN: Final = 20
_SIDES: Final[tuple[Side, ...]] = ("before", "after")


@dataclass(frozen=True, slots=True)
class CrashReport:
    """The extent of a `crash_everywhere`."""

    commits: int
    """Commits of the undisturbed run."""
    crashes: int
    """Crashes that were survived."""
    names: tuple[str, ...]
    """The change made by each commit, in order."""


async def crash_everywhere(story: Story) -> CrashReport:
    """Crash a run at each commit and return a report. Raises AssertionError with what was there instead.

    Raises it before the first crash if the undisturbed run doesn't end as expected.
    """
    async with story.databases.ready():
        undisturbed = Crash()
        expected = await end_of(story, undisturbed)
        names = tuple(undisturbed.names)
        crashes = 0
        for number, name in enumerate(names, 1):
            for side in _SIDES:
                crash = Crash(number, side)
                found = await end_of(story, crash)
                crashes += crash.happened.is_set()
                _compare(expected, found, f"{side} commit {number} of {len(names)} ({name})")
        return CrashReport(len(names), crashes, names)


def _compare(expected: Any, found: Any, where: str) -> None:
    lines = list(differences(expected, found))
    if not lines:
        return
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    shown = "".join(f"\n  {line}" for line in [*lines[:_SHOWN], *more])
    raise AssertionError(f"After a crash {where} the run ended differently:{shown}")


async def end_of(story: Story, crash: Crash) -> dict[str, Any]:
    """Return the run at the end of the story, on a database of its own; after the crash a second process continues it.

    Raises AssertionError if it wasn't disturbed and isn't as the story expects.
    """
    async with story.databases.fresh() as settings:
        clock = VirtualClock(story.begin)
        player = Player(story, clock)
        stepwell = _stepwell(story, settings, clock)
        async with doomed(stepwell, crash, story.setup) as process:
            playing = asyncio.ensure_future(player.play(stepwell, Rest(process, clock, stepwell.runner)))
            if await _ended(playing, crash):
                if crash.number == 0:
                    await player.check(stepwell.runner)
                return await snapshot(stepwell.runner, player.run_id)
        async with _stepwell(story, settings, clock) as successor:
            assert successor.process is not None  # it is open
            await bury(successor.process)
            await player.play(successor, Rest(successor.process, clock, successor.runner))
            return await snapshot(successor.runner, player.run_id)


def _stepwell(story: Story, settings: Settings, clock: VirtualClock) -> Stepwell:
    # Without triggers: a tick between two signals would be no part of the story.
    apps = [App(app.name, workflows=[one.workflow for one in app.definitions.values()]) for app in story.apps]
    return RehearsedStepwell(apps, settings, clock, story.stand_ins)


async def _ended(playing: asyncio.Future[None], crash: Crash) -> bool:
    """Return whether the story came to its end without the crash."""
    crashing = asyncio.ensure_future(crash.happened.wait())
    both: set[asyncio.Future[Any]] = {playing, crashing}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    crashing.cancel()
    if crash.happened.is_set():
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        return False
    await playing
    return True


@asynccontextmanager
async def doomed(stepwell: Stepwell, crash: Crash, setup: Setup | None = None) -> AsyncIterator[Process]:
    """Yield the open process, set up, which dies at the crash; then it is thrown away without a shutdown or heartbeat."""
    async with stepwell:
        process = stepwell.process
        assert process is not None  # it is open
        await set_up(stepwell, setup)
        install(process, crash)
        try:
            yield process
        finally:
            if crash.happened.is_set():
                stepwell.process = None
                crash.bury()
                await process.close(hand_over=False)
                process.shared.threads.close()


async def bury(process: Process) -> None:
    """Declare every other worker of the database dead: its runs are ready for this one."""
    for row in await process.store.read(workers.all_of):
        if row.id != process.worker_id:
            await process.sweep.take_over(row)

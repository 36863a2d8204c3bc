"""Crashes at every commit: each time another process takes over, and everything must end as if nothing had happened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from stepwell.app import App
from stepwell.composition import Stepwell
from stepwell.execution.clock import microseconds, to_moment
from stepwell.process import Process
from stepwell.runner.models import Run
from stepwell.runner.runner import WorkflowRunner
from stepwell.settings import Settings
from stepwell.store import workers
from stepwell.testing.clock import Rest, VirtualClock, advance
from stepwell.testing.expectation import Expectation, check, differences
from stepwell.testing.seams import Crash, Side, install

Script = Sequence[tuple[str | Callable[..., object], Any] | timedelta]
"""The events of the run each time it rests: a signal (name, data), or a time that passes."""
_SHOWN = 20
_KEY = "crash_everywhere"


@dataclass(frozen=True, slots=True)
class CrashReport:
    """The extent of a `crash_everywhere`."""

    commits: int
    """Commits of the undisturbed run."""
    crashes: int
    """Crashes that were survived."""
    names: tuple[str, ...]
    """The change made by each commit, in order."""


@dataclass(frozen=True, slots=True)
class Story:
    """One workflow's run from its start to where it rests, repeated for each crash."""

    apps: Sequence[App]
    settings: Settings | None
    begin: datetime
    workflow: Any
    args: Any
    app_name: str
    user_id: str
    signals: Script
    within: timedelta
    timeout: float
    expect: Expectation


async def crash_everywhere(story: Story) -> CrashReport:
    """Crash a run at each commit and return a report. Raises AssertionError with what was there instead.

    Raises it before the first crash if the undisturbed run doesn't end as expected.
    """
    undisturbed = Crash()
    expected = await end_of(story, undisturbed)
    names = tuple(undisturbed.names)
    crashes = 0
    for number, name in enumerate(names, 1):
        for side in ("before", "after"):
            crash = Crash(number, side)
            found = await end_of(story, crash)
            crashes += crash.happened.is_set()
            _compare(expected, found, f"{side} commit {number} of {len(names)} ({name})", side)
    return CrashReport(len(names), crashes, names)


def _compare(expected: Any, found: Any, where: str, side: Side) -> None:
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
    with TemporaryDirectory(prefix="stepwell-", ignore_cleanup_errors=True) as folder:
        clock = VirtualClock(story.begin)
        player = Player(story, clock)
        stepwell = _stepwell(story, Path(folder), clock)
        async with doomed(stepwell, crash) as process:
            playing = asyncio.ensure_future(player.play(stepwell.runner, Rest(process, clock, stepwell.runner)))
            if await _ended(playing, crash):
                if crash.number == 0:
                    await player.check(stepwell.runner)
                return await snapshot(stepwell.runner, player.run_id)
        async with _stepwell(story, Path(folder), clock) as successor:
            assert successor.process is not None  # it is open
            await bury(successor.process)
            await player.play(successor.runner, Rest(successor.process, clock, successor.runner))
            return await snapshot(successor.runner, player.run_id)


def _stepwell(story: Story, folder: Path, clock: VirtualClock) -> Stepwell:
    # Without triggers: a tick between two signals would be no part of the story.
    apps = [App(app.name, workflows=[one.workflow for one in app.definitions.values()]) for app in story.apps]
    return Stepwell(apps, settings=private(story.settings, folder), clock=clock)


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
async def doomed(stepwell: Stepwell, crash: Crash) -> AsyncIterator[Process]:
    """Yield the open process, which dies at the crash; then it is thrown away without a shutdown or heartbeat."""
    async with stepwell:
        process = stepwell.process
        assert process is not None  # it is open
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


class Player:
    """Plays the story to any process, and continues after an interruption: each of its requests counts once."""

    def __init__(self, story: Story, clock: VirtualClock) -> None:
        self._story = story
        self._clock = clock
        self._done = 0
        self._target: int | None = None
        self._last = to_moment(story.begin) + microseconds(story.within)
        self.run_id = ""

    async def play(self, runner: WorkflowRunner, rest: Rest) -> None:
        """Play until the run has ended, or rests with nothing left of the story and nothing due within its time."""
        story = self._story
        handle = await runner.run(
            story.workflow, story.args, app_name=story.app_name, user_id=story.user_id, idempotency_key=_KEY
        )
        self.run_id = handle.workflow_id
        await rest.reached(story.timeout)
        while (await handle.get()).status not in ("completed", "canceled", "failed") and await self._next(runner, rest):
            await rest.reached(story.timeout)

    async def check(self, runner: WorkflowRunner) -> None:
        """Raise AssertionError unless the run ended as expected, and all of the story's signals had reached it."""
        run = await runner.get(self.run_id)
        check(run, self._story.expect, (await runner.explain(self.run_id)).reasons)
        if unsent := [
            getattr(given[0], "__qualname__", given[0])
            for given in self._story.signals[self._done :]
            if not isinstance(given, timedelta)
        ]:
            raise AssertionError(
                f"The undisturbed run of {run.workflow_name!r} was {run.status!r} at {run.place!r} before it was sent"
                f" {', '.join(map(repr, unsent))}: remove the signals that it doesn't wait for from `signals=`."
            )

    async def _next(self, runner: WorkflowRunner, rest: Rest) -> bool:
        """Play the next event, and return whether there was one."""
        if self._done == len(self._story.signals):
            return await self._wait(rest)
        match self._story.signals[self._done]:
            case timedelta() as duration:
                self._target = self._target or self._clock.now() + microseconds(duration)
                await advance(rest, self._clock, self._target, self._story.timeout)
                self._target = None
            case (name, data):
                await runner.signal(self.run_id, cast("str", name), data, idempotency_key=f"{_KEY} {self._done}")
        self._done += 1
        return True

    async def _wait(self, rest: Rest) -> bool:
        moment = await rest.next_moment()
        if moment is None or moment > self._last:
            return False
        self._clock.move_to(moment)
        return True


async def snapshot(runner: WorkflowRunner, run_id: str) -> dict[str, Any]:
    """Return the run with all it owns and its children, without ids and times, which differ between runs."""
    ids: dict[str, str] = {}
    found = await _snapshot(runner, run_id, "the run", ids)
    text = json.dumps(found)
    for known, name in ids.items():
        text = text.replace(known, f"<{name}>")
    snapshot: dict[str, Any] = json.loads(text)
    return snapshot


async def _snapshot(runner: WorkflowRunner, run_id: str, name: str, ids: dict[str, str]) -> dict[str, Any]:
    ids[run_id] = name
    run = await runner.get(run_id)
    history = [row.model_dump(mode="json", include=_ROW) for row in await runner.history(run_id)]
    documents = [
        one.model_dump(mode="json", include=_DOCUMENT) for one in await runner.documents(run_id, replaced=True)
    ]
    children = [child async for child in _children(runner, run_id)][::-1]
    return {
        **run.model_dump(mode="json", include=_RUN),
        "history": history,
        "documents": documents,
        "children": [
            await _snapshot(runner, child.workflow_id, f"child {n} of {name}", ids)
            for n, child in enumerate(children, 1)
        ],
    }


async def _children(runner: WorkflowRunner, run_id: str) -> AsyncIterator[Run]:
    cursor: str | None = None
    while True:
        page = await runner.list(parent_id=run_id, limit=1000, cursor=cursor)
        for child in page.items:
            yield child
        if (cursor := page.next_cursor) is None:
            return


_RUN = {"workflow_name", "status", "place", "state", "result", "error", "waiting_for", "args", "version"}


_ROW = {"version", "transition", "source", "target", "attempt", "status", "error", "state"}


_DOCUMENT = {"name", "key", "content", "tags", "meta", "errors", "transition", "version", "internal"}


class Hermetic(Settings):
    """Settings that no variable and no `.env` of the machine can change."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def private(settings: Settings | None, folder: Path, **changes: Any) -> Settings:
    """Return settings for a file of their own in `folder`; runs that a test leaves executing aren't waited for on closing."""
    file = f"sqlite+aiosqlite:///{folder / 'stepwell.db'}"
    alone = {"database_url": file, "database_schema": None, "transaction_pooler": False, "queue_url": None}
    changes = {**alone, "drain_seconds": 0.0, **changes}
    return Hermetic(**changes) if settings is None else settings.model_copy(update=changes)

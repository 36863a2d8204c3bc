"""Crashes at every commit: each time another process takes over, and everything must end as if nothing had happened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stepwell.app import App, Stepwell
from stepwell.execution.clock import microseconds, to_moment
from stepwell.process import Process
from stepwell.runner.runner import WorkflowRunner
from stepwell.settings import Settings
from stepwell.store import workers
from stepwell.testing.clock import VirtualClock
from stepwell.testing.difference import differences
from stepwell.testing.private import private
from stepwell.testing.rest import Rest, advance
from stepwell.testing.seams import Crash, Side, install

Script = Sequence[tuple[str, Any] | timedelta]
"""What happens to the run each time it rests: a signal (name, data), or so much time passes."""

_SHOWN = 20
_KEY = "crash_everywhere"


@dataclass(frozen=True, slots=True)
class CrashReport:
    """What `crash_everywhere` tried."""

    commits: int
    """Commits of the undisturbed run."""
    crashes: int
    """Crashes that were survived."""
    names: tuple[str, ...]
    """What each commit made true, in order."""


@dataclass(frozen=True, slots=True)
class Story:
    """One workflow's run from its start to where it rests, as it is told again for each crash."""

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


async def crash_everywhere(story: Story) -> CrashReport:
    """A report of crashes that were all survived. Raises AssertionError with what was there instead."""
    undisturbed = Crash()
    expected = await told(story, undisturbed)
    names = tuple(undisturbed.names)
    crashes = 0
    for number, name in enumerate(names, 1):
        for side in ("before", "after"):
            crash = Crash(number, side)
            found = await told(story, crash)
            crashes += crash.happened.is_set()
            _compare(expected, found, f"{side} commit {number} of {len(names)} ({name})", side)
    return CrashReport(len(names), crashes, names)


def _compare(expected: Any, found: Any, where: str, side: Side) -> None:
    lines = list(differences(expected, found))
    if not lines:
        return
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    shown = "".join(f"\n  {line}" for line in [*lines[:_SHOWN], *more])
    raise AssertionError(f"After a crash {where} the run ended otherwise:{shown}")


async def told(story: Story, crash: Crash) -> dict[str, Any]:
    """The run as it stands at the end of the story, told on a database of its own; after the crash by a second process."""
    with TemporaryDirectory(prefix="stepwell-", ignore_cleanup_errors=True) as folder:
        clock = VirtualClock(story.begin)
        teller = Teller(story, clock)
        stepwell = _stepwell(story, Path(folder), clock)
        async with doomed(stepwell, crash) as process:
            telling = asyncio.ensure_future(teller.tell(stepwell.runner, Rest(process, clock, stepwell.runner)))
            if await _ended(telling, crash):
                return await snapshot(stepwell.runner, teller.run_id)
        async with _stepwell(story, Path(folder), clock) as successor:
            assert successor.process is not None  # it is open
            await bury(successor.process)
            await teller.tell(successor.runner, Rest(successor.process, clock, successor.runner))
            return await snapshot(successor.runner, teller.run_id)


def _stepwell(story: Story, folder: Path, clock: VirtualClock) -> Stepwell:
    # Without triggers: a tick between two signals would be no part of the story.
    apps = [App(app.name, workflows=[one.workflow for one in app.definitions.values()]) for app in story.apps]
    return Stepwell(apps, settings=private(story.settings, folder), clock=clock)


async def _ended(telling: asyncio.Future[None], crash: Crash) -> bool:
    """True if the story came to its end without the crash."""
    crashing = asyncio.ensure_future(crash.happened.wait())
    both: set[asyncio.Future[Any]] = {telling, crashing}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    crashing.cancel()
    if crash.happened.is_set():
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        return False
    await telling
    return True


@asynccontextmanager
async def doomed(stepwell: Stepwell, crash: Crash) -> AsyncIterator[Process]:
    """The open process, which dies at the crash; then it is thrown away without a goodbye, and its heart stands still."""
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
    """Every other worker of the database is dead: its runs are ready for this one."""
    for row in await process.store.read(workers.all_of):
        if row.id != process.worker_id:
            await process.sweep.take_over(row)


class Teller:
    """Tells the story to whatever process there is, and goes on where it was interrupted: what it asks for counts once."""

    def __init__(self, story: Story, clock: VirtualClock) -> None:
        self._story = story
        self._clock = clock
        self._done = 0
        self._target: int | None = None
        self._last = to_moment(story.begin) + microseconds(story.within)
        self.run_id = ""

    async def tell(self, runner: WorkflowRunner, rest: Rest) -> None:
        """The run has ended, or rests with nothing left of the story and nothing due within its time."""
        story = self._story
        handle = await runner.run(
            story.workflow, story.args, app_name=story.app_name, user_id=story.user_id, idempotency_key=_KEY
        )
        self.run_id = handle.workflow_id
        await rest.reached(story.timeout)
        while (await handle.get()).status not in ("completed", "canceled", "failed") and await self._next(runner, rest):
            await rest.reached(story.timeout)

    async def _next(self, runner: WorkflowRunner, rest: Rest) -> bool:
        """True if something happened to the run."""
        if self._done == len(self._story.signals):
            return await self._wait(rest)
        match self._story.signals[self._done]:
            case timedelta() as duration:
                self._target = self._target or self._clock.now() + microseconds(duration)
                await advance(rest, self._clock, self._target, self._story.timeout)
                self._target = None
            case (name, data):
                await runner.signal(self.run_id, name, data, idempotency_key=f"{_KEY} {self._done}")
        self._done += 1
        return True

    async def _wait(self, rest: Rest) -> bool:
        moment = await rest.next_moment()
        if moment is None or moment > self._last:
            return False
        self._clock.move_to(moment)
        return True


async def snapshot(runner: WorkflowRunner, run_id: str) -> dict[str, Any]:
    """The run with all it owns and its children, without what differs from one run to the next: ids and times."""
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
    children = list(reversed((await runner.list(parent_id=run_id, limit=1000)).items))
    return {
        **run.model_dump(mode="json", include=_RUN),
        "history": history,
        "documents": documents,
        "children": [
            await _snapshot(runner, child.workflow_id, f"child {n} of {name}", ids)
            for n, child in enumerate(children, 1)
        ],
    }


_RUN = {"workflow_name", "status", "place", "state", "result", "error", "waiting_for", "args", "version"}
_ROW = {"version", "transition", "source", "target", "attempt", "status", "error", "state"}
_DOCUMENT = {"name", "key", "content", "tags", "meta", "errors", "transition", "version", "internal"}

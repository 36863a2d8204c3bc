"""Following a run until it rests."""

from __future__ import annotations

import asyncio
import time

from stepwell.app import Stepwell
from stepwell.cli.output import say, step_line
from stepwell.runner.models import Run, checkpoint_of
from stepwell.store import history, runs, workers

_LOOK = 0.5
"""Seconds between looks where no hint comes."""
_MOVING = ("pending", "running", "retrying")


async def followed(stepwell: Stepwell, run_id: str, *, seconds: float | None = None, quiet: bool = False) -> Run:
    """The run where it rests: ended, or waiting for somebody. Its checkpoints are told on stderr meanwhile.

    After `seconds` the run as it stands; it goes on.
    """
    told = -1
    deadline = None if seconds is None else time.monotonic() + seconds
    changed = asyncio.Event()
    assert stepwell.process is not None  # it is open
    unsubscribe = stepwell.process.hub.subscribe(lambda _: changed.set())
    try:
        while True:
            changed.clear()
            run = await stepwell.runner.get(run_id)
            if not quiet:
                told = await _tell(stepwell, run_id, told)
            if await _rests(stepwell, run) or (deadline is not None and time.monotonic() >= deadline):
                return run
            await _wait(changed, deadline)
    finally:
        unsubscribe()


async def _wait(changed: asyncio.Event, deadline: float | None) -> None:
    left = _LOOK if deadline is None else min(_LOOK, max(deadline - time.monotonic(), 0))
    try:
        async with asyncio.timeout(left):
            await changed.wait()
    except TimeoutError:
        pass


async def _tell(stepwell: Stepwell, run_id: str, told: int) -> int:
    rows = await stepwell.runner.core.store.read(lambda given: history.of_run(given, run_id, told))
    for row in rows:
        say(step_line(checkpoint_of(row)))
    return rows[-1].row.version if rows else told


async def _rests(stepwell: Stepwell, run: Run) -> bool:
    if run.status in ("completed", "canceled", "failed"):
        return True
    if run.status in _MOVING:
        return False
    if run.due_at is not None and not run.waiting_for:
        return False  # only a timer: it goes on by itself
    row = await stepwell.runner.core.store.read(lambda given: runs.load_one(given, run.workflow_id))
    if row is None or (row.status, row.version) != (run.status, run.version) or row.ready_at is not None:
        return False  # it has gone on since, or its signal or its moment has come already
    children = await stepwell.runner.list(parent_id=run.workflow_id, limit=1000)
    return not any(child.status in _MOVING for child in children.items)


async def workers_alive(stepwell: Stepwell, app_name: str, workflow_name: str) -> int:
    """How many other processes take this workflow, as far as their heartbeats tell."""
    process = stepwell.process
    assert process is not None  # it is open
    rows = await process.store.read(workers.all_of)
    since = process.shared.clock.now() - round(process.settings.lease_seconds * 1_000_000)
    alive = [row for row in rows if row.id != process.worker_id and row.seen_at >= since]
    return sum([app_name, workflow_name] in workers.lanes_of(row) for row in alive)


async def hint_without_workers(stepwell: Stepwell, run: Run) -> None:
    """Says so on stderr if nobody is there to take the run on."""
    if run.finished_at is None and not await workers_alive(stepwell, run.app_name, run.workflow_name):
        say(f"No worker takes {run.app_name}/{run.workflow_name} now: start one with `stepwell worker`.")

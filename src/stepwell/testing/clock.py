"""A clock that stands still until the test moves it, and the rest of a process on it: nothing executes, is ready or is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from stepwell.engine.run import RunRow
from stepwell.execution.clock import Clock, to_datetime, to_moment
from stepwell.process import Process
from stepwell.runner.runner import WorkflowRunner
from stepwell.store import endings, workers
from stepwell.store.reading import queries
from stepwell.store.tx import Hints, Tx

_SHOWN = 10
"""Busy runs that a failure lists."""


class VirtualClock:
    """The `Clock` of a harness. Time is the same for all its parts, and passes only by `move_to`."""

    def __init__(self, start: datetime) -> None:
        self._now = to_moment(start)
        self._sleepers: dict[asyncio.Future[None], int] = {}
        self.on_sleep: Callable[[], None] = lambda: None
        """The function called when a part begins to wait for a moment."""

    def __repr__(self) -> str:
        return f"VirtualClock({self.now_datetime().isoformat()})"

    def now(self) -> int:
        """Return microseconds since 1970-01-01T00:00Z."""
        return self._now

    def now_datetime(self) -> datetime:
        """Return the time as an aware datetime (UTC)."""
        return to_datetime(self._now)

    async def sleep_until(self, moment: int) -> None:
        """Wait until the clock was moved to `moment` or beyond."""
        if moment <= self._now:
            return
        future = asyncio.get_running_loop().create_future()
        self._sleepers[future] = moment
        self.on_sleep()
        try:
            await future
        finally:
            self._sleepers.pop(future, None)

    def move_to(self, moment: int) -> None:
        """Set the time and wake those that wait for it. Must be called on the loop. Raises ValueError for the past."""
        if moment < self._now:
            raise ValueError(
                f"{to_datetime(moment).isoformat()} is in the past: it is {self.now_datetime().isoformat()}."
            )
        self._now = moment
        for future, due in list(self._sleepers.items()):
            if due <= moment and not future.done():
                future.set_result(None)


class PassingClock:
    """The `Clock` of one rehearsed transition: another clock's time, which passes at once wherever the transition waits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._passed = 0

    def now(self) -> int:
        """Return microseconds since 1970-01-01T00:00Z."""
        return max(self._clock.now(), self._passed)

    async def sleep_until(self, moment: int) -> None:
        """Let the time pass."""
        self._passed = max(self._passed, moment)
        await asyncio.sleep(0)


class Rest:
    """Waits for one process by its real events: commits, ends of passes, and sleepers on the clock."""

    def __init__(self, process: Process, clock: VirtualClock, runner: WorkflowRunner) -> None:
        self._process = process
        self._clock = clock
        self._runner = runner
        self._moved = asyncio.Event()
        self._answered = 0
        self._hint = process.store.writer.on_commit
        process.store.writer.on_commit = self._committed
        clock.on_sleep = self._moved.set

    def _committed(self, answered: int, hints: Hints) -> None:
        self._answered += answered
        self._hint(answered, hints)
        self._moved.set()

    async def reached(self, seconds: float) -> None:
        """Wait until the process is at rest. Raises AssertionError after `seconds` of real time."""
        try:
            async with asyncio.timeout(seconds) as limit:
                while not await self._quiet():
                    pass
        except TimeoutError:
            if not limit.expired():
                raise
            raise AssertionError(await self._restless(seconds)) from None

    async def _quiet(self) -> bool:
        """Return whether nothing moved between two answers of the writer, and there was nothing to do."""
        fired = await self._process.scheduler.fire_due()
        self._moved.clear()
        before = self._answered
        await self._fence()
        if awake := self._awake():
            await self._any_of(awake)
            return False
        if await self._push():
            return False
        await self._fence()
        if fired or self._answered != before + 2:
            return False
        # Again: a tick may be queued behind a run that ended between the first look and the first fence.
        return not await self._process.scheduler.fire_due()

    async def _fence(self) -> None:
        """Wait until earlier writes are durable and answered."""
        await self._process.store.writer.call(lambda tx: None)

    def _awake(self) -> dict[str, asyncio.Task[RunRow | None]]:
        asleep = self._process.passes.asleep
        return {run_id: task for run_id, task in self._process.passes.tasks.items() if run_id not in asleep}

    async def _any_of(self, awake: dict[str, asyncio.Task[RunRow | None]]) -> None:
        moved = asyncio.ensure_future(self._moved.wait())
        try:
            await asyncio.wait([moved, *awake.values()], return_when=asyncio.FIRST_COMPLETED)
        finally:
            moved.cancel()

    async def _push(self) -> bool:
        """Return whether something was due, after the duty responsible for it was woken or has done it."""
        process, now = self._process, self._clock.now()
        ready, marked, orphans = await process.store.read(self._look)
        due = await process.sweep.next_due()
        if due is not None and due <= now:
            await process.sweep.ripen()
        ended = await process.sweep.end_children() if marked else 0
        opening = await process.gatekeeper.next_due()
        opened = await process.gatekeeper.open_due() if opening is not None and opening <= now else 0
        decided = await process.groups.take_all()
        if orphans:
            await process.sweep.reconcile()
        if ready:
            process.queue.wake()
        return bool(ready or ended or opened or decided or orphans or (due is not None and due <= now))

    def _look(self, tx: Tx) -> tuple[list[RunRow], bool, set[str]]:
        """Return runs that this worker could claim, children to cancel, and runs that it owns without executing them."""
        process = self._process
        lanes = set(process.lanes)
        ready = [
            run
            for run in queries.ready(tx)
            if (run.app_name, run.workflow_name) in lanes and not process.queue.is_unfit(run)
        ]
        owned = workers.owned(tx, process.worker_id)
        return (ready, bool(endings.marked(tx, 1)), set(owned) - {run_id for run_id, _ in process.passes.held})

    # -- what comes next ------------------------------------------------------------------------------------------

    async def next_moment(self) -> int | None:
        """Return the first moment after now at which something is due; None if nothing ever is."""
        process = self._process
        moments = [
            await process.sweep.next_due(),
            await process.gatekeeper.next_due(),
            await process.scheduler.next_wake(),
            *process.passes.asleep.values(),
        ]
        return min((moment for moment in moments if moment is not None and moment > self._clock.now()), default=None)

    # -- failing --------------------------------------------------------------------------------------------------

    async def _restless(self, seconds: float) -> str:
        executing = self._process.passes.executing
        ready, marked, orphans = await self._process.store.read(self._look)
        ids = [*self._awake(), *orphans, *(run.id for run in ready)]
        lines = [f"  - {await self._described(run_id, executing)}" for run_id in dict.fromkeys(ids[:_SHOWN])]
        lines += [f"  - and {len(ids) - _SHOWN} more"] if len(ids) > _SHOWN else []
        lines += ["  - children of ended parents are still to be cancelled"] if marked else []
        return "\n".join(
            [
                f"The process didn't come to rest within {seconds:g} s of real time; "
                f"its clock says {self._clock.now_datetime()}. Still busy:"
            ]
            + (lines or ["  - nothing now, but something moved all the time (a timer that is due again at once?)"])
        )

    async def _described(self, run_id: str, executing: dict[str, str | None]) -> str:
        run = await self._runner.get(run_id)
        what = f", executing {executing[run_id]!r}" if executing.get(run_id) else ""
        reasons = await self._runner.explain(run_id)
        return f"run {run_id} ({run.workflow_name}) {run.status} at {run.place!r}{what}: {reasons}"


async def advance(rest: Rest, clock: VirtualClock, target: int, timeout: float) -> None:
    """Advance like `Harness.advance`, to a moment."""
    await rest.reached(timeout)
    while (moment := await rest.next_moment()) is not None and moment <= target:
        clock.move_to(moment)
        await rest.reached(timeout)
    clock.move_to(target)
    await rest.reached(timeout)

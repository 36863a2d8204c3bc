"""When a process is at rest: nothing executes, nothing is ready, nothing is due at the time of its virtual clock."""

from __future__ import annotations

import asyncio

from stepwell.engine.run import Run
from stepwell.process import Process
from stepwell.runner.runner import WorkflowRunner
from stepwell.store import apply, queries, runs
from stepwell.store.tx import Hints, Tx
from stepwell.testing.clock import VirtualClock

_SHOWN = 10
"""Busy runs that a failure lists."""


class Rest:
    """Waits for one process by what really happens in it: commits, ends of passes, and sleepers on the clock."""

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
        """Everything that is due was executed, and nothing is. Raises AssertionError after `seconds` of real time."""
        try:
            async with asyncio.timeout(seconds) as limit:
                while not await self._quiet():
                    pass
        except TimeoutError:
            if not limit.expired():
                raise
            raise AssertionError(await self._restless(seconds)) from None

    async def _quiet(self) -> bool:
        """True if between two answers of the writer nothing moved and nothing was found to do."""
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
        """What was handed to the writer before is durable and answered."""
        await self._process.store.writer.call(lambda tx: None)

    def _awake(self) -> dict[str, asyncio.Task[Run | None]]:
        asleep = self._process.passes.asleep
        return {run_id: task for run_id, task in self._process.passes.tasks.items() if run_id not in asleep}

    async def _any_of(self, awake: dict[str, asyncio.Task[Run | None]]) -> None:
        moved = asyncio.ensure_future(self._moved.wait())
        try:
            await asyncio.wait([moved, *awake.values()], return_when=asyncio.FIRST_COMPLETED)
        finally:
            moved.cancel()

    async def _push(self) -> bool:
        """True if something was due; whoever has the duty to take it on has been told, or it is done."""
        process, now = self._process, self._clock.now()
        ready, marked, orphans = await process.store.read(self._look)
        due = await process.sweep.next_due()
        if due is not None and due <= now:
            await process.sweep.ripen()
        if marked:
            await process.sweep.end_children()
        if orphans:
            await process.sweep.reconcile()
        if ready:
            process.queue.ring()
        return bool(ready or marked or orphans or (due is not None and due <= now))

    def _look(self, tx: Tx) -> tuple[list[Run], bool, set[str]]:
        """Runs that this worker could claim, children to cancel, and runs that it owns without executing them."""
        process = self._process
        lanes = set(process.lanes)
        ready = [run for run in queries.ready(tx) if (run.app_name, run.workflow_name) in lanes]
        owned = runs.owned(tx, process.worker_id)
        return (
            ready,
            bool(apply.marked_children(tx, 1)),
            set(owned) - {run_id for run_id, _ in process.passes.held},
        )

    # -- what comes next ------------------------------------------------------------------------------------------

    async def next_moment(self) -> int | None:
        """The first moment after now at which something is due; None if nothing ever is."""
        process = self._process
        moments = [await process.sweep.next_due(), await process.scheduler.next_wake(), *process.passes.asleep.values()]
        return min((moment for moment in moments if moment is not None and moment > self._clock.now()), default=None)

    # -- failing --------------------------------------------------------------------------------------------------

    async def _restless(self, seconds: float) -> str:
        executing = self._process.passes.executing
        ready, marked, orphans = await self._process.store.read(self._look)
        ids = [*self._awake(), *orphans, *(run.id for run in ready)]
        lines = [f"  - {await self._told(run_id, executing)}" for run_id in dict.fromkeys(ids[:_SHOWN])]
        lines += [f"  - and {len(ids) - _SHOWN} more"] if len(ids) > _SHOWN else []
        lines += ["  - children of ended parents are still to be cancelled"] if marked else []
        return "\n".join(
            [f"No rest within {seconds:g} s of real time; the clock says {self._clock.now_datetime()}. Still busy:"]
            + (lines or ["  - nothing now, but something moved all the time (a timer that is due again at once?)"])
        )

    async def _told(self, run_id: str, executing: dict[str, str | None]) -> str:
        run = await self._runner.get(run_id)
        what = f", executing {executing[run_id]!r}" if executing.get(run_id) else ""
        reasons = await self._runner.explain(run_id)
        return f"run {run_id} ({run.workflow_name}) {run.status} at {run.place!r}{what}: {reasons}"


async def advance(rest: Rest, clock: VirtualClock, target: int, timeout: float) -> None:
    """As `Harness.advance`, to a moment."""
    await rest.reached(timeout)
    while (moment := await rest.next_moment()) is not None and moment <= target:
        clock.move_to(moment)
        await rest.reached(timeout)
    clock.move_to(target)
    await rest.reached(timeout)

"""The passes that run in this process, and the slots that they take."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Final

from stepwell.engine.pauses import PauseRow, covering
from stepwell.engine.run import RunRow
from stepwell.errors import StepwellError, StoreUnavailable
from stepwell.execution.begun import PassTask, current_attempt
from stepwell.execution.drive import Pass
from stepwell.execution.scope import Reason
from stepwell.execution.shared import Shared
from stepwell.execution.storage import Storage
from stepwell.execution.trial import Trial
from stepwell.execution.user_errors import logged
from stepwell.store.inbox import Claimed

log = logging.getLogger("stepwell.execution")

_FIRST_TRIAL: Final = 0.5
"""Seconds; less where leases are short."""


_CURE: Final = (
    "Start it with self.start(..., callback=...): then the run parks until its child has ended, and holds nothing."
)
_MOST_LENT: Final = 20
"""The most runs per slot that may wait for other runs in one process: each is kept in memory."""


class Passes:
    """Runs owned by this process are executed here, at most one pass per run.

    `slots` is how many the worker may run at once (0: no worker here); `run_sync` comes on top.
    """

    def __init__(self, shared: Shared, storage: Storage, worker_id: str, slots: int, lease_seconds: float) -> None:
        self.shared = shared
        self.worker_id = worker_id
        self.slots = slots
        self.accepting = False
        self.closing = False
        """True once the process goes: nothing begins any more, and what it still gets hold of is left to others."""
        self.backlog = False
        """True while ready runs wait for a slot: then a new start queues behind them like any other."""
        self.on_end: Callable[[], None] = lambda: None
        self.storage: Storage = storage
        self.on_unfit: Callable[[RunRow, str], None] = lambda run, reason: None
        self.trial = Trial(min(_FIRST_TRIAL, lease_seconds / 4))
        self.trial.on_over = self._trial_over
        self._taken = 0
        self.contexts: dict[str, Context] = {}
        """The contexts of the callers that wait for runs in this process, whichever part of it claims them."""
        self.broken: set[str] = set()
        """Runs whose passes broke outside of user code, until they are released."""
        self._lent = 0
        self._may_begin = asyncio.Event()
        self._may_begin.set()
        self._running: dict[str, tuple[Pass, asyncio.Task[RunRow | None]]] = {}
        self._paused: Sequence[PauseRow] = ()
        self.on_paused: Callable[[], None] = lambda: None
        """Called when a run came that was paused, as far as is known here."""

    async def _given_back(self, one: Pass, run: RunRow | None) -> RunRow | None:
        """Return the run where its pass came to; one that was lost is given back, if no other process has it."""
        if run is None and not self.closing:
            await self.storage.give_back(one.run)
        return run

    @property
    def free(self) -> int:
        """Slots that nothing has taken or reserved; none while suspects are on trial, or too many threads hang."""
        if not self.accepting or self.trial.on or self.shared.threads.exhausted:
            return 0
        return self.slots - self._taken

    @property
    def executing(self) -> dict[str, str | None]:
        """The run ids in this process's hands, with the transition that each executes right now."""
        return {run_id: p.executing.name if p.executing else None for run_id, (p, _) in self._running.items()}

    def reserve(self) -> bool:
        """Return True if a slot was free and is taken now; give it back with `unreserve`, or use it with `launch`."""
        if self.backlog or self.free <= 0:
            return False
        self._taken += 1
        return True

    def reserve_up_to(self, limit: int) -> int:
        """Return how many slots were free and are taken now, for a claim that is under way."""
        count = max(min(self.free, limit), 0)
        self._taken += count
        return count

    def unreserve(self, count: int = 1) -> None:
        """Free the slots again."""
        self._taken -= count
        if count:
            self.on_end()

    def launch(
        self,
        claimed: Claimed,
        *,
        reserved: bool = False,
        extra: bool = False,
        hold: bool = False,
        fresh: bool = False,
        context: Context | None = None,
    ) -> asyncio.Task[RunRow | None] | None:
        """Execute the run, in a task of Stepwell's. `extra` takes no slot; `reserved` uses one taken before.

        None while the process closes: the run is left as it is, and handed over with all others.
        """
        if self.closing:
            if reserved:
                self.unreserve()
            return None
        if not extra and not reserved:
            self._taken += 1
        one = Pass(self.shared, self.storage, claimed.run, claimed.inbox, claimed.steps, hold, fresh)
        one.extra, one.more = extra, claimed.more
        one.on_unfit = self.on_unfit
        if context is None and self.contexts:
            context = self.contexts.get(claimed.run.id)
        if self._paused and covering(self._paused, one.run.app_name, one.run.workflow_name):
            one.paused = True
            self.on_paused()
        if claimed.run.suspicion is not None:
            self._suspect(one)
        elif claimed.run.takeovers:
            log.info("run %s (%s) goes on here: its worker has died", claimed.run.id, claimed.run.workflow_name)
        task = PassTask(self._drive(one, extra), loop=asyncio.get_running_loop(), context=_outside(context))
        self._running[claimed.run.id] = (one, task)
        return task

    async def _drive(self, one: Pass, extra: bool) -> RunRow | None:
        run_id = one.run.id
        try:
            if not self._may_begin.is_set():
                await self._may_begin.wait()
                if one.stopped is not None:
                    return None
            if one.run.suspicion is not None:
                await self.trial.begin(one.run, self._not_on_trial, lambda: one.stopped is None)
            driving = one.drive()
            while True:
                try:
                    return await self._given_back(one, await driving)
                except (GeneratorExit, RuntimeError) as error:
                    # A GeneratorExit in a future that user code awaited is thrown in here, and closes all else. RuntimeError:
                    # what was closed has awaited something.
                    if not one.in_user_code or asyncio.current_task() is not one.task:
                        raise
                    driving = one.drive_after(error)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # Not user code: that is a failed attempt. The run stays ours on paper, and the sweep releases it.
            log.error("run %s: its pass failed; it will be executed again", run_id, exc_info=logged(error))
            self.broken.add(run_id)
            return None
        finally:
            if self.trial.on:
                self.trial.clear(run_id)
            if self._running.get(run_id, (None,))[0] is one:
                del self._running[run_id]
            if not extra:
                self._taken -= 1
            self.on_end()

    def executed_id(self, run_id: str) -> Pass | None:
        """Return the pass of this run in this process."""
        held = self._running.get(run_id)
        return None if held is None else held[0]

    def executed_by(self, task: asyncio.Task[Any] | None) -> Pass | None:
        """Return the pass that this task is."""
        return next((one for one, own in list(self._running.values()) if own is task), None)

    def _suspect(self, one: Pass) -> None:
        self.trial.enter(one.run)
        one.on_checkpoint = partial(self.trial.clear, one.run.id)
        log.warning(
            "run %s (%s) is under suspicion: a worker died while it executed it (%s)",
            one.run.id, one.run.workflow_name, one.run.suspicion,
        )  # fmt: skip

    def _not_on_trial(self) -> list[asyncio.Task[RunRow | None]]:
        # What waits for another run may be waiting for the suspect itself.
        return [
            task for run_id, (one, task) in self._running.items() if not self.trial.has(run_id) and not one.waits_for
        ]

    def _trial_over(self) -> None:
        self.backlog = True
        self.on_end()

    @contextmanager
    def waiting(self, run_id: str, other: str) -> Iterator[None]:
        """Let a transition of the run wait for another run inside the block; its slot is lent to others meanwhile.

        Raises StepwellError where that could never end: runs that wait for each other, or too many that wait.
        """
        held = self._running.get(run_id)
        if held is None:
            yield
            return
        self._refuse_circle(run_id, other)
        one, _ = held
        self._lend(one, 1)
        one.waits_for.append(other)
        try:
            yield
        finally:
            one.waits_for.remove(other)
            self._lend(one, -1)

    def _lend(self, one: Pass, count: int) -> None:
        """Lend the slot of the pass with the first run that it waits for, and take it back after the last."""
        if one.extra or one.waits_for:
            return
        self._taken -= count
        self._lent += count
        if count > 0:
            self.on_end()

    def _refuse_circle(self, run_id: str, other: str) -> None:
        seen, left = {other}, [other]
        while left:
            held = self._running.get(left.pop())
            found = set(held[0].waits_for) - seen if held else set()
            seen |= found
            left += found
        if run_id in seen:
            whom = "itself" if run_id == other else f"run {other}, which waits for it"
            raise StepwellError(f"Run {run_id} would wait for {whom}, inside its transition: that never ends. {_CURE}")
        if self._lent >= _MOST_LENT * max(self.slots, 1):
            raise StepwellError(
                f"{self._lent} runs of this process wait for other runs inside their transitions, and "
                f"run {run_id} would too. {_CURE}"
            )

    def stop(self, run_id: str, reason: Reason) -> None:
        """Cancel what this process executes of the run."""
        if run_id in self._running:
            self._running[run_id][0].stop(reason)

    def stop_lost(self, lost: Mapping[str, int]) -> None:
        """Cancel what this process executes of these runs by an earlier claim than the given one."""
        for run_id, claim in lost.items():
            held = self._running.get(run_id)
            if held is not None and held[0].run.claim < claim:
                held[0].stop("lost")

    def pause(self, pauses: Sequence[PauseRow]) -> None:
        """Let runs that these pauses cover go on to their next checkpoints only: from now on, those that come too."""
        self._paused = pauses
        for one, _ in self._running.values():
            one.paused = bool(covering(pauses, one.run.app_name, one.run.workflow_name))

    def check_open(self) -> None:
        """Raise StoreUnavailable once the process closes: what it is given now, it can't execute any more."""
        if self.closing:
            raise StoreUnavailable("This Stepwell is closing: nothing was stored.")

    def hold_back(self) -> None:
        """Hold back passes that are launched from now on, until `go_on`."""
        self._may_begin.clear()

    def go_on(self) -> None:
        """Begin the passes that were held back, unless they were stopped meanwhile."""
        self._may_begin.set()

    def finish_all(self) -> None:
        """Let present transitions end; no run continues to its next one, and no pass begins."""
        self.closing = True
        self.accepting = False
        for one, _ in self._running.values():
            one.finish()
        self.go_on()

    def stop_all(self, reason: Reason) -> None:
        """Cancel everything that is executed here."""
        for one, _ in list(self._running.values()):
            one.stop(reason)

    async def drained(self, seconds: float) -> bool:
        """Return True if every pass came to its end within this time."""
        tasks = [task for _, task in self._running.values()]
        if not tasks:
            return True
        _, pending = await asyncio.wait(tasks, timeout=seconds)
        return not pending

    @property
    def asleep(self) -> dict[str, int]:
        """The runs in this process's hands that only wait out the delay of a retry (of a step too), and when it is over."""
        now = self.shared.clock.now()
        return {
            run_id: until
            for run_id, (one, _) in self._running.items()
            if (until := one.sleeps_until) is not None and until > now
        }

    @property
    def tasks(self) -> dict[str, asyncio.Task[RunRow | None]]:
        """The task of each run in this process's hands."""
        return {run_id: task for run_id, (_, task) in self._running.items()}

    @property
    def held(self) -> list[tuple[str, int]]:
        """(id, claim) of each run in this process's hands."""
        return [(run_id, one.run.claim) for run_id, (one, _) in self._running.items()]


def _outside(context: Context | None) -> Context | None:
    """Return the context for a pass: one that is launched inside an attempt isn't part of that."""
    if context is None and current_attempt.get() is not None:
        context = copy_context()
    if context is not None:
        context.run(current_attempt.set, None)
    return context

"""The passes that run in this process, and the slots that they take."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextvars import Context

from stepwell.engine.run import Run
from stepwell.errors import StoreUnavailable
from stepwell.execution.drive import Pass
from stepwell.execution.scope import Reason
from stepwell.execution.shared import Shared
from stepwell.execution.storage import Storage
from stepwell.store.base import Claimed

log = logging.getLogger("stepwell.execution")


class Passes:
    """Runs owned by this process are executed here, at most one pass per run.

    `slots` is how many the worker may run at once (0: no worker here); `run_sync` comes on top.
    """

    def __init__(self, shared: Shared, storage: Storage, worker_id: str, slots: int) -> None:
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
        self._taken = 0
        self._may_begin = asyncio.Event()
        self._may_begin.set()
        self._running: dict[str, tuple[Pass, asyncio.Task[Run | None]]] = {}

    @property
    def free(self) -> int:
        """Slots that nothing has taken or reserved."""
        return self.slots - self._taken if self.accepting else 0

    @property
    def executing(self) -> dict[str, str | None]:
        """The run ids in this process's hands, with the transition that each executes right now."""
        return {run_id: p.executing.name if p.executing else None for run_id, (p, _) in self._running.items()}

    def reserve(self) -> bool:
        """True if a slot was free and is taken now; give it back with `unreserve`, or use it with `launch`."""
        if self.backlog or self.free <= 0:
            return False
        self._taken += 1
        return True

    def reserve_up_to(self, limit: int) -> int:
        """How many slots were free and are taken now, for a claim that is under way."""
        count = max(min(self.free, limit), 0)
        self._taken += count
        return count

    def unreserve(self, count: int = 1) -> None:
        """The slots are free again."""
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
    ) -> asyncio.Task[Run | None] | None:
        """The run is executed, in a task of Stepwell's. `extra` takes no slot; `reserved` uses one taken before.

        None while the process closes: the run is left as it is, and handed over with all others.
        """
        if self.closing:
            if reserved:
                self.unreserve()
            return None
        if not extra and not reserved:
            self._taken += 1
        one = Pass(self.shared, self.storage, claimed.run, claimed.inbox, claimed.steps, hold, fresh)
        task = asyncio.get_running_loop().create_task(self._drive(one, extra), context=context)
        self._running[claimed.run.id] = (one, task)
        return task

    async def _drive(self, one: Pass, extra: bool) -> Run | None:
        run_id = one.run.id
        try:
            if not self._may_begin.is_set():
                await self._may_begin.wait()
                if one.stopped is not None:
                    return None
            return await one.drive()
        except asyncio.CancelledError:
            raise
        except Exception:
            # Not user code: that is a failed attempt. The run stays ours on paper, and the sweep releases it.
            log.exception("run %s: its pass broke; it will be taken up again", run_id)
            return None
        finally:
            if self._running.get(run_id, (None,))[0] is one:
                del self._running[run_id]
            if not extra:
                self._taken -= 1
            self.on_end()

    def stop(self, run_id: str, reason: Reason) -> None:
        """What this process executes of the run is cancelled."""
        if run_id in self._running:
            self._running[run_id][0].stop(reason)

    def stop_lost(self, lost: Mapping[str, int]) -> None:
        """What this process executes of these runs by an earlier claim than the given one is cancelled."""
        for run_id, claim in lost.items():
            held = self._running.get(run_id)
            if held is not None and held[0].run.claim < claim:
                held[0].stop("lost")

    def check_open(self) -> None:
        """Raises StoreUnavailable once the process closes: what it is given now, it can't execute any more."""
        if self.closing:
            raise StoreUnavailable("This Stepwell is closing: nothing was stored.")

    def hold_back(self) -> None:
        """Whatever is launched from now on begins only with `go_on`."""
        self._may_begin.clear()

    def go_on(self) -> None:
        """What was held back begins, unless it was stopped meanwhile."""
        self._may_begin.set()

    def finish_all(self) -> None:
        """What is executed here now comes to its end; nothing goes on to its next transition, and nothing begins."""
        self.closing = True
        self.accepting = False
        for one, _ in self._running.values():
            one.finish()
        self.go_on()

    def stop_all(self, reason: Reason) -> None:
        """Everything that is executed here is cancelled."""
        for one, _ in list(self._running.values()):
            one.stop(reason)

    async def drained(self, seconds: float) -> bool:
        """True if every pass came to its end within this time."""
        tasks = [task for _, task in self._running.values()]
        if not tasks:
            return True
        _, pending = await asyncio.wait(tasks, timeout=seconds)
        return not pending

    @property
    def asleep(self) -> dict[str, int]:
        """The runs in this process's hands that only wait out the delay of a retry, and the moment when it is over."""
        now = self.shared.clock.now()
        return {
            run_id: one.run.due_at
            for run_id, (one, _) in self._running.items()
            if one.run.status == "retrying" and one.run.due_at is not None and one.run.due_at > now
        }

    @property
    def tasks(self) -> dict[str, asyncio.Task[Run | None]]:
        """The task of each run in this process's hands."""
        return {run_id: task for run_id, (_, task) in self._running.items()}

    @property
    def held(self) -> list[tuple[str, int]]:
        """(id, claim) of each run in this process's hands."""
        return [(run_id, one.run.claim) for run_id, (one, _) in self._running.items()]

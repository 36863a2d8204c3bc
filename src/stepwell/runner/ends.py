"""Who waits for the end of a run: one watcher per process, however many wait."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Sequence

from stepwell.engine.run import Run
from stepwell.errors import StoreUnavailable, WorkflowNotFound
from stepwell.events.base import News
from stepwell.store import runs
from stepwell.store.store import Store

log = logging.getLogger("stepwell.runner")

_ENDED = frozenset({"completed", "failed", "canceled"})
_STILL = _ENDED | {"waiting"}
_FALLBACK = 1.0
"""Seconds after which the database is asked without any hint."""


_Waiter = tuple[frozenset[str], asyncio.Future[Run]]
"""The statuses that are waited for, and who waits."""


class Ends:
    """Hears of commits in this process by their rows, and asks the database in one query for all others."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, list[_Waiter]] = defaultdict(list)
        self._new: set[str] = set()
        self._look = asyncio.Event()
        self._everything = False
        self._closed = False

    async def wait(self, run_id: str, *, parked: bool = False) -> Run:
        """The run once it has ended or failed; with `parked`, also once it waits.

        Raises WorkflowNotFound, StoreUnavailable when this Stepwell closes.
        """
        if self._closed:
            raise _closing(run_id)
        future: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        entry = (_STILL if parked else _ENDED, future)
        self._waiting[run_id].append(entry)
        self._new.add(run_id)
        self._look.set()
        try:
            return await future
        finally:
            self._forget(run_id, entry)

    def heard(self, what: Run | News) -> None:
        """A hint: this run has changed; or others have, somewhere else."""
        if isinstance(what, News):
            if what.ended and self._waiting:
                self._everything = True
                self._look.set()
        elif what.id in self._waiting:
            self._tell(what, self._waiting[what.id])

    def close(self) -> None:
        """Nobody waits any more."""
        self._closed = True
        for run_id, waiting in self._waiting.items():
            self._refuse(waiting, _closing(run_id))

    async def run(self) -> None:
        """Watches until it is cancelled."""
        asked = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FALLBACK):
                    await self._look.wait()
            self._look.clear()
            began = time.monotonic()
            # Whatever woke it: where new ones begin to wait all the time, those before them wait too.
            if began - asked >= _FALLBACK:
                self._everything = bool(self._waiting)
            if self._everything:
                asked = began
            await self._ask()
            # A question about thousands of runs is asked less often: at most a twentieth of the time goes into it.
            await asyncio.sleep(min((time.monotonic() - began) * 19, _FALLBACK))

    async def _ask(self) -> None:
        new = [one for one in self._new if one in self._waiting]
        wanted = list(self._waiting) if self._everything else new
        self._new.clear()
        self._everything = False
        if not wanted:
            return
        # Who begins to wait while the question is under way must not get an answer from before: a retry may lie between.
        asked = {one: tuple(self._waiting[one]) for one in wanted}
        try:
            found, known = await self._store.read(
                lambda given: (runs.still(given, wanted), runs.existing(given, wanted))
            )
        except StoreUnavailable as error:
            log.warning("%s", error)
            self._new.update(new)
            return
        for run in found.values():
            self._tell(run, asked[run.id])
        for run_id in set(wanted) - known:
            self._refuse(asked[run_id], WorkflowNotFound(f"No run {run_id!r}."))

    def _tell(self, run: Run, waiting: Sequence[_Waiter]) -> None:
        for statuses, future in waiting:
            # A run that is ready waits only for a worker: it isn't at rest.
            if run.status in statuses and run.ready_at is None and not future.done():
                future.set_result(run)

    def _refuse(self, waiting: Sequence[_Waiter], error: Exception) -> None:
        for _, future in waiting:
            if not future.done():
                future.set_exception(error)

    def _forget(self, run_id: str, entry: _Waiter) -> None:
        self._waiting[run_id].remove(entry)
        if not self._waiting[run_id]:
            del self._waiting[run_id]


def _closing(run_id: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"This Stepwell is closing: the end of run {run_id!r} isn't waited for here any more; the run goes on elsewhere.",
        outcome="unknown",
        workflow_id=run_id,
    )

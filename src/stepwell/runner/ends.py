"""Waiting for the end of runs: one watcher per process, for any number of waiters, and for transitions among them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from stepwell.definition.values.misfit import shown
from stepwell.engine.run import RunRow
from stepwell.errors import StepwellError, StoreUnavailable, WorkflowNotFound
from stepwell.execution.begun import current_attempt
from stepwell.execution.passes import Passes
from stepwell.hints.notifications import RemoteChanges
from stepwell.store import runs
from stepwell.store.base import Store
from stepwell.store.writing.writer import Reply, deliver

log = logging.getLogger("stepwell.runner")

_ENDED = frozenset({"completed", "failed", "canceled"})
_STILL = _ENDED | {"waiting"}
_OUTSIDE: Final = nullcontext()
_MANY = 19
_FALLBACK = 1.0
"""Seconds after which the database is asked without any hint."""


_Waiter = tuple[frozenset[str], Reply]
"""The statuses that end the wait, and the reply that is waited for."""


class Ends:
    """The waiters of this process, informed by rows of its own commits, and by one query for all other runs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, list[_Waiter]] = defaultdict(list)
        self._new: set[str] = set()
        self._look = asyncio.Event()
        self._everything = False
        self._closed = False
        self._answers: list[tuple[Reply, RunRow | Exception]] = []
        """Of this turn of the loop; delivered in the next one, all at once."""

    async def wait(self, run_id: str, *, parked: bool = False) -> RunRow:
        """Return the run once it has ended or failed; with `parked`, also once it waits.

        Raises WorkflowNotFound, StoreUnavailable when this Stepwell closes.
        """
        if self._closed:
            raise _closing(run_id)
        reply = Reply(asyncio.get_running_loop())
        entry = (_STILL if parked else _ENDED, reply)
        self._waiting[run_id].append(entry)
        self._new.add(run_id)
        self._look.set()
        try:
            run: RunRow = await reply
        finally:
            self._waiting[run_id].remove(entry)
            if not self._waiting[run_id]:
                del self._waiting[run_id]
        return run

    def notify(self, what: RunRow | RemoteChanges) -> None:
        """Take a hint: this run has changed, or other processes have changed others."""
        if isinstance(what, RemoteChanges):
            if what.ended and self._waiting:
                self._everything = True
                self._look.set()
        elif what.id in self._waiting:
            self._answer_if_over(what, self._waiting[what.id])

    def close(self) -> None:
        """Refuse all waiters."""
        self._closed = True
        for run_id, waiting in self._waiting.items():
            self._refuse(waiting, _closing(run_id))

    async def run(self) -> None:
        """Watch until cancelled."""
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
            count = _MANY if self._everything else len(self._new)
            await self._ask()
            await asyncio.sleep(pause_after(time.monotonic() - began, count))

    async def _ask(self) -> None:
        new = [one for one in self._new if one in self._waiting]
        wanted = list(self._waiting) if self._everything else new
        self._new.clear()
        self._everything = False
        if not wanted:
            return
        # A waiter that joins during the query must not get its answer: a retry may lie between.
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
            self._answer_if_over(run, asked[run.id])
        for run_id in set(wanted) - known:
            self._refuse(asked[run_id], WorkflowNotFound(f"No run {shown(run_id)}."))

    def _answer_if_over(self, run: RunRow, waiting: Sequence[_Waiter]) -> None:
        for statuses, reply in waiting:
            # A run that is ready waits only for a worker: it isn't at rest.
            if run.status in statuses and run.ready_at is None:
                self._answer(reply, run)

    def _refuse(self, waiting: Sequence[_Waiter], error: Exception) -> None:
        for _, reply in waiting:
            self._answer(reply, error)

    def _answer(self, reply: Reply, answer: RunRow | Exception) -> None:
        if not self._answers:
            asyncio.get_running_loop().call_soon(self._deliver)
        self._answers.append((reply, answer))

    def _deliver(self) -> None:
        answers, self._answers = self._answers, []
        deliver(answers)


def pause_after(seconds: float, count: int) -> float:
    """Return the seconds until the next question, after one about so many new waiters (or `_MANY`) that took so long.

    A few runs are asked about as soon as they are waited for. At most a twentieth of the time goes into other questions.
    """
    return min(seconds * min(count, _MANY), _FALLBACK)


def _closing(run_id: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"This Stepwell is closing and no longer waits for the end of run {run_id!r}; the run itself goes on elsewhere.",
        outcome="unknown",
        workflow_id=run_id,
    )


def waiting_for(passes: Passes, run_id: str) -> AbstractContextManager[None]:
    """Let a transition wait for this run inside the block: it lends its slot and thread to other transitions meanwhile.

    Raises StepwellError where the wait could never end.
    """
    inside = current_attempt.get()
    if inside is None:
        return _OUTSIDE
    attempt = inside.attempt
    if attempt.in_transaction:
        raise StepwellError(
            f"A transition can't wait for the end of run {run_id} inside self.transaction(): the run may be waiting for "
            "this very transaction. Start it with self.start(..., callback=...), or wait before the transaction."
        )
    return passes.waiting(attempt.run.id, run_id)

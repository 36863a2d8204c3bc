"""The seam to the queue of ready runs, and the queue that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

from stepwell.definition.registry import Registry
from stepwell.engine.run import RunRow
from stepwell.errors import ConfigurationError
from stepwell.faults import Faults
from stepwell.queue.bullmq.jobs import StartRun
from stepwell.queue.claims import Claims
from stepwell.queue.database import DatabaseQueue
from stepwell.settings import Settings
from stepwell.store.base import Store
from stepwell.store.inbox import Claimed
from stepwell.store.tx import Lane, WakeUp

_EXTRA: Final = {"bullmq", "redis", "msgpack"}


class Queue(Protocol):
    """A queue of hints, with claims. A claim is the truth of the database; a wake-up may be lost."""

    @property
    def lanes(self) -> Sequence[Lane]:
        """The (app, workflow) pairs that this worker takes."""
        ...

    def duties(self, *, worker: bool) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """Return the duties of the process for this queue while it is open; `worker`: it claims runs too."""
        ...

    async def close(self) -> None:
        """Send pending announcements, if that is possible, and release everything."""
        ...

    def wake(self) -> None:
        """Make a worker of this process look for ready runs soon."""
        ...

    def remind(self) -> None:
        """Take a hint of the sweep: it sees ready runs of these lanes, whose hint may have been lost."""
        ...

    def resumed(self) -> None:
        """Look for runs that have been ready for long: they were paused, and no hint of them is left."""
        ...

    def announce(self, ready: Sequence[WakeUp], due: Sequence[WakeUp]) -> None:
        """Announce runs that are ready, or become due, to workers. Never waits or raises; the sweep finds lost ones."""
        ...

    async def claim(self, limit: int) -> list[Claimed]:
        """Return up to `limit` ready runs that belong to this worker from now on, the best first."""
        ...

    async def claim_one(self, run: RunRow) -> Claimed | None:
        """Return this run, of whichever lane, claimed for this process; None if it isn't ready, or waits for a limit."""
        ...

    def mark_unfit(self, run: RunRow, reason: str) -> None:
        """Leave the run to other code, because this code can't execute it: as it is now, it isn't claimed here again."""
        ...

    def is_unfit(self, run: RunRow) -> bool:
        """Return whether the run is left to other code."""
        ...

    def has_unfit(self, lane: Lane) -> bool:
        """Return whether runs of this lane are left to other code, as far as this process has looked."""
        ...

    async def wait(self, seconds: float) -> bool:
        """Return True once there was a wake-up; False after `seconds`."""
        ...


def make_queue(
    settings: Settings,
    store: Store,
    registry: Registry,
    worker_id: str,
    lanes: Sequence[Lane],
    now: Callable[[], int],
    start: StartRun,
    faults: Faults,
) -> Queue:
    """Return a queue that isn't open yet. `start` is for what comes from elsewhere. Raises ConfigurationError."""
    claims = Claims(store, registry, worker_id, lanes, now)
    if settings.queue_url is None:
        return DatabaseQueue(claims)
    check_queue(settings)
    from stepwell.queue.bullmq.client import Bull
    from stepwell.queue.bullmq.queue import BullQueue

    bull = Bull(settings.queue_url, settings.queue_prefix, worker_id, now, settings.lease_seconds, faults)
    return BullQueue(claims, store, bull, now, settings.lease_seconds, start, faults)


def check_queue(settings: Settings) -> None:
    """Raise ConfigurationError if the queue that the settings ask for can't be had, whatever Redis says."""
    if settings.queue_url is None:
        return
    try:
        from stepwell.queue.bullmq import client as _  # noqa: F401
        from stepwell.queue.bullmq.url import checked_url
    except ImportError as error:
        if (error.name or "").split(".")[0] not in _EXTRA:
            raise
        raise ConfigurationError(
            f"queue_url needs BullMQ, and {error.name} can't be imported: pip install -U 'stepwell[bullmq]'."
        ) from error
    checked_url(settings.queue_url)

"""The queue that the settings ask for. What BullMQ needs is imported only where it is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Final

from stepwell.errors import ConfigurationError
from stepwell.queue.base import Queue
from stepwell.queue.database import DatabaseQueue
from stepwell.queue.foreign import StartForeign
from stepwell.settings import Settings
from stepwell.store.store import Store
from stepwell.store.tx import Lane

_EXTRA: Final = {"bullmq", "redis", "msgpack"}


def make_queue(
    settings: Settings,
    store: Store,
    worker_id: str,
    lanes: Sequence[Lane],
    now: Callable[[], int],
    start: StartForeign,
) -> Queue:
    """A queue that isn't open yet. `start` is for what comes from elsewhere. Raises ConfigurationError."""
    if settings.queue_url is None:
        return DatabaseQueue(store, worker_id, lanes, now)
    check_queue(settings)
    from stepwell.queue.bullmq import Bull
    from stepwell.queue.bullmq_queue import BullQueue

    bull = Bull(settings.queue_url, settings.queue_prefix, worker_id, now, settings.lease_seconds)
    return BullQueue(store, bull, worker_id, lanes, now, settings.lease_seconds, start)


def check_queue(settings: Settings) -> None:
    """Raises ConfigurationError if the queue that the settings ask for can't be had, whatever Redis says."""
    if settings.queue_url is not None:
        _bullmq().checked(settings.queue_url)


def _bullmq() -> ModuleType:
    try:
        from stepwell.queue import bullmq
    except ImportError as error:
        if (error.name or "").split(".")[0] not in _EXTRA:
            raise
        raise ConfigurationError(
            f"queue_url needs BullMQ, and {error.name} can't be imported: pip install -U 'stepwell[bullmq]'."
        ) from error
    return bullmq

"""Whether the queue can be reached when a worker begins. Later it may go away and come back."""

from __future__ import annotations

import time

from stepwell.errors import StoreUnavailable
from stepwell.queue.chosen import check_queue
from stepwell.settings import Settings


async def reach_queue(settings: Settings) -> None:
    """Redis answers, and BullMQ can work with it. Raises ConfigurationError, StoreUnavailable."""
    check_queue(settings)
    if settings.queue_url is None:
        return
    from stepwell.queue.bullmq import Away, Bull

    bull = Bull(settings.queue_url, settings.queue_prefix, "", lambda: time.time_ns() // 1000, settings.lease_seconds)
    try:
        await bull.check()
    except Away as error:
        why = str(error).rstrip(".")
        raise StoreUnavailable(
            f"queue_url {bull.url!r} can't be used: {why}. Is a Redis or Valkey running there, is it reachable from "
            "here, and are user and password right?"
        ) from error
    finally:
        await bull.close()

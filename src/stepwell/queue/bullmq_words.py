"""Stepwell's words in BullMQ's: what its queues and jobs are called, and how a priority is written there. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import quote

from stepwell.store.tx import Bell, Lane

INBOX: Final = "stepwell"
"""The queue into which others put starts."""
DOORBELL: Final = "run"
"""The only field of a doorbell's data."""

MIDDLE: Final = 2**20
"""BullMQ's priority of Stepwell's 0. There 1 goes first, 2,097,151 last, and 0 means none, which goes before all."""
FURTHEST: Final = MIDDLE - 1
"""Priorities further from 0 than this are as this one."""


@lru_cache(maxsize=4096)
def queue_of(lane: Lane) -> str:
    """The name of the lane's queue: no two lanes share one, whatever they are called."""
    app, workflow = lane
    return f"{INBOX}.{_part(app)}.{_part(workflow)}"


def _part(name: str) -> str:
    # BullMQ forbids the colon, and the dot separates.
    return quote(name, safe="").replace(".", "%2E")


def job_priority(priority: int) -> int:
    """BullMQ's number for it: lower goes first there, higher here."""
    return MIDDLE - max(-FURTHEST, min(priority, FURTHEST))


def job_id(bell: Bell, again: int = 0) -> str:
    """The same for everybody who rings for this run at this moment; `again` tells later rings from the first."""
    return f"{bell.run_id}-{bell.at}" + (f"-{again}" if again else "")


def milliseconds(moment: int) -> int:
    """The moment in BullMQ's unit, never before it."""
    return -(-moment // 1000)

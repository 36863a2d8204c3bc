"""The only file of this package that looks behind the public API: it times the claims of the worker in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stepwell.queue.claims import Claims
from stepwell.store.inbox import Claimed


@contextmanager
def timed_claims(user: str) -> Iterator[list[int]]:
    """The nanoseconds of each claim, inside the block, that got a run of this user."""
    taken: list[int] = []
    best, chosen = Claims.claim, Claims.claim_ids

    async def claim(self: Claims, limit: int) -> list[Claimed]:
        begun = time.perf_counter_ns()
        found = await best(self, limit)
        note(begun, found)
        return found

    async def claim_ids(self: Claims, ids: Sequence[str]) -> tuple[list[Claimed], set[str], set[str]]:
        begun = time.perf_counter_ns()
        found, held, left = await chosen(self, ids)
        note(begun, found)
        return found, held, left

    def note(begun: int, found: list[Claimed]) -> None:
        if any(one.run.user_id == user for one in found):
            taken.append(time.perf_counter_ns() - begun)

    Claims.claim, Claims.claim_ids = claim, claim_ids  # type: ignore[method-assign]
    try:
        yield taken
    finally:
        Claims.claim, Claims.claim_ids = best, chosen  # type: ignore[method-assign]

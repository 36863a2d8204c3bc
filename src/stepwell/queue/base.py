"""The seam to whatever says that runs are due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stepwell.store.base import Claimed


class Queue(Protocol):
    """Hints and claims. A claim is the truth of the database; a ring may be lost."""

    @property
    def lanes(self) -> Sequence[tuple[str, str]]:
        """The (app, workflow) pairs that this worker takes."""
        ...

    def ring(self) -> None:
        """A worker of this process looks for ready runs soon."""
        ...

    async def claim(self, limit: int) -> list[Claimed]:
        """Up to `limit` ready runs that belong to this worker from now on, the best first."""
        ...

    async def wait(self, seconds: float) -> bool:
        """True once it rang; False after `seconds`."""
        ...

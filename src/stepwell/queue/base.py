"""The seam to whatever says that runs are due."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from stepwell.store.base import Claimed
from stepwell.store.tx import Bell, Lane


class Queue(Protocol):
    """Hints and claims. A claim is the truth of the database; a ring may be lost."""

    @property
    def lanes(self) -> Sequence[Lane]:
        """The (app, workflow) pairs that this worker takes."""
        ...

    def duties(self, *, worker: bool) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """What the process does for this queue for as long as it is open; `worker`: it claims runs too."""
        ...

    async def close(self) -> None:
        """What was announced is on its way, if that is possible, and nothing is left behind."""
        ...

    def ring(self) -> None:
        """A worker of this process looks for ready runs soon."""
        ...

    def remind(self) -> None:
        """The sweep sees ready runs of these lanes: a hint may have been lost."""
        ...

    def announce(self, ready: Sequence[Bell], due: Sequence[Bell]) -> None:
        """Workers hear of runs that are ready, or become due. Never waits or raises; what is lost is found by the sweep."""
        ...

    async def claim(self, limit: int) -> list[Claimed]:
        """Up to `limit` ready runs that belong to this worker from now on, the best first."""
        ...

    async def wait(self, seconds: float) -> bool:
        """True once it rang; False after `seconds`."""
        ...

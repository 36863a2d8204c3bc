"""The duty that has questions worked out for runs that wait already, where a deployment asks for what only waited before."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from stepwell.errors import StoreUnavailable
from stepwell.execution.shared import Shared
from stepwell.store import questions, runs
from stepwell.store.base import Store

log = logging.getLogger("stepwell.worker")

_AT_ONCE: Final = 200
"""Runs that one transaction makes ready: all other writes wait for it."""
_PAUSE: Final = 0.01
"""Seconds between two of them: other processes get the write lock in between."""
_EVERY: Final = 600.0
"""Seconds between two looks: code without the question may have taken a run first."""


class LateQuestions:
    """Makes runs ready whose place asks a person by now, and hasn't asked for them. Executing them works the question out."""

    def __init__(self, store: Store, shared: Shared) -> None:
        self._store = store
        self._shared = shared

    async def watch(self) -> None:
        """Look at once and every ten minutes, until cancelled."""
        while True:
            try:
                while await self.wake():
                    await asyncio.sleep(_PAUSE)
            except StoreUnavailable as error:
                log.warning("%s", error)
            await asyncio.sleep(_EVERY)

    async def wake(self) -> int:
        """Make some of these runs ready, and return their number."""
        if not (asking := self._asking()):
            return 0
        found = await self._store.read(lambda tx: questions.unasked(tx, asking, _AT_ONCE))
        if not found:
            return 0
        now = self._shared.clock.now()
        return await self._store.writer.call(lambda tx: runs.look_again(tx, found, now))

    def _asking(self) -> list[tuple[str, str]]:
        registry = self._shared.registry
        return [
            (f"{app}/{name} at {place.name}", t.name)
            for app, name in registry.lanes
            if (definition := registry.find(app, name)) is not None
            for place in definition.places.values()
            for t in place.waiting
            if t.ask is not None
        ]

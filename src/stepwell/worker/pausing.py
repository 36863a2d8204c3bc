"""The pauses as this process knows them: what it executes of a paused workflow stops at its next checkpoint."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from stepwell.engine.pauses import PauseRow
from stepwell.errors import StoreUnavailable
from stepwell.execution.passes import Passes
from stepwell.store import pauses
from stepwell.store.base import Store
from stepwell.store.tx import Lane

log = logging.getLogger("stepwell.worker")


class PauseWatch:
    """Follows the pauses. What may be claimed is decided in the database; this stops, and wakes, what is here.

    Passes that a pause covers are handed back after their present transition; when a pause is lifted, `on_resumed` has runs
    looked for again. A change of this process counts at once, and one of another when its hint arrives, or after `seconds`.
    """

    def __init__(self, store: Store, passes: Passes, on_resumed: Callable[[], None], seconds: float) -> None:
        self._store = store
        self._passes = passes
        self._on_resumed = on_resumed
        self._seconds = seconds
        self._known: Mapping[Lane, PauseRow] = {}
        self._changes = 0
        self._changed = asyncio.Event()
        passes.on_paused = self.changed

    @property
    def known(self) -> Sequence[PauseRow]:
        """The pauses as they were when this process looked last."""
        return tuple(self._known.values())

    def changed(self) -> None:
        """Take a hint: pauses may have been put or lifted."""
        self._changed.set()

    def note(self, changes: Mapping[Lane, PauseRow | None]) -> None:
        """Note pauses that this process has put, or lifted (None)."""
        self._changes += 1
        known: dict[Lane, PauseRow | None] = {**self._known, **changes}
        self._set({lane: pause for lane, pause in known.items() if pause is not None})

    def met(self, found: Sequence[PauseRow]) -> None:
        """Note pauses that a checkpoint has met: its run is handed back before it goes on."""
        new = {(pause.app_name, pause.workflow_name): pause for pause in found}
        if new.keys() - self._known.keys():
            self._set({**self._known, **new})
            self.changed()  # one of them may have been lifted since

    async def watch(self) -> None:
        """Look at the pauses after each hint, and now and then without one, until cancelled."""
        while True:
            self._changed.clear()
            try:
                await self.look()
            except StoreUnavailable as error:
                log.warning("%s", error)
            try:
                async with asyncio.timeout(self._seconds):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def look(self) -> None:
        """Read the pauses. Raises StoreUnavailable."""
        before = self._changes
        found = await self._store.read(pauses.all_of)
        if self._changes == before:  # else what was read is older than what this process has changed since
            self._set({(pause.app_name, pause.workflow_name): pause for pause in found})
        else:
            self.changed()

    def _set(self, pauses: Mapping[Lane, PauseRow]) -> None:
        before, self._known = self._known, pauses
        if pauses.keys() != before.keys():
            self._passes.pause(self.known)
        if before.keys() - pauses.keys():
            self._on_resumed()

"""The duty at gates: windows of rates that open, and runs that were held back while a slot became free elsewhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from stepwell.errors import StoreUnavailable
from stepwell.execution.shared import Shared
from stepwell.store import openings
from stepwell.store.base import Store
from stepwell.store.tx import Tx

log = logging.getLogger("stepwell.worker")

_GATHERED: Final = 0.25
"""Seconds for which hints are gathered: transactions that were under way with them have ended by then."""
_EVERY: Final = 5.0
"""Seconds between looks at gates of which there was no hint."""
_SHARE: Final = 4
"""Times longer than such a look is the pause after it: reading all gates mustn't be all that a process does."""
_YIELD: Final = 0.01
"""Seconds between the pages of such a look."""
_PAGE: Final = 200
_REMEMBERED: Final = 1_000
"""Gates of callers' transactions that are remembered; others are found by the look at all."""
_PRUNED: Final = 1000
_PRUNE_EVERY: Final = 60.0
_AHEAD: Final = 60_000_000
"""Microseconds by which a row may have been stored ahead of the time, before it is corrected."""


class Gatekeeper:
    """Lets runs through that no transaction has let through. It may run in all processes at once."""

    def __init__(self, store: Store, shared: Shared, may_delete: Callable[[], bool]) -> None:
        self._store = store
        self._clock = shared.clock
        self._may_delete = may_delete
        self._faults = shared.faults
        self._hinted: set[str] = set()
        self._uncommitted: dict[str, None] = {}
        """Gates of callers' transactions, those of the latest last."""
        self._changed = asyncio.Event()

    def changed(self, gate_ids: Iterable[str]) -> None:
        """Take a hint: something may be to do at these gates."""
        self._hinted.update(gate_ids)
        self._changed.set()

    def perhaps_changed(self, gate_ids: Iterable[str]) -> None:
        """Remember gates of a transaction of a caller's, of which it isn't known when, or whether, it is committed."""
        self._uncommitted.update(dict.fromkeys(gate_ids))
        for forgotten in list(self._uncommitted)[:-_REMEMBERED]:
            del self._uncommitted[forgotten]

    def committed(self) -> None:
        """Take a hint: some transaction of a caller's was committed, perhaps of this process."""
        if self._uncommitted:
            self.changed(self._uncommitted)

    # -- what is due ----------------------------------------------------------------------------------------------

    async def next_due(self) -> int | None:
        """Return when the next window opens behind which runs are held."""
        return await self._store.read(openings.next_opening)

    async def open_due(self) -> int:
        """Let runs through at gates that are due, and return the number of these gates."""
        now = self._clock.now()
        due = await self._store.read(lambda tx: openings.due(tx, now, _PAGE))

        def operation(tx: Tx) -> None:
            openings.forget_due(tx, due, now)
            self._store.applier.gates.open(tx, due)

        if due:
            await self._store.writer.call(operation)
        return len(due)

    # -- what was lost --------------------------------------------------------------------------------------------

    async def watch_held(self) -> None:
        """Look at gates of which there was a hint, until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(_GATHERED)
            await self._quietly(self.look())

    async def watch_all(self) -> None:
        """Look now and then at all gates behind which runs are held, until cancelled."""
        loop = asyncio.get_running_loop()
        pruned = loop.time()
        pause = _EVERY
        while True:
            await asyncio.sleep(pause)
            began = loop.time()
            await self._quietly(self.look_at_all())
            pause = max(_EVERY, _SHARE * (loop.time() - began))
            if loop.time() - pruned >= _PRUNE_EVERY:
                pruned = loop.time()
                await self._quietly(self.prune())

    async def _quietly(self, act: Awaitable[None]) -> None:
        try:
            await act
        except StoreUnavailable as error:
            log.warning("%s", error)
            await asyncio.sleep(1.0)

    @property
    def hinted(self) -> bool:
        """True if there was a hint that hasn't been looked at."""
        return bool(self._hinted)

    async def look(self) -> None:
        """Let runs through at gates of which there was a hint."""
        self._changed.clear()
        hinted, self._hinted = self._hinted, set()
        wanted = sorted(hinted)
        try:
            for start in range(0, len(wanted), _PAGE):
                await self._open(wanted[start : start + _PAGE])
        except BaseException:
            self._hinted |= hinted
            self._changed.set()
            raise

    async def look_at_all(self) -> None:
        """Let runs through at all gates behind which some are held although there are slots."""
        seen = ""
        while page := await self._held(seen):
            await self._open(page)
            if len(page) < _PAGE:
                return
            seen = page[-1]
            await asyncio.sleep(_YIELD)

    async def _held(self, seen: str) -> list[str]:
        return await self._store.read(lambda tx: openings.held(tx, seen, _PAGE))

    async def _open(self, wanted: list[str]) -> None:
        # Reading first: nearly always there is nothing to do, and then nothing is written.
        free = await self._store.read(lambda tx: self._store.applier.gates.with_room(tx, wanted))
        if free:
            await self._store.writer.call(lambda tx: self._store.applier.gates.open(tx, free))

    async def prune(self) -> None:
        """Delete what no rate counts any more, if the clock is certain enough; and correct what a wrong clock has stored."""
        now = self._clock.now()
        if not self._may_delete():
            return
        await self._store.writer.call(lambda tx: openings.bring_back(tx, now, _AHEAD))
        while await self._store.writer.call(lambda tx: openings.prune(tx, now, _PRUNED)) == _PRUNED:
            await asyncio.sleep(_GATHERED)

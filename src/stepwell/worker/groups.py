"""The duty about groups: decide them once their runs have ended, and let held runs through."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from stepwell.errors import StoreUnavailable
from stepwell.execution.deciding import Deciding
from stepwell.store import deciding
from stepwell.store.base import Store
from stepwell.store.tx import Tx

log = logging.getLogger("stepwell.worker")

_PAGE: Final = 100
"""Groups that are looked at by one read."""
_GATHERED: Final = 0.02
"""Seconds for which hints are gathered after a look that has found nothing to do."""
_PAUSE: Final = 0.05
"""Seconds between two pages of groups of which there was no hint."""


class GroupDuty:
    """Takes the steps of groups that are due: after hints, and now and then of all that aren't finished.

    It may run in all processes at once. Looking is reading: only what is due is written.
    """

    def __init__(self, store: Store, steps: Deciding, every: float) -> None:
        self._store = store
        self._steps = steps
        self._every = every
        self._faults = steps.shared.faults
        self._hinted: set[str] = set()
        self._changed = asyncio.Event()

    def changed(self, group_ids: Iterable[str]) -> None:
        """Take a hint: runs of these groups have ended, or begun again."""
        self._hinted.update(group_ids)
        self._changed.set()

    async def watch(self) -> None:
        """Take steps after hints, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                if not await self.take_hinted():
                    # One of very many has ended: the others that end meanwhile are looked at together.
                    await asyncio.sleep(_GATHERED)
            except StoreUnavailable as error:
                log.warning("%s", error)
                await asyncio.sleep(1.0)

    async def watch_all(self) -> None:
        """Look at all groups that aren't finished, now and then, until cancelled: hints may be lost."""
        while True:
            try:
                await self.take_all()
            except StoreUnavailable as error:
                log.warning("%s", error)
            await asyncio.sleep(self._every)

    async def take_hinted(self) -> int:
        """Take the steps that are due of groups of which there was a hint, and return their number."""
        hinted, self._hinted = sorted(self._hinted), set()
        try:
            return sum([await self._take(hinted[n : n + _PAGE]) for n in range(0, len(hinted), _PAGE)])
        except BaseException:
            self._hinted.update(hinted)
            self._changed.set()
            raise

    async def take_all(self) -> int:
        """Take the steps that are due of any group, and return their number."""
        taken, after = 0, ""
        while page := await self._store.read(lambda tx: deciding.open_ones(tx, after, _PAGE)):  # noqa: B023
            taken += await self._take(page)
            after = page[-1]
            if len(page) < _PAGE:
                break
            await asyncio.sleep(_PAUSE)
        return taken

    async def _take(self, group_ids: list[str]) -> int:
        due = await self._store.read(lambda tx: self._due(tx, group_ids))
        taken = await asyncio.gather(*(self._step(group_id) for group_id in due))
        return sum(taken)

    def _due(self, tx: Tx, group_ids: Iterable[str]) -> list[str]:
        return [group_id for group_id in group_ids if self._is_due(tx, group_id)]

    def _is_due(self, tx: Tx, group_id: str) -> bool:
        try:
            return self._steps.due(tx, group_id)
        except (TypeError, ValueError, LookupError):
            return True  # a row that can't be read: its step says so, and the others aren't kept waiting

    async def _step(self, group_id: str) -> int:
        """Take the step of a group and return 1; set it apart if that fails."""
        name = f"group {group_id}"
        if self._faults.resting(name):
            return 0
        with self._faults.apart(name, again=self._every):
            if await self._store.writer.call(self._steps.step(group_id)):
                self.changed([group_id])
            return 1
        return 0

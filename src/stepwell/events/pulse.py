"""A cheap look at whether another process has committed something: SQLite's data_version, five times a second."""

from __future__ import annotations

import asyncio
import logging

from stepwell.errors import StoreUnavailable
from stepwell.events.base import News
from stepwell.events.local import Hub
from stepwell.store.sqlite_store import SqliteStore
from stepwell.store.tx import Hints

log = logging.getLogger("stepwell.events")

INTERVAL = 0.2
"""Seconds between looks. A look reads a number in shared memory; it isn't a query and does no I/O."""


class Pulse:
    """Publishes to the hub whenever the database was changed."""

    def __init__(self, store: SqliteStore, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._seen: int | None = None

    def tell(self, hints: Hints) -> None:
        return  # a commit tells by itself

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.look()

    async def look(self) -> None:
        """The hub has been told if anything was committed since the last look."""
        try:
            version = await self._store.data_version()
        except StoreUnavailable as error:
            log.warning("%s", error)
            return
        if version != self._seen:
            self._seen = version
            self._hub.publish(News())

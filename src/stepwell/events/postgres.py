"""What other processes committed, told by PostgreSQL itself: one LISTEN connection per process.

A pooler that shares sessions swallows LISTEN without a word. So the listener tells itself something first, and where that
doesn't come back, the process asks the database in intervals instead.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Final

from stepwell.events.base import News
from stepwell.events.local import Hub
from stepwell.store import postgres
from stepwell.store.postgres_store import PostgresStore
from stepwell.store.tx import Hints

log = logging.getLogger("stepwell.events")

_ECHO: Final = 2.0
"""Seconds for what the listener tells itself to come back."""
_PROBE: Final = 30.0
"""Seconds between two such tests of a connection that is silent."""
_POLL: Final = 0.5
"""Seconds between looks where LISTEN doesn't work."""
_RETRY: Final = 30.0
"""Seconds after which it is tried again there."""
_PAUSE: Final = 0.5


class Listener:
    """Tells other processes what was committed here, and publishes to the hub what they tell."""

    def __init__(self, store: PostgresStore, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._heard = asyncio.Event()
        self._some = asyncio.Event()
        self._untold: set[str] = set()
        self.works = False
        """True while notifications come through."""

    async def run(self) -> None:
        """Listens until it is cancelled."""
        while True:
            try:
                await self._listen()
            except (TimeoutError, OSError) as error:
                log.warning("listening for other processes broke off: %r", error)
            except Exception as error:
                if not self._store.unavailable(error):
                    raise
                log.warning("listening for other processes broke off: %r", error)
            finally:
                self.works = False
            # Whatever was missed meanwhile is looked for.
            self._hub.publish(News())
            await asyncio.sleep(_PAUSE)

    def tell(self, hints: Hints) -> None:
        if new := postgres.kinds(hints):
            self._untold |= set(new)
            self._some.set()

    def tell_all(self) -> None:
        """Others look at everything: what was to be told meanwhile may be lost."""
        self._untold = set(postgres.KINDS)
        self._some.set()

    async def _listen(self) -> None:
        if self._store.settings.transaction_pooler:
            return await self._poll()
        async with self._store.listening() as connection:
            await connection.add_listener(self._store.channel, self._notified)
            if not await self._echoes(connection):
                log.info("LISTEN doesn't work on this connection (a pooler?): asking every %g s instead", _POLL)
                await connection.remove_listener(self._store.channel, self._notified)
                return await self._poll()
            self.works = True
            self._hub.publish(News())
            self.tell_all()
            return await self._talk(connection)

    async def _talk(self, connection: Any) -> None:
        """What is to be told is told; where there is nothing, it is tested whether the connection still carries."""
        while True:
            try:
                async with asyncio.timeout(_PROBE):
                    await self._some.wait()
            except TimeoutError:
                if not await self._echoes(connection):
                    raise TimeoutError("nothing comes through any more") from None
                continue
            kinds, self._untold = self._untold, set()
            self._some.clear()
            # Outside of the transactions that it tells of: they would wait for each other's COMMIT, one at a time.
            await self._notify(connection, "".join(sorted(kinds)))

    async def _notify(self, connection: Any, kinds: str) -> None:
        async with asyncio.timeout(_ECHO):
            await self._store.notify(connection, kinds)

    async def _echoes(self, connection: Any) -> bool:
        self._heard.clear()
        await self._notify(connection, "")
        for _ in range(round(_ECHO / _POLL)):
            try:
                async with asyncio.timeout(_POLL):
                    await self._heard.wait()
            except TimeoutError:
                self._hub.publish(News())
            else:
                return True
        return False

    async def _poll(self) -> None:
        for _ in range(round(_RETRY / _POLL)):
            await asyncio.sleep(_POLL)
            self._hub.publish(News())
            if self._untold:
                kinds, self._untold = self._untold, set()
                await self._store.writer.call(lambda tx: self._store.tell(tx, "".join(sorted(kinds))))  # noqa: B023

    def _notified(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        self._heard.set()
        sender, kinds = json.loads(payload)
        if sender != self._store.process_id and kinds:
            self._hub.publish(News("r" in kinds, "d" in kinds, "e" in kinds, "l" in kinds, "c" in kinds))

"""Hints within a process, and between the processes of one database. All of them may be lost without harm."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from stepwell.engine.run import RunRow
from stepwell.errors import StoreUnavailable
from stepwell.store.base import Store
from stepwell.store.postgres.store import GATES, PostgresStore
from stepwell.store.sqlite.store import SqliteStore
from stepwell.store.tx import KINDS, Hints

log = logging.getLogger("stepwell.hints")

_LOOK: Final = 0.2
"""Seconds between looks at SQLite. A look reads a number in shared memory; it isn't a query and does no I/O."""
_ECHO: Final = 2.0
"""Seconds for the listener's notification to itself to arrive."""
_PROBE: Final = 30.0
"""Seconds between two such tests of a silent connection."""
_POLL: Final = 0.5
"""Seconds between looks where LISTEN doesn't work."""
_RETRY: Final = 30.0
"""Seconds before LISTEN is tried again there."""
_PAUSE: Final = 0.5


@dataclass(frozen=True, slots=True)
class RemoteChanges:
    """A commit of another process: runs that are ready, that become due, that parked or ended, and so on."""

    ready: bool = True
    due: bool = True
    ended: bool = True
    lost: bool = True
    """True if runs that this process executes may not be its own any more."""
    children: bool = True
    pauses: bool = True
    schedules: bool = True
    gates: bool = False
    """True if a caller's transaction was committed that was about gates; no process knows the moment by itself."""


Subscriber = Callable[[RunRow | RemoteChanges], None]
"""A function called on the loop with the row of a run that this process changed, or with other processes' changes."""


class Hub:
    """The subscribers of one process. Publishing never waits and never fails; without a subscription the database is asked."""

    def __init__(self) -> None:
        self._listeners: list[Subscriber] = []

    def subscribe(self, listener: Subscriber) -> Callable[[], None]:
        """Subscribe the listener from now on, until the returned function is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def publish(self, what: RunRow | RemoteChanges) -> None:
        """Call all listeners."""
        for listener in tuple(self._listeners):
            try:
                listener(what)
            except Exception:
                log.exception("a listener in this process failed; the others are still called")


class Notifier(Protocol):
    """Sends notifications to other processes, and publishes theirs to the hub. Both may lose some."""

    async def run(self) -> None:
        """Send and receive, until cancelled."""
        ...

    def tell(self, hints: Hints) -> None:
        """Notify other processes soon of a commit. Never waits."""
        ...


def notifier_for(store: Store, hub: Hub) -> Notifier:
    """Return the notifier that the store's database makes possible."""
    if isinstance(store, PostgresStore):
        return PostgresListener(store, hub)
    assert isinstance(store, SqliteStore)
    return SqlitePoller(store, hub)


class SqlitePoller:
    """A cheap look at whether another process has committed something: SQLite's data_version, five times a second."""

    def __init__(self, store: SqliteStore, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._seen: int | None = None

    def tell(self, hints: Hints) -> None:
        return  # a commit tells by itself

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            await self.look()

    async def look(self) -> None:
        """Publish a hint if anything was committed since the last look."""
        try:
            version = await self._store.data_version()
        except StoreUnavailable as error:
            log.warning("%s", error)
            return
        if version != self._seen:
            self._seen = version
            self._hub.publish(RemoteChanges())


class PostgresListener:
    """Notifications by PostgreSQL itself: one LISTEN connection per process.

    A pooler that shares sessions swallows LISTEN silently. So the listener notifies itself first, and if that doesn't
    arrive, the process polls the database instead.
    """

    def __init__(self, store: PostgresStore, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._heard = asyncio.Event()
        self._some = asyncio.Event()
        self._untold: set[str] = set()

    async def run(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception as error:
                if not (isinstance(error, TimeoutError | OSError) or self._store.unavailable(error)):
                    raise
                log.warning("listening for notifications from other processes was interrupted: %r", error)
            # Changes that were missed meanwhile are looked for.
            self._hub.publish(RemoteChanges())
            await asyncio.sleep(_PAUSE)

    def tell(self, hints: Hints) -> None:
        if new := hints.kinds():
            self._untold |= set(new)
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
            # Notifications may have been lost meanwhile, here and elsewhere: all look at everything.
            self._hub.publish(RemoteChanges())
            self._untold = set(KINDS)
            self._some.set()
            return await self._talk(connection)

    async def _talk(self, connection: Any) -> None:
        """Send pending notifications; without any, test whether the connection still carries them."""
        while True:
            try:
                async with asyncio.timeout(_PROBE):
                    await self._some.wait()
            except TimeoutError:
                if not await self._echoes(connection):
                    raise TimeoutError("no notifications arrive any more") from None
                continue
            self._some.clear()
            # Outside of the transactions that it announces: they would wait for each other's COMMIT, one at a time.
            await self._notify(connection, self._take_untold())

    def _take_untold(self) -> str:
        kinds, self._untold = self._untold, set()
        return "".join(sorted(kinds))

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
                self._hub.publish(RemoteChanges())
            else:
                return True
        return False

    async def _poll(self) -> None:
        for _ in range(round(_RETRY / _POLL)):
            await asyncio.sleep(_POLL)
            self._hub.publish(RemoteChanges())
            if self._untold:
                kinds = self._take_untold()
                await self._store.writer.call(lambda tx: self._store.tell(tx, kinds))  # noqa: B023

    def _notified(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        self._heard.set()
        sender, kinds = _read(payload)
        if sender != self._store.process_id and kinds:
            self._hub.publish(RemoteChanges(*(letter in kinds for letter in KINDS + GATES)))


def _read(payload: str) -> tuple[object, str]:
    """Return the sender and the kinds of a notification. An unreadable one may mean anything, so all is looked at."""
    try:
        sender, kinds = json.loads(payload)
    except (ValueError, TypeError, RecursionError):
        return None, KINDS
    return sender, kinds if isinstance(kinds, str) else KINDS

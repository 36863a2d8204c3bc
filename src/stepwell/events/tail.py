"""The newest rows of the history, read once for all who watch, and only while somebody does.

A watcher joins at a horizon: everything before it has to be asked of the database, everything after it is handed over.
Nothing is kept: who doesn't take what is handed over in time is cut off, and comes back with the number it has.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from stepwell.errors import StoreUnavailable
from stepwell.events.local import Hub
from stepwell.store import feed
from stepwell.store.base import DocumentRow
from stepwell.store.feed import Entry, Horizon
from stepwell.store.store import Store
from stepwell.store.tx import Tx

log = logging.getLogger("stepwell.events")

_PAUSE: Final = 0.03
"""Seconds between two looks while much goes on: what is committed meanwhile is read at once."""
_LOOK: Final = 0.3
"""Seconds between looks where nothing tells of commits: others tell of runs that park or end, not of each checkpoint."""
_OPEN_WITHIN: Final = 10.0
_PAGE: Final = 500
_MOST_UNSEEN: Final = 800
"""Transactions that a position may list: each is a condition of its own, and SQLite takes a thousand of them."""
_ROOM: Final = 2_000
"""Entries that a watcher may be behind before it is cut off."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An entry with where its reader stands after it."""

    entry: Entry
    documents: tuple[DocumentRow, ...]
    at: str


def position(seen: Horizon, until: Horizon, seq: int | None) -> str:
    """Where a reader stands: it has seen `seen`, and of what `until` adds everything up to `seq` (None: all)."""
    return str(until) if seq is None else f"{seen}/{until}/{seq}"


def parse(text: str) -> tuple[Horizon, Horizon | None, int]:
    """The parts of a position. Raises ValueError."""
    parts = text.split("/")
    if text.count(",") > _MOST_UNSEEN:
        raise ValueError(f"it lists more than {_MOST_UNSEEN} transactions")
    if len(parts) == 1:
        return Horizon.parse(parts[0]), None, 0
    seen, until, seq = parts
    return Horizon.parse(seen), Horizon.parse(until), feed.number(seq)


@dataclass(eq=False, slots=True)
class Watcher:
    """Somebody who watches one run, or all that `wanted` says."""

    wanted: Callable[[Entry], bool]
    run_id: str | None
    """Of this run only: what it saved is handed over too."""
    user_id: str | None
    """Of this user's runs only."""
    at: Horizon
    """The rows up to here weren't handed over."""
    cut_off: bool = False
    _waiting: deque[Seen] = field(default_factory=deque)
    _some: asyncio.Event = field(default_factory=asyncio.Event)

    def hand(self, seen: Sequence[Seen]) -> None:
        """It is there to be taken, if there is room; else the watcher is cut off."""
        if len(self._waiting) + len(seen) > _ROOM:
            self.cut_off = True
            self._waiting.clear()
        elif not self.cut_off:
            self._waiting.extend(seen)
        self._some.set()

    async def next(self, seconds: float) -> list[Seen]:
        """What was handed over since; empty after `seconds` without any, or when it is cut off."""
        try:
            async with asyncio.timeout(seconds):
                await self._some.wait()
        except TimeoutError:
            return []
        self._some.clear()
        found = list(self._waiting)
        self._waiting.clear()
        return found


class Tail:
    """The watchers of one process."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._watchers: set[Watcher] = set()
        self._changed = asyncio.Event()
        self._watched = asyncio.Event()
        self._ready = asyncio.Event()
        self._turn = asyncio.Lock()
        self._joining = 0
        self._at: Horizon | None = None

    def changed(self) -> None:
        """Something was committed."""
        self._changed.set()

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return len(self._watchers)

    async def join(
        self, wanted: Callable[[Entry], bool], *, run_id: str | None = None, user_id: str | None = None
    ) -> Watcher:
        """A watcher to whom all is handed over that comes after its horizon. Raises StoreUnavailable."""
        self._joining += 1
        try:
            while True:
                self._watched.set()
                await self._opened()
                async with self._turn:
                    if self._at is not None:
                        watcher = Watcher(wanted, run_id, user_id, self._at)
                        self._watchers.add(watcher)
                        return watcher
        finally:
            self._joining -= 1

    async def _opened(self) -> None:
        try:
            async with asyncio.timeout(_OPEN_WITHIN):
                await self._ready.wait()
        except TimeoutError:
            raise StoreUnavailable("The database can't be read: the stream can't begin. Come back later.") from None

    def leave(self, watcher: Watcher) -> None:
        """Nothing is handed over any more."""
        self._watchers.discard(watcher)

    async def run(self) -> None:
        """Looks while somebody watches. Works until it is cancelled."""
        unsubscribe = self._hub.subscribe(lambda _: self.changed())
        try:
            while True:
                await self._watched.wait()
                self._watched.clear()
                await self._follow()
        finally:
            unsubscribe()

    async def _follow(self) -> None:
        try:
            self._at = await self._store.read(feed.horizon)
            self._ready.set()
            while self._watchers or self._joining:
                await self._wait()
                async with self._turn:
                    await self._look()
        except StoreUnavailable as error:
            log.warning("streams wait for the database: %s", error)
            await asyncio.sleep(_LOOK)
        finally:
            self._at = None
            self._ready.clear()
            self.end()
            if self._joining:
                self._watched.set()

    def end(self) -> None:
        """Nobody watches any more: who did comes back with what it has, here later or elsewhere."""
        for watcher in self._watchers:
            watcher.cut_off = True
            watcher.hand(())
        self._watchers.clear()

    async def _wait(self) -> None:
        await asyncio.sleep(_PAUSE)
        try:
            async with asyncio.timeout(_LOOK):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()

    async def _look(self) -> None:
        seen = self._at
        assert seen is not None  # it is set before the first look
        until = await self._store.read(feed.horizon)
        after = 0
        while True:
            # Reading may be another thread's: watchers come and go meanwhile.
            runs = frozenset(watcher.run_id for watcher in self._watchers if watcher.run_id is not None)
            found, documents = await self._store.read(lambda tx: _page(tx, seen, until, after, runs))  # noqa: B023
            whole = len(found) < _PAGE
            self._hand_over(seen, until, found, documents, whole)
            if whole:
                break
            after = found[-1].seq
        self._at = until
        for watcher in self._watchers:
            watcher.at = until

    def _hand_over(
        self, seen: Horizon, until: Horizon, found: list[Entry], documents: list[DocumentRow], whole: bool
    ) -> None:
        if not found:
            return
        by_row: defaultdict[tuple[str, int], list[DocumentRow]] = defaultdict(list)
        for document in documents:
            by_row[document.run_id, document.version].append(document)
        last = found[-1].seq if whole else None
        handed = [
            Seen(
                entry,
                tuple(by_row[entry.run.id, entry.row.version]),
                position(seen, until, None if entry.seq == last else entry.seq),
            )
            for entry in found
        ]
        by_run: defaultdict[str, list[Seen]] = defaultdict(list)
        by_user: defaultdict[str, list[Seen]] = defaultdict(list)
        for one in handed:
            by_run[one.entry.run.id].append(one)
            by_user[one.entry.run.user_id].append(one)
        for watcher in self._watchers:
            if watcher.run_id is not None:
                mine: Sequence[Seen] = by_run.get(watcher.run_id, ())
            else:
                mine = handed if watcher.user_id is None else by_user.get(watcher.user_id, ())
            if wanted := [one for one in mine if watcher.wanted(one.entry)]:
                watcher.hand(wanted)


def _page(
    tx: Tx, seen: Horizon, until: Horizon, after: int, runs: frozenset[str]
) -> tuple[list[Entry], list[DocumentRow]]:
    """The next entries, and the documents of those that belong to these runs."""
    found = feed.between(tx, seen, until, after, _PAGE)
    spans: dict[str, tuple[int, int]] = {}
    for entry in found:
        if entry.run.id in runs:
            first, _ = spans.get(entry.run.id, (entry.row.version, 0))
            spans[entry.run.id] = (first, entry.row.version)
    return found, feed.documents_of(tx, spans)

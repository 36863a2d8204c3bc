"""The newest rows of the history, read once for all watchers, and only while there are any.

A watcher joins at a horizon: entries before it have to be read from the database, entries after it are handed over.
Nothing is kept: a watcher that doesn't take its entries in time is cut off, and comes back with the position it has.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from stepwell.errors import StoreUnavailable
from stepwell.hints.notifications import Hub
from stepwell.store.base import Store
from stepwell.store.documents import DocumentRow
from stepwell.store.reading import feed
from stepwell.store.reading.feed import FeedEntry, Horizon
from stepwell.store.tx import Tx

log = logging.getLogger("stepwell.hints")

_PAUSE: Final = 0.03
"""Seconds between two looks under load: commits of that time are read together."""
_LOOK: Final = 0.3
"""Seconds between looks without hints: other processes announce runs that park or end, not each checkpoint."""
_OPEN_WITHIN: Final = 10.0
_PAGE: Final = 500
_MOST_UNSEEN: Final = 800
"""Transactions that a position may list: each is a condition of its own, and SQLite takes a thousand of them."""
_ROOM: Final = 2_000
"""Entries that a watcher may be behind before it is cut off."""


@dataclass(frozen=True, slots=True)
class StreamedEntry:
    """An entry with where its reader stands after it."""

    entry: FeedEntry
    documents: tuple[DocumentRow, ...]
    at: str


def position(seen: Horizon, until: Horizon, seq: int | None) -> str:
    """Return a reader's position: it has seen `seen`, and from `until` everything up to `seq` (None: all)."""
    return str(until) if seq is None else f"{seen}/{until}/{seq}"


def parse(text: str) -> tuple[Horizon, Horizon | None, int]:
    """Return the parts of a position. Raises ValueError."""
    parts = text.split("/")
    if text.count(",") > _MOST_UNSEEN:
        raise ValueError(f"it lists more than {_MOST_UNSEEN} transactions")
    if len(parts) == 1:
        return Horizon.parse(parts[0]), None, 0
    seen, until, seq = parts
    return Horizon.parse(seen), Horizon.parse(until), feed.number(seq)


@dataclass(eq=False, slots=True)
class Subscription:
    """A watcher of one run, or of all entries that `wanted` selects."""

    wanted: Callable[[FeedEntry], bool]
    run_id: str | None
    """The run to watch: its documents are handed over too."""
    user_id: str | None
    """The user whose runs are watched."""
    at: Horizon
    """The rows up to here weren't handed over."""
    cut_off: bool = False
    _waiting: deque[StreamedEntry] = field(default_factory=deque)
    _some: asyncio.Event = field(default_factory=asyncio.Event)

    def hand(self, seen: Sequence[StreamedEntry]) -> None:
        """Hand entries over if there is room; otherwise cut the watcher off."""
        if len(self._waiting) + len(seen) > _ROOM:
            self._waiting.clear()
            self.disconnect()
        elif not self.cut_off:
            self._waiting.extend(seen)
            self._some.set()

    def disconnect(self) -> None:
        """Cut the watcher off; it still takes what was handed over before."""
        self.cut_off = True
        self._some.set()

    async def next(self, seconds: float) -> list[StreamedEntry]:
        """Return the entries handed over since; empty after `seconds` without any, or when it is cut off."""
        try:
            async with asyncio.timeout(seconds):
                await self._some.wait()
        except TimeoutError:
            return []
        self._some.clear()
        found = list(self._waiting)
        self._waiting.clear()
        return found


class Watchers:
    """The watchers of one process, and what each of them gets. Knows neither loop nor database."""

    def __init__(self) -> None:
        self._all: set[Subscription] = set()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, watcher: Subscription) -> Subscription:
        """Hand entries to this watcher from now on."""
        self._all.add(watcher)
        return watcher

    def remove(self, watcher: Subscription) -> None:
        """Stop handing entries to a watcher."""
        self._all.discard(watcher)

    @property
    def runs(self) -> frozenset[str]:
        """The runs that are watched by themselves."""
        return frozenset(watcher.run_id for watcher in self._all if watcher.run_id is not None)

    def hand_over(self, entries: Sequence[StreamedEntry]) -> None:
        """Hand each watcher the entries that it wants; one that can't say is cut off, and the others continue."""
        by_run: defaultdict[str, list[StreamedEntry]] = defaultdict(list)
        by_user: defaultdict[str, list[StreamedEntry]] = defaultdict(list)
        for one in entries:
            by_run[one.entry.run.id].append(one)
            by_user[one.entry.run.user_id].append(one)
        for watcher in self._all:
            mine = entries
            if watcher.run_id is not None:
                mine = by_run.get(watcher.run_id, ())
            elif watcher.user_id is not None:
                mine = by_user.get(watcher.user_id, ())
            try:
                wanted = [one for one in mine if watcher.wanted(one.entry)]
            except Exception:
                log.exception(
                    "the updates for one watcher can't be computed: it is disconnected, and the others continue"
                )
                watcher.disconnect()
                continue
            if wanted:
                watcher.hand(wanted)

    def moved(self, until: Horizon) -> None:
        """Note that all rows up to here were handed over."""
        for watcher in self._all:
            watcher.at = until

    def disconnect_all(self) -> None:
        """Cut all watchers off."""
        for watcher in self._all:
            watcher.disconnect()
        self._all.clear()


def streamed(
    seen: Horizon, until: Horizon, found: Sequence[FeedEntry], documents: Iterable[DocumentRow], *, whole: bool
) -> list[StreamedEntry]:
    """Return the entries between two horizons with their documents and positions; `whole`: no more follow."""
    by_row: defaultdict[tuple[str, int], list[DocumentRow]] = defaultdict(list)
    for document in documents:
        by_row[document.run_id, document.version].append(document)
    last = found[-1].seq if found and whole else None
    return [
        StreamedEntry(
            entry,
            tuple(by_row[entry.run.id, entry.row.version]),
            position(seen, until, None if entry.seq == last else entry.seq),
        )
        for entry in found
    ]


class Tail:
    """The reader of the newest rows for the watchers of one process; it reads while there are any."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._watchers = Watchers()
        self._changed = asyncio.Event()
        self._watched = asyncio.Event()
        self._ready = asyncio.Event()
        self._turn = asyncio.Lock()
        self._joining = 0
        self._at: Horizon | None = None

    def changed(self) -> None:
        """Take a hint that something was committed."""
        self._changed.set()

    @property
    def watchers(self) -> int:
        """The number of watchers."""
        return len(self._watchers)

    async def join(
        self, wanted: Callable[[FeedEntry], bool], *, run_id: str | None = None, user_id: str | None = None
    ) -> Subscription:
        """Return a new watcher that gets all entries after its horizon. Raises StoreUnavailable."""
        self._joining += 1
        try:
            while True:
                self._watched.set()
                try:
                    async with asyncio.timeout(_OPEN_WITHIN):
                        await self._ready.wait()
                except TimeoutError:
                    text = "The database can't be read, so the stream can't begin. Try again later."
                    raise StoreUnavailable(text) from None
                async with self._turn:
                    if self._at is not None:
                        return self._watchers.add(Subscription(wanted, run_id, user_id, self._at))
        finally:
            self._joining -= 1

    def remove(self, watcher: Subscription) -> None:
        """Stop handing entries to a watcher."""
        self._watchers.remove(watcher)

    async def run(self) -> None:
        """Look while there are watchers, until cancelled."""
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
                await asyncio.sleep(_PAUSE)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK):
                        await self._changed.wait()
                self._changed.clear()
                async with self._turn:
                    self._at = await self._look(self._at)
        except StoreUnavailable as error:
            log.warning("streams are waiting for the database: %s", error)
            await asyncio.sleep(_LOOK)
        finally:
            self._at = None
            self._ready.clear()
            self.end()
            if self._joining:
                self._watched.set()

    def end(self) -> None:
        """Cut all watchers off: each comes back with its position, here later or elsewhere."""
        self._watchers.disconnect_all()

    async def _look(self, seen: Horizon) -> Horizon:
        """Hand over what was committed since, and return up to where."""
        until = await self._store.read(feed.horizon)
        after, whole = 0, False
        while not whole:
            # Reading may be another thread's: watchers come and go meanwhile.
            runs = self._watchers.runs
            found, documents, whole = await self._store.read(
                lambda tx: _page(tx, seen, until, after, runs)  # noqa: B023
            )
            if found:
                self._watchers.hand_over(streamed(seen, until, found, documents, whole=whole))
                after = found[-1].seq
        self._watchers.moved(until)
        return until


def _page(
    tx: Tx, seen: Horizon, until: Horizon, after: int, runs: frozenset[str]
) -> tuple[Sequence[FeedEntry], list[DocumentRow], bool]:
    """Return the next entries, the documents of those that belong to these runs, and whether they are the last ones."""
    return feed.with_documents(tx, feed.between(tx, seen, until, after, _PAGE), runs, _PAGE)

"""A process that dies at one commit: wrappers of the writer and the storage, through which every change has to go.

From the crash on nothing is committed and nothing is answered. Callers wait for their answers until the process is thrown
away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal

from stepwell.engine.commit import Commit
from stepwell.engine.groups import Member
from stepwell.engine.run import RunRow, SignalRow
from stepwell.execution import deciding, operations
from stepwell.execution.storage import Journal, OpenTransaction, Storage
from stepwell.process import Process
from stepwell.store.documents import DocumentRow, WantedDocuments
from stepwell.store.inbox import Seen
from stepwell.store.journal import JournalRow, Record
from stepwell.store.sqlite.store import SqliteStore
from stepwell.store.tx import Advance, Answer, Begin, Call, Hints, Item
from stepwell.store.writing.thread import LentLock, ThreadWriter
from stepwell.store.writing.writer import Entry, Then, Writer

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

Side = Literal["before", "after"]


class Crash:
    """The crash of a process before or after its commit `number` (from 1; 0: never), and the names of its commits so far."""

    def __init__(self, number: int = 0, side: Side = "before") -> None:
        self.number = number
        self.side = side
        self.names: list[str] = []
        self.happened = asyncio.Event()
        self._never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def strikes(self, name: str) -> bool:
        """Return whether this commit, the next, is the one."""
        self.names.append(name)
        return len(self.names) == self.number

    async def silence(self) -> None:
        """Wait without an answer; cancelled once the process is thrown away."""
        await asyncio.shield(self._never)

    def bury(self) -> None:
        """Throw the process away: cancel all that wait for an answer."""
        self._never.cancel()

    async def around(self, name: str, commit: Callable[[], Awaitable[Any]]) -> Any:
        """Return the answer of `commit`; at the crash it isn't made, or is made and not answered."""
        if self.happened.is_set():
            await self.silence()
        if not self.strikes(name):
            return await self.alive(await commit())
        if self.side == "after":
            await commit()
        self.strike()
        return await self.silence()

    def strike(self, _answer: Any = None) -> None:
        """Crash. As a callback of the writer it runs before any caller gets an answer of the common commit."""
        self.happened.set()

    async def alive(self, answer: Any) -> Any:
        """Return the answer, if the process is still alive to get it."""
        if self.happened.is_set():
            await self.silence()
        return answer


def install(process: Process, crash: Crash) -> None:
    """Make the process die at that crash."""
    store = process.store
    if isinstance(store, SqliteStore):  # which lends its lock to `self.transaction()`
        store.writer = CrashingThreadWriter(store.writer, crash)
    else:
        store.writer = CrashingWriter(store.writer, crash)
    process.passes.storage = CrashingStorage(process.passes.storage, crash)


class CrashingWriter(Writer):
    """A writer that passes everything to the real one, until the crash."""

    def __init__(self, real: Writer, crash: Crash) -> None:
        self._real = real
        self._crash = crash

    @property
    def on_commit(self) -> Callable[[int, Hints], None]:
        return self._real.on_commit

    @on_commit.setter
    def on_commit(self, listener: Callable[[int, Hints], None]) -> None:
        self._real.on_commit = listener

    def start(self) -> None:
        self._real.start()

    def hurry(self) -> None:
        self._real.hurry()

    async def stop(self) -> None:
        await self._real.stop()

    def _put(self, entry: Entry) -> None:
        self._real._put(entry)

    async def write(self, item: Item, then: Then | None = None) -> Any:
        def unless_dead(answer: Answer) -> None:
            if then is not None and not self._crash.happened.is_set():
                then(answer)

        name = name_of(item)
        if name is None:
            if self._crash.happened.is_set():
                await self._crash.silence()
            return await self._crash.alive(await self._real.write(item, unless_dead))
        last = self._crash.number == len(self._crash.names) + 1
        return await self._crash.around(
            name, lambda: self._real.write(item, self._crash.strike if last else unless_dead)
        )

    def reply_to(self, item: Item, then: Then | None = None) -> Awaitable[Any]:
        return self.write(item, then)

    def write_from_thread(self, item: Item) -> Future[Any]:
        return self._real.write_from_thread(item)

    def faults(self) -> list[str]:
        return self._real.faults()


class CrashingThreadWriter(CrashingWriter, ThreadWriter):
    """The same of a thread, which lends its lock."""

    def __init__(self, real: ThreadWriter, crash: Crash) -> None:
        super().__init__(real, crash)
        self._thread_writer = real

    def lend(self, seconds: float) -> LentLock:
        return self._thread_writer.lend(seconds)


def name_of(item: Item) -> str | None:
    """Return the name of a commit in reports; None for one that changes no run (a claim, a heartbeat)."""
    match item:
        case Begin(commits):
            return f"the start of {', '.join(commit.run.workflow_name for commit in commits)}"
        case Advance(commit):
            return _checkpoint(commit)
        case Record(step):
            what = "step" if step.undone_at is None else "undo of step"
            status = "" if step.status is None else f": {step.status}"
            return f"the {what} {step.name!r} of {step.transition!r}{status}"
        case Call(operation) if operation.__module__ == operations.__name__:
            return f"a {operation.__qualname__.split('.')[1].replace('end_children', 'cancel').replace('end_child', 'cancel')}"
        case Call(operation) if operation.__module__ == deciding.__name__:
            return "a step of a group"
        case _:
            return None


def _checkpoint(commit: Commit) -> str:
    run, row = commit.run, commit.history
    if row is None:
        return f"{run.workflow_name} {run.status} at {run.place!r}"
    if row.transition is None:
        return f"version {row.version} of {run.workflow_name}: {row.status} at {row.source!r}"
    return f"version {row.version} of {run.workflow_name}: {row.transition!r} {row.status}"


class CrashingStorage:
    """The storage of a process that dies; what `self.transaction()` commits doesn't go through the writer."""

    durable = True

    def __init__(self, real: Storage, crash: Crash) -> None:
        self._real = real
        self._crash = crash

    def holds(self) -> bool:
        return self._real.holds()

    async def commit(self, commit: Commit) -> RunRow:
        return await self._real.commit(commit)

    async def give_back(self, run: RunRow) -> None:
        await self._real.give_back(run)

    async def documents(self, run_id: str, wanted: WantedDocuments | None = None) -> list[DocumentRow]:
        return await self._real.documents(run_id, wanted)

    async def record(self, run: RunRow, row: JournalRow, journal: Journal) -> None:
        await self._real.record(run, row, journal)

    async def undoable(self, run_id: str) -> list[JournalRow]:
        return await self._real.undoable(run_id)

    async def journal(self, run_id: str) -> Journal:
        return await self._real.journal(run_id)

    async def inbox(self, run: RunRow) -> Seen:
        return await self._real.inbox(run)

    async def signal(self, signal_id: str) -> SignalRow | None:
        return await self._real.signal(signal_id)

    async def keyed(self, keys: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], RunRow]:
        return await self._real.keyed(keys)

    async def members(
        self, group_id: str, user_id: str, after: int, limit: int, most_bytes: int
    ) -> list[Member] | None:
        return await self._real.members(group_id, user_id, after, limit, most_bytes)

    async def transaction(self, run: RunRow) -> OpenTransaction:
        if self._crash.happened.is_set():
            await self._crash.silence()
        return CrashingTransaction(await self._real.transaction(run), self._crash)


class CrashingTransaction:
    """`self.transaction()` of a process that dies."""

    def __init__(self, real: OpenTransaction, crash: Crash) -> None:
        self._real = real
        self._crash = crash
        self.connection: AsyncConnection = real.connection

    async def commit(self, commit: Commit) -> RunRow:
        name = f"{_checkpoint(commit)} with its transaction"
        run: RunRow = await self._crash.around(name, lambda: self._real.commit(commit))
        return run

    async def roll_back(self) -> None:
        await self._real.roll_back()

    def lost(self, error: BaseException) -> bool:
        return self._real.lost(error)

    async def answers(self) -> bool:
        return await self._real.answers()

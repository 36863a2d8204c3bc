"""Storage in the database: checkpoints and journal through the writer, and transactions of the methods' own."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from stepwell.definition.text import is_a
from stepwell.engine.commit import Commit
from stepwell.engine.groups import Member
from stepwell.engine.run import RunRow, SignalRow
from stepwell.errors import LeaseLost, StepwellError, StoreUnavailable
from stepwell.execution.shared import Shared
from stepwell.execution.storage import Journal, OpenTransaction, patiently
from stepwell.store import documents, groups, history, inbox, runs, workers
from stepwell.store.documents import DocumentRow, WantedDocuments
from stepwell.store.inbox import Seen
from stepwell.store.journal import BARRING, JournalRow, Record
from stepwell.store.tx import Advance, Hints, Tx
from stepwell.store.writing.flush import cause_of

if TYPE_CHECKING:
    from stepwell.store.base import Store

log = logging.getLogger("stepwell.execution")

T = TypeVar("T")


class Durable:
    """The storage of durable runs: the database."""

    durable = True

    def __init__(self, shared: Shared, store: Store, holds: Callable[[], bool]) -> None:
        self._shared = shared
        self._store = store
        self.holds = holds
        """True if the lease of the process holds."""

    def commit(self, commit: Commit) -> Awaitable[RunRow]:
        return self._store.writer.reply_to(Advance(commit))

    async def give_back(self, run: RunRow) -> None:
        # The cancel has counted the claim on; a worker that took the run over since has counted further, or is another.
        owner, held = run.owner, [(run.id, run.claim + 1)]
        if owner is None:
            return
        now = self._shared.clock.now()
        try:
            await self._store.writer.call(lambda tx: workers.release(tx, owner, held, now, counts=False))
        except StoreUnavailable as error:
            log.info("run %s is given back with a later heartbeat: %s", run.id, error)

    async def documents(self, run_id: str, wanted: WantedDocuments | None = None) -> list[DocumentRow]:
        if wanted is None:
            return await self._store.read(lambda tx: documents.of_run(tx, run_id))
        return await self._store.read(lambda tx: documents.wanted_of(tx, run_id, wanted))

    async def record(self, run: RunRow, row: JournalRow, journal: Journal) -> None:
        key = (row.transition, row.name)

        def written(answer: Any) -> None:
            # Here and not after the write: an attempt that is cancelled meanwhile must not forget what is journaled.
            # The first value stays, as in the journal: an earlier attempt's may have been on its way.
            if answer is None and row.status is None and row.undone_at is None:
                if journal.get(key) is None:
                    journal[key] = row.value
            elif answer is None and row.status in BARRING:
                journal.setdefault(key, None)

        async def write() -> None:
            await self._store.writer.write(Record(row, run.version, run.claim), written)

        # The function has run: its value is worth waiting for, as long as the attempt may last and the run is ours.
        await patiently(write, f"run {run.id}: the journal of step {row.name!r}")

    async def undoable(self, run_id: str) -> list[JournalRow]:
        what = f"run {run_id}: the steps that it undoes"
        return await patiently(lambda: self._store.read(lambda tx: history.undoable(tx, run_id)), what)

    async def journal(self, run_id: str) -> Journal:
        found = await self._store.read(lambda tx: history.journals(tx, [run_id]))
        return found.get(run_id, {})

    async def inbox(self, run: RunRow) -> Seen:
        found = await self._store.read(lambda tx: inbox.seen(tx, [run]))
        return found.get(run.id, Seen())

    async def signal(self, signal_id: str) -> SignalRow | None:
        return await self._store.read(lambda tx: inbox.whole(tx, signal_id))

    async def keyed(self, keys: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], RunRow]:
        return await patiently(lambda: self._store.read(lambda tx: runs.by_keys(tx, keys)), "starts with keys")

    async def members(
        self, group_id: str, user_id: str, after: int, limit: int, most_bytes: int
    ) -> list[Member] | None:
        def query(tx: Tx) -> list[Member] | None:
            group = groups.load(tx, group_id)
            if group is None or group.user_id != user_id:
                return None
            return groups.members(tx, group_id, after=after, limit=limit, most_bytes=most_bytes)

        return await patiently(lambda: self._store.read(query), f"the children of group {group_id}")

    async def transaction(self, run: RunRow) -> OpenTransaction:
        async def opened() -> _Transaction:
            transaction = _Transaction(self._store)
            await transaction.open(run)
            return transaction

        return await patiently(opened, f"run {run.id}: its transaction")


class Lent(AsyncConnection):
    """The connection as the method gets it: when it commits isn't the method's to say."""

    async def commit(self) -> None:
        raise StepwellError(
            "self.transaction() commits with the transition's checkpoint, or not at all: leave out connection.commit()."
        )

    async def close(self) -> None:
        raise StepwellError(
            "self.transaction() closes its connection with the transition's checkpoint: leave out connection.close()."
        )


class _Transaction:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._context = store.transaction()

    async def open(self, run: RunRow) -> None:
        try:
            self._own = await self._context.__aenter__()
        except Exception as error:
            raise self._unwritten(error) from error
        self.connection: AsyncConnection = Lent(self._own.engine, self._own.sync_connection)
        try:
            await self._within(lambda tx: _hold(tx, run))
        except BaseException as error:
            await self.roll_back()
            raise self._unwritten(error) from error

    async def commit(self, commit: Commit) -> RunRow:
        try:
            answer, hints, failure = await self._write(commit)
        except Exception as error:
            raise self._unwritten(error) from error
        finally:
            await self.roll_back()
        # Only now that the write lock is given back: a COMMIT that failed may have been made all the same.
        if failure is not None and not await self._store.stored(commit, answer):
            raise _unwritten(failure) from failure
        self._store.writer.on_commit(1, hints)
        return answer

    def lost(self, error: BaseException) -> bool:
        # Of this connection, and by the database's own word: user code has time limits and connections of its own.
        return is_a(error, DBAPIError) and self._store.lost(error) and self._own.invalidated

    async def answers(self) -> bool:
        return await self._store.answers()

    async def _write(self, commit: Commit) -> tuple[RunRow, Hints, Exception | None]:
        """Return the row if the commit was made, the hints for others, and the reason why it may not have been made."""
        answer, hints = await self._within(lambda tx: self._advance(tx, commit))
        try:
            await self._own.commit()
            self._store.confirm()
        except Exception as error:
            if not self._store.unavailable(error):
                raise
            # SQLAlchemy takes its transaction for ended; the pooled connection would keep the write lock for ever.
            await self._own.invalidate()
            return answer, hints, error
        return answer, hints, None

    def _advance(self, tx: Tx, commit: Commit) -> tuple[RunRow, Hints]:
        [answer] = self._store.applier.advance(tx, [commit])
        if isinstance(answer, LeaseLost):
            raise answer
        self._store.applier.settle(tx)
        return answer, tx.hints

    async def _within(self, act: Callable[[Tx], T]) -> T:
        return await self._own.run_sync(lambda connection: act(Tx(connection, self._store.dialect)))

    def _unwritten(self, error: BaseException) -> BaseException:
        return _unwritten(error) if self._store.unavailable(error) else error

    async def roll_back(self) -> None:
        # Closing the connection rolls back what wasn't committed, and gives the write lock back.
        context, self._context = self._context, None  # type: ignore[assignment]
        if context is not None:
            await context.__aexit__(None, None, None)


def _unwritten(error: BaseException) -> StoreUnavailable:
    return StoreUnavailable(f"The database can't be written: {cause_of(error)}. Nothing was stored.")


def _hold(tx: Tx, run: RunRow) -> None:
    fence = runs.fence(tx, [run.id]).get(run.id)
    if fence is None or (fence.version, fence.claim) != (run.version, run.claim):
        raise LeaseLost(f"Run {run.id} was taken over or cancelled.")

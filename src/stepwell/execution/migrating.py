"""The storage of a pass whose run the code sees otherwise than it is stored, until a checkpoint stores what it sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from stepwell.definition.model import Definition
from stepwell.engine.commit import Commit
from stepwell.engine.groups import Member
from stepwell.engine.matching import listeners_of
from stepwell.engine.run import Inbox, RunRow, SignalRow
from stepwell.execution.storage import Journal, OpenTransaction, Storage
from stepwell.execution.versions import known_inbox, known_journal
from stepwell.store.documents import DocumentRow, WantedDocuments
from stepwell.store.inbox import Seen
from stepwell.store.journal import JournalRow

_CHANGED: Final = (
    "workflow_version", "args", "state", "result", "place", "failing", "bound", "moves_to", "detours", "callbacks",
)  # fmt: skip
"""The fields of a run that may differ between its row and what the code makes of it."""


class RunHolder(Protocol):
    """The pass, with all that it has of its run."""

    storage: Storage
    run: RunRow
    inbox: Inbox
    journal: Journal


def carry_on(holder: RunHolder, definition: Definition, found: RunRow) -> None:
    """Let a pass go on with its run as this code sees it, which the next checkpoint stores."""
    holder.storage = Migrating(holder.storage, Carried(definition, holder.run, holder.run.state))
    holder.inbox = known_inbox(definition, holder.inbox)
    holder.journal = known_journal(definition, holder.journal)
    holder.run = found


@dataclass(slots=True)
class Carried:
    """A run as it is stored, while a pass carries it on as its code sees it."""

    definition: Definition
    row: RunRow | None
    """None once a commit has stored what the code sees."""
    state: str | None
    """The state of the last history row; None once a history row holds the migrated one."""

    def commit(self, commit: Commit) -> Commit:
        """Return the commit with what the migrations have changed; one that only parks the run stores nothing of it."""
        history, row = commit.history, self.row
        if row is not None and history is None and commit.parks:
            return commit._replace(run=commit.run._replace(**{field: getattr(row, field) for field in _CHANGED}))
        if history is not None and history.state is None and self.state not in (None, commit.run.state):
            history = history._replace(state=commit.run.state)
        if row is None:
            return commit._replace(history=history)
        run = commit.run
        listeners = commit.listeners if run.finished or commit.listeners else listeners_of(self.definition, run)
        migrated = row.workflow_version != run.workflow_version
        return commit._replace(history=history, listeners=listeners, migrated=migrated)

    def stored(self, commit: Commit) -> None:
        """Note that this commit, made by `commit`, is stored."""
        self.row = None
        if commit.history is not None:
            self.state = None


@dataclass(slots=True)
class Migrating:
    """The storage of one pass: what it stores is carried over from the row, what it reads has the present names."""

    storage: Storage
    carried: Carried

    @property
    def durable(self) -> bool:
        return self.storage.durable

    @durable.setter
    def durable(self, value: bool) -> None:
        raise AttributeError("durable")

    def holds(self) -> bool:
        return self.storage.holds()

    async def commit(self, commit: Commit) -> RunRow:
        commit = self.carried.commit(commit)
        run = await self.storage.commit(commit)
        self.carried.stored(commit)
        return run

    async def give_back(self, run: RunRow) -> None:
        await self.storage.give_back(run)

    async def documents(self, run_id: str, wanted: WantedDocuments | None = None) -> list[DocumentRow]:
        return await self.storage.documents(run_id, wanted)

    async def record(self, run: RunRow, row: JournalRow, journal: Journal) -> None:
        await self.storage.record(run, row, journal)

    async def undoable(self, run_id: str) -> list[JournalRow]:
        return await self.storage.undoable(run_id)

    async def journal(self, run_id: str) -> Journal:
        return known_journal(self.carried.definition, await self.storage.journal(run_id))

    async def inbox(self, run: RunRow) -> Seen:
        found, more = await self.storage.inbox(run)
        return Seen(known_inbox(self.carried.definition, found), more)

    async def signal(self, signal_id: str) -> SignalRow | None:
        found = await self.storage.signal(signal_id)
        return None if found is None else known_inbox(self.carried.definition, (found,))[0]

    async def keyed(self, keys: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], RunRow]:
        return await self.storage.keyed(keys)

    async def members(
        self, group_id: str, user_id: str, after: int, limit: int, most_bytes: int
    ) -> list[Member] | None:
        return await self.storage.members(group_id, user_id, after, limit, most_bytes)

    async def transaction(self, run: RunRow) -> OpenTransaction:
        opened = await self.storage.transaction(run)
        return _MigratingTransaction(opened, self.carried, opened.connection)


@dataclass(slots=True)
class _MigratingTransaction:
    opened: OpenTransaction
    carried: Carried
    connection: AsyncConnection

    async def commit(self, commit: Commit) -> RunRow:
        commit = self.carried.commit(commit)
        run = await self.opened.commit(commit)
        self.carried.stored(commit)
        return run

    async def roll_back(self) -> None:
        await self.opened.roll_back()

    def lost(self, error: BaseException) -> bool:
        return self.opened.lost(error)

    async def answers(self) -> bool:
        return await self.opened.answers()

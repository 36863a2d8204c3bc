"""A run without any storage: the same engine, in memory, from its first transition to its end."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.engine.commit import Commit
from stepwell.engine.groups import Member
from stepwell.engine.run import RunRow, SignalRow
from stepwell.errors import StatelessError
from stepwell.execution.drive import Pass
from stepwell.execution.shared import Shared
from stepwell.execution.storage import Journal, OpenTransaction
from stepwell.store.documents import DocumentRow, WantedDocuments
from stepwell.store.inbox import Seen
from stepwell.store.journal import JournalRow


async def run_stateless(shared: Shared, commit: Commit) -> tuple[RunRow, list[DocumentRow]]:
    """Return the run where it ended or parked, and its documents."""
    storage = Memory(shared)
    run = await Pass(shared, storage, commit.run, hold=True, fresh=True).drive()
    assert run is not None  # a stateless run is never stopped from outside, nor taken over
    return run, storage.saved


class Memory:
    """A stateless run: nothing is stored, documents stay in memory."""

    durable = False

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.saved: list[DocumentRow] = []

    def holds(self) -> bool:
        return True

    async def commit(self, commit: Commit) -> RunRow:
        if commit.effects.documents:
            self._save(commit)
        return commit.run

    def _save(self, commit: Commit) -> None:
        run = commit.run
        for n, w in enumerate(commit.effects.documents):
            row = DocumentRow(
                f"{run.version}.{n}", run.id, run.version * 1000 + n, w.name, w.key, w.content, w.tags, w.meta, w.errors,
                w.internal, w.transition, run.version, run.updated_at, None, w.ui, w.title,
            )  # fmt: skip
            same = [i for i, old in enumerate(self.saved) if w.key is not None and old.key == w.key]
            if same:
                self.saved[same[0]] = row._replace(position=self.saved[same[0]].position)
            else:
                self.saved.append(row)

    async def give_back(self, run: RunRow) -> None:
        return

    async def documents(self, run_id: str, wanted: WantedDocuments | None = None) -> list[DocumentRow]:
        if wanted is None:
            return list(self.saved)
        found = [row for row in self.saved if wanted.has(row)]
        if (after := wanted.after) is not None:
            found = [row for row in found if (row.position, row.id) > after]
        return found[: wanted.limit]

    async def record(self, run: RunRow, row: JournalRow, journal: Journal) -> None:
        return  # a step runs each time

    async def undoable(self, run_id: str) -> list[JournalRow]:
        return []

    async def journal(self, run_id: str) -> Journal:
        return {}

    async def inbox(self, run: RunRow) -> Seen:
        return Seen()  # a stateless run can't be signalled

    async def signal(self, signal_id: str) -> SignalRow | None:
        return None

    async def keyed(self, keys: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], RunRow]:
        return {}  # and it has no children: `self.start_many` is refused before

    async def members(
        self, group_id: str, user_id: str, after: int, limit: int, most_bytes: int
    ) -> list[Member] | None:
        return None

    async def transaction(self, run: RunRow) -> OpenTransaction:
        raise StatelessError("self.transaction(): a stateless run has no database; run it without stateless=True.")

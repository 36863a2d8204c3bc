"""A handle to a batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from stepwell.definition.authoring.groups import GroupItem
from stepwell.definition.values.misfit import shown
from stepwell.engine.groups import GroupRow, Progress
from stepwell.engine.run import Status
from stepwell.errors import BatchNotFound, InvalidArgs
from stepwell.execution.members import MemberOperations
from stepwell.runner.arguments import checked_reason, checked_seconds, id_of, statuses_of
from stepwell.runner.batch_models import Batch, batch_of
from stepwell.runner.core import Core
from stepwell.runner.ends import waiting_for
from stepwell.runner.groups import GroupProgress, item_page, members_query, progress_of
from stepwell.runner.models import Page
from stepwell.store import batches, groups
from stepwell.store.tx import Tx

if TYPE_CHECKING:
    from stepwell.runner.query import Reader

T = TypeVar("T")

_PAGE: Final = 500
"""Items that are read at a time."""
_SOONEST: Final = 0.02
_LATEST: Final = 1.0
"""Seconds between two looks at whether a batch has ended: a twentieth of the time that it has been waited for."""


class BatchHandle:
    """The name of a batch, and the verbs for it; it holds no state of the batch. Works in any process with the database open.

    Each verb raises BatchNotFound for a batch that doesn't exist, or is another user's.
    """

    __slots__ = ("_runner", "batch_id", "created")

    def __init__(self, runner: Reader, batch_id: str, created: bool = False) -> None:
        self._runner = runner
        self.batch_id = batch_id
        self.created = created
        """False if an idempotency key led to an earlier batch, and for handles that no start has made."""

    def __repr__(self) -> str:
        return f"BatchHandle({self.batch_id!r})"

    async def get(self) -> Batch:
        """Return the batch as it stands, with its progress."""
        return batch_of(await self._progress())

    async def progress(self) -> GroupProgress:
        """Return how many of its runs stand where, counted from the runs themselves."""
        return progress_of(await self._progress())

    async def result(self, timeout: timedelta | float | None = None) -> GroupProgress:
        """Wait until all of its runs have completed, failed for good or been cancelled, and return the progress then.

        Raises TimeoutError after `timeout` (the batch goes on).
        """
        seconds = checked_seconds(timeout)
        with waiting_for(self._runner.core.passes, self.batch_id):
            if seconds is None:
                return await self._ended()
            async with asyncio.timeout(seconds):
                return await self._ended()

    async def _ended(self) -> GroupProgress:
        began = _time()
        while True:
            if not await self._of_mine(lambda tx: batches.is_open(tx, self.batch_id)):
                found = await self._progress()
                if found.ended_at is not None:
                    return progress_of(found)
            await asyncio.sleep(min(max((_time() - began) / 20, _SOONEST), _LATEST))

    async def follow(self, every: timedelta = timedelta(seconds=1)) -> AsyncIterator[GroupProgress]:
        """Yield its progress at once and then every so often; the last one, as soon as it comes, is that of the ended batch."""
        seconds = checked_seconds(every, "every")
        if seconds is None:
            raise InvalidArgs("every=None: give a timedelta, as in timedelta(seconds=1).")
        while True:
            found = await self._progress()
            yield progress_of(found)
            if found.ended_at is not None:
                return
            until, is_open = _time() + max(seconds, _SOONEST), True
            while is_open and (left := until - _time()) > 0:
                await asyncio.sleep(min(left, max(seconds / 10, _SOONEST), _LATEST))
                is_open = await self._of_mine(lambda tx: batches.is_open(tx, self.batch_id))

    async def items(self, status: Status | None = None) -> AsyncIterator[GroupItem[Any]]:
        """Yield its runs in the order of the starts, or those of a status; read in pages, each as it stands then."""
        cursor: str | None = "-1"
        while cursor is not None:
            found = await self.page(int(cursor), _PAGE, status)
            for item in found.items:
                yield item
            cursor = found.next_cursor

    async def page(
        self, after: int, limit: int, status: Status | None = None, apps: Collection[str] | None = None
    ) -> Page[GroupItem[Any]]:
        """Return some of its runs, those behind the index `after`; fewer than `limit` where they are large, or of other apps."""
        [wanted] = statuses_of((status,)) or () if status is not None else (None,)

        return item_page(*await self._of_mine(members_query(self.batch_id, after, limit, wanted)), apps)

    # -- steering -----------------------------------------------------------------------------------------------------

    async def retry_failed(self) -> int:
        """Retry its failed runs, each ready now with a full retry budget, and return their number.

        The batch is running again. Raises UnknownWorkflow, before any is retried, where this process lacks the code of one.
        """
        members, now = self._members, self._core.shared.clock.now()
        await self._of_mine(lambda tx: members.check(tx, self._check(groups.load(tx, self.batch_id)), now))
        return await self._in_steps(lambda tx: members.retry(tx, self._held(tx), now))

    async def cancel(self, reason: str | None = None) -> int:
        """Cancel those of its runs that haven't ended, and return their number.

        Once it has begun it is certain: after a crash, other processes go on with it.
        """
        self._check_id()
        members, text = self._members, checked_reason(reason)
        before = await self._core.write(lambda tx: members.begin_cancel(tx, self._held(tx), text), None)
        await self._in_steps(lambda tx: members.cancel(tx, self._held(tx), text))
        return await self._of_mine(lambda tx: batches.canceled(tx, self.batch_id)) - before

    async def _in_steps(self, step: Callable[[Tx], int]) -> int:
        """Return the sum of the steps, each a transaction, until one has nothing left to do."""
        self._check_id()
        done = 0
        while number := await self._core.write(step, None):
            done += number
        return done

    def _held(self, tx: Tx) -> GroupRow:
        return self._check(groups.hold(tx, self.batch_id))

    @property
    def _members(self) -> MemberOperations:
        return MemberOperations(self._core.operations)

    @property
    def _core(self) -> Core:
        return self._runner.core

    # -- reading ------------------------------------------------------------------------------------------------------

    async def _progress(self) -> Progress:
        now = self._core.shared.clock.now()
        found = await self._of_mine(lambda tx: groups.progress(tx, self.batch_id, now))
        assert found is not None  # it was there in the same transaction
        return found

    async def _of_mine(self, query: Callable[[Tx], T]) -> T:
        """Return the result of the query. Raises BatchNotFound."""

        def whole(tx: Tx) -> T:
            self._check(groups.load(tx, self.batch_id))
            return query(tx)

        self._check_id()
        return await self._runner.read(whole)

    def _check_id(self) -> None:
        if id_of(self.batch_id) is None:
            raise self._absent()

    def _check(self, row: GroupRow | None) -> GroupRow:
        only = self._runner.only
        if row is None or row.kind != "batch" or only not in (None, row.user_id):
            raise self._absent()
        return row

    def _absent(self) -> BatchNotFound:
        only = self._runner.only
        return BatchNotFound(f"No batch {shown(self.batch_id)}" + ("." if only is None else f" of user {only!r}."))


def _time() -> float:
    return asyncio.get_running_loop().time()

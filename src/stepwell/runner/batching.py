"""The verbs for batches: many runs that are started together and looked at together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from stepwell.definition.values.inputs import same_meaning
from stepwell.engine.groups import GroupRow
from stepwell.errors import IdempotencyConflict, StoreUnavailable
from stepwell.runner.arguments import check_limit, check_user, checked_text, cursor_of, id_of
from stepwell.runner.batch_handle import BatchHandle
from stepwell.runner.batch_models import Batch, batch_of
from stepwell.runner.batch_starts import (
    BatchOptions,
    Prepared,
    Storing,
    counted,
    new_batch_id,
    options_of,
    prepared,
    row_of,
    where,
)
from stepwell.runner.core import refuse_inside_transaction
from stepwell.runner.models import Page
from stepwell.runner.repairing import Repairing
from stepwell.runner.start import Origin, Start
from stepwell.store import batches, groups
from stepwell.store.batches import MemberArgs
from stepwell.store.tx import Tx
from stepwell.store.workspaces import derived, workspaces_of

if TYPE_CHECKING:
    from stepwell.runner.callers import AwaitedConnection

_COMPARED: Final = 500
"""Runs whose args are compared at a time."""


class Batching(Repairing):
    """The verbs for batches, besides all others."""

    def as_user(self, user_id: str) -> Batching:
        """Return the same verbs, restricted to this user's runs: for everything that comes from a request."""
        check_user(user_id)
        return Batching(self._opening, self._only(user_id))

    async def run_batch(
        self,
        starts: Sequence[Start],
        *,
        app_name: str | None = None,
        user_id: str | None = None,
        label: str | None = None,
        max_in_flight: int | None = None,
        stop_after_failures: int | float | None = None,
        idempotency_key: str | None = None,
        connection: AwaitedConnection | None = None,
    ) -> BatchHandle:
        """Queue up to 100,000 runs durably, all in one transaction or none, and return the handle of the batch.

        `max_in_flight`: at most so many of them are begun and not ended at any time, in the order of `starts`.
        `stop_after_failures`: a number, or a share of all (0.05): once more than that have failed for good, the rest is
        cancelled, and the batch is `stopped`. `idempotency_key` is unique per app and user, apart from the keys of runs: the
        same starts again lead to the first batch, whose handle says `created` False. The starts' own keys, labels, delays
        and priorities hold as in `run_many`; a key that leads to a run outside of the batch is refused.

        Raises as `run`, with the start that is wrong, as in `starts[3]: ...`; nothing is stored then.
        """
        starter = self._starter(user_id)
        options = options_of(label, max_in_flight, stop_after_failures, idempotency_key)
        found = counted(starts)
        if connection is None:
            refuse_inside_transaction()
        origin = Origin(self._app_for(found) if app_name is None else app_name, starter)
        options = self._with_key(options, found, origin)
        return await self._begin_batch(found, origin, options, connection)

    def batch(self, batch_id: str) -> BatchHandle:
        """Return a handle to a batch. Reads nothing: one that doesn't exist is noticed when the handle is used."""
        return BatchHandle(self, id_of(batch_id) or batch_id)

    async def batches(
        self, *, app_name: str | None = None, user_id: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Batch]:
        """Return a page of batches, the newest first. `limit` is 1 to 1,000; `cursor` is the page before's `next_cursor`."""
        check_limit(limit)
        return await self.find_batches(checked_text("app_name", app_name), self._only(user_id), limit, cursor)

    async def find_batches(
        self,
        app_name: str | None,
        user_id: str | None,
        limit: int,
        cursor: str | None,
        apps: Sequence[str] | None = None,
    ) -> Page[Batch]:
        """Return a page of batches of an app, a user, and of `apps`; None: of any."""
        before, now = cursor_of(cursor), self.core.shared.clock.now()

        def query(tx: Tx) -> tuple[list[Batch], bool]:
            found = batches.page(tx, user_id, app_name, apps, before, limit + 1)
            return [batch_of(groups.progress_of(tx, row, now)) for row in found[:limit]], len(found) > limit

        items, more = await self.read(query)
        return Page(items=tuple(items), next_cursor=items[-1].batch_id if more else None)

    # -- starting one -------------------------------------------------------------------------------------------------

    def _with_key(self, options: BatchOptions, starts: Sequence[Start], origin: Origin) -> BatchOptions:
        """Return the options with the key of a call that was given none (rule 38): only handlers have one."""
        return options

    def _started_in_batch(self, workflow_ids: Sequence[str]) -> None:
        """Take note of runs that a batch has started."""

    async def _begin_batch(
        self, starts: Sequence[Start], origin: Origin, options: BatchOptions, connection: Any
    ) -> BatchHandle:
        batch_id = new_batch_id()
        known = await prepared(self.core.shared, starts, origin, batch_id)
        core = self.core  # once more: others had their turns
        core.shared.registry.check_app(origin.app_name)
        storing = Storing(core.store.applier, known, row_of(known, origin, options, batch_id))
        if connection is None:
            await self._store(storing, known)
        else:
            await core.prepare_starts(known.beside(), connection)
            await core.in_callers(storing.whole, connection)
        if storing.earlier is None:
            self._started_in_batch([request.id for request in known.requests])
            return BatchHandle(self, batch_id, True)
        await self._check_same(storing.earlier, known, connection)
        return BatchHandle(self, storing.earlier.id)

    async def _store(self, storing: Storing, known: Prepared) -> None:
        store = self.core.store
        try:
            await store.write_parts(storing.parts, workspaces_of(known.beside()))
        except StoreUnavailable as error:
            # The batch's row was written with the first part: it is there exactly if the others are.
            if error.outcome != "unknown" or await store.read(lambda tx: groups.load(tx, storing.row.id)) is None:
                raise

    async def _check_same(self, earlier: GroupRow, known: Prepared, connection: Any) -> None:
        """Raise IdempotencyConflict unless the starts mean the same as those of the earlier batch with their key."""
        key = earlier.idempotency_key or ""
        if derived(key) or earlier.fingerprint == known.fingerprint:
            return
        message = (
            f"The idempotency key {key!r} of user {earlier.user_id!r} in app {earlier.app_name!r} belongs to batch "
            f"{earlier.id}"
        )
        cure = "use another key, or the same starts."
        if earlier.total != len(known.requests):
            raise IdempotencyConflict(
                f"{message}, which has {earlier.total:,} starts, not {len(known.requests):,}: {cure}"
            )
        for first in range(0, earlier.total, _COMPARED):

            def query(tx: Tx, first: int = first) -> list[MemberArgs]:
                return batches.args_of(tx, earlier.id, first - 1, _COMPARED)

            found = await (self.read(query) if connection is None else self.core.in_callers(query, connection))
            stored = {member.number: member for member in found}
            for index in range(first, min(first + _COMPARED, earlier.total)):
                if not _same(self, known, index, stored.get(index)):
                    raise IdempotencyConflict(
                        f"{message}, in which {where(known.starts, index)} is another start: {cure}"
                    )


def _same(runner: Batching, known: Prepared, index: int, stored: MemberArgs | None) -> bool:
    request, definition = known.requests[index], known.definitions[index]
    if stored is None or (stored.app_name, stored.workflow_name) != (request.app_name, definition.name):
        return False  # one that retention has deleted can't be compared
    if stored.args == request.args:
        return True
    given = known.starts[index].args
    return definition.args is not None and same_meaning(definition.args, stored.args, {} if given is None else given)

"""The verbs that repair runs: a fork from an old checkpoint, other labels, and deleting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from stepwell.definition.unset import UNSET
from stepwell.engine.commit import Commit
from stepwell.engine.run import RunRow
from stepwell.errors import IdempotencyConflict, WorkflowNotFound
from stepwell.execution.forking import Given, checked_checkpoint, forkable, forked, replays, same_fork
from stepwell.runner.arguments import check_user, checked_subject, labels_json, run_id, users_key
from stepwell.runner.core import refuse_inside_transaction
from stepwell.runner.handle import RunHandle
from stepwell.runner.models import Run
from stepwell.runner.starting import Starting
from stepwell.store import history, runs
from stepwell.store.history import History
from stepwell.store.tx import Tx
from stepwell.store.workspaces import derived

_ROWS: Final = 1_000
"""Rows of a run that one transaction deletes."""


class Repairing(Starting):
    """The verbs that go back in a run's history, besides those that start runs."""

    def as_user(self, user_id: str) -> Repairing:
        """Return the same verbs, restricted to this user's runs: for everything that comes from a request."""
        check_user(user_id)
        return Repairing(self._opening, self._only(user_id))

    async def fork(
        self,
        workflow_id: str,
        *,
        checkpoint: int,
        state: Any = UNSET,
        args: Any = UNSET,
        labels: Sequence[str] | None = None,
        user_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> RunHandle[Any]:
        """Start a new run at the target of this row of the run's history, and return its handle.

        It has the state and the documents of then, and the args and labels of the run, unless others are given. Nothing of
        inbox, children and timers comes along, and its steps run again. It belongs to the user of the run.

        Raises WorkflowNotFound, UnknownWorkflow, InvalidArgs (no such row, or one that leads to no place), CheckpointGone,
        InvalidState, PayloadTooLarge, IdempotencyConflict or StoreUnavailable; nothing is stored then.
        """
        refuse_inside_transaction()
        origin, version = run_id(workflow_id, self._only(user_id)), checked_checkpoint(checkpoint)
        key = users_key(idempotency_key) or self._derived_key("fork", origin, version, *_told(state, args))
        given = Given(state, args, None if labels is None else labels_json(labels), key)
        try:
            row = await self.row(workflow_id, user_id)
        except WorkflowNotFound:
            if (earlier := await self._forked_of(origin, version, given, user_id)) is None:
                raise
            return RunHandle(self, earlier.id, False, earlier.workspace_id)
        core, definition = self.core, self.core.operations.definition(row)
        found = await self.read(lambda tx: _at(tx, row.id, version))
        commit = forked(core.shared, definition, row, *forkable(row, version, found), given)
        if (earlier := await self._forked_before(commit, given)) is not None:
            return RunHandle(self, earlier.id, False, earlier.workspace_id)
        only = self._only(user_id)
        try:
            started = await core.write(core.operations.fork(commit, only), None)
        except IdempotencyConflict:
            # Another call with this key came first: whether it means the same is asked outside of the transaction.
            if (earlier := await self._forked_before(commit, given)) is None:
                raise
            return RunHandle(self, earlier.id, False, earlier.workspace_id)
        return RunHandle(self, started.run.id, started.created, started.run.workspace_id)

    async def update(
        self,
        workflow_id: str,
        *,
        labels: Sequence[str] | None = None,
        subject: str | None = None,
        user_id: str | None = None,
    ) -> Run:
        """Return the run, with these labels or this subject instead of its own; None: as they are.

        A subject has at most 200 characters: what is longer is cut. An empty one removes it. Raises WorkflowNotFound,
        InvalidArgs, StoreUnavailable.
        """
        core, only = self.core, self._only(user_id)
        wanted = run_id(workflow_id, only)
        texts = None if labels is None else labels_json(labels), checked_subject(subject)
        return self._model(await core.write(core.operations.update(wanted, only, *texts), None))

    async def delete(self, workflow_id: str, *, user_id: str | None = None) -> None:
        """Delete a finished run with all that it owns: history, documents, signals, steps.

        Its children stay, and what its forks share with it is theirs from then on. Raises WorkflowNotFound, RunNotFinished
        (also while other runs of its group haven't ended), StoreUnavailable.

        A run that owns more than 1,000 rows is deleted by several transactions, its history first. If the process dies
        between them, call it again.
        """
        core, only = self.core, self._only(user_id)
        wanted = run_id(workflow_id, only)
        await core.write(core.operations.deletable(wanted, only), None)
        # A run may own very many rows, and all other writes wait for each transaction.
        while await core.write(lambda tx: runs.delete_some(tx, wanted, _ROWS), None):
            pass

    async def _forked_of(self, origin: str, version: int, given: Given, user_id: str | None) -> RunRow | None:
        """Return the fork of this key whose origin was deleted; None without one. Raises IdempotencyConflict."""
        key, only = given.key, self._only(user_id)
        if key is None:
            return None

        def query(tx: Tx) -> tuple[RunRow | None, str | None]:
            earlier = runs.fork_of(tx, origin, key, only)
            first = None if earlier is None else history.at(tx, earlier.id, 0)
            return earlier, None if first is None else first.state

        earlier, began = await self.read(query)
        if earlier is None or derived(key):
            return earlier
        definition = self.core.operations.definition(earlier)
        if not replays(self.core.shared, definition, earlier, began, version, given):
            raise _another(earlier)
        return earlier

    async def _forked_before(self, commit: Commit, given: Given) -> RunRow | None:
        """Return the run of this key, if there is one. Raises IdempotencyConflict if that means something else."""
        run, key = commit.run, commit.run.idempotency_key
        if key is None:
            return None
        place = (run.app_name, run.user_id, key)

        def query(tx: Tx) -> tuple[RunRow | None, str | None]:
            earlier = runs.by_keys(tx, [place]).get(place)
            first = None if earlier is None else history.at(tx, earlier.id, 0)
            return earlier, None if first is None else first.state

        earlier, began = await self.read(query)
        if earlier is None or derived(key):
            return earlier
        if not same_fork(self.core.operations.definition(run), earlier, began, commit, given):
            raise _another(earlier)
        return earlier


def _another(earlier: RunRow) -> IdempotencyConflict:
    return IdempotencyConflict(
        f"The idempotency key {earlier.idempotency_key!r} of user {earlier.user_id!r} in app {earlier.app_name!r} belongs to "
        f"run {earlier.id}, which isn't this fork: use another key, or the same checkpoint, state and args."
    )


def _told(*values: object) -> list[object]:
    return [repr(one) if one is UNSET else one for one in values]


def _at(tx: Tx, run_id: str, version: int) -> History | None:
    found = history.of_run(tx, run_id, version - 1, 1, version + 1)
    return found[0] if found else None

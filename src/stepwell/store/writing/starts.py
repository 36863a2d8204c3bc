"""Starts inside a transaction: what an idempotency key, or an unfinished run of a limit's key, has in store for them.

A start's own idempotency key is looked at first, and one that an unfinished run stands for isn't remembered under it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from stepwell.definition.values.codec import canonical
from stepwell.engine.commit import Commit
from stepwell.engine.conflicts import digest_of
from stepwell.engine.control import Request, cancel
from stepwell.engine.gates import started_with
from stepwell.engine.run import RunRow
from stepwell.errors import IdempotencyConflict, WorkspaceNotFound
from stepwell.store import conflicts, runs, workspaces
from stepwell.store.tx import OtherText, StartedRun, Tx


class Writes(Protocol):
    """The writing of starts and of cancellations, as the applier of commits does it."""

    @property
    def executing(self) -> Callable[[RunRow], str | None]:
        """A function from a run that a worker owns to the transition that it executes."""
        ...

    def insert(self, tx: Tx, commits: Sequence[Commit]) -> None:
        """Insert the runs of these commits."""
        ...

    def advance(self, tx: Tx, commits: Sequence[Commit]) -> Sequence[Any]:
        """Write commits of runs that are there."""
        ...


StartKey = tuple[str, str, str]


def key_of(start: RunRow | Request) -> StartKey | None:
    """Return the (app, user, idempotency key) of a start; None without a key."""
    return None if start.idempotency_key is None else (start.app_name, start.user_id, start.idempotency_key)


def started_of(
    tx: Tx, group: Sequence[Commit], taken: Mapping[StartKey, RunRow]
) -> tuple[list[StartedRun], list[Commit]]:
    """Return the runs of this group as they stand, and the commits that are to be stored. Raises what refuses the group."""
    started: list[StartedRun] = []
    new: list[Commit] = []
    claimed: dict[StartKey, RunRow] = {}
    for commit in group:
        run = commit.run
        _check_workspace(tx, run)
        key = key_of(run)
        earlier = None if key is None else taken.get(key) or claimed.get(key)
        if earlier is None:
            if key is not None:
                claimed[key] = run
            new.append(commit)
            started.append(StartedRun(run, True))
        elif earlier.id == run.id:  # stored by this very call, whose answer was lost
            started.append(StartedRun(earlier, True))
        else:
            started.append(StartedRun(_same_start(earlier, run), False))
    return started, new


def _check_workspace(tx: Tx, run: RunRow) -> None:
    # That a workspace is known says nothing about whose it is.
    if run.workspace_id == workspaces.workspace_of(run.app_name, run.user_id):
        return
    found = workspaces.load(tx, run.workspace_id)
    if found is None or found.user_id != run.user_id:
        raise WorkspaceNotFound(f"No workspace {run.workspace_id!r} of user {run.user_id!r}.")


def _same_start(earlier: RunRow, run: RunRow) -> RunRow:
    if run.idempotency_key is not None and workspaces.derived(run.idempotency_key):
        return earlier
    message = (
        f"The idempotency key {run.idempotency_key!r} of user {run.user_id!r} in app {run.app_name!r} belongs to run "
        f"{earlier.id} of {earlier.workflow_name!r} with other args: use another key, or the same workflow and args."
    )
    if earlier.workflow_name != run.workflow_name:
        raise IdempotencyConflict(message)
    if origin_of(earlier) != origin_of(run):
        raise IdempotencyConflict(
            f"The idempotency key {run.idempotency_key!r} of user {run.user_id!r} in app {run.app_name!r} belongs to run "
            f"{earlier.id}, which {_begun_as(earlier)}: use another key."
        )
    if earlier.forked_from is not None:
        return earlier
    if (digest := started_with(earlier.gates)) is not None:
        if digest != digest_of(run.args):
            raise IdempotencyConflict(message)
        return earlier
    if earlier.args != run.args and canonical(earlier.args) != canonical(run.args):
        raise OtherText(message, run.id, earlier.args)
    return earlier


def origin_of(run: RunRow) -> tuple[object, ...]:
    """Return where a fork comes from, and what it was given; nothing of other runs."""
    return run.forked_from, run.forked_at, run.forked_with


def _begun_as(run: RunRow) -> str:
    if run.forked_from is None:
        return "isn't a fork"
    return f"is a fork of run {run.forked_from} at checkpoint {run.forked_at}, or was given another state or other args"


# -- unfinished runs of a key -----------------------------------------------------------------------------------------


def among(
    writes: Writes, tx: Tx, started: Sequence[StartedRun], new: Sequence[Commit]
) -> tuple[list[StartedRun], list[Commit]]:
    """Store these starts one after the other, unless unfinished runs of their keys stand for them.

    Return the runs as they stand, and the commits that were stored.
    """
    instead: dict[str, RunRow] = {}
    stored = []
    for commit in new:
        found = standing_for(writes, tx, commit)
        if found is None:
            writes.insert(tx, [commit])
            stored.append(commit)
        elif found.id != commit.run.id:
            instead[commit.run.id] = found
    return [StartedRun(instead[one.run.id], False) if one.run.id in instead else one for one in started], stored


def standing_for(writes: Writes, tx: Tx, commit: Commit) -> RunRow | None:
    """Return the unfinished run that stands for the start, if there is one; or cancel those that it replaces."""
    for one in commit.conflicts:
        if one.on_conflict == "debounce":
            waiting = conflicts.unbegun(tx, one)
            if waiting is not None:
                return waiting if waiting.id == commit.run.id else conflicts.replace(tx, waiting, commit, one)
        elif one.on_conflict == "skip":
            found = conflicts.unfinished(tx, one, one.limit)
            if commit.run.id in found:  # stored by this very call, whose answer was lost
                return commit.run
            if len(found) == one.limit:
                return runs.load_one(tx, found[0])
        elif one.on_conflict == "replace":
            _cancel(writes, tx, conflicts.replaced(tx, one, commit), commit.run)
    return None


def _cancel(writes: Writes, tx: Tx, found: Sequence[RunRow], successor: RunRow) -> None:
    reason = f"replaced by run {successor.id}, which has the same key"
    made = [cancel(run, reason, writes.executing(run), successor.created_at, run.on_cancel) for run in found]
    tx.hints.lost.update({run.id: run.claim + 1 for run in found if run.owner is not None})
    if commits := [commit for commit in made if commit is not None]:
        writes.advance(tx, commits)


def refuse_standing(writes: Writes, tx: Tx, commit: Commit) -> bool:
    """Return whether the start is stored already. Raises IdempotencyConflict where another run would stand for it."""
    found = standing_for(writes, tx, commit)
    if found is not None and found.id != commit.run.id:
        # Not a sibling either: its parent hears of that once, and would wait for the second one's callback for ever.
        sibling = commit.run.parent_id is not None and found.parent_id == commit.run.parent_id
        raise IdempotencyConflict(
            f"{commit.run.workflow_name!r} can't start as a child: run {found.id} of the same key"
            f"{', which is a child of this run too,' if sibling else ''} hasn't ended, and would stand for it. Give it "
            "another key, or start it from outside."
        )
    return found is not None

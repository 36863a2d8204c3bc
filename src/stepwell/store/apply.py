"""Making commits true, many at once, inside a transaction that is open already.

The fence is read first: what lost its run is dropped before any of its effects is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from uuid_utils import uuid7

from stepwell.definition.codec import canonical
from stepwell.engine.commit import Commit, Emission, Resume
from stepwell.engine.run import Run, SignalRow, unless_signalled
from stepwell.engine.signals import NOTHING_KEPT, Kept
from stepwell.errors import IdempotencyConflict, LeaseLost, WorkspaceNotFound
from stepwell.store import documents, history, listeners, outcome, runs, signals, workspaces
from stepwell.store.base import Started, WorkspaceRow
from stepwell.store.identity import EVENT_KEY, derived, workspace_of
from stepwell.store.tables import runs as runs_table
from stepwell.store.tx import Tx

_KNOWN: Final = 100_000
"""Workspaces that a process remembers; a forgotten one is looked up once more."""

AcceptEvent = Callable[[Run, Resume, Kept, int], SignalRow | None]
"""What an event makes of a run that listens and keeps so many signals, at a moment; None if it takes nothing."""


@dataclass(slots=True)
class Applier:
    """Knows what a process knows: how many states to keep, and which workspaces exist for certain."""

    keep_states: int
    accept_event: AcceptEvent
    known_workspaces: set[str] = field(default_factory=set)

    # -- starts ---------------------------------------------------------------------------------------------------

    def begin(self, tx: Tx, groups: Sequence[tuple[Commit, ...]]) -> list[list[Started] | Exception]:
        """One answer per group: the runs as they stand, or why none of the group was stored."""
        taken = self._taken(tx, groups)
        answers: list[list[Started] | Exception] = []
        fresh: list[Commit] = []
        for group in groups:
            try:
                answers.append(self._one_group(tx, group, taken, fresh))
            except (IdempotencyConflict, WorkspaceNotFound) as error:
                answers.append(error)
        self.create(tx, fresh)
        return answers

    def _taken(self, tx: Tx, groups: Sequence[tuple[Commit, ...]]) -> dict[tuple[str, str, str], Run]:
        keys = [
            (commit.run.app_name, commit.run.user_id, commit.run.idempotency_key)
            for group in groups
            for commit in group
            if commit.run.idempotency_key is not None
        ]
        return runs.by_keys(tx, keys) if keys else {}

    def _one_group(
        self,
        tx: Tx,
        group: tuple[Commit, ...],
        taken: dict[tuple[str, str, str], Run],
        fresh: list[Commit],
    ) -> list[Started]:
        started: list[Started] = []
        new: list[Commit] = []
        claimed: dict[tuple[str, str, str], Run] = {}
        for commit in group:
            run = commit.run
            self._check_workspace(tx, run)
            key = (run.app_name, run.user_id, run.idempotency_key) if run.idempotency_key is not None else None
            earlier = (taken.get(key) or claimed.get(key)) if key else None
            if earlier is not None and earlier.id == run.id:  # stored by this very call, whose answer was lost
                started.append(Started(earlier, True))
                continue
            if earlier is not None:
                started.append(Started(_same_start(earlier, run), False))
                continue
            if key:
                claimed[key] = run
            new.append(commit)
            started.append(Started(run, True))
        # Only a whole group counts: nothing of a refused one may reach the caller's list or the keys.
        taken.update(claimed)
        fresh.extend(new)
        return started

    def _check_workspace(self, tx: Tx, run: Run) -> None:
        # That a workspace is known says nothing about whose it is.
        if run.workspace_id == workspace_of(run.app_name, run.user_id):
            return
        found = workspaces.load(tx, run.workspace_id)
        if found is None or found.user_id != run.user_id:
            raise WorkspaceNotFound(f"No workspace {run.workspace_id!r} of user {run.user_id!r}.")

    def create(self, tx: Tx, commits: Sequence[Commit]) -> None:
        """The runs of these commits exist, in workspaces that exist."""
        if not commits:
            return
        workspaces.ensure(tx, self.unknown_workspaces(commits))
        # Where the answer to a commit was lost, the same starts come again: what is there already stays as it is.
        tx.insert(runs_table, [commit.run for commit in commits], unless=("id",))
        history.create(tx, [c.history for c in commits if c.history])
        listeners.listen(tx, [listener for commit in commits for listener in commit.listeners or ()])
        for commit in commits:
            tx.hints.placed(commit.run)

    def unknown_workspaces(self, commits: Sequence[Commit]) -> list[WorkspaceRow]:
        """The workspaces of these runs that this process doesn't know to exist."""
        if len(self.known_workspaces) > _KNOWN:
            self.known_workspaces.clear()
        wanted = {c.run.workspace_id: c.run for c in commits if c.run.workspace_id not in self.known_workspaces}
        return [
            WorkspaceRow(workspace_id, run.app_name, run.user_id, run.created_at)
            for workspace_id, run in wanted.items()
            if workspace_id == workspace_of(run.app_name, run.user_id)
        ]

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def advance(self, tx: Tx, commits: Sequence[Commit]) -> list[Run | LeaseLost]:
        """One answer per commit: the run as stored, or that it is lost and nothing of it was written."""
        found = tx.dialect.advance(tx.connection, commits)
        answers: list[Run | LeaseLost] = []
        held: list[Commit] = []
        for commit in commits:
            inbox = found.get((commit.run.id, commit.version, commit.claim))
            if inbox is None:
                # Who was told that the outcome is unknown asks again (semantics 35).
                again = outcome.repeated(tx, commit)
                answers.append(again or _lost(commit))
                if again is not None and commit.parks:
                    _rests(tx, again)
                continue
            run = unless_signalled(commit.run, inbox)
            answers.append(run)
            held.append(commit._replace(run=run) if run is not commit.run else commit)
            if commit.parks:
                _rests(tx, run)
        if held:
            self._effects(tx, held, {run_id for (run_id, _, _), inbox in found.items() if inbox})
        return answers

    def _effects(self, tx: Tx, commits: Sequence[Commit], signalled: set[str]) -> None:
        history.append(tx, [c.history for c in commits if c.history], self.keep_states)
        documents.save(tx, [c for c in commits if c.effects.documents])
        signals.take(tx, [(c.taken, c.run.version) for c in commits if c.taken])
        signals.void(
            tx,
            [(c.run.id, visit, c.run.version) for c in commits if c.run.id in signalled for visit in c.left],
        )
        self.create(tx, [child for c in commits for child in c.effects.children])
        changed = [c for c in commits if c.listeners is not None]
        if changed:
            listeners.stop(tx, [c.run.id for c in changed])
            listeners.listen(tx, [listener for c in changed for listener in c.listeners or ()])
        told = [c.tell for c in commits if c.tell]
        if told:
            signals.tell(tx, told)
        for commit in commits:
            for emission in commit.effects.emissions:
                self.emit(tx, emission, commit.run.updated_at)
            if commit.ends_children:
                _mark_children(tx, commit.run)
                tx.hints.children = True
        finished = [c.run.id for c in commits if c.run.finished]
        if finished:
            listeners.stop(tx, finished)

    # -- events ---------------------------------------------------------------------------------------------------

    def emit(self, tx: Tx, emission: Emission, now: int) -> tuple[list[str], list[str]]:
        """The ids of the runs that the event started and of those that it resumed; once per event id.

        Raises IdempotencyConflict if the event of this id had other data: nothing of it may be committed then.
        """
        started = []
        for answer in self.begin(tx, [(commit,) for commit in emission.starts]):
            if isinstance(answer, Exception):
                raise answer
            started.append(answer[0].run.id)
        resumed = [
            run_id
            for resume in emission.resumes
            for run_id in self._resume(tx, resume, emission.only_user, emission.event_id, now)
        ]
        return started, resumed

    def _resume(self, tx: Tx, resume: Resume, only_user: str | None, event_id: str, now: int) -> list[str]:
        """The runs that the event resumes now, or has resumed before."""
        held = runs.hold_all(tx, listeners.matching(tx, resume, only_user))
        if not held:
            return []
        # Some may have gone on, and listen for something else, while their rows were waited for.
        listening = [run_id for run_id in listeners.matching(tx, resume, only_user) if run_id in held]
        key = f"{EVENT_KEY}{event_id}:{resume.transition}"
        earlier = signals.by_key_of(tx, listening, key)
        for known in earlier.values():
            if not derived(key) and canonical(known.data) != canonical(resume.data):
                raise IdempotencyConflict(
                    f"The event id {event_id!r} has resumed run {known.run_id} with other data: use another event_id."
                )
        kept = signals.kept_of(tx, listening, resume.transition)
        new = [
            signal._replace(id=str(uuid7()), idempotency_key=key)
            for run_id in listening
            if run_id not in earlier
            and (signal := self.accept_event(held[run_id], resume, kept.get(run_id, NOTHING_KEPT), now)) is not None
        ]
        if new:
            signals.put(tx, new, now)
        reached = earlier.keys() | {signal.run_id for signal in new}
        return [run_id for run_id in listening if run_id in reached]


def _same_start(earlier: Run, run: Run) -> Run:
    if run.idempotency_key is not None and derived(run.idempotency_key):
        return earlier
    if earlier.workflow_name != run.workflow_name or (
        earlier.args != run.args and canonical(earlier.args) != canonical(run.args)
    ):
        raise IdempotencyConflict(
            f"The idempotency key {run.idempotency_key!r} of user {run.user_id!r} in app {run.app_name!r} belongs to run "
            f"{earlier.id} of {earlier.workflow_name!r} with other args: use another key, or the same workflow and args."
        )
    return earlier


def _rests(tx: Tx, run: Run) -> None:
    tx.hints.resting.append(run)
    tx.hints.placed(run)


def _lost(commit: Commit) -> LeaseLost:
    return LeaseLost(
        f"Run {commit.run.id} was taken over or cancelled before version {commit.run.version} was committed; "
        "nothing of it was written."
    )


def _mark_children(tx: Tx, parent: Run) -> None:
    tx.run(
        "INSERT INTO stepwell_endings (run_id, reason, marked_at)"
        " SELECT id, CAST(? AS TEXT), CAST(? AS BIGINT) FROM stepwell_runs WHERE parent_id=? AND on_parent_end='cancel'"
        " AND status NOT IN ('completed', 'failed', 'canceled') ON CONFLICT (run_id) DO NOTHING",
        f"its parent {parent.id} is {parent.status}",
        parent.updated_at,
        parent.id,
    )


def marked_children(tx: Tx, limit: int = 100) -> list[tuple[str, str]]:
    """(run, reason) of children that are to be cancelled because their parent ended."""
    found = tx.rows("SELECT run_id, reason FROM stepwell_endings ORDER BY marked_at LIMIT ?", limit)
    return [(row[0], row[1]) for row in found]


def unmark(tx: Tx, run_id: str) -> None:
    """The child is dealt with."""
    tx.run("DELETE FROM stepwell_endings WHERE run_id=?", run_id)

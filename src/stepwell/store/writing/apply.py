"""Applying commits, many at once, inside a transaction that is open already.

The fence comes first: a commit that has lost its run is dropped before any of its effects is written (rule 30).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from uuid_utils import uuid7

from stepwell.definition.values.codec import canonical
from stepwell.engine.commit import Commit, Emission, Resume
from stepwell.engine.pauses import begun_later
from stepwell.engine.run import FINISHED, RunRow, SignalRow, hold, unless_signalled
from stepwell.engine.signals import NOTHING_KEPT, Kept
from stepwell.errors import IdempotencyConflict, LeaseLost, StepwellError, WorkspaceNotFound
from stepwell.store import (
    conflicts,
    deciding,
    documents,
    endings,
    history,
    pauses,
    questions,
    runs,
    signals,
    workspaces,
)
from stepwell.store.gates import Gates, applicant
from stepwell.store.journal import Record
from stepwell.store.tx import Advance, Answer, Begin, Call, Item, OtherText, StartedRun, Tx
from stepwell.store.writing.starts import among, key_of, refuse_standing, started_of

T = TypeVar("T")

AcceptEvent = Callable[[RunRow, Resume, Kept, int], SignalRow | None]
"""A function from a listening run that keeps so many signals, and a moment, to its signal; None if it takes nothing."""

_AT_ONCE: Final = 2_000
"""Runs that one statement inserts: its parameters are all in memory, and on their way, at once."""
_EFFECTS: Final = Commit._fields.index("effects")
_NONE: Final = tuple(Commit._field_defaults[name] for name in Commit._fields[_EFFECTS:])
"""The fields of a commit, besides its two rows, that has no effect on other rows."""


@dataclass(slots=True)
class Applier:
    """The application of commits. It remembers nothing of the database, which may be restored to an older copy."""

    keep_states: int
    accept_event: AcceptEvent
    gates: Gates
    executing: Callable[[RunRow], str | None]
    """A function from a run that a worker owns to the transition that it executes."""

    # -- starts ---------------------------------------------------------------------------------------------------

    def begin(self, tx: Tx, groups: Sequence[tuple[Commit, ...]]) -> list[list[StartedRun] | Exception]:
        """Return one answer per group: the runs as they stand, or why none of the group was stored."""
        groups = self._unless_paused(tx, groups)
        keys = [key for group in groups for commit in group if (key := key_of(commit.run)) is not None]
        taken = runs.by_keys(tx, keys) if keys else {}
        if limited := [commit for group in groups for commit in group if commit.conflicts]:
            conflicts.lock(tx, limited)
        answers: list[list[StartedRun] | Exception] = []
        fresh: list[Commit] = []
        for group in groups:
            try:
                started, new = started_of(tx, group, taken)
            except (IdempotencyConflict, WorkspaceNotFound) as error:
                answers.append(error)
                continue
            # Only a whole group counts: nothing of a refused one is stored, and its keys stay free.
            if limited and any(commit.looks for commit in new):
                self.insert(tx, fresh)
                fresh = []
                started, new = among(self, tx, started, new)
            else:
                fresh += new
            answers.append(started)
            if keys:
                taken |= {key: commit.run for commit in new if (key := key_of(commit.run)) is not None}
        self.insert(tx, fresh)
        return answers

    def _unless_paused(self, tx: Tx, groups: Sequence[tuple[Commit, ...]]) -> Sequence[tuple[Commit, ...]]:
        """Return the starts, of which those that were to begin at once wait where they are paused."""
        if not any(commit.run.owner is not None and not commit.run.internal for group in groups for commit in group):
            return groups
        paused = pauses.fenced(tx)
        return [tuple(begun_later(commit, paused) for commit in group) for group in groups] if paused else groups

    def create(self, tx: Tx, commits: Sequence[Commit]) -> None:
        """Insert the runs of these commits, in workspaces that exist.

        Raises IdempotencyConflict where an unfinished run of its key would stand for one of them: its id is known already.
        """
        looking = [commit for commit in commits if commit.conflicts and commit.looks]
        if not looking:
            self.insert(tx, commits)
            return
        self.insert(tx, [commit for commit in commits if not commit.looks])
        conflicts.lock(tx, looking)
        for commit in looking:
            if not refuse_standing(self, tx, commit):
                self.insert(tx, [commit])

    def insert(self, tx: Tx, commits: Sequence[Commit]) -> None:
        """Insert the runs of these commits, whatever else there is of their keys."""
        if not commits:
            return
        if any(commit.run.gates is not None for commit in commits):
            commits = self._placed(tx, commits)
        # Where the answer to a commit was lost, the same starts come again: what is there already stays as it is.
        for start in range(0, len(commits), _AT_ONCE):
            some = commits[start : start + _AT_ONCE]
            tx.dialect.create(tx.driver, some, workspaces.workspaces_of(some))
        if added := [listener for commit in commits for listener in commit.listeners or ()]:
            signals.listen(tx, added)
        if found := [commit for commit in commits if commit.conflicts]:
            conflicts.stand(tx, found)
        if asking := [commit for commit in commits if commit.asked]:
            questions.apply(tx, asking)
        for commit in commits:
            tx.hints.placed(commit.run)

    def _placed(self, tx: Tx, commits: Sequence[Commit]) -> Sequence[Commit]:
        """Return the commits with those of the ready runs held behind a gate for which there is no slot."""
        ready = [commit.run for commit in commits if commit.run.gates is not None and commit.run.ready_at is not None]
        if not ready:
            return commits
        held = self.gates.promise_or_hold(tx, [applicant(run) for run in ready], new=True)
        return [
            commit if (gate_id := held.get(commit.run.id)) is None else commit._replace(run=hold(commit.run, gate_id))
            for commit in commits
        ]

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def advance(self, tx: Tx, commits: Sequence[Commit]) -> list[RunRow | LeaseLost]:
        """Return one answer per commit: the run as stored, or that it is lost and nothing of it was written."""
        inboxes, paused = tx.dialect.advance(tx.driver, commits)
        if paused:  # what goes on is handed back here, whatever its process has heard
            tx.hints.paused = pauses.all_of(tx)
        answers: list[RunRow | LeaseLost] = []
        held: dict[int, Commit] = {}
        for commit in commits:
            inbox = inboxes.get((commit.run.id, commit.version, commit.claim))
            if inbox is None:
                # Who was told that the outcome is unknown asks again (rule 35).
                again = _repeated(tx, commit)
                answers.append(again or _lost(commit))
                if again is not None and commit.parks:
                    _rests(tx, again)
                continue
            run = unless_signalled(commit.run, inbox)
            held[len(answers)] = commit._replace(run=run) if run is not commit.run else commit
            answers.append(run)
        if not held:
            return answers
        signalled = {run_id for (run_id, _, _), inbox in inboxes.items() if inbox}
        further = self._effects(tx, list(held.values()), signalled)
        if released := [c.run for c in held.values() if c.parks and (c.run.gates or c.run.held_by) is not None]:
            self._released(tx, released)
        held_back = deciding.store_ends(tx, [commit.run for commit in held.values()])
        for index, commit in held.items():
            run = commit.run
            if run.id in further:  # signals that weren't used have rows of their own
                run = run._replace(version=run.version + further[run.id])
            if run.id in held_back:
                waits = held_back[run.id]
                run = run._replace(held_by=waits.held_by, held_rank=waits.held_rank, ready_at=None, due_at=None)
            answers[index] = run
            if commit.parks:
                _rests(tx, run)
        return answers

    def _released(self, tx: Tx, released: Sequence[RunRow]) -> None:
        """Free the slots of these runs, and decide again about those that are ready."""
        if held := [(run.id,) for run in released if run.held_by is not None]:
            tx.each("UPDATE stepwell_runs SET held_by=NULL, held_rank=NULL WHERE id=?", held)
        self.gates.release(tx, released)
        tx.hints.applied += [applicant(run) for run in released if run.ready_at is not None and run.gates is not None]

    def _effects(self, tx: Tx, commits: Sequence[Commit], signalled: set[str]) -> Mapping[str, int]:
        """Apply the effects, and return by how many rows of unused signals each run's history has grown."""
        rows = [c.history for c in commits if c.history is not None and c.history.version > self.keep_states]
        if rows:
            history.forget(tx, rows, self.keep_states)
        # Most checkpoints are a row of the run and one of the history.
        rich = [c for c in commits if c[_EFFECTS:] != _NONE]
        if migrated := [c.run for c in rich if c.migrated]:
            runs.migrate(tx, migrated)
        if saved := [c for c in rich if c.effects.documents]:
            documents.save(tx, saved)
        if taken := [(c.taken, c.run.version) for c in rich if c.taken]:
            signals.take(tx, taken)
        # What no transition takes any more is only known once this commit's signals are taken.
        further = signals.void(tx, commits, signalled, self.keep_states) if signalled else {}
        if asking := [c for c in rich if c.asked or c.unasked or c.reasked]:
            questions.apply(tx, asking)
        if rich:
            self._tell_others(tx, rich)
        if finished := [c.run.id for c in commits if c.run.status in FINISHED]:
            signals.stop_listening(tx, finished)
            conflicts.forget(tx, (c.run for c in commits if c.run.status in FINISHED))
        return further

    def _tell_others(self, tx: Tx, commits: Sequence[Commit]) -> None:
        """Apply the effects of these commits on other runs: children, parents and listeners."""
        children = [child for c in commits for child in c.effects.children]
        deciding.check_children(tx, children)
        self.create(tx, children)
        if made := [group for c in commits for group in c.effects.groups]:
            deciding.make(tx, made)
        if changed := [c for c in commits if c.listeners is not None]:
            signals.stop_listening(tx, [c.run.id for c in changed])
            signals.listen(tx, [listener for c in changed for listener in c.listeners or ()])
        if told := [c.tell for c in commits if c.tell]:
            signals.tell(tx, told, self.keep_states)
        for commit in commits:
            for emission in commit.effects.emissions:
                self.emit(tx, emission, commit.run.updated_at)
            if commit.ends_children:
                endings.mark_children(tx, commit.run)

    # -- limits ---------------------------------------------------------------------------------------------------

    def settle(self, tx: Tx) -> None:
        """Decide about runs with gates that this transaction made ready, and let through those for which it freed slots."""
        if not tx.hints.applied and not tx.hints.freed:
            return
        if tx.dialect.borrowed:
            # It may be long until the caller commits, and what others free meanwhile isn't seen: they are looked at later.
            tx.hints.gates |= tx.hints.freed
            tx.hints.applied, tx.hints.freed = [], set()
        else:
            self.gates.settle(tx)

    # -- events ---------------------------------------------------------------------------------------------------

    def emit(self, tx: Tx, emission: Emission, now: int) -> tuple[list[str], list[str]]:
        """Return the ids of the runs that the event started and of those that it resumed; once per event id.

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
        """Return the runs that the event resumes now, or has resumed before."""
        held = runs.hold_all(tx, signals.listening(tx, resume, only_user))
        if not held:
            return []
        # Some may have gone on, and listen for something else, while their rows were waited for.
        listening = [run_id for run_id in signals.listening(tx, resume, only_user) if run_id in held]
        key = f"{workspaces.EVENT_KEY}{event_id}:{resume.counts_as}"
        earlier = signals.by_key_of(tx, listening, key)
        for known in earlier.values():
            if not workspaces.derived(key) and _differ(known.data, resume.data):
                raise OtherText(
                    f"The event id {event_id!r} has resumed run {known.run_id} with other data: use another event_id.",
                    resume,
                    known.data,
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


def _differ(one: str, other: str) -> bool:
    try:
        return canonical(one) != canonical(other)
    except (ValueError, RecursionError):  # what was stored can't be read any more: it is there, which counts
        return False


def _rests(tx: Tx, run: RunRow) -> None:
    tx.hints.resting.append(run)
    tx.hints.placed(run)


def _repeated(tx: Tx, commit: Commit) -> RunRow | None:
    """Return the run if this very commit is stored already and no other has followed; else None."""
    found = runs.load_one(tx, commit.run.id)
    if found is None or (found.claim, found.owner) != (commit.run.claim, commit.run.owner):
        return None
    # Rows of unused signals follow that of the commit, and it is they that make the run's last version.
    version = commit.run.version
    if found.version != version and (found.version < version or history.attempts_after(tx, found.id, version)):
        return None
    return found if commit_stored(tx, commit, commit.run) else None


def commit_stored(tx: Tx, commit: Commit, run: RunRow) -> bool | None:
    """Return whether this commit made the run as `run` is; None if nothing shows it."""
    if commit.history is not None:
        row = history.at(tx, run.id, commit.history.version)
        return row is not None and row._replace(state=None) == commit.history._replace(state=None)
    found = runs.load_one(tx, run.id)
    if found is None or found == run:
        return found is not None
    return False if (found.version, found.claim) == (commit.version, commit.claim) else None


def _lost(commit: Commit) -> LeaseLost:
    return LeaseLost(
        f"Run {commit.run.id} was taken over or cancelled before version {commit.run.version} was committed; "
        "nothing of it was written."
    )


# -- items ------------------------------------------------------------------------------------------------------------


def apply_items(applier: Applier, tx: Tx, items: Sequence[Item]) -> list[Answer]:
    """Return one answer per item, in order, in an open transaction: checkpoints first, then journal rows, starts, the rest."""
    kinds: dict[type, list[int]] = {Advance: [], Record: [], Begin: [], Call: []}
    for index, item in enumerate(items):
        kinds[type(item)].append(index)
    answers: list[Answer] = [None] * len(items)
    for kind, act in _SET_OPERATIONS.items():
        if indexes := kinds[kind]:
            for index, answer in zip(indexes, act(applier, tx, [items[index] for index in indexes]), strict=True):
                answers[index] = answer
    applier.settle(tx)
    for index in kinds[Call]:
        item = cast("Call[Any]", items[index])
        answers[index] = _in_savepoint(tx, item) if len(items) > 1 else item.operation(tx)
    applier.settle(tx)
    return answers


def _record(tx: Tx, items: Sequence[Record]) -> list[LeaseLost | None]:
    fences = runs.fence(tx, {item.step.run_id for item in items})
    answers: list[LeaseLost | None] = []
    for item in items:
        fence = fences.get(item.step.run_id)
        held = fence is not None and (fence.version, fence.claim) == (item.version, item.claim)
        answers.append(None if held else LeaseLost(f"Run {item.step.run_id} was taken over or cancelled."))
    history.record_steps(tx, [item.step for item, lost in zip(items, answers, strict=True) if lost is None])
    return answers


_SET_OPERATIONS: Final[Mapping[type, Callable[[Applier, Tx, list[Any]], Sequence[Answer]]]] = {
    Advance: lambda applier, tx, items: applier.advance(tx, [item.commit for item in items]),
    Record: lambda _, tx, items: _record(tx, items),
    Begin: lambda applier, tx, items: applier.begin(tx, [item.commits for item in items]),
}
"""The functions that apply all items of one kind at once, in this order."""


def _in_savepoint(tx: Tx, item: Call[T]) -> T | BaseException:
    assert tx.connection is not None  # it is the writer's own
    savepoint = tx.connection.begin_nested()
    inner = Tx(tx.connection, tx.dialect)
    try:
        answer = item.operation(inner)
    except StepwellError as error:
        savepoint.rollback()
        return cast("BaseException", error)
    savepoint.commit()
    tx.hints.add(inner.hints)
    return answer

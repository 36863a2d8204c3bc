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
from stepwell.engine.run import FINISHED, RunRow, SignalRow, unless_signalled
from stepwell.engine.signals import NOTHING_KEPT, Kept
from stepwell.errors import IdempotencyConflict, LeaseLost, StepwellError, WorkspaceNotFound
from stepwell.store import documents, history, runs, signals, workspaces
from stepwell.store.tx import Advance, Answer, Begin, Call, Item, OtherText, Record, StartedRun, Tx

T = TypeVar("T")

AcceptEvent = Callable[[RunRow, Resume, Kept, int], SignalRow | None]
"""A function from a listening run that keeps so many signals, and a moment, to its signal; None if it takes nothing."""

_EFFECTS: Final = Commit._fields.index("effects")
_NONE: Final = tuple(Commit._field_defaults[name] for name in Commit._fields[_EFFECTS:])
"""The fields of a commit, besides its two rows, that has no effect on other rows."""


@dataclass(slots=True)
class Applier:
    """The application of commits. It remembers nothing of the database, which may be restored to an older copy."""

    keep_states: int
    accept_event: AcceptEvent

    # -- starts ---------------------------------------------------------------------------------------------------

    def begin(self, tx: Tx, groups: Sequence[tuple[Commit, ...]]) -> list[list[StartedRun] | Exception]:
        """Return one answer per group: the runs as they stand, or why none of the group was stored."""
        keys = [key for group in groups for commit in group if (key := _key(commit.run)) is not None]
        taken = runs.by_keys(tx, keys) if keys else {}
        answers: list[list[StartedRun] | Exception] = []
        fresh: list[Commit] = []
        for group in groups:
            try:
                started, new = _started(tx, group, taken)
            except (IdempotencyConflict, WorkspaceNotFound) as error:
                answers.append(error)
                continue
            # Only a whole group counts: nothing of a refused one is stored, and its keys stay free.
            answers.append(started)
            fresh += new
            if keys:
                taken |= {key: commit.run for commit in new if (key := _key(commit.run)) is not None}
        self.create(tx, fresh)
        return answers

    def create(self, tx: Tx, commits: Sequence[Commit]) -> None:
        """Insert the runs of these commits, in workspaces that exist."""
        if not commits:
            return
        # Where the answer to a commit was lost, the same starts come again: what is there already stays as it is.
        tx.dialect.create(tx.driver, commits, workspaces.workspaces_of(commits))
        if added := [listener for commit in commits for listener in commit.listeners or ()]:
            signals.listen(tx, added)
        for commit in commits:
            tx.hints.placed(commit.run)

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def advance(self, tx: Tx, commits: Sequence[Commit]) -> list[RunRow | LeaseLost]:
        """Return one answer per commit: the run as stored, or that it is lost and nothing of it was written."""
        inboxes = tx.dialect.advance(tx.driver, commits)
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
        for index, commit in held.items():
            run = commit.run
            if run.id in further:  # signals that weren't used have rows of their own
                answers[index] = run = run._replace(version=run.version + further[run.id])
            if commit.parks:
                _rests(tx, run)
        return answers

    def _effects(self, tx: Tx, commits: Sequence[Commit], signalled: set[str]) -> Mapping[str, int]:
        """Apply the effects, and return by how many rows of unused signals each run's history has grown."""
        rows = [c.history for c in commits if c.history is not None and c.history.version > self.keep_states]
        if rows:
            history.forget(tx, rows, self.keep_states)
        # Most checkpoints are a row of the run and one of the history.
        rich = [c for c in commits if c[_EFFECTS:] != _NONE]
        if saved := [c for c in rich if c.effects.documents]:
            documents.save(tx, saved)
        if taken := [(c.taken, c.run.version) for c in rich if c.taken]:
            signals.take(tx, taken)
        # What no transition takes any more is only known once this commit's signals are taken.
        further = signals.void(tx, commits, signalled, self.keep_states) if signalled else {}
        if rich:
            self._tell_others(tx, rich)
        if finished := [c.run.id for c in commits if c.run.status in FINISHED]:
            signals.stop_listening(tx, finished)
        return further

    def _tell_others(self, tx: Tx, commits: Sequence[Commit]) -> None:
        """Apply the effects of these commits on other runs: children, parents and listeners."""
        self.create(tx, [child for c in commits for child in c.effects.children])
        if changed := [c for c in commits if c.listeners is not None]:
            signals.stop_listening(tx, [c.run.id for c in changed])
            signals.listen(tx, [listener for c in changed for listener in c.listeners or ()])
        if told := [c.tell for c in commits if c.tell]:
            signals.tell(tx, told, self.keep_states)
        for commit in commits:
            for emission in commit.effects.emissions:
                self.emit(tx, emission, commit.run.updated_at)
            if commit.ends_children:
                _mark_children(tx, commit.run)
                tx.hints.children = True

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
        key = f"{workspaces.EVENT_KEY}{event_id}:{resume.transition}"
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


_Key = tuple[str, str, str]


def _key(run: RunRow) -> _Key | None:
    return None if run.idempotency_key is None else (run.app_name, run.user_id, run.idempotency_key)


def _started(tx: Tx, group: Sequence[Commit], taken: Mapping[_Key, RunRow]) -> tuple[list[StartedRun], list[Commit]]:
    """Return the runs of this group as they stand, and the commits that are to be stored. Raises what refuses the group."""
    started: list[StartedRun] = []
    new: list[Commit] = []
    claimed: dict[_Key, RunRow] = {}
    for commit in group:
        run = commit.run
        _check_workspace(tx, run)
        key = _key(run)
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
    if earlier.args != run.args and canonical(earlier.args) != canonical(run.args):
        raise OtherText(message, run.id, earlier.args)
    return earlier


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


def _mark_children(tx: Tx, parent: RunRow) -> None:
    tx.run(
        "INSERT INTO stepwell_endings (run_id, reason, marked_at)"
        " SELECT id, CAST(? AS TEXT), CAST(? AS BIGINT) FROM stepwell_runs WHERE parent_id=? AND on_parent_end='cancel'"
        " AND status NOT IN ('completed', 'failed', 'canceled') ON CONFLICT (run_id) DO NOTHING",
        f"its parent {parent.id} is {parent.status}",
        parent.updated_at,
        parent.id,
    )


def marked_children(tx: Tx, limit: int = 100) -> list[tuple[str, str]]:
    """Return (run, reason) of children that are to be cancelled because their parent ended."""
    found = tx.rows("SELECT run_id, reason FROM stepwell_endings ORDER BY marked_at LIMIT ?", limit)
    return [(row[0], row[1]) for row in found]


def unmark(tx: Tx, run_id: str) -> None:
    """Remove the mark of a child."""
    tx.run("DELETE FROM stepwell_endings WHERE run_id=?", run_id)


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
    for index in kinds[Call]:
        item = cast("Call[Any]", items[index])
        answers[index] = _in_savepoint(tx, item) if len(items) > 1 else item.operation(tx)
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

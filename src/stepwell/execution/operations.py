"""Operations of people and the sweep on a run, for a connection: read the row, ask the engine, write its commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stepwell.definition.model import Definition, Transition
from stepwell.definition.values.codec import canonical
from stepwell.definition.values.inputs import payload_json
from stepwell.engine.choose import AskGuards, Execute, decide
from stepwell.engine.commit import Commit, Resume
from stepwell.engine.control import cancel, retry
from stepwell.engine.questions import QuestionRow
from stepwell.engine.run import ENDED, RunRow, SignalRow
from stepwell.engine.signals import NOTHING_KEPT, Arrival, Kept, accept, refuse_callback, rivals, signal_name, takers
from stepwell.errors import (
    IdempotencyConflict,
    InvalidArgs,
    InvalidPayload,
    PayloadTooLarge,
    RunFinished,
    RunNotFinished,
    UnknownTransition,
    UnknownWorkflow,
    WorkflowNotFound,
)
from stepwell.execution.answering import Admitted, Person, admit, check_open, no_run, note_answer
from stepwell.execution.assigning import Assignment, assign, assignable
from stepwell.execution.mending import NO_REPAIR, Mending, Repair, mending, repaired, replace_data
from stepwell.execution.shared import Shared, new_id
from stepwell.execution.versions import seen
from stepwell.store import documents, groups, history, runs, signals
from stepwell.store.endings import unmark
from stepwell.store.tx import OtherText, StartedRun, Tx
from stepwell.store.writing.apply import Applier
from stepwell.store.writing.starts import key_of, started_of

log = logging.getLogger("stepwell.events")


def visible(run: RunRow | None, workflow_id: str, user_id: str | None) -> RunRow:
    """Return the run, if this user may see it. Raises WorkflowNotFound, also for another user's run."""
    if run is None or (user_id is not None and (run.user_id != user_id or run.internal)):
        raise no_run(workflow_id, user_id)
    return run


class CheckedPayload(NamedTuple):
    """A signal's data as JSON, valid for the method that was to take it when it was checked."""

    method: str
    text: str


@dataclass(frozen=True, slots=True)
class Operations:
    """Each returns a function of a connection, which the writer or the caller's transaction calls."""

    shared: Shared
    applier: Applier

    def signal(
        self,
        workflow_id: str,
        given: str | Callable[..., object],
        data: object,
        user_id: str | None,
        key: str | None,
        checked: CheckedPayload | None = None,
        person: Person | None = None,
    ) -> Callable[[Tx], RunRow]:
        """Return the run, with the signal in its inbox; once per idempotency key. `checked` is what `payload` said before.

        `person` is the user who sends it; `user_id` the one whose runs alone are reached, unless that person is asked.
        """

        def operation(tx: Tx) -> RunRow:
            row, admitted = self.reached(tx, runs.hold(tx, workflow_id), workflow_id, given, user_id, person)
            definition = self.definition(row)
            run = seen(definition, row)
            name = signal_name(definition, run, given)
            earlier = signals.by_key(tx, run.id, key) if key is not None else None
            if earlier is None:
                refuse_callback(definition, run, name)
            text = self._payload(definition, run, name, data, checked)
            if earlier is not None:
                earlier = earlier._replace(name=definition.current(earlier.name))
                if admitted is None or person is None or earlier.user_id == person.user_id:
                    return _same_signal(row, earlier, _taker(definition, run, name), text, key or "")
            now = self.shared.clock.now()
            if admitted is not None and person is not None:
                check_open(tx, definition, row, admitted, person, now)
            if earlier is not None:
                raise IdempotencyConflict(
                    f"The idempotency key {key!r} of run {run.id} belongs to the answer of another user: use another key."
                )
            by = None if person is None else person.user_id
            arrival = Arrival(new_id(), name, text, "signal", by, key)
            kept = signals.kept(tx, run, name, rivals(definition, run, arrival)) if run.inbox else NOTHING_KEPT
            signals.put(tx, [accept(definition, run, arrival, kept, now, self.shared.rules)], now)
            if row.timers is not None:  # else its place asks no questions
                note_answer(tx, definition, row, name, by, now)
            return visible(runs.load_one(tx, workflow_id), workflow_id, None)

        return operation

    def reached(
        self,
        tx: Tx,
        row: RunRow | None,
        workflow_id: str,
        given: str | Callable[..., object],
        user_id: str | None,
        person: Person | None,
    ) -> tuple[RunRow, Admitted | None]:
        """Return the run and the question that is answered, if this person may. Raises WorkflowNotFound, UnknownWorkflow."""
        if person is None:
            return visible(row, workflow_id, user_id), None
        row = self.there(row, workflow_id, person, person.user_id if person.answers else user_id)
        admitted = admit(tx, self.definition(row), row, given, person)
        return (visible(row, workflow_id, user_id) if admitted is None else row), admitted

    def there(self, row: RunRow | None, workflow_id: str, person: Person, user_id: str | None) -> RunRow:
        """Return the run, if its app is visible to this person; without its code, to this user only. Raises WorkflowNotFound."""
        if row is None or row.internal or (person.apps is not None and row.app_name not in person.apps):
            raise no_run(workflow_id, person.user_id)
        known = self.shared.registry.find(row.app_name, row.workflow_name)
        return row if known is not None else visible(row, workflow_id, user_id)

    def assign(
        self,
        workflow_id: str,
        given: str | Callable[..., object],
        assigned: Assignment,
        person: Person | None,
        visit: int | None,
    ) -> Callable[[Tx], QuestionRow]:
        """Return the question, which others may answer from now on; `person` restricts it to those that they may answer."""

        def operation(tx: Tx) -> QuestionRow:
            held = runs.hold(tx, workflow_id)
            if person is None:
                row = visible(held, workflow_id, None)
            else:
                row = self.there(held, workflow_id, person, None if person.everybody else person.user_id)
            question = assignable(tx, self.definition(row), row, given, person, visit)
            assign(tx, row, question, assigned, self.shared.clock.now())
            tx.hints.resting.append(row._replace(version=row.version + 1))
            return question._replace(assignee=assigned.assignee, team=assigned.group, assigned=question.assigned + 1)

        return operation

    def payload(self, run: RunRow, given: str | Callable[..., object], data: object, key: str | None) -> CheckedPayload:
        """Return the validated data of a signal, for where the run is now. User code runs here: not for the writer's thread."""
        definition = self.definition(run)
        run = seen(definition, run)
        name = signal_name(definition, run, given)
        taker = _taker(definition, run, name)
        if key is None:  # with a key it may be one that was accepted before there was a child
            refuse_callback(definition, run, name)
        try:
            return CheckedPayload(
                taker.method, payload_json(definition, taker, data, self.shared.limits.payload, run.args)
            )
        except InvalidPayload:
            refuse_callback(definition, run, name)
            raise

    def _payload(
        self, definition: Definition, run: RunRow, name: str, data: object, checked: CheckedPayload | None
    ) -> str:
        taker = _taker(definition, run, name)
        if checked is not None and checked.method == taker.method:
            return checked.text
        return payload_json(definition, taker, data, self.shared.limits.payload, run.args)

    def cancel(
        self,
        workflow_id: str,
        user_id: str | None,
        reason: str | None,
        executing: str | None = None,
        *,
        force: bool = False,
    ) -> Callable[[Tx], RunRow]:
        """Return the run, cancelled, or at the place where it clears up before; with `force` cancelled at once."""

        def operation(tx: Tx) -> RunRow:
            run = visible(runs.hold(tx, workflow_id), workflow_id, user_id)
            commit = self.cancelling(tx, run, reason, executing, force=force)
            if commit is None:
                return run
            [answer] = self.applier.advance(tx, [commit])
            assert isinstance(answer, RunRow)  # the row is held by this transaction: so does the fence
            return answer

        return operation

    def cancelling(
        self, tx: Tx, run: RunRow, reason: str | None, executing: str | None = None, *, force: bool = False
    ) -> Commit | None:
        """Return the commit that cancels a run whose row is held, or leads it to its `on_cancel`; None if that was done.

        Raises RunFinished.
        """
        # This process may lack the code of the run, and cancels it all the same: the row says where that leads.
        definition = self.shared.registry.find(run.app_name, run.workflow_name)
        place = None if force else run.on_cancel if definition is None else definition.on_cancel
        commit = cancel(run, reason, executed(self.shared, run, executing), self.shared.clock.now(), place)
        if commit is not None:
            _lose(tx, run)
        return commit

    def retrying(self, tx: Tx, run: RunRow) -> Commit:
        """Return the commit that retries a run whose row is held. Raises RunFinished, UnknownWorkflow."""
        commit = retry(self.definition(run), run, self.shared.clock.now())
        _lose(tx, run)
        return commit

    def end_child(self, workflow_id: str, reason: str) -> Callable[[Tx], RunRow | None]:
        """Return the child, cancelled because its parent ended, and its mark removed; None if it had ended by itself."""

        def operation(tx: Tx) -> RunRow | None:
            unmark(tx, workflow_id)
            run = runs.hold(tx, workflow_id)
            if run is None or run.finished or run.status == "failed":
                return None  # it has ended by itself, and how it ended stays to be seen
            return self.cancel(workflow_id, None, reason)(tx)

        return operation

    def end_children(self, marked: Sequence[tuple[str, str]]) -> Callable[[Tx], int]:
        """Return the number of these (run, reason), of which those that hadn't ended are cancelled; their marks are removed."""

        def operation(tx: Tx) -> int:
            reasons = dict(marked)
            unmark(tx, *reasons)
            found = [run for run in runs.hold_all(tx, reasons).values() if run.status not in ENDED]
            commits = [self.cancelling(tx, run, reasons[run.id]) for run in found]
            self.applier.advance(tx, [commit for commit in commits if commit is not None])
            return len(reasons)

        return operation

    def fork(self, commit: Commit, user_id: str | None) -> Callable[[Tx], StartedRun]:
        """Return the fork that this commit creates, with the documents of then; or the run that its key stands for."""

        def operation(tx: Tx) -> StartedRun:
            run = commit.run
            origin = visible(runs.hold(tx, run.forked_from or ""), run.forked_from or "", user_id)
            key = key_of(run)
            taken = {} if key is None else runs.by_keys(tx, [key])
            [started], new = started_of(tx, (commit,), taken)
            if new:
                if history.at(tx, origin.id, run.forked_at or 0) is None:  # another call deletes the run
                    raise WorkflowNotFound(f"Run {origin.id} is being deleted.")
                self.applier.insert(tx, new)
                documents.share(tx, origin.id, run.forked_at or 0, run.id)
            return started

        return operation

    def retry(
        self, workflow_id: str, user_id: str | None, repair: Repair = NO_REPAIR, checked: Mending | None = None
    ) -> Callable[[Tx], RunRow]:
        """Return the run, due now with a full budget, repaired. `checked` is what `mending` said before."""

        def operation(tx: Tx) -> RunRow:
            groups.hold_of(tx, workflow_id)
            run = visible(runs.hold(tx, workflow_id), workflow_id, user_id)
            commit = self.retrying(tx, run) if repair.nothing else self._repairing(tx, run, repair, checked)
            [answer] = self.applier.advance(tx, [commit])
            assert isinstance(answer, RunRow)  # as above
            return answer

        return operation

    def mending(self, run: RunRow, repair: Repair) -> Mending:
        """Return the repair as JSON. User code runs here: not for the writer's thread. Raises as `execution.mending`."""
        return mending(self.shared, self.definition(run), run, repair)

    def _repairing(self, tx: Tx, run: RunRow, repair: Repair, checked: Mending | None) -> Commit:
        mended = checked if checked is not None and checked.is_for(run) else self.mending(run, repair)
        commit = repaired(self.definition(run), run, mended, self.shared.clock.now())
        if mended.data is not None:
            commit = replace_data(tx, self.definition(run), run, repair, mended.data, commit)
        _lose(tx, run)
        return commit

    def update(
        self, workflow_id: str, user_id: str | None, labels: str | None, subject: str | None
    ) -> Callable[[Tx], RunRow]:
        """Return the run with these labels and this subject; None: as they are."""

        def operation(tx: Tx) -> RunRow:
            run = visible(runs.hold(tx, workflow_id), workflow_id, user_id)
            changed = run._replace(
                labels=run.labels if labels is None else labels,
                subject=run.subject if subject is None else subject or None,
            )
            runs.rename(tx, changed)
            return changed

        return operation

    def deletable(self, workflow_id: str, user_id: str | None) -> Callable[[Tx], None]:
        """Raise RunNotFinished unless the run can be deleted; WorkflowNotFound."""

        def operation(tx: Tx) -> None:
            run = visible(runs.hold(tx, workflow_id), workflow_id, user_id)
            if run.internal:
                raise InvalidArgs(f"Run {run.id} is the handler of a tick or a delivery: it is deleted with that.")
            if not run.finished:
                cure = "Retry or cancel it first." if run.status == "failed" else "Cancel it first."
                raise RunNotFinished(f"Run {run.id} is {run.status}: only finished runs can be deleted. {cure}")
            group = None if run.group_id is None else groups.load(tx, run.group_id)
            if group is not None and group.finished_at is None:
                raise RunNotFinished(
                    f"Run {run.id} belongs to {group.id}, of which other runs haven't ended: it is counted until they have."
                )

        return operation

    def definition(self, run: RunRow) -> Definition:
        """Return the definition of a stored run. Raises UnknownWorkflow where the code lacks it."""
        found = self.shared.registry.find(run.app_name, run.workflow_name)
        if found is None:
            raise UnknownWorkflow(
                f"Run {run.id} is of {run.app_name}/{run.workflow_name}, which isn't registered in this process."
            )
        return found


def executed(shared: Shared, run: RunRow, known: str | None = None) -> str | None:
    """Return the transition that is executed: the one seen in this process, else the first that may fire.

    What was seen before the row was read may have ended meanwhile: it counts only where it leaves the run's place.
    """
    definition = shared.registry.find(run.app_name, run.workflow_name)
    run = seen(definition, run)
    if run.owner is None or definition is None or run.place not in definition.places:
        return None
    if known is not None and any(t.source == run.place for t in definition.named(known)):
        return known
    decision = decide(definition, run, (), {}, shared.clock.now(), shared.rules)
    return decision.transition.name if isinstance(decision, Execute | AskGuards) else None


def _lose(tx: Tx, run: RunRow) -> None:
    """Notify the process that executes the run, here or elsewhere, that it has lost it."""
    if run.owner is not None:
        tx.hints.lost[run.id] = run.claim + 1


def _taker(definition: Definition, run: RunRow, name: str) -> Transition:
    candidates = takers(definition, name)
    return next((t for t in candidates if t.source == run.place), candidates[0])


def accept_event(shared: Shared) -> Callable[[RunRow, Resume, Kept, int], SignalRow | None]:
    """Return what an event makes of a run that listens: its signal, or None if the run takes nothing any more."""

    def accepted(run: RunRow, resume: Resume, kept: Kept, now: int) -> SignalRow | None:
        definition = shared.registry.find(run.app_name, run.workflow_name)
        if definition is None:
            return None
        arrival = Arrival("", definition.current(resume.transition), resume.data, "event")
        try:
            return accept(definition, seen(definition, run), arrival, kept, now, shared.rules)
        except PayloadTooLarge as error:
            log.warning("event %r is lost for a run: %s", resume.event, error)
        except (RunFinished, UnknownTransition, InvalidPayload):
            pass  # it takes nothing any more
        except Exception as error:  # noqa: BLE001 - one listener's row that can't be read doesn't concern the others
            shared.faults.set_apart(f"run {run.id}, which listens to event {resume.event!r}", error)
        return None

    return accepted


def _same_signal(run: RunRow, earlier: SignalRow, taker: Transition, text: str, key: str) -> RunRow:
    message = (
        f"The idempotency key {key!r} of run {run.id} belongs to the signal {earlier.name!r} with other data: "
        "use another key."
    )
    if earlier.name != taker.name:
        raise IdempotencyConflict(message)
    if canonical(earlier.data) != canonical(text):
        raise OtherText(message, taker, earlier.data)
    return run

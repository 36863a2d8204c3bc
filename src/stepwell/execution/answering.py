"""Answers of people: who may answer a question, and whether it is still open."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from stepwell.definition.model import Definition, Transition
from stepwell.definition.values.misfit import shown
from stepwell.engine.questions import QuestionRow, asked_here, may_answer
from stepwell.engine.run import Moment, RunRow, names_in
from stepwell.engine.signals import signal_name
from stepwell.engine.timers import moment_of
from stepwell.errors import AlreadyAnswered, RunFinished, UnknownTransition, WorkflowNotFound
from stepwell.execution.versions import seen
from stepwell.store import questions, signals
from stepwell.store.tx import Tx


class Person(NamedTuple):
    """The user who sends a signal, or answers."""

    user_id: str
    groups: frozenset[str] = frozenset()
    answers: bool = False
    """True for an answer: it is to a question, and never kept for later."""
    visit: int | None = None
    """The visit whose question is answered; None: the last one."""
    link: int | None = None
    """The answer comes by a link, which was made when the question had been assigned so often; it is the authority itself."""
    apps: frozenset[str] | None = None
    """The apps whose runs are visible to them; None: all."""
    acts: str | None = None
    """The user to whom the call is restricted, who answers questions for no other user; None: it isn't restricted."""
    everybody: bool = False
    """They may assign the questions of all other users' runs."""


class Admitted(NamedTuple):
    """A person, with the question that they may answer; None for a place that waits without one."""

    question: QuestionRow | None
    name: str


def no_run(workflow_id: str, user_id: str | None) -> WorkflowNotFound:
    """Return the refusal of a run that doesn't exist for this user."""
    whose = f" of user {user_id!r}." if user_id is not None else "."
    return WorkflowNotFound(f"No run {shown(workflow_id)}{whose}")


def asked_of(definition: Definition, name: str) -> bool:
    """Return whether a person is asked for this signal."""
    return any(t.ask is not None for t in definition.named(name))


def admit(
    tx: Tx, definition: Definition, row: RunRow, given: str | Callable[..., object], person: Person
) -> Admitted | None:
    """Return the question that this person may answer; None where the signal isn't asked for, and isn't an answer.

    Raises WorkflowNotFound for a user who may not: they don't learn that there is such a run.
    """
    run = seen(definition, row)
    try:
        name = signal_name(definition, run, given)
    except UnknownTransition:
        if person.user_id == row.user_id:
            raise
        raise no_run(row.id, person.user_id) from None
    # Other code may have asked: a deployment has both for a while, and the question that is stored counts.
    stored = not asked_here(run).isdisjoint(definition.all_names([name]))
    asked = bool(definition.named(name)) and (stored or asked_of(definition, name))
    if not asked and not person.answers:
        return None
    if person.acts not in (None, person.user_id):
        raise no_run(row.id, person.acts)
    question = questions.latest(tx, row.id, definition.all_names([name]), person.visit)
    if question is not None and person.visit is None and person.user_id == row.user_id:
        here = _here(definition, run, name)
        if here is not None and here.ask is None and question.visit != run.visit and not run.finished:
            question = None  # an earlier place has asked by this name; this one waits for the run's user
    if person.link is not None:
        if (0 if question is None else question.assigned) != person.link:
            raise no_run(row.id, None)
    elif question is not None:
        if not may_answer(question, person.user_id, person.groups):
            raise no_run(row.id, person.user_id)
    elif person.user_id != row.user_id:
        raise no_run(row.id, person.user_id)
    return Admitted(question, name)


def check_open(
    tx: Tx, definition: Definition, row: RunRow, admitted: Admitted, person: Person, now: Moment | None = None
) -> None:
    """Raise AlreadyAnswered, RunFinished or UnknownTransition unless the question is open, for an answer at `now`."""
    run = seen(definition, row)
    question = admitted.question
    if question is None:
        _check_waiting(tx, definition, run, admitted.name, person)
        return
    here = question.visit == run.visit and not run.finished
    if here and admitted.name in names_in(run.callbacks):
        raise UnknownTransition(
            f"{admitted.name!r} is the callback of a child of run {run.id}: the child's end fires it, and no person is asked."
        )
    if here and question.closed_at is None:
        _refuse_failed(run, admitted.name)
        if now is not None:
            _refuse_late(definition, run, question, now)
        return
    if question.answered_at is not None:
        raise _answered(run, question.transition, question.answered_by, question.answered_at)
    if run.finished:
        raise RunFinished(f"Run {run.id} is {run.status}: its question {question.transition!r} has ended with it.")
    if question.closed_at is None:
        raise UnknownTransition(
            f"Run {run.id} is at {run.place!r} and doesn't wait for {question.transition!r} before it comes back."
        )
    raise _answered(run, question.transition, None, question.closed_at)


def _refuse_late(definition: Definition, run: RunRow, question: QuestionRow, now: Moment) -> None:
    """Raise AlreadyAnswered once a timer of the visit is due: it fires first, as soon as a worker takes the run."""
    place = definition.places.get(run.place)
    timers = [] if place is None else [t for t in place.waiting if t.kind == "timer"]
    due = [at for t in timers if (at := moment_of(t, run)) is not None and at <= now]
    if due:
        raise _answered(run, question.transition, None, min(due))


def _check_waiting(tx: Tx, definition: Definition, run: RunRow, name: str, person: Person) -> None:
    """Raise unless the run waits here for a signal without a question."""
    transition = _here(definition, run, name)
    waits = transition is not None and name not in names_in(run.callbacks) and not run.finished
    asks_soon = transition is not None and transition.ask is not None and run.status != "failed"
    if waits and not asks_soon and person.visit in (None, run.visit):
        _refuse_failed(run, name)
        return
    last = signals.last_taken(tx, run.id, definition.all_names([name]))
    if last is not None and name not in names_in(run.callbacks):
        raise _answered(run, name, *last)
    if run.finished:
        raise RunFinished(f"Run {run.id} is {run.status}: it takes no answer {name!r} any more.")
    raise UnknownTransition(
        f"Run {run.id} is at {run.place!r} and doesn't ask for {name!r} now. What it asks for is in the inbox."
    )


def _refuse_failed(run: RunRow, name: str) -> None:
    """Raise RunFinished for a failed run, without its error: those who are asked needn't see the run."""
    if run.status == "failed":
        raise RunFinished(f"Run {run.id} failed, and takes no answer {name!r} until it is retried.", failed=True)


def _answered(run: RunRow, name: str, by: str | None, at: Moment) -> AlreadyAnswered:
    moment = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=at)
    whose = "" if by is None else f" by {by}"
    return AlreadyAnswered(
        f"The question {name!r} of run {run.id} was answered{whose}, or has ended, at "
        f"{moment.isoformat(timespec='seconds')}: this answer came too late, and wasn't stored.",
        by=by,
        at=moment,
    )


def _here(definition: Definition, run: RunRow, name: str) -> Transition | None:
    place = definition.places.get(run.place)
    found = None if place is None else place.by_name.get(name)
    return found if found is not None and found.kind == "signal" else None


def note_answer(tx: Tx, definition: Definition, row: RunRow, name: str, by: str | None, now: Moment) -> None:
    """Let the questions that this signal answers leave the inbox: all of the visit if it leads on from the place."""
    run = seen(definition, row)
    asked = asked_here(run)
    transition = _here(definition, run, name) if asked else None
    if transition is None:
        return
    leads_on = not transition.keep and transition.target != run.place
    questions.answered(tx, run.id, run.visit, by, now, None if leads_on else definition.all_names([name]))

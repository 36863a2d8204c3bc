"""Assignments: an open question is given to another user or group."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from stepwell.definition.model import Definition
from stepwell.engine.questions import QuestionRow, given_to_others
from stepwell.engine.run import HistoryRow, Moment, RunRow
from stepwell.engine.signals import signal_name
from stepwell.errors import RunBusy, UnknownTransition
from stepwell.execution.answering import Admitted, Person, admit, check_open
from stepwell.execution.versions import seen
from stepwell.store import questions
from stepwell.store.tx import Tx


class Assignment(NamedTuple):
    """The user and the group who may answer from now on, and the user who says so."""

    assignee: str | None
    group: str | None
    by: str | None

    def __str__(self) -> str:
        whom = [] if self.assignee is None else [f"user {self.assignee!r}"]
        whom += [] if self.group is None else [f"group {self.group!r}"]
        return f"assigned to {' and '.join(whom)}" + ("" if self.by is None else f" by {self.by!r}")


def assignable(
    tx: Tx,
    definition: Definition,
    row: RunRow,
    given: str | Callable[..., object],
    person: Person | None,
    visit: int | None,
) -> QuestionRow:
    """Return the open question; with a person, one that they may answer, or that isn't of their own run.

    Raises WorkflowNotFound, UnknownTransition, AlreadyAnswered, RunFinished, RunBusy.
    """
    acting = Person("", answers=True, visit=visit) if person is None else person
    if person is None or (person.everybody and person.user_id != row.user_id):
        admitted = _found(tx, definition, row, given, visit)
    else:
        found = admit(tx, definition, row, given, person)
        assert found is not None  # they are asked as one who answers
        admitted = found
    check_open(tx, definition, row, admitted, acting)
    if admitted.question is None:
        raise UnknownTransition(
            f"Run {row.id} waits for {admitted.name!r} without a question: only its user may answer. Declare one with ask=."
        )
    if row.owner is not None:
        raise RunBusy(
            f"Run {row.id} is executing a transition at {row.place!r}: assign its question when that is over."
        )
    return admitted.question


def _found(
    tx: Tx, definition: Definition, row: RunRow, given: str | Callable[..., object], visit: int | None
) -> Admitted:
    name = signal_name(definition, seen(definition, row), given)
    return Admitted(questions.latest(tx, row.id, definition.all_names([name]), visit), name)


def assign(tx: Tx, row: RunRow, question: QuestionRow, assigned: Assignment, now: Moment) -> None:
    """Store the assignment, with a row of the run's history, which leads nowhere."""
    told = HistoryRow(
        row.id, row.version + 1, question.transition, row.place, None, 0, "committed", str(assigned), None, None, None,
        now, now,
    )  # fmt: skip
    questions.assign(tx, question, assigned.assignee, assigned.group, told, given_to_others(row, question.transition))

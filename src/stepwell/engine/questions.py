"""The questions of a place: who is asked for a signal, what, and until when.

- They are worked out when the place is entered, and stored in the commit that leads there, as moments of timers are (rule 57).
  `Run.timers` names those that have been asked in its visit.
- A question lives as long as its visit. A detour only interrupts it (rule 57).
- The first answer that leads on from the place wins (rule 44).
- A transition back to the same place asks anew. The answer of a person that waits meanwhile counts for the new visit only
  if that asks the very same of the same people; else it is void (rule 57).
"""

from __future__ import annotations

import json
from collections.abc import Collection
from hashlib import blake2b
from typing import Final, NamedTuple

from stepwell.engine.run import Moment, RunRow
from stepwell.engine.visits import interrupted_timers

WHENEVER: Final = 2**62
"""The urgency of a question without a due date: behind all that have one."""


class AskedQuestion(NamedTuple):
    """A question, worked out for one visit."""

    transition: str
    title: str
    text: str | None
    assignee: str | None
    team: str | None
    after: Moment | None
    """The time until it is due, counted from the entry of the place."""
    due_at: Moment | None
    documents: str
    """The names of the documents that the person who is asked may see, as JSON."""

    @property
    def mark(self) -> str:
        """A text that is the same for the same question to the same people."""
        said = json.dumps([self.title, self.text, self.assignee, self.team, self.documents])
        return blake2b(said.encode(), digest_size=8).hexdigest()


class QuestionRow(NamedTuple):
    """A question as it is stored."""

    run_id: str
    visit: int
    transition: str
    app_name: str
    workflow_name: str
    user_id: str
    """The run's user."""
    title: str
    text: str | None
    assignee: str | None
    team: str | None
    due_at: Moment | None
    urgency: Moment
    """`due_at`, or `WHENEVER`: the inbox is in this order."""
    asked_at: Moment
    documents: str
    assigned: int = 0
    """The number of times that it was assigned anew: links that were made before are void."""
    answered_by: str | None = None
    answered_at: Moment | None = None
    closed_at: Moment | None = None
    """The moment at which it was answered, or its visit ended."""

    @property
    def key(self) -> tuple[Moment, Moment, str, str]:
        """Its position in the inbox."""
        return self.urgency, self.asked_at, self.run_id, self.transition


def questions_of(run: RunRow, asked: Collection[AskedQuestion]) -> tuple[QuestionRow, ...]:
    """Return the rows of the questions of the visit that the run is in."""
    return tuple(_row(run, one) for one in asked)


def _row(run: RunRow, one: AskedQuestion) -> QuestionRow:
    due_at = one.due_at if one.after is None else run.entered_at + one.after
    return QuestionRow(
        run.id, run.visit, one.transition, run.app_name, run.workflow_name, run.user_id, one.title, one.text,
        one.assignee, one.team, due_at, WHENEVER if due_at is None else due_at, run.entered_at, one.documents,
    )  # fmt: skip


def asked_here(run: RunRow) -> frozenset[str]:
    """Return the names of the transitions that are asked for in the visit that the run is in."""
    return asked_in(run.timers, run.visit)


def ended_questions(before: RunRow, after: RunRow) -> tuple[int, ...]:
    """Return the visits whose questions end on the way: those to which the run doesn't come back."""
    if before.timers is None and before.detours is None:
        return ()
    remaining = () if after.finished else _visits(after)
    return tuple(visit for visit in _visits(before) if visit not in remaining)


def _visits(run: RunRow) -> list[int]:
    kept = [(run.visit, run.timers), *interrupted_timers(run)]
    return [visit for visit, timers in kept if asked_in(timers, visit)]


def asked_in(timers: str | None, visit: int) -> frozenset[str]:
    """Return the names of the transitions that `Run.timers` says are asked for in this visit."""
    return frozenset(_marks(timers, visit))


def _marks(timers: str | None, visit: int) -> dict[str, str]:
    if timers is None or '"asked"' not in timers:
        return {}
    try:
        kept = json.loads(timers)
        return {str(name): str(mark) for name, mark in kept["asked"].items()} if kept["visit"] == visit else {}
    except (ValueError, TypeError, LookupError, AttributeError):  # a person has written something else there
        return {}


def outdated(before: RunRow, after: RunRow) -> tuple[str, ...]:
    """Return the names that were asked for before a transition back to the place, and aren't in the same way after it."""
    if before.timers is None or after.stay is None or after.visit == before.visit:
        return ()
    now = _marks(after.timers, after.visit)
    return tuple(name for name, mark in _marks(before.timers, before.visit).items() if now.get(name) != mark)


def given_to_others(run: RunRow, name: str) -> str | None:
    """Return `Run.timers` once other people are asked for this signal than were worked out: no later visit asks the same."""
    if name not in asked_here(run) or run.timers is None:
        return run.timers
    kept = json.loads(run.timers)
    kept["asked"][name] = ""
    return json.dumps(kept, ensure_ascii=False)


def may_answer(question: QuestionRow, by: str, groups: Collection[str]) -> bool:
    """Return whether this user may: the assignee, a member of the group, or, where neither is named, the run's user."""
    if question.assignee is None and question.team is None:
        return by == question.user_id
    return by == question.assignee or (question.team is not None and question.team in groups)

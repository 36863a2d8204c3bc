"""The interface of commands to the questions that people are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from stepwell.runner.models import Page, Run
from stepwell.runner.people import Question


@dataclass(frozen=True, slots=True)
class WantedQuestions:
    """A page of the inbox."""

    app_name: str | None = None
    workflow: str | None = None
    run_id: str | None = None
    overdue: bool | None = None
    everybody: bool = False
    groups: tuple[str, ...] = ()
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """The groups of the user who answers, the visit of the question that they have seen, and an idempotency key."""

    groups: tuple[str, ...] = ()
    visit: int | None = None
    key: str | None = None


class PeopleBackend(Protocol):
    """The questions, wherever they are."""

    async def inbox(self, wanted: WantedQuestions) -> Page[Question]:
        """Return a page of the questions that the user may answer, the most urgent first."""
        ...

    async def answer(self, run_id: str, transition: str, data: Any, given: AnswerOptions) -> Run:
        """Answer a question as the user, and return the run."""
        ...

    async def assign(self, run_id: str, transition: str, assignee: str | None, group: str | None) -> Question:
        """Let others answer a question, and return it."""
        ...

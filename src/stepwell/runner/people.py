"""The verbs for people: their inbox, their answers, and who is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict

from stepwell.definition.compile.export import payload_schema
from stepwell.definition.model import Definition
from stepwell.definition.text import is_text
from stepwell.definition.values.misfit import shown
from stepwell.definition.values.narrowing import narrows
from stepwell.engine.questions import WHENEVER, QuestionRow, asked_in
from stepwell.engine.run import names_in
from stepwell.errors import InvalidArgs
from stepwell.execution.answering import Person
from stepwell.execution.clock import to_datetime
from stepwell.execution.timers import words_of
from stepwell.runner.arguments import MAX_NAME, check_limit, checked_text, run_id, workflow_name_of
from stepwell.runner.models import Page, Run, StoredDocument, document_of
from stepwell.runner.steering import Steering
from stepwell.store import documents, questions
from stepwell.store.questions import Position, Sought, Unasked
from stepwell.store.tx import Tx

if TYPE_CHECKING:
    from stepwell.definition.authoring.workflow import Workflow
    from stepwell.runner.callers import AwaitedConnection

_DOCUMENT_BYTES: Final = 1024 * 1024
"""Of the documents that a question shows."""
_MOST_GROUPS: Final = 1_000


class Question(BaseModel):
    """A signal that a person is asked for: one entry of the inbox."""

    model_config = ConfigDict(frozen=True)

    workflow_id: str
    workflow_name: str
    app_name: str
    transition: str
    visit: int
    """The visit of the place that asks: an answer for another one comes too late."""
    title: str
    text: str | None
    assignee: str | None
    group: str | None
    due_at: datetime | None
    asked_at: datetime
    payload_schema: dict[str, Any] | None
    """The JSON schema of an answer; None: it takes no data, or the code isn't known here."""
    user_id: str
    """The run's user."""
    subject: str | None
    labels: tuple[str, ...]
    documents: tuple[StoredDocument, ...] = ()
    """Those that `Ask(documents=...)` names."""


def checked_groups(groups: Any) -> frozenset[str]:
    """Return the groups of a person. Raises InvalidArgs: one text isn't a collection of texts."""
    if isinstance(groups, str) or not isinstance(groups, Collection) or len(groups) > _MOST_GROUPS:
        raise InvalidArgs(
            f"groups={shown(groups)}: give a collection of at most {_MOST_GROUPS:,} texts, as in {{'ops'}}."
        )
    if not all(is_text(one, MAX_NAME) for one in groups):
        raise InvalidArgs(f"groups={shown(groups)}: a group is a text of 1 to {MAX_NAME} characters, without NUL.")
    return frozenset(groups)


def checked_person(by: Any) -> str:
    """Return the user who acts. Raises InvalidArgs for an empty one."""
    if not is_text(by, MAX_NAME):
        raise InvalidArgs(f"by={shown(by)}: give the id of the user who answers, a text of 1 to {MAX_NAME} characters.")
    return str(by)


def _checked_visit(visit: Any) -> int | None:
    if visit is None or (type(visit) is int and 0 <= visit < 2**31):
        return visit
    raise InvalidArgs(f"visit={shown(visit)}: give the visit of a question, as Question.visit says it.")


class Answering(Steering):
    """The verbs for people who are asked."""

    async def inbox(
        self,
        *,
        user_id: str | None = None,
        groups: Collection[str] = (),
        app_name: str | None = None,
        workflow: type[Workflow[Any, Any, Any]] | str | None = None,
        overdue: bool | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Question]:
        """Return a page of the questions that this person may answer, the most urgent first; without a user and groups, all.

        They are assigned to them, to one of their groups, or to no user and of their own runs. `limit` is 1 to 1,000.
        A page may hold fewer, and yet have a `next_cursor`. Raises InvalidArgs.
        """
        check_limit(limit)
        if overdue is not None and not isinstance(overdue, bool):
            raise InvalidArgs(f"overdue={overdue!r} is neither True, False nor None.")
        app, flow = checked_text("app_name", app_name), workflow_name_of(workflow)
        wanted = Sought(
            self._only(user_id),
            sorted(checked_groups(groups)),
            app,
            flow,
            overdue,
            self.core.shared.clock.now(),
            _position_of(cursor),
            limit + 1,
            self._unasked_places(app, flow),
        )
        found, following = await self.read(lambda tx: self._entries(tx, wanted, limit))
        return Page(items=tuple(found), next_cursor=following)

    def _unasked_places(self, app_name: str | None, workflow: str | None) -> Sequence[tuple[str, str, str]]:
        """Return (app, workflow, place) of every place that waits for signals."""
        registry = self.core.shared.registry
        return [
            (app, name, place.name)
            for app, name in registry.lanes
            if app_name in (None, app) and workflow in (None, name)
            if (definition := registry.find(app, name)) is not None
            for place in definition.places.values()
            if any(t.kind == "signal" for t in place.waiting)
        ]

    def _entries(self, tx: Tx, wanted: Sought, limit: int) -> tuple[list[Question], str | None]:
        asked = questions.inbox(tx, wanted)
        runs = questions.waiting(tx, wanted)
        unasked = [(row, run.labels) for run in runs for row in self._unasked(run)]
        entries = sorted([*asked, *unasked], key=lambda one: one[0].key)
        if wanted.after is not None:
            entries = [one for one in entries if one[0].key > wanted.after]
        end: Position | None = None
        if len(runs) == wanted.limit:  # behind the last of them there may be others
            end = (WHENEVER, runs[-1].entered_at, runs[-1].run_id, "")
            entries = [one for one in entries if one[0].key < end]
        if len(entries) > limit:
            entries = entries[:limit]
            end = entries[-1][0].key
        return self._questions(tx, entries), _cursor(end)

    def _unasked(self, run: Unasked) -> Sequence[QuestionRow]:
        """Return the signals for which the run waits without a question, as questions to its user."""
        definition = self.core.shared.registry.find(run.app_name, run.workflow_name)
        place = None if definition is None else definition.places.get(run.place)
        asked, called = asked_in(run.timers, run.visit), names_in(run.callbacks)
        return [
            QuestionRow(
                run.run_id, run.visit, t.name, run.app_name, run.workflow_name, run.user_id, words_of(t.name), None,
                None, None, None, WHENEVER, run.entered_at, "[]",
            )
            for t in (() if place is None else place.waiting)
            if t.kind == "signal" and t.name not in asked and t.name not in called
        ]  # fmt: skip

    def _questions(self, tx: Tx, entries: Sequence[tuple[QuestionRow, str]]) -> list[Question]:
        find = self.core.shared.registry.find
        found = [(row, labels, find(row.app_name, row.workflow_name)) for row, labels in entries]
        args = questions.args_of(tx, [row.run_id for row, _, definition in found if narrows(definition)])
        return [
            question_of(row, labels, definition, shown_documents(tx, row), args.get(row.run_id))
            for row, labels, definition in found
        ]

    async def answer(
        self,
        workflow_id: str,
        transition: str | Callable[..., object],
        data: Any = None,
        *,
        by: str,
        groups: Collection[str] = (),
        visit: int | None = None,
        idempotency_key: str | None = None,
        connection: AwaitedConnection | None = None,
    ) -> Run:
        """Return the run, with the answer of this person stored: the first one to a visit wins.

        The assignee may answer, a member of the group, or, where neither is named, the run's user. Those to whom the run
        doesn't belong get it without args, state, result and error. `visit` is that of the question that they have seen.

        Raises WorkflowNotFound (also for users who may not), AlreadyAnswered, RunFinished, UnknownTransition,
        InvalidPayload, PayloadTooLarge, InvalidArgs, IdempotencyConflict, StoreUnavailable; the run is untouched then.
        """
        person = Person(checked_person(by), checked_groups(groups), True, _checked_visit(visit))
        self._only(by)
        workflow_id = run_id(workflow_id, by)
        return await self._send(workflow_id, transition, data, None, person, idempotency_key, connection)


def shown_documents(tx: Tx, row: QuestionRow) -> list[StoredDocument]:
    """Return the current documents that the question shows."""
    names = json.loads(row.documents)
    if not names:
        return []
    found = documents.named(tx, row.run_id, names, _DOCUMENT_BYTES)
    return [document_of(one) for one in found]


def question_of(
    row: QuestionRow,
    labels: str,
    definition: Definition | None,
    shows: Sequence[StoredDocument] = (),
    args: str | None = None,
) -> Question:
    """Return the model of a question; `args` are those of its run, where the type of an answer depends on them."""
    return Question(
        workflow_id=row.run_id,
        workflow_name=row.workflow_name,
        app_name=row.app_name,
        transition=row.transition,
        visit=row.visit,
        title=row.title,
        text=row.text,
        assignee=row.assignee,
        group=row.team,
        due_at=None if row.due_at is None else to_datetime(row.due_at),
        asked_at=to_datetime(row.asked_at),
        payload_schema=None if definition is None else payload_schema(definition, row.transition, args),
        user_id=row.user_id,
        subject=None,
        labels=tuple(json.loads(labels)),
        documents=tuple(shows),
    )


def _cursor(position: Position | None) -> str | None:
    return None if position is None else json.dumps(position, separators=(",", ":"))


def _position_of(cursor: Any) -> Position | None:
    if cursor is None:
        return None
    try:
        urgency, asked_at, run, transition = json.loads(cursor)
        if type(urgency) is int and type(asked_at) is int and isinstance(run, str) and isinstance(transition, str):
            return urgency, asked_at, run, transition
    except (ValueError, TypeError, RecursionError):
        pass
    raise InvalidArgs(f"cursor={shown(cursor)}: give the next_cursor of the page before, or leave it out.")

"""The verbs for people: their inbox, their answers, and who is asked."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
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
from stepwell.execution.assigning import Assignment
from stepwell.execution.clock import to_datetime
from stepwell.execution.timers import words_of
from stepwell.runner.arguments import (
    MAX_NAME,
    check_limit,
    checked_groups,
    checked_name,
    checked_text,
    id_of,
    run_id,
    workflow_name_of,
)
from stepwell.runner.models import Page, Run, StoredDocument, document_of
from stepwell.runner.steering import Steering
from stepwell.runner.weight import within_values
from stepwell.store import documents, questions, runs
from stepwell.store.documents import DocumentRow
from stepwell.store.questions import AwaitedSignal, Entry, Position, Sought, Unasked
from stepwell.store.tables import fitting
from stepwell.store.tx import Tx

if TYPE_CHECKING:
    from stepwell.definition.authoring.workflow import Workflow
    from stepwell.runner.callers import AwaitedConnection

_DOCUMENT_BYTES: Final = 1024 * 1024
"""Of the documents that a question shows."""
_PAGE_BYTES: Final = 16 * 1024 * 1024
"""Of the questions of a page, unless a single one is larger."""


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


def checked_visit(visit: Any) -> int | None:
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
        only, teams = self._only(user_id), sorted(checked_groups(groups))
        return await self.find_questions(only, teams, app_name, workflow, overdue, limit, cursor)

    async def find_questions(
        self,
        user_id: str | None,
        groups: Sequence[str],
        app_name: str | None,
        workflow: type[Workflow[Any, Any, Any]] | str | None,
        overdue: bool | None,
        limit: int,
        cursor: str | None,
        apps: Collection[str] | None = None,
        workflow_id: str | None = None,
    ) -> Page[Question]:
        """Return a page as `inbox`, of these apps (None: of all) and of this run only (None: of all)."""
        check_limit(limit)
        if overdue is not None and not isinstance(overdue, bool):
            raise InvalidArgs(f"overdue={overdue!r} is neither True, False nor None.")
        app, flow = checked_text("app_name", app_name), workflow_name_of(workflow)
        wanted = Sought(
            user_id,
            groups,
            app,
            flow,
            overdue,
            self.core.shared.clock.now(),
            _position_of(cursor),
            limit + 1,
            self._awaited(app, flow, apps),
            None if apps is None else sorted(apps),
            None if workflow_id is None else id_of(workflow_id) or workflow_id,
        )
        found, following = await self.read(lambda tx: self._entries(tx, wanted, limit))
        return Page(items=tuple(found), next_cursor=following)

    def _awaited(
        self, app_name: str | None, workflow: str | None, apps: Collection[str] | None
    ) -> Sequence[AwaitedSignal]:
        """Return the signals that places wait for."""
        registry = self.core.shared.registry
        return [
            AwaitedSignal(app, name, place.name, definition.all_names([t.name]))
            for app, name in registry.lanes
            if app_name in (None, app) and workflow in (None, name) and (apps is None or app in apps)
            if (definition := registry.find(app, name)) is not None
            for place in definition.places.values()
            for t in place.waiting
            if t.kind == "signal"
        ]

    def _entries(self, tx: Tx, wanted: Sought, limit: int) -> tuple[list[Question], str | None]:
        asked = questions.inbox(tx, wanted)
        runs = questions.waiting(tx, wanted)
        unasked = [Entry(row, run.labels, run.subject) for run in runs for row in self._unasked(run)]
        entries = sorted([*asked, *unasked], key=lambda one: one.question.key)
        if wanted.after is not None:
            entries = [one for one in entries if one.question.key > wanted.after]
        end: Position | None = None
        if len(runs) > wanted.limit:  # behind the last of them there may be others
            end = (WHENEVER, runs[-1].entered_at, runs[-1].run_id, "")
            entries = [one for one in entries if one.question.key < end]
        if len(entries) > limit:
            entries = entries[:limit]
            end = entries[-1].question.key
        found = self._questions(tx, entries)
        if len(found) < len(entries):
            end = entries[len(found) - 1].question.key
        return found, _cursor(end)

    def _unasked(self, run: Unasked) -> Sequence[QuestionRow]:
        """Return the signals for which the run waits without a question, as questions to its user."""
        definition = self.core.shared.registry.find(run.app_name, run.workflow_name)
        place = None if definition is None else definition.places.get(run.place)
        if definition is None or place is None:
            return []
        taken = asked_in(run.timers, run.visit) | names_in(run.callbacks)
        return [
            QuestionRow(
                run.run_id, run.visit, t.name, run.app_name, run.workflow_name, run.user_id, words_of(t.name), None,
                None, None, None, WHENEVER, run.entered_at, "[]",
            )
            for t in place.waiting
            if t.kind == "signal" and taken.isdisjoint(definition.all_names([t.name]))
        ]  # fmt: skip

    def _questions(self, tx: Tx, entries: Sequence[Entry]) -> list[Question]:
        """Return as many of the first ones as a page holds; at least one, if there is one."""
        find = self.core.shared.registry.find
        found = [(one, find(one.question.app_name, one.question.workflow_name)) for one in entries]
        sizes = questions.args_sizes(tx, [one.question.run_id for one, definition in found if narrows(definition)])
        shown = _shown(tx, entries, sizes)
        args = questions.args_of(tx, sizes.keys() & {one.question.run_id for one, _ in shown})
        made = [
            question_of(entry, definition, documents, args.get(entry.question.run_id))
            for (entry, documents), (_, definition) in zip(shown, found, strict=False)
        ]
        return made[: fitting((len(one.model_dump_json().encode()) for one in made), _PAGE_BYTES)]

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
        person = Person(checked_name("by", by), checked_groups(groups), True, checked_visit(visit))
        self._only(by)
        return await self.answer_as(person, workflow_id, transition, data, idempotency_key, connection)

    async def answer_as(
        self,
        person: Person,
        workflow_id: str,
        transition: str | Callable[..., object],
        data: Any,
        idempotency_key: str | None,
        connection: AwaitedConnection | None = None,
    ) -> Run:
        """Return the run as `answer`, with the answer of this person."""
        workflow_id = run_id(workflow_id, person.user_id)
        return await self.send(workflow_id, transition, data, None, person, idempotency_key, connection)

    async def assign(
        self,
        workflow_id: str,
        transition: str | Callable[..., object],
        *,
        assignee: str | None = None,
        group: str | None = None,
        by: str | None = None,
        groups: Collection[str] = (),
        visit: int | None = None,
    ) -> Question:
        """Return the question, which from now on this user, or a member of this group, may answer, and no other user.

        `by` is the user who assigns it, for the history. A runner restricted to a user assigns only what that user, with these
        `groups`, may answer. Links that were made before are void.

        Raises WorkflowNotFound (also for users who may not), AlreadyAnswered, RunFinished, UnknownTransition, RunBusy,
        InvalidArgs, StoreUnavailable; nothing is changed then.
        """
        only = self._only(None if by is None else checked_name("by", by))
        teams, seen_in, named = checked_groups(groups), checked_visit(visit), (("assignee", assignee), ("group", group))
        acts = None if self.only is None else Person(self.only, teams, True, seen_in)
        for option, one in named:
            if one is not None:
                checked_name(option, one)
        assigned = Assignment(assignee, group, only)
        return await self.assign_as(acts, workflow_id, transition, assigned, seen_in)

    async def assign_as(
        self,
        person: Person | None,
        workflow_id: str,
        transition: str | Callable[..., object],
        assigned: Assignment,
        visit: int | None = None,
    ) -> Question:
        """Return the question as `assign`; with a person, they have to be one who may answer it. Raises the same."""
        if assigned.assignee is None and assigned.group is None:
            raise InvalidArgs("assignee= and group= are both missing: say who is to answer, as in assignee='ann'.")
        core = self.core
        workflow_id = run_id(workflow_id, None if person is None else person.user_id)
        row = await core.write(core.operations.assign(workflow_id, transition, assigned, person, visit), None)

        def query(tx: Tx) -> Question:
            run = runs.load_one(tx, workflow_id)
            entry = Entry(row, "[]", None) if run is None else Entry(row, run.labels, run.subject)
            return self._questions(tx, [entry])[0]

        return await self.read(query)


def _shown(tx: Tx, entries: Sequence[Entry], sizes: dict[str, int]) -> list[tuple[Entry, list[DocumentRow]]]:
    """Return the first entries with the documents that they show: no more than a page holds, with args of these sizes."""
    found: list[tuple[Entry, list[DocumentRow]]] = []
    left = _PAGE_BYTES
    for entry in entries:
        documents = shown_documents(tx, entry.question)
        left -= sizes.get(entry.question.run_id, 0) + sum(len(one.content.encode()) for one in documents)
        if left < 0 and found:
            break
        found.append((entry, documents))
    return within_values(found, lambda one: [text for row in one[1] for text in (row.content, row.meta)])


def shown_documents(tx: Tx, row: QuestionRow) -> list[DocumentRow]:
    """Return the current documents that the question shows."""
    names = json.loads(row.documents)
    return documents.named(tx, row.run_id, names, _DOCUMENT_BYTES) if names else []


def question_of(
    entry: Entry,
    definition: Definition | None,
    shows: Sequence[DocumentRow] = (),
    args: str | None = None,
) -> Question:
    """Return the model of a question; `args` are those of its run, where the type of an answer depends on them."""
    row = entry.question
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
        subject=entry.subject,
        labels=tuple(json.loads(entry.labels)),
        documents=tuple(document_of(one) for one in shows),
    )


def _cursor(position: Position | None) -> str | None:
    if position is None:
        return None
    return urlsafe_b64encode(json.dumps(position, separators=(",", ":")).encode()).decode().rstrip("=")


def _position_of(cursor: Any) -> Position | None:
    if cursor is None:
        return None
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        urgency, asked_at, run, transition = json.loads(text)
        # A moment before 1970 is below zero.
        moments = all(type(one) is int and -(2**63) <= one <= WHENEVER for one in (urgency, asked_at))
        if moments and is_text(run, MAX_NAME) and (transition == "" or is_text(transition, MAX_NAME)):
            return urgency, asked_at, run, transition
    except (ValueError, TypeError, RecursionError):
        pass
    raise InvalidArgs(f"cursor={shown(cursor)}: give the next_cursor of the page before, or leave it out.")

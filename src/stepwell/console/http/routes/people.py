"""The questions to people: the inbox, answers, and who is asked."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query

from stepwell.console.http.access.caller import MARK, Caller, CallerOf
from stepwell.console.http.routes.actions import IdempotencyKeyHeader
from stepwell.console.http.routes.runs import LimitParam, WorkflowId
from stepwell.console.http.schemas import NO_NUL, AnswerRequest, AssignRequest, Id, NameParam, problems
from stepwell.execution.assigning import Assignment
from stepwell.runner.models import Page, Run
from stepwell.runner.people import Question

PATTERN: Final = rf"^{MARK}[A-Za-z0-9_-]{{1,2000}}$"
"""The pattern of a cursor of the inbox."""
InboxCursor = Annotated[str | None, Query(pattern=PATTERN, description="The next_cursor of the page before")]
TransitionName = Annotated[str, Path(min_length=1, max_length=256, pattern=NO_NUL)]


def add_people(router: APIRouter, caller: CallerOf) -> None:
    """Add `/inbox`, and the routes that answer and assign questions."""
    ByCaller = Annotated[Caller, Depends(caller)]

    @router.get("/inbox", responses=problems(404))
    async def get_inbox(
        caller: ByCaller,
        app_name: NameParam | None = None,
        workflow: NameParam | None = None,
        workflow_id: Id | None = None,
        overdue: bool | None = None,
        everybody: bool = False,
        limit: LimitParam = 50,
        cursor: InboxCursor = None,
    ) -> Page[Question]:
        """List a page of the questions that the caller may answer, the most urgent first.

        They are assigned to the caller, to one of the caller's groups, or to no user and of the caller's own runs. `everybody`:
        all questions, for callers with access to all users' runs. A page may be shorter than `limit` and still have a
        `next_cursor`.
        """
        if everybody:
            caller.sees_all_users()
        of, position = caller.principal, caller.cursors.position(cursor)
        user_id, groups = (None, []) if everybody else (of.user_id, sorted(of.groups))
        page = await caller.runner.find_questions(
            user_id, groups, app_name, workflow, overdue, limit, position, of.apps, workflow_id
        )
        return caller.cursors.page(page)

    @router.post("/runs/{workflow_id}/answers/{transition}", status_code=202, responses=problems(404, 409))
    async def answer_run(
        workflow_id: WorkflowId,
        transition: TransitionName,
        request: AnswerRequest,
        caller: ByCaller,
        key: IdempotencyKeyHeader = None,
    ) -> Run:
        """Answer a question: the first answer to a visit wins, and a later one is refused with who won.

        The assignee may, a member of the group, or, where neither is named, the run's user; for others there is no such run.
        Those to whom the run doesn't belong get it without args, state, result and error.
        """
        caller.may_act()
        person = caller.person(request.visit, answers=True)
        return await caller.runner.answer_as(person, workflow_id, transition, request.data, key)

    @router.put("/runs/{workflow_id}/questions/{transition}", responses=problems(404, 409))
    async def assign_question(
        workflow_id: WorkflowId, transition: TransitionName, request: AssignRequest, caller: ByCaller
    ) -> Question:
        """Let this user or this group answer an open question from now on, and no other user.

        Those who may answer it may, and callers with access to all users' runs, save for their own runs.
        """
        caller.may_act()
        assigned = Assignment(request.assignee, request.group, caller.principal.user_id)
        person = caller.person(request.visit, answers=True)
        return await caller.runner.assign_as(person, workflow_id, transition, assigned, request.visit)

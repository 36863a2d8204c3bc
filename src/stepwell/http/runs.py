"""Runs: lists, one run with all that belongs to it."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query

from stepwell.engine.run import Status
from stepwell.execution.clock import to_moment
from stepwell.http.asking import Asking as Asks
from stepwell.http.asking import AskingOf
from stepwell.http.cursors import Cursor
from stepwell.http.schemas import NO_NUL, Id, Instant, Name, problems
from stepwell.runner.explain import Explanation
from stepwell.runner.models import Checkpoint, Page, Run, StoredDocument
from stepwell.runner.parts import Parts
from stepwell.runner.questions import Questions
from stepwell.runner.views import Ask, Child, Step
from stepwell.store.queries import Filter

ANSWER_BYTES: Final = 16 * 1024 * 1024
"""What is told of states, documents and steps in one answer, at most, unless by one of them: ask again for the rest."""
Limit = Annotated[int, Query(ge=1, le=1000)]
Rows = Annotated[int, Query(ge=1, le=10_000)]
Version = Annotated[int, Query(ge=-1, lt=2**31)]
WorkflowId = Annotated[str, Path(min_length=1, max_length=64)]
DocumentId = Annotated[UUID | None, Query()]


def add_runs(router: APIRouter, asking: AskingOf) -> None:
    """`/runs`, `/runs/{id}`, and what belongs to a run are served."""
    Asking = Annotated[Asks, Depends(asking)]
    there = problems(404)

    @router.get("/runs", responses=there)
    async def list_runs(
        asking: Asking,
        app_name: Name | None = None,
        workflow: Name | None = None,
        status: Annotated[list[Status] | None, Query()] = None,
        label: Name | None = None,
        workspace_id: Id | None = None,
        user_id: Name | None = None,
        parent_id: Id | None = None,
        place: Name | None = None,
        q: Annotated[str | None, Query(max_length=200, pattern=NO_NUL)] = None,
        created_after: Instant | None = None,
        created_before: Instant | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
        brief: bool = False,
    ) -> Page[Run]:
        """A page of runs, the newest first; `cursor` is the `next_cursor` of the page before.

        `q` looks in ids, names, places, labels, keys, errors and args. A page may be shorter than `limit` and yet have a
        `next_cursor`: it tells how far was looked. With `brief` args, state and result are null.
        """
        wanted = Filter(
            app_name=app_name,
            workflow_name=workflow,
            status=tuple(status) if status else None,
            label=label,
            workspace_id=workspace_id,
            user_id=user_id,
            parent_id=parent_id,
            place=place,
            text=q or None,
            created_after=None if created_after is None else to_moment(created_after),
            created_before=None if created_before is None else to_moment(created_before),
        )
        page = await asking.runner.find(
            asking.within(wanted),
            limit=limit,
            cursor=asking.cursors.position(cursor),
            brief=brief,
            most_bytes=ANSWER_BYTES,
        )
        return asking.cursors.page(page)

    @router.get("/runs/{workflow_id}", responses=there)
    async def get_run(workflow_id: WorkflowId, asking: Asking) -> Run:
        """The run as it stands."""
        return await asking.run(workflow_id)

    @router.get("/runs/{workflow_id}/history", responses=there)
    async def get_history(
        workflow_id: WorkflowId,
        asking: Asking,
        after: Version = -1,
        before: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
        limit: Rows = 10_000,
        newest: bool = False,
    ) -> Sequence[Checkpoint]:
        """The history after version `after`, oldest first; row 0 is the creation. Tracebacks only for those who see all.

        `before`: only the rows before this version. With `newest` the last `limit` ones; also oldest first.
        """
        await asking.run(workflow_id)
        return await asking.runner.history(
            workflow_id,
            after=after,
            limit=limit,
            newest=newest,
            before=before,
            most_bytes=ANSWER_BYTES,
        )

    @router.get("/runs/{workflow_id}/documents", responses=there)
    async def get_documents(
        workflow_id: WorkflowId,
        asking: Asking,
        replaced: bool = False,
        after: Version = -1,
        before: DocumentId = None,
        limit: Rows = 10_000,
        newest: bool = False,
    ) -> Sequence[StoredDocument]:
        """The current documents, in order; with `replaced` their older versions too. Internal ones never leave.

        `after`: those saved after this version. `before`: those in front of the document of this id. With `newest`
        the last `limit` ones, also in order.
        """
        await asking.run(workflow_id)
        return await asking.runner.documents(
            workflow_id,
            replaced=replaced,
            after=after,
            before=None if before is None else str(before),
            limit=limit,
            newest=newest,
            internal=False,
            most_bytes=ANSWER_BYTES,
        )

    @router.get("/runs/{workflow_id}/steps", responses=there)
    async def get_steps(
        workflow_id: WorkflowId,
        asking: Asking,
        visit: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
        limit: Rows = 1_000,
    ) -> Sequence[Step]:
        """The last `limit` steps that the run has journaled (in one visit), oldest first; fewer where they are large."""
        await asking.run(workflow_id)
        return await asking.sight(Parts).steps(workflow_id, visit=visit, limit=limit, most_bytes=ANSWER_BYTES)

    @router.get("/runs/{workflow_id}/children", responses=there)
    async def get_children(
        workflow_id: WorkflowId, asking: Asking, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[Child]:
        """The runs that it started, newest first."""
        await asking.run(workflow_id)
        position = asking.cursors.position(cursor)
        return asking.cursors.page(await asking.sight(Parts).children(workflow_id, limit=limit, cursor=position))

    @router.get("/runs/{workflow_id}/explain", responses=there)
    async def explain_run(workflow_id: WorkflowId, asking: Asking) -> Explanation:
        """Why the run is where it is, in plain words."""
        await asking.run(workflow_id)
        return await asking.runner.explain(workflow_id)

    @router.get("/runs/{workflow_id}/asks", responses=there)
    async def get_asks(workflow_id: WorkflowId, asking: Asking) -> Sequence[Ask]:
        """The signals that a person may send to it now, with the schemas of their payloads."""
        await asking.run(workflow_id)
        return await asking.sight(Questions).asks(workflow_id)

"""Runs: lists, and one run with all its parts."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query

from stepwell.console.http.access.caller import Caller, CallerOf, CursorParam
from stepwell.console.http.schemas import NO_NUL, Id, Instant, NameParam, problems
from stepwell.console.reading.parts import Parts, Questions
from stepwell.console.reading.views import Child, OpenSignal, StepView, TakenSignal
from stepwell.engine.run import Status
from stepwell.execution.clock import to_moment
from stepwell.runner.models import Checkpoint, Explanation, Page, Run, StoredDocument
from stepwell.runner.query import Filter

ANSWER_BYTES: Final = 16 * 1024 * 1024
"""Bytes of states, documents and steps in one answer, unless a single one is larger: ask again for the rest."""
LimitParam = Annotated[int, Query(ge=1, le=1000)]
Rows = Annotated[int, Query(ge=1, le=10_000)]
Version = Annotated[int, Query(ge=-1, lt=2**31)]
WorkflowId = Annotated[str, Path(min_length=1, max_length=64)]
DocumentId = Annotated[UUID | None, Query()]


def add_runs(router: APIRouter, caller: CallerOf) -> None:
    """Add `/runs`, `/runs/{id}` and the parts of a run."""
    ByCaller = Annotated[Caller, Depends(caller)]
    there = problems(404)

    @router.get("/runs", responses=there)
    async def list_runs(
        caller: ByCaller,
        app_name: NameParam | None = None,
        workflow: NameParam | None = None,
        status: Annotated[list[Status] | None, Query()] = None,
        label: NameParam | None = None,
        workspace_id: Id | None = None,
        user_id: NameParam | None = None,
        parent_id: Id | None = None,
        place: NameParam | None = None,
        q: Annotated[str | None, Query(max_length=200, pattern=NO_NUL)] = None,
        created_after: Instant | None = None,
        created_before: Instant | None = None,
        limit: LimitParam = 50,
        cursor: CursorParam = None,
        brief: bool = False,
    ) -> Page[Run]:
        """List a page of runs, the newest first; `cursor` is the `next_cursor` of the previous page.

        `q` searches ids, subjects, names, places, labels, keys, and the first 16,384 characters of errors and args; it doesn't
        look at states and results. A page may be shorter than `limit` and still have a `next_cursor`: it marks how far
        the search went. With `brief`, args, state and result are null.
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
        page = await caller.runner.find(
            caller.within(wanted),
            limit=limit,
            cursor=caller.cursors.position(cursor),
            brief=brief,
            most_bytes=ANSWER_BYTES,
        )
        return caller.cursors.page(page)

    @router.get("/runs/{workflow_id}", responses=there)
    async def get_run(workflow_id: WorkflowId, caller: ByCaller) -> Run:
        """Return the run in its current state."""
        return await caller.run(workflow_id)

    @router.get("/runs/{workflow_id}/history", responses=there)
    async def get_history(
        workflow_id: WorkflowId,
        caller: ByCaller,
        after: Version = -1,
        before: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
        limit: Rows = 10_000,
        newest: bool = False,
    ) -> Sequence[Checkpoint]:
        """List the history after version `after`, oldest first; row 0 is the creation.

        `before`: only the rows before this version. With `newest`, the last `limit` ones; also oldest first. Stack traces
        are only for callers with access to all users' runs.
        """
        await caller.run(workflow_id)
        return await caller.runner.history(
            workflow_id, after=after, limit=limit, newest=newest, before=before, most_bytes=ANSWER_BYTES
        )

    @router.get("/runs/{workflow_id}/documents", responses=there)
    async def get_documents(
        workflow_id: WorkflowId,
        caller: ByCaller,
        replaced: bool = False,
        after: Version = -1,
        before: DocumentId = None,
        limit: Rows = 10_000,
        newest: bool = False,
    ) -> Sequence[StoredDocument]:
        """List the current documents, in order; with `replaced`, older versions too. Internal ones are never sent.

        `after`: those saved after this version. `before`: those before the document with this id. With `newest`,
        the last `limit` ones, also in order.
        """
        await caller.run(workflow_id)
        return await caller.runner.documents(
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
        caller: ByCaller,
        visit: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
        limit: Rows = 1_000,
    ) -> Sequence[StepView]:
        """List the last `limit` steps that the run journaled (in one visit), oldest first; fewer if they are large."""
        await caller.run(workflow_id)
        return await caller.reading(Parts).steps(workflow_id, visit=visit, limit=limit, most_bytes=ANSWER_BYTES)

    @router.get("/runs/{workflow_id}/children", responses=there)
    async def get_children(
        workflow_id: WorkflowId, caller: ByCaller, limit: LimitParam = 50, cursor: CursorParam = None
    ) -> Page[Child]:
        """List the runs that it started, newest first."""
        await caller.run(workflow_id)
        position = caller.cursors.position(cursor)
        return caller.cursors.page(await caller.reading(Parts).children(workflow_id, limit=limit, cursor=position))

    @router.get("/runs/{workflow_id}/explain", responses=there)
    async def explain_run(workflow_id: WorkflowId, caller: ByCaller) -> Explanation:
        """Explain in plain words why the run is in its current state."""
        await caller.run(workflow_id)
        return await caller.runner.explain(workflow_id)

    @router.get("/runs/{workflow_id}/asks", responses=there)
    async def get_asks(workflow_id: WorkflowId, caller: ByCaller) -> Sequence[OpenSignal]:
        """List the signals that a person may send to it now, with the schemas of their payloads."""
        await caller.run(workflow_id)
        return await caller.reading(Questions).asks(workflow_id)

    @router.get("/runs/{workflow_id}/taken", responses=there)
    async def get_taken(workflow_id: WorkflowId, caller: ByCaller) -> TakenSignal | None:
        """Return the signal with which a failed (or retrying) run failed, with its data; null if it took none.

        A retry may replace the data.
        """
        await caller.run(workflow_id)
        return await caller.reading(Questions).taken(workflow_id)

"""The runs of the user who asks, as JSON of the runner's own models."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from stepwell.engine.run import Status
from stepwell.http.access import RunnerOf
from stepwell.runner.models import Checkpoint, Page, Run, StoredDocument
from stepwell.runner.runner import WorkflowRunner


def add_runs(router: APIRouter, runner_of: RunnerOf) -> None:
    """`/runs`, `/runs/{id}`, its history and its documents are served."""
    Asking = Annotated[WorkflowRunner, Depends(runner_of)]

    @router.get("/runs")
    async def list_runs(
        runner: Asking,
        app_name: str | None = None,
        workflow: str | None = None,
        status: Annotated[list[Status] | None, Query()] = None,
        label: str | None = None,
        workspace_id: str | None = None,
        parent_id: str | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
        cursor: str | None = None,
    ) -> Page[Run]:
        """A page of runs, the newest first; `cursor` is the `next_cursor` of the page before."""
        return await runner.list(
            app_name=app_name,
            workflow=workflow,
            status=status,
            label=label,
            workspace_id=workspace_id,
            parent_id=parent_id,
            limit=limit,
            cursor=cursor,
        )

    @router.get("/runs/{workflow_id}")
    async def get_run(workflow_id: str, runner: Asking) -> Run:
        """The run as it stands."""
        return await runner.get(workflow_id)

    @router.get("/runs/{workflow_id}/history")
    async def get_history(workflow_id: str, runner: Asking) -> list[Checkpoint]:
        """The history, oldest first. Tracebacks stay inside: they show code, not the user's data."""
        return [one.model_copy(update={"trace": None}) for one in await runner.history(workflow_id)]

    @router.get("/runs/{workflow_id}/documents")
    async def get_documents(workflow_id: str, runner: Asking) -> list[StoredDocument]:
        """The current documents, in order."""
        return list(await runner.documents(workflow_id))

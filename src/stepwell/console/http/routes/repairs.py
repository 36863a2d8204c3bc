"""Forking, repairing, updating and deleting runs."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from stepwell.console.http.access.caller import Caller, CallerOf
from stepwell.console.http.routes.actions import IdempotencyKeyHeader
from stepwell.console.http.routes.runs import WorkflowId
from stepwell.console.http.schemas import ForkRequest, RetryRequest, RunUpdate, Started, problems
from stepwell.definition.unset import UNSET
from stepwell.execution.mending import Repair
from stepwell.runner.models import Run


def add_repairs(router: APIRouter, caller: CallerOf) -> None:
    """Add the routes that go back in a run's history, and those that change or delete what is kept of it."""
    ByCaller = Annotated[Caller, Depends(caller)]

    @router.post(
        "/runs/{workflow_id}/fork",
        status_code=202,
        responses={
            200: {"model": Started, "description": "The fork of this idempotency key existed already"},
            **problems(404, 409, 410),
        },
    )
    async def fork_run(
        workflow_id: WorkflowId,
        request: ForkRequest,
        caller: ByCaller,
        response: Response,
        key: IdempotencyKeyHeader = None,
    ) -> Started:
        """Start a new run at the target of a row of the run's history, with the state and the documents of then.

        `state`, `args` and `labels` replace those of the run where they are given. With an `Idempotency-Key`, once per app,
        user and key.
        """
        caller.may_act()
        await caller.run(workflow_id)
        handle = await caller.runner.fork(
            workflow_id,
            checkpoint=request.checkpoint,
            state=_given(request, "state"),
            args=_given(request, "args"),
            labels=request.labels,
            idempotency_key=key,
        )
        response.status_code = 202 if handle.created else 200
        return Started(workflow_id=handle.workflow_id, created=handle.created)

    @router.post("/runs/{workflow_id}/retry", responses=problems(404, 409))
    async def retry_run(workflow_id: WorkflowId, caller: ByCaller, request: RetryRequest | None = None) -> Run:
        """Retry a failed (or retrying) run: it is due now, with a full retry budget.

        `data` replaces the payload of the signal that the failed transition took, `state` the run's state. What a person has
        answered isn't replaced in one's own run.
        """
        caller.may_act()
        await caller.run(workflow_id)
        asked = RetryRequest() if request is None else request
        by, everybody = caller.principal.user_id, not caller.runner.restricted
        repair = Repair(_given(asked, "data"), _given(asked, "state"), by, everybody)
        return await caller.runner.retry_as(workflow_id, repair)

    @router.patch("/runs/{workflow_id}", responses=problems(404))
    async def update_run(workflow_id: WorkflowId, request: RunUpdate, caller: ByCaller) -> Run:
        """Replace the labels or the subject of a run; what isn't given stays."""
        caller.may_act()
        await caller.run(workflow_id)
        return await caller.runner.update(workflow_id, labels=request.labels, subject=request.subject)

    @router.delete("/runs/{workflow_id}", status_code=204, responses=problems(404, 409))
    async def delete_run(workflow_id: WorkflowId, caller: ByCaller) -> None:
        """Delete a finished run with its history, documents, steps and signals."""
        caller.may_act()
        await caller.run(workflow_id)
        await caller.runner.delete(workflow_id)


def _given(request: ForkRequest | RetryRequest, name: str) -> Any:
    """Return the value of a field; `UNSET` where the request leaves it out: null is a value."""
    return getattr(request, name) if name in request.model_fields_set else UNSET

"""Starting, answering, cancelling and retrying runs, one or many."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Response

from stepwell.errors import NoAccess
from stepwell.http.asking import Asking as Asks
from stepwell.http.asking import AskingOf
from stepwell.http.bulk import Bulk
from stepwell.http.runs import WorkflowId
from stepwell.http.schemas import (
    BulkChoice,
    BulkPreview,
    BulkRequest,
    BulkResult,
    CancelRequest,
    SignalRequest,
    Started,
    StartRequest,
    problems,
)
from stepwell.runner.handle import RunHandle
from stepwell.runner.models import Run

_OPERATIONS: Final = (
    *("get_run", "get_history", "get_documents", "get_steps", "get_children", "explain_run", "get_asks"),
    *("signal_run", "cancel_run", "retry_run"),
)
_LINKS: Final = {
    name: {"operationId": name, "parameters": {"workflow_id": "$response.body#/workflow_id"}} for name in _OPERATIONS
}
"""What may be done with a run that was started, for who reads the document."""

Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=512)]


def add_acting(router: APIRouter, asking: AskingOf) -> None:
    """Everything that changes runs is served."""
    Asking = Annotated[Asks, Depends(asking)]
    acting = problems(404, 409)

    @router.post(
        "/runs",
        status_code=202,
        responses={
            200: {"model": Started, "description": "The idempotency key's run was there before", "links": _LINKS},
            202: {"links": _LINKS},
            **acting,
        },
    )
    async def start_run(request: StartRequest, asking: Asking, response: Response, key: Key = None) -> Started:
        """The run is queued, durably. With an `Idempotency-Key`, once per app, user and key."""
        asking.may_act()
        asking.definition(request.app_name, request.workflow)
        handle: RunHandle[Any] = await asking.runner.run(
            request.workflow,
            request.args,
            app_name=request.app_name,
            user_id=_user_of(request, asking),
            workspace_id=request.workspace_id,
            labels=request.labels,
            idempotency_key=key,
            delay=None if request.delay_seconds is None else timedelta(seconds=request.delay_seconds),
            at=request.at,
            priority=request.priority,
        )
        response.status_code = 202 if handle.created else 200
        return Started(workflow_id=handle.workflow_id, created=handle.created)

    @router.post("/runs/bulk/preview", responses=acting)
    async def preview_bulk(request: BulkChoice, asking: Asking) -> BulkPreview:
        """What a bulk action would hit."""
        asking.may_act()
        return await Bulk(asking, request).preview()

    @router.post("/runs/bulk", responses=acting)
    async def do_bulk(request: BulkRequest, asking: Asking) -> BulkResult:
        """The action is done for a page of the runs; go on with `next_cursor` until there is none."""
        asking.may_act()
        return await Bulk(asking, request).do(request.reason, request.cursor)

    @router.post("/runs/{workflow_id}/signals", status_code=202, responses=acting)
    async def signal_run(workflow_id: WorkflowId, request: SignalRequest, asking: Asking, key: Key = None) -> Run:
        """The signal is stored: taken by the run's place, or kept until the run comes there."""
        asking.may_act()
        await asking.run(workflow_id)
        return await asking.runner.signal(
            workflow_id, request.name, request.data, idempotency_key=key, answered_by=asking.principal.user_id
        )

    @router.post("/runs/{workflow_id}/cancel", responses=acting)
    async def cancel_run(workflow_id: WorkflowId, asking: Asking, request: CancelRequest | None = None) -> Run:
        """The run is cancelled; what it was executing is stopped, and its children follow."""
        asking.may_act()
        await asking.run(workflow_id)
        return await asking.runner.cancel(workflow_id, reason=None if request is None else request.reason)

    @router.post("/runs/{workflow_id}/retry", responses=acting)
    async def retry_run(workflow_id: WorkflowId, asking: Asking) -> Run:
        """The failed (or retrying) run is due now, with a full retry budget."""
        asking.may_act()
        await asking.run(workflow_id)
        return await asking.runner.retry(workflow_id)


def _user_of(request: StartRequest, asking: Asks) -> str:
    mine = asking.principal.user_id
    if request.user_id is None or request.user_id == mine:
        return mine
    if not asking.principal.everybody:
        raise NoAccess(f"user_id={request.user_id!r}: starting for somebody else needs access to everybody's runs.")
    return request.user_id

"""Starting, answering and cancelling runs, and acting on many at once."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Response

from stepwell.console.http.access.caller import Caller, CallerOf
from stepwell.console.http.routes.runs import WorkflowId
from stepwell.console.http.schemas import (
    BulkChoice,
    BulkFailure,
    BulkPreview,
    BulkRequest,
    BulkResult,
    RunCancelRequest,
    RunFilter,
    SignalRequest,
    Started,
    StartRequest,
    problems,
)
from stepwell.engine.run import Status
from stepwell.errors import InvalidArgs, NoAccess, StepwellError, StoreUnavailable, WorkflowNotFound
from stepwell.execution.clock import to_moment
from stepwell.runner.arguments import id_of, run_id
from stepwell.runner.handle import RunHandle
from stepwell.runner.models import Page, Run
from stepwell.runner.query import Filter

_OPERATIONS: Final = (
    *("get_run", "get_history", "get_documents", "get_steps", "get_children", "explain_run", "get_asks"),
    *("signal_run", "answer_run", "assign_question", "cancel_run", "retry_run", "fork_run", "update_run", "delete_run"),
)
_LINKS: Final = {
    name: {"operationId": name, "parameters": {"workflow_id": "$response.body#/workflow_id"}} for name in _OPERATIONS
}
"""The actions on a run that was started, for readers of the document."""
IdempotencyKeyHeader = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=512)]

_LOOKED_AT: Final = 1_000
_AT_ONCE: Final = 200
_SAMPLE: Final = 10
_ABSENT: Final = "there is no such run"
_ELIGIBLE: Final[dict[str, tuple[Status, ...]]] = {
    "retry": ("failed", "retrying"),
    "cancel": ("pending", "running", "waiting", "retrying", "failed"),
}


def add_acting(router: APIRouter, caller: CallerOf) -> None:
    """Add the routes that change runs."""
    ByCaller = Annotated[Caller, Depends(caller)]
    acting = problems(404, 409)

    @router.post(
        "/runs",
        status_code=202,
        responses={
            200: {"model": Started, "description": "The run of this idempotency key existed already", "links": _LINKS},
            202: {"links": _LINKS},
            **acting,
        },
    )
    async def start_run(
        request: StartRequest, caller: ByCaller, response: Response, key: IdempotencyKeyHeader = None
    ) -> Started:
        """Start a run: it is queued durably. With an `Idempotency-Key`, once per app, user and key."""
        caller.may_act()
        caller.definition(request.app_name, request.workflow)
        handle: RunHandle[Any] = await caller.runner.run(
            request.workflow,
            request.args,
            app_name=request.app_name,
            user_id=user_of(request.user_id, caller),
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
    async def preview_bulk(request: BulkChoice, caller: ByCaller) -> BulkPreview:
        """Preview which runs a bulk action would affect."""
        caller.may_act()
        return await Bulk(caller, request).preview()

    @router.post("/runs/bulk", responses=acting)
    async def do_bulk(request: BulkRequest, caller: ByCaller) -> BulkResult:
        """Perform the action on a page of the runs; continue with `next_cursor` until it is null."""
        caller.may_act()
        return await Bulk(caller, request).do(request.reason, request.cursor)

    @router.post("/runs/{workflow_id}/signals", status_code=202, responses=acting)
    async def signal_run(
        workflow_id: WorkflowId, request: SignalRequest, caller: ByCaller, key: IdempotencyKeyHeader = None
    ) -> Run:
        """Send a signal: it is stored, and taken by the run's place or kept until the run arrives there.

        Where a person is asked for it, the caller has to be one who may answer.
        """
        caller.may_act()
        only = caller.runner.only
        wanted = run_id(workflow_id, only)
        return await caller.runner.send(wanted, request.name, request.data, only, caller.person(), key)

    @router.post("/runs/{workflow_id}/cancel", responses=acting)
    async def cancel_run(workflow_id: WorkflowId, caller: ByCaller, request: RunCancelRequest | None = None) -> Run:
        """Cancel a run: what it is executing is stopped, and its children follow.

        With `on_cancel` it clears up first, and is cancelled when it comes to its end; with `force` at once.
        """
        caller.may_act()
        await caller.run(workflow_id)
        asked = RunCancelRequest() if request is None else request
        return await caller.runner.cancel(workflow_id, reason=asked.reason, force=asked.force)


def user_of(given: str | None, caller: Caller) -> str:
    """Return the user for whom a caller starts something. Raises NoAccess."""
    mine = caller.principal.user_id
    if given is None or given == mine:
        return mine
    if not caller.principal.everybody:
        raise NoAccess(f"user_id={given!r}: starting a run for another user needs access to all users' runs.")
    return given


@dataclass(frozen=True, slots=True)
class Bulk:
    """An action on the runs that a caller chose."""

    caller: Caller
    choice: BulkChoice

    async def preview(self) -> BulkPreview:
        """Return what the action would affect in the current state. Raises InvalidArgs."""
        page, absent = await self._page(_LOOKED_AT, None)
        eligible, skipped = self._parted(page.items, absent)
        return BulkPreview(
            matching=len(page.items),
            eligible=len(eligible),
            more=page.next_cursor is not None,
            skipped=skipped,
            sample=tuple(eligible[:_SAMPLE]),
        )

    async def do(self, reason: str | None, cursor: str | None) -> BulkResult:
        """Perform the action on a page of runs. A run that refuses doesn't stop the others. Raises StoreUnavailable."""
        if reason is not None and self.choice.action == "retry":
            message = "A retry takes no reason: leave it out."
            raise InvalidArgs(message, [{"loc": ("body", "reason"), "msg": message, "type": "unknown_field"}])
        found, absent = await self._page(_AT_ONCE, self.caller.cursors.position(cursor))
        page = self.caller.cursors.page(found)
        eligible, skipped = self._parted(page.items, absent)
        answers = await asyncio.gather(*(self._one(run, reason) for run in eligible))
        failed = tuple(answer for answer in answers if answer is not None)
        return BulkResult(
            done=len(eligible) - len(failed), skipped=skipped, failed=failed, next_cursor=page.next_cursor
        )

    async def _one(self, run: Run, reason: str | None) -> BulkFailure | None:
        runner = self.caller.runner
        try:
            if self.choice.action == "retry":
                await runner.retry(run.workflow_id)
            else:
                await runner.cancel(run.workflow_id, reason=reason)
        except StoreUnavailable:
            raise
        except StepwellError as error:
            return BulkFailure(workflow_id=run.workflow_id, detail=str(error))
        return None

    def _parted(self, found: tuple[Run, ...], absent: int) -> tuple[list[Run], dict[str, int]]:
        wanted = _ELIGIBLE[self.choice.action]
        skipped = Counter(f"it is {run.status}" for run in found if run.status not in wanted)
        if absent:
            skipped[_ABSENT] = absent
        return [run for run in found if run.status in wanted], dict(skipped)

    async def _page(self, limit: int, cursor: str | None) -> tuple[Page[Run], int]:
        """Return the runs that exist, and how many of those that were named don't."""
        if (self.choice.runs is None) == (self.choice.filter is None):
            message = "Give either `runs` or `filter`."
            raise InvalidArgs(message, [{"loc": ("filter",), "msg": message, "type": "one_of"}])
        if self.choice.filter is not None:
            wanted = self.caller.within(filter_of(self.choice.filter))
            return await self.caller.runner.find(wanted, limit=limit, cursor=cursor, brief=True), 0
        return await self._named(self.choice.runs or (), limit, cursor)

    async def _named(self, ids: list[str] | tuple[()], limit: int, cursor: str | None) -> tuple[Page[Run], int]:
        named = [id_of(one) for one in ids]
        nonsense = named.count(None) if cursor is None else 0
        chosen = sorted({one for one in named if one is not None and (cursor is None or one < cursor)}, reverse=True)
        looked_at = chosen[:limit]
        found = [run for one in looked_at if (run := await self._there(one)) is not None]
        more = chosen[limit - 1] if len(chosen) > limit else None
        return Page(items=tuple(found), next_cursor=more), nonsense + len(looked_at) - len(found)

    async def _there(self, workflow_id: str) -> Run | None:
        try:
            return await self.caller.run(workflow_id)
        except WorkflowNotFound:
            return None


def filter_of(given: RunFilter) -> Filter:
    """Return the filter as the store takes it."""
    return Filter(
        app_name=given.app_name,
        workflow_name=given.workflow,
        status=tuple(given.status) if given.status else None,
        label=given.label,
        workspace_id=given.workspace_id,
        user_id=given.user_id,
        place=given.place,
        text=given.q or None,
        created_after=None if given.created_after is None else to_moment(given.created_after),
        created_before=None if given.created_before is None else to_moment(given.created_before),
    )

"""Batches: started from a list or from lines of args, looked at, retried and cancelled."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from typing import Annotated, Any, ClassVar, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.routing import Match
from starlette.types import Scope

from stepwell.console.http.access.access import Served
from stepwell.console.http.access.caller import MARK, Caller, CallerOf, CursorParam
from stepwell.console.http.guard import is_lines
from stepwell.console.http.json_lines import JsonLines, read_lines
from stepwell.console.http.problems import ProblemRoute
from stepwell.console.http.routes.actions import IdempotencyKeyHeader, user_of
from stepwell.console.http.routes.runs import LimitParam
from stepwell.console.http.schemas import (
    BatchOptionsGiven,
    BatchRequest,
    CanceledBatch,
    CancelRequest,
    FailuresToStop,
    InFlight,
    NameParam,
    RetriedBatch,
    StartedBatch,
    problems,
)
from stepwell.definition.authoring.groups import GroupItem
from stepwell.engine.run import Status
from stepwell.runner.batch_models import Batch
from stepwell.runner.batch_starts import ItemStarts, NamedStarts
from stepwell.runner.models import Page

BatchId = Annotated[str, Path(min_length=1, max_length=64)]
ItemCursor = Annotated[
    str | None, Query(pattern=rf"^{MARK}[0-9]{{1,9}}$", description="The next_cursor of the page before")
]
_ROOM: Final = 64 * 1024
"""Bytes of white space and other ways to write in a line, besides its args."""
_LINES: Final = {
    "requestBody": {
        "content": {
            "application/x-ndjson": {
                "schema": {
                    "type": "string",
                    "description": "The args of one run per line; the other fields are query parameters.",
                }
            }
        }
    }
}


def add_batches(router: APIRouter, stepwell: Served, caller: CallerOf) -> None:
    """Add `/batches` and what belongs to one."""
    ByCaller = Annotated[Caller, Depends(caller)]
    acting, there = problems(404, 409), problems(404)
    started: Any = {
        200: {"model": StartedBatch, "description": "The batch of this idempotency key existed already"},
        **acting,
    }
    settings = stepwell.settings
    longest = settings.max_args_bytes + _ROOM

    async def start(
        starts: NamedStarts, given: BatchOptionsGiven, caller: Caller, response: Response, key: str | None
    ) -> StartedBatch:
        handle = await caller.runner.run_batch(
            starts,
            app_name=given.app_name,
            user_id=user_of(given.user_id, caller),
            label=given.label,
            max_in_flight=given.max_in_flight,
            stop_after_failures=given.stop_after_failures,
            idempotency_key=key,
        )
        response.status_code = 202 if handle.created else 200
        return StartedBatch(batch_id=handle.batch_id, created=handle.created)

    async def start_lines(
        request: Request,
        given: Annotated[BatchOptionsGiven, Depends(_in_query)],
        caller: ByCaller,
        response: Response,
        key: IdempotencyKeyHeader = None,
    ) -> StartedBatch:
        """Start a batch from lines of args."""
        caller.may_act()
        caller.definition(given.app_name, given.workflow)
        lines = JsonLines(given.workflow, longest, settings.max_request_values)
        return await start(await read_lines(request.stream(), lines, longest), given, caller, response, key)

    router.add_api_route(
        "/batches",
        start_lines,
        methods=["POST"],
        status_code=202,
        include_in_schema=False,
        route_class_override=_of_lines(router.route_class),
    )

    @router.post("/batches", status_code=202, responses=started, openapi_extra=_LINES)
    async def start_batch(
        request: BatchRequest, caller: ByCaller, response: Response, key: IdempotencyKeyHeader = None
    ) -> StartedBatch:
        """Start a batch: a run for each item, all of them queued durably or none. With an `Idempotency-Key`, once.

        A large one is sent as `application/x-ndjson`, the args of one run per line, with the other fields as query
        parameters: up to `Settings.max_batch_bytes`.
        """
        caller.may_act()
        caller.definition(request.app_name, request.workflow)
        return await start(ItemStarts(request.workflow, request.items), request, caller, response, key)

    @router.get("/batches", responses=there)
    async def list_batches(
        caller: ByCaller,
        app_name: NameParam | None = None,
        user_id: NameParam | None = None,
        limit: LimitParam = 50,
        cursor: CursorParam = None,
    ) -> Page[Batch]:
        """List a page of batches, the newest first."""
        return await caller.batches(app_name, user_id, limit, cursor)

    @router.get("/batches/{batch_id}", responses=there)
    async def get_batch(batch_id: BatchId, caller: ByCaller) -> Batch:
        """Return the batch with its progress, counted from its runs."""
        return await caller.batch(batch_id)

    @router.get("/batches/{batch_id}/items", responses=there)
    async def list_batch_items(
        batch_id: BatchId,
        caller: ByCaller,
        status: Status | None = None,
        limit: LimitParam = 100,
        cursor: ItemCursor = None,
    ) -> Page[GroupItem[Any]]:
        """List a page of its runs in the order of the starts, with their results; fewer if they are large."""
        found = await caller.batch(batch_id)
        return await caller.batch_items(found, status, limit, cursor)

    @router.post("/batches/{batch_id}/retry", responses=acting)
    async def retry_batch(batch_id: BatchId, caller: ByCaller) -> RetriedBatch:
        """Retry its failed runs: they are due now, with a full retry budget, and the batch is running again.

        403 where some of its runs are of apps that the caller has no access to.
        """
        handle = await caller.whole_batch(batch_id)
        return RetriedBatch(batch_id=handle.batch_id, retried=await handle.retry_failed())

    @router.post("/batches/{batch_id}/cancel", responses=acting)
    async def cancel_batch(batch_id: BatchId, caller: ByCaller, request: CancelRequest | None = None) -> CanceledBatch:
        """Cancel those of its runs that haven't ended; 403 where some are of apps that the caller has no access to."""
        handle = await caller.whole_batch(batch_id)
        canceled = await handle.cancel(None if request is None else request.reason)
        return CanceledBatch(batch_id=handle.batch_id, canceled=canceled)


def _in_query(
    app_name: NameParam,
    workflow: NameParam,
    label: NameParam | None = None,
    max_in_flight: InFlight | None = None,
    stop_after_failures: FailuresToStop | None = None,
    user_id: NameParam | None = None,
) -> BatchOptionsGiven:
    """Return the options of a batch whose body holds nothing but lines."""
    return BatchOptionsGiven(
        app_name=app_name,
        workflow=workflow,
        label=label,
        max_in_flight=max_in_flight,
        stop_after_failures=stop_after_failures,
        user_id=user_id,
    )


def _of_lines(route: Any) -> type[ProblemRoute]:
    """Return the class of the route that takes a body of lines, and reads it itself."""

    class LinesRoute(route):  # type: ignore[misc]
        reads_body: ClassVar[bool] = True

        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            if scope["type"] != "http" or not is_lines(scope):
                return Match.NONE, {}
            found: tuple[Match, Scope] = super().matches(scope)
            return found

    return LinesRoute

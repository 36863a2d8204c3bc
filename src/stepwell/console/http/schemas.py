"""Models of what the API takes and answers, besides the runner's own models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from stepwell.console.http.access.caller import PATTERN as CURSOR
from stepwell.console.reading.views import Recent
from stepwell.engine.run import Status
from stepwell.runner.models import Checkpoint, Run, StoredDocument

NO_NUL: Final = r"^[^\x00]*$"
"""The pattern of texts that are searched for or stored: PostgreSQL accepts no NUL in them."""
NameParam = Annotated[str, Field(min_length=1, max_length=256, pattern=NO_NUL)]
Id = Annotated[str, Field(min_length=1, max_length=64, pattern=NO_NUL)]


def _no_number(given: object) -> object:
    # Pydantic would read a number as seconds since 1970.
    if isinstance(given, int | float) or (isinstance(given, str) and _NUMBER.fullmatch(given.strip())):
        raise ValueError("give a date and time with its offset, as in 2026-01-05T09:00:00Z")
    return given


_NUMBER: Final = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?", re.IGNORECASE)
Instant = Annotated[AwareDatetime, BeforeValidator(_no_number)]
Labels = Annotated[list[NameParam], Field(max_length=50)]


def _no_bool(given: object) -> object:
    # Pydantic would read true as 1.
    if isinstance(given, bool):
        raise ValueError("give a number, not true or false")
    return given


IsNumber: Final = BeforeValidator(_no_bool)
InFlight = Annotated[int, Field(ge=1, lt=2**31), IsNumber]


def _no_whole_share(given: object) -> object:
    # Pydantic would read 1.0 and 2.0 as numbers of runs, and they are written as shares.
    if (isinstance(given, float) and given >= 1) or (isinstance(given, str) and _WHOLE_SHARE.fullmatch(given.strip())):
        raise ValueError("give a number of runs without a point, or a share below 1, as in 0.05")
    return given


_WHOLE_SHARE: Final = re.compile(r"[+]?0*[1-9][0-9]*\.[0-9]*")
FailuresToStop = Annotated[
    Annotated[int, Field(ge=0, lt=2**31)] | Annotated[float, Field(ge=0, lt=1)],
    IsNumber,
    BeforeValidator(_no_whole_share),
]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class FieldProblem(_Told):
    """A fault of one field."""

    loc: tuple[str | int, ...]
    """The place of the fault: within `args` or a signal's data, else from `body`, `query`, `path` or `header` on."""
    msg: str
    type: str


class Problem(_Told):
    """An error (RFC 9457)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldProblem, ...] | None = None


_WORDS: Final[Mapping[int, str]] = {
    400: "Invalid JSON",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found, or not visible to you",
    408: "The body came too slowly",
    409: "Not possible in the current state",
    410: "Its state is no longer kept",
    413: "Too large",
    415: "Not application/json",
    422: "Invalid request",
    429: "Too many failed attempts",
    503: "The database can't be reached",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problems that a route may answer with, for its documentation, including those of every route.

    Without their model, which FastAPI would compile anew for each of hundreds of answers while the application starts. One
    route of a router has to name it, so that the document has it: see `problem_model`.
    """
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    wanted = sorted({400, 401, 403, 408, 413, 415, 422, 429, 503, *statuses})
    return {one: {"description": _WORDS[one], "content": content} for one in wanted}


def problem_model() -> dict[int | str, dict[str, Any]]:
    """Return `problems()` for the route that puts `Problem` into the document."""
    found = problems()
    found[400] = found[400] | {"model": Problem}
    return found


class StartRequest(_Given):
    """A run to start."""

    app_name: NameParam
    workflow: NameParam
    args: Any = None
    labels: Labels = []
    delay_seconds: Annotated[float, Field(ge=0, le=31_622_400_000), IsNumber] | None = None
    """Can't be combined with `at`."""
    at: Instant | None = None
    priority: Annotated[int, Field(ge=-(2**31), lt=2**31), IsNumber] | None = None
    workspace_id: Id | None = None
    user_id: NameParam | None = None
    """Another user, for callers with access to all users' runs. Default: the caller."""


class Started(_Told):
    """A run that has been queued."""

    workflow_id: str
    created: bool
    """False: the run of this idempotency key existed already."""


class BatchOptionsGiven(_Given):
    """The options of a batch."""

    app_name: NameParam
    workflow: NameParam
    label: NameParam | None = None
    max_in_flight: InFlight | None = None
    """Runs that are begun and not ended at any time, at most."""
    stop_after_failures: FailuresToStop | None = None
    """Failed runs, or their share of all, with more than which the rest is cancelled."""
    user_id: NameParam | None = None
    """Another user, for callers with access to all users' runs. Default: the caller."""


class BatchRequest(BatchOptionsGiven):
    """A batch to start: one run for each item."""

    items: list[Any]
    """The args of each run. Larger batches are sent as lines (`application/x-ndjson`)."""


class StartedBatch(_Told):
    """A batch that has been queued."""

    batch_id: str
    created: bool
    """False: the batch of this idempotency key existed already."""


class RetriedBatch(_Told):
    """Runs of a batch that were retried."""

    batch_id: str
    retried: int


class CanceledBatch(_Told):
    """Runs of a batch that were cancelled."""

    batch_id: str
    canceled: int


def _without_fraction(given: Any) -> Any:
    """Return 3 for 3.0: in JSON both are the same integer."""
    return int(given) if isinstance(given, float) and given.is_integer() else given


_Whole = Annotated[int, Field(strict=True, ge=0, lt=2**31), BeforeValidator(_without_fraction)]


class SignalRequest(_Given):
    """A signal to a waiting run."""

    name: NameParam
    data: Any = None


class AnswerRequest(_Given):
    """An answer to a question, and the visit in which it was asked: an answer for another visit is refused."""

    data: Any = None
    visit: _Whole | None = None


class AssignRequest(_Given):
    """The user, the group, or both, who may answer from now on."""

    assignee: NameParam | None = None
    group: NameParam | None = None
    visit: _Whole | None = None


class ForkRequest(_Given):
    """A row of a run's history at whose target a new run is to begin; a field that is left out is the run's."""

    checkpoint: _Whole
    state: Any = None
    args: Any = None
    labels: Labels | None = None


class RetryRequest(_Given):
    """The values to retry with; a field that is left out stays as it is."""

    data: Any = None
    state: Any = None


class RunUpdate(_Given):
    """The new labels or the new subject of a run; a subject that is empty removes it."""

    labels: Labels | None = None
    subject: Annotated[str, Field(max_length=10_000, pattern=NO_NUL)] | None = None


class CancelRequest(_Given):
    """The reason of a cancellation."""

    reason: Annotated[str, Field(max_length=10_000, pattern=NO_NUL)] | None = None


class RunCancelRequest(CancelRequest):
    """The reason of a run's cancellation, and whether it leaves out clearing up."""

    force: Annotated[bool, Field(strict=True)] = False
    """Cancel at once, also a run that is to clear up first, or does."""


class RunFilter(_Given):
    """The runs to select; a field that is left out selects any."""

    app_name: NameParam | None = None
    workflow: NameParam | None = None
    status: list[Status] | None = None
    label: NameParam | None = None
    workspace_id: Id | None = None
    user_id: NameParam | None = None
    place: NameParam | None = None
    q: Annotated[str, Field(max_length=200, pattern=NO_NUL)] | None = None
    created_after: Instant | None = None
    created_before: Instant | None = None


class BulkChoice(_Given):
    """An action, and the runs to act on: give either `runs` or `filter`."""

    action: Literal["retry", "cancel"]
    runs: Annotated[list[Id], Field(min_length=1, max_length=1000)] | None = None
    filter: RunFilter | None = None


class BulkRequest(BulkChoice):
    """A bulk action to perform."""

    reason: Annotated[str, Field(max_length=10_000, pattern=NO_NUL)] | None = None
    cursor: Annotated[str, Field(pattern=CURSOR)] | None = None
    """The `next_cursor` of the previous answer."""


class BulkPreview(_Told):
    """The runs that a bulk action would affect."""

    matching: int
    eligible: int
    more: bool
    """There are more runs than were examined."""
    skipped: dict[str, int]
    """The reasons why other runs are left unchanged, each with the number of runs."""
    sample: tuple[Run, ...]


class BulkFailure(_Told):
    """A run that refused the action."""

    workflow_id: str
    detail: str


class BulkResult(_Told):
    """The outcome of a bulk action; `next_cursor` continues where there are more runs."""

    done: int
    skipped: dict[str, int]
    failed: tuple[BulkFailure, ...]
    next_cursor: str | None


class AppView(_Told):
    """An app with the names of its workflows."""

    name: str
    title: str
    workflows: tuple[str, ...]


class WorkflowSummary(_Told):
    """A workflow, and how its runs go."""

    app_name: str
    name: str
    title: str
    description: str
    version: int
    takes_args: bool
    counts: dict[Status, int]
    recent: tuple[Recent, ...]


class Trigger(_Told):
    """A schedule or an event that starts runs of a workflow."""

    kind: Literal["schedule", "event"]
    name: str
    rule: str


class WorkflowDetail(_Told):
    """A workflow as it is declared: schemas of args, state, result and payloads, places, transitions, diagram."""

    app_name: str
    name: str
    title: str
    description: str
    version: int
    run_timeout: float | None
    on_cancel: str | None = None
    """The place to which a cancel leads; None: it cancels at once."""
    """Seconds."""
    priority: int
    on: tuple[dict[str, Any], ...]
    args: dict[str, Any] | None
    state: dict[str, Any]
    result: dict[str, Any]
    places: tuple[dict[str, Any], ...]
    transitions: tuple[dict[str, Any], ...]
    ui: tuple[dict[str, Any], ...]
    limits: dict[str, Any]
    """By class keyword: `concurrency`, `rate_limit`, `debounce`, `fair_by`, `expires`. Durations are seconds."""
    mermaid: str
    triggers: tuple[Trigger, ...]


class CheckpointEvent(_Told):
    """A row of the history as the live stream sends it."""

    workflow_id: str
    checkpoint: Checkpoint
    """Without the state and the traceback: the history has them."""
    run: Run
    """The run when the event was sent; without args, state and result."""
    documents: tuple[StoredDocument, ...] = ()
    """The documents that the row saved; in the stream of one run only."""


class Health(_Told):
    """The liveness and readiness of a process."""

    live: bool
    ready: bool
    faults: tuple[str, ...]
    paused: int
    """Pauses that hold: they are meant, and no faults. `/pauses` says what they hold back."""


class Live(_Told):
    """The event loop answers."""

    live: bool

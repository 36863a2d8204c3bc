"""What the API takes and answers besides the runner's own models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from stepwell.engine.run import Status
from stepwell.http.cursors import PATTERN as CURSOR
from stepwell.runner.models import Checkpoint, Run, StoredDocument
from stepwell.runner.views import Recent

NO_NUL: Final = r"^[^\x00]*$"
"""Of texts that are looked for or stored: PostgreSQL knows no NUL in them."""
Name = Annotated[str, Field(min_length=1, max_length=256, pattern=NO_NUL)]
Id = Annotated[str, Field(min_length=1, max_length=64, pattern=NO_NUL)]


def _no_number(given: object) -> object:
    # Pydantic would take it for seconds since 1970.
    if isinstance(given, int | float) or (isinstance(given, str) and _NUMBER.fullmatch(given.strip())):
        raise ValueError("give a date and time with its offset, as in 2026-01-05T09:00:00Z")
    return given


_NUMBER: Final = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?", re.IGNORECASE)
Instant = Annotated[AwareDatetime, BeforeValidator(_no_number)]
Labels = Annotated[list[Name], Field(max_length=50)]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class FieldProblem(_Told):
    """What is wrong with one field."""

    loc: tuple[str | int, ...]
    """Where it is: for `args` and a signal's data within them, else from `body`, `query`, `path` or `header` on."""
    msg: str
    type: str


class Problem(_Told):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldProblem, ...] | None = None


_WORDS: Final[Mapping[int, str]] = {
    400: "No JSON",
    401: "Nobody is signed in",
    403: "No right to this",
    404: "Not there, or not there for you",
    409: "Not possible as it stands",
    413: "Too large",
    415: "Not application/json",
    422: "Not valid",
    429: "Too many failed attempts",
    503: "The database can't be reached",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for its documentation; those of every route are among them."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    wanted = sorted({400, 401, 403, 413, 415, 422, 429, 503, *statuses})
    return {one: {"model": Problem, "description": _WORDS[one], "content": content} for one in wanted}


class StartRequest(_Given):
    """A run to start."""

    app_name: Name
    workflow: Name
    args: Any = None
    labels: Labels = []
    delay_seconds: Annotated[float, Field(ge=0, le=31_622_400_000)] | None = None
    """Excludes `at`."""
    at: Instant | None = None
    priority: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None
    workspace_id: Id | None = None
    user_id: Name | None = None
    """Another user, for those who see everybody's runs. Default: who asks."""


class Started(_Told):
    """The run, queued."""

    workflow_id: str
    created: bool
    """False: the idempotency key's run was there before."""


class SignalRequest(_Given):
    """A signal to a waiting run."""

    name: Name
    data: Any = None


class CancelRequest(_Given):
    """Why."""

    reason: Annotated[str, Field(max_length=10_000, pattern=NO_NUL)] | None = None


class RunFilter(_Given):
    """Which runs; what isn't given is any."""

    app_name: Name | None = None
    workflow: Name | None = None
    status: list[Status] | None = None
    label: Name | None = None
    workspace_id: Id | None = None
    user_id: Name | None = None
    place: Name | None = None
    q: Annotated[str, Field(max_length=200, pattern=NO_NUL)] | None = None
    created_after: Instant | None = None
    created_before: Instant | None = None


class BulkChoice(_Given):
    """What to do with which runs: give either `runs` or `filter`."""

    action: Literal["retry", "cancel"]
    runs: Annotated[list[Id], Field(min_length=1, max_length=1000)] | None = None
    filter: RunFilter | None = None


class BulkRequest(BulkChoice):
    """The same, to be done."""

    reason: Annotated[str, Field(max_length=10_000, pattern=NO_NUL)] | None = None
    cursor: Annotated[str, Field(pattern=CURSOR)] | None = None
    """The `next_cursor` of the answer before."""


class BulkPreview(_Told):
    """What it would hit."""

    matching: int
    eligible: int
    more: bool
    """There are more than were looked at."""
    skipped: dict[str, int]
    """Why others are left as they are, and how many of them."""
    sample: tuple[Run, ...]


class BulkFailure(_Told):
    """A run that refused."""

    workflow_id: str
    detail: str


class BulkResult(_Told):
    """What was done; `next_cursor` goes on where there are more."""

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
    """A workflow and how its runs go."""

    app_name: str
    name: str
    title: str
    description: str
    version: int
    takes_args: bool
    counts: dict[Status, int]
    recent: tuple[Recent, ...]


class Trigger(_Told):
    """What starts runs of a workflow besides people."""

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
    """Seconds."""
    priority: int
    on: tuple[dict[str, Any], ...]
    args: dict[str, Any] | None
    state: dict[str, Any]
    result: dict[str, Any]
    places: tuple[dict[str, Any], ...]
    transitions: tuple[dict[str, Any], ...]
    ui: tuple[dict[str, Any], ...]
    mermaid: str
    triggers: tuple[Trigger, ...]


class CheckpointEvent(_Told):
    """A row of the history as the live stream tells it."""

    workflow_id: str
    checkpoint: Checkpoint
    """Without the state and the trace: ask the history for them."""
    run: Run
    """As it was when the event was sent; without args, state and result."""
    documents: tuple[StoredDocument, ...] = ()
    """What the row saved; in the stream of one run only."""


class Health(_Told):
    """Whether the process lives, and whether work should be sent to it."""

    live: bool
    ready: bool
    faults: tuple[str, ...]


class Live(_Told):
    """The event loop answers."""

    live: bool

"""What people look at beyond single runs, as models: frozen, JSON values inside, aware datetimes outside."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from stepwell.engine.run import Status
from stepwell.runner.models import Run


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, serialize_by_alias=True, validate_by_name=True)


class Ask(_View):
    """A signal that a person may send to a run now."""

    transition: str
    title: str
    """The transition's name as words."""
    description: str
    """What the method's docstring says."""
    optional: bool
    """The payload may be null."""
    payload_schema: dict[str, Any] | None = Field(alias="schema")
    """The JSON schema of the payload; null: the signal carries nothing."""
    source: str
    target: str


class Waiting(_View):
    """A run that waits for a person."""

    run: Run
    asks: tuple[Ask, ...]
    since: datetime


class Child(_View):
    """A run that another one started, and how that one shows it."""

    run: Run
    callback: str | None
    """The signal by which the parent hears of its end."""
    label: str | None
    show: Literal["inline", "link", "hidden"]
    on_parent_end: Literal["cancel", "abandon"]


class Step(_View):
    """A journaled step."""

    visit: int
    """The version by which the place was entered."""
    transition: str
    name: str
    value: Any
    recorded_at: datetime


class Counts(_View):
    """How many runs there are of each status."""

    counts: dict[Status, int]
    capped_at: int
    """A count that reaches this goes on beyond it."""


class Failures(_View):
    """Failed runs that failed alike."""

    app_name: str
    workflow_name: str
    error: str
    """The first line of the newest one's error."""
    count: int
    last_at: datetime
    workflow_id: str
    """The newest one."""


class Bucket(_View):
    """A stretch of time: how many runs ended in it, and how long those that completed took."""

    at: datetime
    completed: int
    failed: int
    canceled: int
    p50_seconds: float | None
    p95_seconds: float | None


class Metrics(_View):
    """Throughput and latency of the last hour or day. Latencies are those of the newest completed runs."""

    window: Literal["hour", "day"]
    since: datetime
    until: datetime
    bucket_seconds: int
    buckets: tuple[Bucket, ...]
    completed: int
    failed: int
    canceled: int
    p50_seconds: float | None
    p95_seconds: float | None


class Workspace(_View):
    """The workspace of an app's user."""

    id: str
    app_name: str
    user_id: str
    created_at: datetime


class Lane(_View):
    """An app's workflow."""

    app_name: str
    workflow_name: str


class Worker(_View):
    """A process that executes runs."""

    id: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    alive: bool
    """Its heartbeat is younger than a lease."""
    takes: tuple[Lane, ...]
    holding: int
    runs: tuple[Run, ...]
    """The first ones of those that it executes."""


class LaneDepth(Lane):
    """What of a workflow waits for a worker."""

    ready: int
    oldest_at: datetime
    workers: int
    """Living workers that take it."""


class Depth(_View):
    """How much waits for workers, and for how long."""

    ready: int
    oldest_at: datetime | None
    later: int
    """Runs with a timer, a delay or a retry to come."""
    next_at: datetime | None
    lanes: tuple[LaneDepth, ...]
    capped_at: int


class Recent(_View):
    """How a run of a workflow went."""

    workflow_id: str
    status: Status
    created_at: datetime
    finished_at: datetime | None

"""A run as its row: what is true of it between two commits.

Rows are named tuples because a row is written and loaded some ten thousand times a second: a tuple goes to the database
and comes from it as it is. Values are those of the database: JSON is text, moments are microseconds since 1970 UTC.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal, NamedTuple

Status = Literal["pending", "running", "waiting", "retrying", "completed", "failed", "canceled"]
FINISHED: Final = frozenset({"completed", "canceled"})

Moment = int
"""Microseconds since 1970-01-01T00:00Z."""


_CENTURY: Final = timedelta(days=36_525) // timedelta(microseconds=1)


def microseconds(duration: timedelta) -> Moment:
    """What a duration adds to a moment: at most a century, beyond which there soon is no date (or number) any more."""
    return max(0, min(duration // timedelta(microseconds=1), _CENTURY))


class Run(NamedTuple):
    """The row of a run. The first group never changes, `inbox` only when a signal is accepted, the rest with each commit."""

    id: str
    app_name: str
    workflow_name: str
    workflow_version: int
    workspace_id: str
    user_id: str
    parent_id: str | None
    callback: str | None
    callback_meta: str | None
    on_parent_end: str | None
    internal: int
    """1: the handler of a tick or a delivery, hidden from lists."""
    labels: str
    priority: int
    idempotency_key: str | None
    args: str
    created_at: Moment

    inbox: int
    """Signals accepted so far. A checkpoint that parks compares it (semantics 3a) and never writes it."""

    status: Status
    place: str
    version: int
    claim: int
    owner: str | None
    state: str
    result: str | None
    error: str | None
    visit: int
    """The version by which the place was entered: names the visit."""
    entered_at: Moment
    attempt: int
    """Attempts of this visit that have failed."""
    failing: str | None
    """How much of their retry budgets the transitions of this visit have used, as JSON: names and numbers of tries."""
    failures: int
    """The number of the transition that failed last."""
    bound: str | None
    """The waiting transition that holds the place through its retries."""
    bound_signal: str | None
    moves_to: str | None
    """The retry_target to move to once the delay is over."""
    detours: str | None
    """Visits left by such moves, as JSON, outermost first."""
    automatic: int
    """Transitions that nobody asked for (automatic ones and timers) since the run last parked."""
    takeovers: int
    ready_at: Moment | None
    """Since when any worker may claim it. Neither ready nor due: owned, or waiting without a timer."""
    due_at: Moment | None
    deadline: Moment | None
    """When run_timeout is over."""
    children: int
    told_at: Moment | None
    """When the parent was told of the end; never twice."""
    updated_at: Moment
    finished_at: Moment | None

    @property
    def finished(self) -> bool:
        """Completed or cancelled. A failed run isn't: it can be retried."""
        return self.status in FINISHED


def unless_signalled(run: Run, inbox: int) -> Run:
    """The run as it is stored where its inbox counts `inbox` by now (semantics 3a).

    What was accepted since the worker looked must not be slept over. A run that goes on keeps the number it has read up
    to: its parking will compare it.
    """
    if inbox != run.inbox and run.status == "waiting":
        return run._replace(inbox=inbox, ready_at=run.updated_at, due_at=None)
    return run


CREATED_FIELDS: Final = Run._fields.index("inbox") + 1
"""Fields before this index aren't written by checkpoints."""


class HistoryRow(NamedTuple):
    """One row for the creation and for each committed, failed or cancelled attempt."""

    run_id: str
    version: int
    transition: str | None
    source: str | None
    target: str | None
    attempt: int
    status: Literal["committed", "failed", "canceled"]
    error: str | None
    trace: str | None
    state: str | None
    """None: unchanged since the row before."""
    signal_id: str | None
    started_at: Moment
    finished_at: Moment


class SignalRow(NamedTuple):
    """A signal in the inbox of a run."""

    id: str
    run_id: str
    name: str
    kind: Literal["signal", "event", "child"]
    data: str
    status: Literal["completed", "failed", "canceled"]
    error: str | None
    sender: str
    user_id: str | None
    meta: str | None
    idempotency_key: str | None
    visit: int | None
    """The visit it belongs to, and is void with; None: kept until a visit takes it."""
    accepted_at: Moment
    state: Literal["open", "taken", "void"]
    version: int | None
    """The history row that took it."""


Inbox = tuple[SignalRow, ...]
"""The open signals of a run, oldest first."""


def without(inbox: Inbox, taken: SignalRow | None) -> Inbox:
    """What remains of the inbox."""
    return inbox if taken is None else tuple(signal for signal in inbox if signal.id != taken.id)


class StepRow(NamedTuple):
    """One journaled step."""

    run_id: str
    visit: int
    transition: str
    name: str
    value: str
    recorded_at: Moment

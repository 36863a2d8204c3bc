"""The row of a run: its facts between two commits.

- `version` is that of the latest history row. A visit is named by the version that entered the place; a stay by that of
  its first visit (rule 44).
- `version` and `claim` together are the fence (rule 29).
- `inbox` counts accepted signals, so that a run isn't parked over one (rule 3a).

Rows are named tuples because a row is written and loaded some ten thousand times a second: a tuple goes to the database
and comes from it as it is. Values are those of the database: JSON is text, moments are microseconds since 1970 UTC.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from stepwell.definition.authoring.groups import RunStatus

Status = RunStatus
FINISHED: Final = frozenset({"completed", "canceled"})
ENDED: Final = frozenset({"completed", "failed", "canceled"})
"""The ends of a run for those that wait for it: a failed one may still be retried."""

Moment = int
"""Microseconds since 1970-01-01T00:00Z."""

_CENTURY: Final = timedelta(days=36_525) // timedelta(microseconds=1)


def microseconds(duration: timedelta) -> Moment:
    """Return the moments in a duration: at most a century, not far beyond which there is no date (or number) any more."""
    return max(0, min(duration // timedelta(microseconds=1), _CENTURY))


class RunRow(NamedTuple):
    """The row of a run. Commits write what comes behind `inbox`. What stands before it, and `inbox`, each have statements
    of their own: a signal that is accepted, a limit that holds the run back, a start that is put off.
    """

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
    group_id: str | None
    """The group of children, or the batch, that it belongs to."""
    group_index: int | None
    """Its place among the starts of that group."""
    headstart: Moment
    """Ready runs are claimed in the order of `ready_at - headstart`: each level of priority is worth some waiting."""
    gates: str | None
    """The limits that it is under, as JSON, with the keys that its start worked out."""
    held_by: str | None
    """The gate behind which it waits, neither ready nor due."""
    held_rank: Moment | None
    """Its order there; of a claimed run with gates, the moment since when it had been ready."""
    expires_at: Moment | None
    """The moment at which it is cancelled unless it has begun; None also once it has begun. Negative: see `held_back`."""
    ended_at: Moment | None
    """Of the members of a group: the moment at which it completed, failed for good or was cancelled."""
    on_cancel: str | None
    """The place to which cancelling it leads, as its code said when it started; `engine.cancel` asks the code first."""
    forked_from: str | None
    """The run of which it is a fork."""
    forked_at: int | None
    """The version of the row there at whose target it began."""
    forked_with: str | None
    """A digest of what the fork was given."""
    former: str | None
    """The versions and args that it had before migrations changed them, as JSON: `engine.forks` reads it."""
    subject: str | None
    """Its title for people, worked out from its args when it starts."""

    inbox: int
    """Signals accepted so far. A checkpoint that parks compares it (rule 3a) and never writes it."""

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
    """The share of the retry budgets used by the transitions of this visit, as JSON: names and numbers of tries."""
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
    """The number of automatic transitions in a row: see `engine.choose`."""
    takeovers: int
    """Deaths of workers, since the last checkpoint, that are this run's own: it was executed and nothing else was."""
    ready_at: Moment | None
    """The moment since when any worker may claim it. Neither ready nor due: owned, or waiting without a timer."""
    due_at: Moment | None
    deadline: Moment | None
    """The moment at which run_timeout is over."""
    children: int
    told_at: Moment | None
    """The moment at which the parent was told of the end; never twice."""
    updated_at: Moment
    finished_at: Moment | None = None
    suspicion: str | None = None
    """Its worker died while it was executed: `engine.suspicion` reads it. Until its next checkpoint."""
    callbacks: str | None = None
    """The callbacks of the children that it has ever started, as JSON: only ends of children fire them (rule 50)."""
    stay: int | None = None
    """The visit in which it came to its place, where transitions have led back there since; None: the one that it is in."""
    timers: str | None = None
    """The moments of timers that a method has worked out for its visit, as JSON: `engine.timers` reads it."""
    canceling: str | None = None
    """It is cancelled, with this text as its error, once it reaches END from where cancelling has led it."""

    @property
    def arrived(self) -> int:
        """The visit in which it came to its place: it names what signals that are accepted there belong to (rule 44)."""
        return self.visit if self.stay is None else self.stay

    @property
    def finished(self) -> bool:
        """Completed or cancelled. A failed run isn't: it can be retried."""
        return self.status in FINISHED


@lru_cache(maxsize=1024)
def names_in(callbacks: str | None) -> frozenset[str]:
    """Return the names in `Run.callbacks`; none if a person has written something else there."""
    try:
        found = [] if callbacks is None else json.loads(callbacks)
    except ValueError:
        return frozenset()
    return frozenset(str(name) for name in found) if isinstance(found, list) else frozenset()


def with_callbacks(run: RunRow, names: Iterable[str]) -> str | None:
    """Return `Run.callbacks` with these names added; the same text if none is new."""
    known = names_in(run.callbacks)
    new = known.union(names)
    return run.callbacks if new == known else json.dumps(sorted(new), ensure_ascii=False)


def unless_signalled(run: RunRow, inbox: int) -> RunRow:
    """Return the run as it is stored if its inbox counts `inbox` by now (rule 3a).

    Signals accepted since the worker looked must not be missed. A run that continues keeps the number it has read up
    to: its parking will compare it.
    """
    if inbox != run.inbox and run.status == "waiting":
        return run._replace(inbox=inbox, ready_at=run.updated_at, due_at=None)
    return run


def claimed(run: RunRow, owner: str, now: Moment) -> RunRow:
    """Return the run once a worker has claimed it: later commits of earlier owners are refused by the fence (rule 29)."""
    headstart = run.headstart + BEGUN if run.claim == 0 else run.headstart
    since = run.due_at if run.ready_at is None else run.ready_at
    return run._replace(
        owner=owner,
        claim=run.claim + 1,
        status="running",
        ready_at=None,
        due_at=None,
        updated_at=now,
        headstart=headstart,
        held_rank=None if run.gates is None else since,
    )


def hold(run: RunRow, gate_id: str) -> RunRow:
    """Return a ready run held behind this gate, in the order in which it would have been claimed."""
    assert run.ready_at is not None  # only what may be claimed is held back
    return run._replace(held_by=gate_id, held_rank=run.ready_at - run.headstart, ready_at=None)


def signalled(run: RunRow, now: Moment) -> RunRow:
    """Return the run once its inbox has got a signal: ready, if it waits and no worker is to look anyway."""
    run = run._replace(inbox=run.inbox + 1)
    idle = run.status == "waiting" and run.owner is None and run.ready_at is None and run.held_by is None
    return run._replace(ready_at=now, due_at=None) if idle else run


def ripened(run: RunRow, now: Moment) -> RunRow:
    """Return the run as the sweep leaves it: ready, if it was due and had no owner."""
    due = run.due_at is not None and run.due_at <= now and run.owner is None
    return run._replace(ready_at=run.due_at, due_at=None) if due else run


def freed(run: RunRow, now: Moment, deaths: int = 0, suspicion: str | None = None) -> RunRow:
    """Return the run without the worker that died or left: ready, or when the delay of its retry is over (rules 29, 32)."""
    delayed = run.status == "retrying" and run.due_at is not None
    run = run._replace(owner=None, claim=run.claim + 1, takeovers=run.takeovers + deaths, updated_at=now)
    run = run if suspicion is None else run._replace(suspicion=suspicion)
    return run if delayed else run._replace(status="pending", ready_at=now, due_at=None)


BEGUN: Final = 600_000_000
"""The headstart, in microseconds, of runs that have begun over those that haven't: what was begun is brought to an end, and
the parent of a thousand children hears of the first one before the last one begins."""
_FARTHEST: Final = 10**18


def headstart(priority: int, ageing: Moment, behind: Moment = 0) -> Moment:
    """Return the headstart of a run of this priority, each level of which is worth `ageing` of waiting.

    `behind` is by how much it steps back: the members of a group do, one after the other, so that others get between.
    """
    return max(-_FARTHEST, min(priority * ageing - behind, _FARTHEST))


CREATED_FIELDS: Final = RunRow._fields.index("inbox") + 1
"""Fields before this index aren't written by checkpoints."""


MAX_ERROR_CHARS: Final = 10_000
"""Of the error of a history row."""


class HistoryRow(NamedTuple):
    """One row for the creation and for each committed, failed or cancelled attempt."""

    run_id: str
    version: int
    transition: str | None
    source: str | None
    target: str | None
    attempt: int
    status: Literal["committed", "failed", "canceled", "void"]
    """`void`: a signal that was accepted and not used; `error` says why."""
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
    """As JSON; empty, with all that decides nothing left out, while it is only known that the signal is there."""
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
    size: int = 0
    """Bytes of its data, with what else comes with the end of a child."""

    @property
    def unread(self) -> bool:
        """True if it must be read before it is taken."""
        return not self.data


Inbox = tuple[SignalRow, ...]
"""The open signals of a run, oldest first; of very many alike the oldest."""


def without(inbox: Inbox, taken: SignalRow | None) -> Inbox:
    """Return what remains of the inbox."""
    return inbox if taken is None else tuple(signal for signal in inbox if signal.id != taken.id)

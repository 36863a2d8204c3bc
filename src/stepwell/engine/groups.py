"""Groups of children, and batches: runs that were started together, and the one decision that follows from their ends.

- The progress of a group is counted from its runs. Its own row holds only its purpose, and what was decided.
- A group is decided once, in one commit, which tells its parent. What hasn't ended by then counts as canceled: it is
  cancelled afterwards, and what is held back never begins (rule 53).
- `all_completed` fails with the first child that failed for good or was cancelled, `first_completed` when all have ended
  and none has completed. A group without children has ended at once.
- The parent's method gets the group also where it failed (rules 17, 18).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from stepwell.engine.run import ENDED, Moment, RunRow, SignalRow, Status

MOST_MEMBERS: Final = 100_000
"""Runs of one group or batch."""
BEHIND: Final = 10_000
"""Microseconds by which each run of a group steps back behind the one before it, so that other runs get between."""


class GroupRow(NamedTuple):
    """A group of children, or a batch."""

    id: str
    kind: Literal["group", "batch"]
    app_name: str
    user_id: str
    parent_id: str | None
    callback: str | None
    callback_meta: str | None
    until: str
    total: int
    max_in_flight: int | None
    stop_after: int | None
    """Of a batch: more failed runs than this stop it."""
    label: str | None
    workflow_name: str | None
    idempotency_key: str | None
    fingerprint: str | None
    created_at: Moment
    status: str
    """`running` until it is decided."""
    outcome: str | None
    decided_by: str | None
    decided_at: Moment | None
    """Of a batch without an outcome: the moment at which it was retried. Failures before it don't stop it again."""
    finished_at: Moment | None
    """The moment at which nothing was left to do for it; None while its runs are looked at."""


class GroupCounts(NamedTuple):
    """The runs of a group by status; those held back by `max_in_flight` are counted apart from other pending ones."""

    held: int
    pending: int
    running: int
    waiting: int
    retrying: int
    completed: int
    failed: int
    canceled: int

    @property
    def ended(self) -> int:
        """Those that have ended, however."""
        return self.completed + self.failed + self.canceled


class Progress(NamedTuple):
    """The progress of a group at a moment."""

    group: GroupRow
    counts: GroupCounts
    at: Moment
    ended_at: Moment | None
    """The moment at which the last one ended; None while some haven't."""
    rate: float
    """Runs that ended per second, over the last minute."""

    @property
    def eta(self) -> Moment | None:
        """The moment at which the last one would end at this rate; None if nothing says so."""
        left = self.group.total - self.counts.ended
        return self.at + round(left / self.rate * 1_000_000) if left > 0 and self.rate > 0 else None


class Member(NamedTuple):
    """A run of a group, as far as its item shows it."""

    position: int
    id: str
    app_name: str
    workflow_name: str
    status: Status
    result: str | None
    error: str | None


# -- the decision ------------------------------------------------------------------------------------------------------

MOST_RESULTS: Final = 1_000
"""Children up to which a group's end tells the result of each."""


class Slot(NamedTuple):
    """A row of what a run of a group holds, or of when its delay begins: `store.gates` has the others."""

    gate: str
    run_id: str
    kind: Literal["group", "delay", "at"]
    """`group`: it has its turn; `delay`, `at`: what its start asked for, of one that is held."""
    taken: int
    claim: int
    at: Moment
    """Of a delay its length."""


def slots_of(gate: str, run_id: str, now: Moment, due_at: Moment | None, *, turn: bool, by_clock: bool) -> list[Slot]:
    """Return what a new run of a group with `max_in_flight` holds: its turn, or the delay that begins with its turn.

    `by_clock`: its start has named the moment, not a delay.
    """
    if turn:
        return [Slot(gate, run_id, "group", 1, 0, now)]
    if due_at is None:
        return []
    return [Slot(gate, run_id, "at", 0, 0, due_at) if by_clock else Slot(gate, run_id, "delay", 0, 0, due_at - now)]


def held_back(run: RunRow, gate: str, due_at: Moment | None) -> RunRow:
    """Return a new run as it waits for its turn, with which its delay begins, and then the time that `expires` gives it.

    Until then `expires_at` is that time, negative: it doesn't expire.
    """
    since = max(run.created_at if due_at is None else due_at, run.created_at)
    expires_at = None if run.expires_at is None else since - run.expires_at
    return run._replace(held_by=gate, held_rank=run.group_index, ready_at=None, due_at=None, expires_at=expires_at)


class NewGroup(NamedTuple):
    """A group as `self.start_many` makes it, beside its children."""

    row: GroupRow
    slots: tuple[Slot, ...] = ()


class GroupEnds(NamedTuple):
    """The kinds of ends that there are among the runs of a group."""

    completed: bool
    failed: bool
    canceled: bool
    unended: bool
    too_many: bool = False
    """More have failed than the batch tolerates."""


Verdict = Literal["completed", "failed", "stopped"]


def verdict(group: GroupRow, ends: GroupEnds) -> Verdict | None:
    """Return what is decided about a group by these ends; None as long as nothing is, or if it was decided before.

    A group that isn't told of as a whole (`each`) is never decided; a batch only if too many of its runs have failed.
    """
    if group.outcome is not None:
        return None
    if group.kind == "batch":
        return "stopped" if ends.too_many else None
    match group.until:
        case "all_ended":
            return None if ends.unended else "completed"
        case "all_completed":
            return "failed" if ends.failed or ends.canceled else None if ends.unended else "completed"
        case "first_completed":
            return "completed" if ends.completed else None if ends.unended else "failed"
        case _:
            return None


def decisive(group: GroupRow, decided: Verdict) -> tuple[tuple[Status, ...], bool]:
    """Return the statuses of the child that decides, and whether it is the first of these ends (else the last)."""
    if group.kind == "batch" or group.until == "all_ended":
        return (), True
    if group.until == "all_completed":
        return (("failed", "canceled"), True) if decided == "failed" else ((), True)
    return (("completed",), True) if decided == "completed" else (("failed", "canceled"), False)


def why_stopped(group: GroupRow, decider: Member | None) -> str:
    """Return the reason for which the runs are cancelled that hadn't ended when the group was decided."""
    if decider is None:
        return f"more than {group.stop_after} runs of its batch failed"
    how = {"failed": "failed", "canceled": "was cancelled"}.get(decider.status, "completed first")
    return f"its group was decided: {_named(decider)} {how}"


def end_of(
    group: GroupRow,
    decided: Verdict,
    ends: tuple[int, int],
    decider: Member | None,
    members: Sequence[Member] | None,
    now: Moment,
    limit: int,
) -> SignalRow:
    """Return the message to the parent. `ends`: how many have completed and failed; the others count as canceled.

    `members`: all of them, if their results are to be told; they are left out where the message would be over the limit.
    """
    assert group.parent_id is not None
    assert group.callback is not None  # else no run is told
    completed, failed = ends
    data = {
        "group_id": group.id,
        "total": group.total,
        "completed": completed,
        "failed": failed,
        "canceled": group.total - completed - failed,
    }
    text = None
    if members is not None:
        why = why_stopped(group, decider)
        text = _with_results(data, ",".join(_item(member, why) for member in members), truncated=False)
        if len(text) * 4 > limit and len(text.encode()) > limit:
            text = None
    text = _with_results(data, "", truncated=True) if text is None else text
    error = None if decided == "completed" else _why_failed(group, decider)
    return SignalRow(
        id=f"{group.id}:end",  # one id for one end: a second message can't be stored
        run_id=group.parent_id,
        name=group.callback,
        kind="child",
        data=text,
        status="completed" if decided == "completed" else "failed",
        error=error,
        sender=group.parent_id,
        user_id=None,
        meta=group.callback_meta,
        idempotency_key=None,
        visit=None,
        accepted_at=now,
        state="open",
        version=None,
        size=sum(len(part.encode()) for part in (text, error, group.callback_meta) if part),
    )


def is_group_end(signal: SignalRow) -> bool:
    """Return whether the signal is the end of a group of the run's children."""
    return signal.kind == "child" and signal.sender == signal.run_id


def _with_results(data: Mapping[str, object], items: str, *, truncated: bool) -> str:
    # The results are JSON already, and stay as the children have left them.
    return f'{json.dumps(data)[:-1]}, "results": [{items}], "truncated": {json.dumps(truncated)}}}'


def _item(member: Member, why: str) -> str:
    status, error = member.status, member.error
    if status not in ENDED:
        status, error = "canceled", f"canceled: {why}"
    result = (member.result or "null") if status == "completed" else "null"
    rest = json.dumps({"status": status, "error": None if status == "completed" else error}, ensure_ascii=False)
    return f'{{"index": {member.position}, "workflow_id": {json.dumps(member.id)}, "result": {result}, {rest[1:]}'


def _named(member: Member) -> str:
    return f"starts[{member.position}] ({member.workflow_name} {member.id})"


def _why_failed(group: GroupRow, decider: Member | None) -> str:
    if decider is None:
        return "none of its children completed" if group.total else "it has no children, so none of them completed"
    how = "was cancelled" if decider.status == "canceled" else "failed"
    told = f"{_named(decider)} {how}: {decider.error}"
    if group.until == "first_completed":
        return f"none of its {group.total} children completed; the last end: {told}"
    return told

"""Starts for a key of which unfinished runs exist: skipped to one of them, instead of them, or in the place of one (rule 54).

- Such a run is found by a row of `stepwell_slots` of the kind `alive`, from its start to its end. Whether it still counts,
  its own row says. A run that has failed doesn't count; retried, it counts again.
- `skip` and `replace` act where `limit` unfinished runs exist, delayed and held ones included.
- A debounced start takes the place of a run that hasn't begun: that run gets its args, its keys and its moment, but no
  later one than `max_wait` after it was created.
- A member of a group that waits for its turn stays where it is: its delay begins with its turn.
- A debounced start is looked at first, then the rules that skip, then those that replace.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal, NamedTuple

from stepwell.definition.values.codec import canonical
from stepwell.engine.gates import started_with, with_start
from stepwell.engine.run import Moment, RunRow

EXPIRED = "expired before it began"
"""The reason of a run that was cancelled because it hadn't begun in time."""


class Conflict(NamedTuple):
    """One rule by which a start looks for unfinished runs of its key, and by which later ones find the run."""

    id: str
    limit: int
    on_conflict: Literal["debounce", "skip", "replace", "queue"]
    max_wait: Moment | None = None

    @property
    def order(self) -> int:
        """Its order among the rules of one start."""
        return ("debounce", "skip", "replace", "queue").index(self.on_conflict)


def has_begun(run: RunRow) -> bool:
    """Return whether a worker has ever executed it. A claim that limits undid counts for nothing, and leaves no number."""
    return run.claim > 0 or run.version > 0


def digest_of(args: str) -> str:
    """Return a digest that equal args share, whatever the order of their keys."""
    try:
        text = canonical(args)
    except (ValueError, RecursionError):  # a number with more digits than Python reads
        text = args
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def put_off(run: RunRow, start: RunRow, max_wait: Moment | None, now: Moment) -> RunRow:
    """Return the run, which hasn't begun, in the place of the start: with its args, keys and moments."""
    wanted = now if start.due_at is None else start.due_at
    due_at = wanted if max_wait is None else min(wanted, run.created_at + max_wait)
    earlier = wanted - max(due_at, now)
    # A repeated call with the run's own idempotency key gives the args that it was started with.
    digest = None if run.idempotency_key is None else started_with(run.gates) or digest_of(run.args)
    return run._replace(
        workflow_version=start.workflow_version,
        args=start.args,
        subject=start.subject,
        gates=start.gates if digest is None else with_start(start.gates, digest),
        held_by=None,
        held_rank=None,
        ready_at=None,
        due_at=due_at,
        deadline=None if start.deadline is None else start.deadline - earlier,
        expires_at=None if start.expires_at is None else start.expires_at - earlier,
        updated_at=now,
    )


def waits_for_turn(run: RunRow) -> bool:
    """Return whether it is a member of a group that waits for its turn there."""
    return run.held_by is not None and run.held_by.startswith("group:")


def still_waiting(member: RunRow, put_off: RunRow, now: Moment) -> tuple[RunRow, Moment]:
    """Return a member that was put off as it waits for its turn on, and the delay that begins with that."""
    since = max(put_off.due_at or now, now)
    after = put_off._replace(
        held_by=member.held_by,
        held_rank=member.held_rank,
        due_at=None,
        deadline=None if put_off.deadline is None else put_off.deadline - (since - now),
        expires_at=None if put_off.expires_at is None else since - put_off.expires_at,
    )
    return after, since - now

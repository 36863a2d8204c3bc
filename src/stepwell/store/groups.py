"""Groups of children, and batches: read, counted from their runs, and listed."""

from __future__ import annotations

from typing import Any, Final

from stepwell.engine.gates import group_gate
from stepwell.engine.groups import GroupCounts, GroupRow, Member, Progress
from stepwell.engine.run import Moment
from stepwell.store import tables
from stepwell.store.tables import fitting, groups
from stepwell.store.tx import Tx

_ALL: Final = tables.columns(groups)
_COUNTED: Final = "FROM stepwell_runs INDEXED BY stepwell_runs_counted WHERE group_id=?"
_MEMBER: Final = "group_index, id, app_name, workflow_name, status, result, error"
_ENDS: Final = ("completed", "failed", "canceled")
_FEW: Final = ("running", "waiting", "retrying", "failed", "canceled")
"""The statuses that few of many runs have, mostly."""
_SPARSE: Final = 2_000
_MINUTE: Final = 60_000_000
_RECENT: Final = 10_000
"""Ends of one kind from which the rate is worked out, at most: where there are more within a minute, the latest."""


def load(tx: Tx, group_id: str) -> GroupRow | None:
    """Return the group, or None."""
    return tx.one(GroupRow._make, f"SELECT {_ALL} FROM stepwell_groups WHERE id=?", group_id)


def _gate(group: GroupRow) -> str:
    return group_gate(group.id, group.max_in_flight or 0).id


# -- how far it is -----------------------------------------------------------------------------------------------------


def progress(tx: Tx, group_id: str, now: Moment) -> Progress | None:
    """Return how far the group is, counted from its runs; None without such a group."""
    group = load(tx, group_id)
    return None if group is None else progress_of(tx, group, now)


def progress_of(tx: Tx, group: GroupRow, now: Moment) -> Progress:
    """Return how far this group is."""
    counts = count(tx, group)
    last = _last_end(tx, group) if counts.ended >= group.total else None
    return Progress(group, counts, now, last, _rate(tx, group, now) if counts.ended else 0.0)


def count(tx: Tx, group: GroupRow) -> GroupCounts:
    """Return the runs of the group by status.

    All but the most frequent status are counted, in an index: that one is what they leave of the total. Runs of a
    finished group that retention has deleted count as completed.
    """
    half = group.total // 2
    found = {status: _counted(tx, group.id, status, half) for status in _FEW}
    held, many = 0, "pending"
    if group.max_in_flight is not None:
        held = _held_again(tx, group)
        found["retrying"] = _counted(tx, group.id, "retrying", group.total) - held
        if group.decided_at is None:
            # Those of the others that haven't begun are held, or have a slot, as few have.
            found["pending"], many = _pending_in_flight(tx, group), "held"
    most = next((status for status, number in found.items() if number > half), None)
    if group.finished_at is not None:
        # Retention may have deleted some of its runs since.
        most = "completed"
        found |= {status: _number(tx, group, status, group.total) for status in (*_FEW, many)}
        found["retrying"] -= held
    elif most is None:
        most = _most_of_two(tx, group, many, half, found)
    else:
        found |= {status: _number(tx, group, status, group.total) for status in (many, "completed")}
    found.setdefault("held", held)
    found[most] = max(0, group.total - sum(number for status, number in found.items() if status != most))
    return GroupCounts(*(found[name] for name in GroupCounts._fields))


def _most_of_two(tx: Tx, group: GroupRow, many: str, half: int, found: dict[str, int]) -> str:
    """Count one of the two that may be large, the smaller one, and return the other."""
    for status, other, most in (("completed", many, _RECENT), (many, "completed", half)):
        number = _number(tx, group, status, most)
        if number <= most:
            found[status] = number
            return other
    found["completed"] = _number(tx, group, "completed", group.total)
    return many


def _number(tx: Tx, group: GroupRow, status: str, most: int) -> int:
    return _held(tx, group, most) if status == "held" else _counted(tx, group.id, status, most)


def _counted(tx: Tx, group_id: str, status: str, most: int) -> int:
    """Return the number of runs of this status, or one more than `most` if there are more."""
    # In the index's order: so PostgreSQL takes the index, also before it has statistics of many new rows.
    sql = f"SELECT count(*) FROM (SELECT 1 {_COUNTED} AND status=? ORDER BY ended_at LIMIT ?) AS c"
    return int(tx.scalar(sql, group_id, status, most + 1))


def _held(tx: Tx, group: GroupRow, most: int) -> int:
    sql = "SELECT count(*) FROM (SELECT 1 FROM stepwell_runs WHERE held_by=? ORDER BY held_rank LIMIT ?) AS c"
    return int(tx.scalar(sql, _gate(group), most + 1))


def _held_again(tx: Tx, group: GroupRow) -> int:
    """Return the number of runs that have begun before, failed, were retried, and wait for their turn."""
    sql = f"SELECT count(*) {_COUNTED} AND status='retrying' AND held_by=?"
    return int(tx.scalar(sql, group.id, _gate(group)))


def _pending_in_flight(tx: Tx, group: GroupRow) -> int:
    sql = (
        "SELECT count(*) FROM stepwell_slots s JOIN stepwell_runs r ON r.id=s.run_id"
        " WHERE s.gate=? AND s.taken=1 AND r.status='pending'"
    )
    return int(tx.scalar(sql, _gate(group)))


def _last_end(tx: Tx, group: GroupRow) -> Moment | None:
    sql = f"SELECT max(ended_at) {_COUNTED} AND status=?"
    ends = [tables.moment(tx.scalar(sql, group.id, status)) for status in _ENDS]
    return max((end for end in ends if end is not None), default=group.created_at)


def _rate(tx: Tx, group: GroupRow, now: Moment) -> float:
    """Return the ends per second over the last minute, or since the group began."""
    since = max(now - _MINUTE, group.created_at)
    rate = 0.0
    for status in _ENDS:
        sql = (
            f"SELECT count(*), min(ended_at) FROM (SELECT ended_at {_COUNTED} AND status=? AND ended_at>?"
            " ORDER BY ended_at DESC LIMIT ?) AS e"
        )
        [(number, first)] = tx.rows(sql, group.id, status, since, _RECENT)
        begun = first if number == _RECENT and tables.moment(first) is not None else since
        rate += int(number) * 1_000_000 / max(now - begun, 1_000_000)
    return rate


# -- its runs ----------------------------------------------------------------------------------------------------------


def members(
    tx: Tx,
    group_id: str,
    *,
    after: int = -1,
    limit: int = 100,
    status: str | None = None,
    most_bytes: int | None = None,
) -> list[Member]:
    """Return runs of the group in the order of its starts, those behind the index `after`.

    With `most_bytes` as many of them as are no larger than that together; at least one.
    """
    where = "WHERE group_id=? AND group_index>?"
    values: tuple[Any, ...] = (group_id, after)
    index = "member"
    if status is not None:
        where, values = f"{where} AND status=?", (*values, status)
        # Few of many wouldn't be met soon in the order of the starts.
        index = "counted" if _counted(tx, group_id, status, _SPARSE) <= _SPARSE else index
    listed = f"FROM stepwell_runs INDEXED BY stepwell_runs_{index} {where} ORDER BY group_index LIMIT ?"
    if most_bytes is not None:
        sizes = tx.rows(
            f"SELECT coalesce(octet_length(result), 0), coalesce(octet_length(error), 0) {listed}", *values, limit
        )
        limit = fitting(map(sum, sizes), most_bytes)
    return tx.fetch(Member._make, f"SELECT {_MEMBER} {listed}", *values, limit)

"""Groups of children, and batches: their rows, and their runs, counted and listed."""

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
_NUMBER: Final = f"(SELECT count(*) {_COUNTED} AND status='{{}}')"
_FEW: Final = ", ".join(map(_NUMBER.format, ("running", "waiting", "retrying", "failed", "canceled")))
_PENDING: Final = _NUMBER.format("pending")
_HELD: Final = "(SELECT count(*) FROM stepwell_runs WHERE held_by=?)"
_HELD_AGAIN: Final = f"(SELECT count(*) {_COUNTED} AND status='retrying' AND held_by=?)"
"""Those that have begun before, failed, were retried, and wait for their turn."""
_TURNS: Final = (
    "(SELECT count(*) FROM stepwell_slots s JOIN stepwell_runs r ON r.id=s.run_id"
    " WHERE s.gate=? AND s.taken=1 AND r.status='pending')"
)
# In the index's order: so PostgreSQL takes the index, also before it has statistics of many new rows.
_COMPLETED: Final = (
    f"(SELECT count(*) AS n FROM (SELECT 1 {_COUNTED} AND status='completed' ORDER BY ended_at LIMIT ?) AS e) AS c"
)
_FEW_LEFT: Final = 1_000
"""Runs that haven't begun up to which they are counted, whatever is left of the total: those that are deleted aren't among
them. A group of which runs are deleted had ended, and of those that were retried since hardly any hasn't begun.
"""
_SOME: Final = f"(SELECT count(*) FROM (SELECT 1 {{}} LIMIT {_FEW_LEFT + 1}) AS s)"
_SOME_PENDING: Final = _SOME.format(f"{_COUNTED} AND status='pending' ORDER BY ended_at")
_SOME_HELD: Final = _SOME.format("FROM stepwell_runs WHERE held_by=?")
_SPARSE: Final = 2_000
"""Runs of a status up to which they are few among many."""
_MINUTE: Final = 60_000_000
_RECENT: Final = 10_000
"""Ends of one kind from which the rate is worked out, at most: where there are more within a minute, the latest."""


def load(tx: Tx, group_id: str) -> GroupRow | None:
    """Return the group, or None."""
    return tx.one(GroupRow._make, f"SELECT {_ALL} FROM stepwell_groups WHERE id=?", group_id)


def _gate(group: GroupRow) -> str:
    return group_gate(group.id, group.max_in_flight or 0).id


def of_parent(tx: Tx, run_id: str, limit: int) -> list[GroupRow]:
    """Return the groups that a run started, the newest first."""
    sql = f"SELECT {_ALL} FROM stepwell_groups WHERE parent_id=? ORDER BY id DESC LIMIT ?"
    return tx.fetch(GroupRow._make, sql, run_id, limit)


def hold(tx: Tx, group_id: str) -> GroupRow | None:
    """Return the group, locked until this transaction ends; or None."""
    return tx.one(GroupRow._make, f"SELECT {_ALL} FROM stepwell_groups WHERE id=? FOR NO KEY UPDATE", group_id)


def hold_of(tx: Tx, run_id: str) -> None:
    """Lock the group of a run, if it has one: before the run itself, in the order in which all others lock them."""
    tx.rows(
        "SELECT 1 FROM stepwell_groups WHERE id=(SELECT group_id FROM stepwell_runs WHERE id=?) FOR NO KEY UPDATE",
        run_id,
    )


def insert(tx: Tx, row: GroupRow) -> None:
    """Insert the group; one that is there already stays as it is."""
    tx.insert(groups, [row], unless=("id",))


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
    """Return the runs of the group by status, by one statement: while it counts no run goes from one status to another.

    Of those that may be very many, the completed ones and those that haven't begun, only the fewer are counted: the others
    are what is left of the total. Runs of a finished group that were deleted count as completed, also once some of the
    others are retried.
    """
    gate, gated = _gate(group), group.max_in_flight is not None
    # Those that haven't begun are held, or have their turn, as few have; once it is decided none of them is held.
    held = gated and group.outcome is None
    again, turns = (_HELD_AGAIN, _TURNS) if gated else ("0", "0")
    half = -1 if group.finished_at is not None else group.total // 2
    all_of, some = (_HELD, _SOME_HELD) if held else (_PENDING, _SOME_PENDING)
    [(running, waiting, retrying, failed, canceled, retried, pending, completed, many)] = tx.rows(
        f"SELECT {_FEW}, {again}, {turns}, c.n, CASE WHEN c.n>? THEN {all_of} ELSE {some} END FROM {_COMPLETED}",
        *[group.id] * 5,
        *((group.id, gate, gate) if gated else ()),
        half,
        *[gate if held else group.id] * 2,
        group.id,
        half + 1,
    )
    few = running + waiting + retrying + failed + canceled + (pending if held else 0)
    if completed <= half and many > _FEW_LEFT:
        many = max(0, group.total - few - completed)
    else:
        many -= retried if held else 0  # they are held too
        completed = max(0, group.total - few - many)
    if held:
        return GroupCounts(many + retried, pending, running, waiting, retrying - retried, completed, failed, canceled)
    return GroupCounts(retried, many, running, waiting, retrying - retried, completed, failed, canceled)


def _last_end(tx: Tx, group: GroupRow) -> Moment | None:
    sql = f"SELECT max(ended_at) {_COUNTED} AND status=?"
    ends = [tables.moment(tx.scalar(sql, group.id, status)) for status in _ENDS]
    return max((end for end in ends if end is not None), default=group.created_at)


def _rate(tx: Tx, group: GroupRow, now: Moment) -> float:
    """Return the ends per second over the last minute, or since the group began."""
    # Ends in the very moment in which the group began count too.
    since = max(now - _MINUTE, group.created_at - 1)
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
        index = "counted" if _is_few(tx, group_id, status) else index
    listed = f"FROM stepwell_runs INDEXED BY stepwell_runs_{index} {where} ORDER BY group_index LIMIT ?"
    if most_bytes is not None:
        sizes = tx.rows(
            f"SELECT coalesce(octet_length(result), 0), coalesce(octet_length(error), 0) {listed}", *values, limit
        )
        limit = fitting(map(sum, sizes), most_bytes)
    return tx.fetch(Member._make, f"SELECT {_MEMBER} {listed}", *values, limit)


def _is_few(tx: Tx, group_id: str, status: str) -> bool:
    sql = f"SELECT 1 {_COUNTED} AND status=? ORDER BY ended_at LIMIT 1 OFFSET ?"
    return tx.scalar(sql, group_id, status, _SPARSE) is None

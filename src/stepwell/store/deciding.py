"""Groups from their creation to their decision: their runs' ends, their turns, and what a decision stops (rule 53)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from stepwell.engine.commit import Commit
from stepwell.engine.gates import group_gate
from stepwell.engine.groups import GroupEnds, GroupRow, Member, NewGroup, Slot
from stepwell.engine.run import ENDED, Moment, RunRow
from stepwell.errors import IdempotencyConflict, WorkspaceNotFound
from stepwell.store import groups, runs, tables, workspaces
from stepwell.store.paused_gates import LET
from stepwell.store.tx import Tx, WakeUp
from stepwell.store.writing.starts import key_of

_OF_GROUP: Final = "FROM stepwell_runs INDEXED BY stepwell_runs_counted WHERE group_id=?"
_ONE: Final = f"SELECT 1 {_OF_GROUP}"
_ENDS_THERE: Final = ", ".join(
    f"({_ONE} AND status='{status}' LIMIT 1)"
    for status in ("completed", "failed", "canceled", "pending", "running", "waiting", "retrying")
)
"""One column for each status that a run of a group may have: the ends, then the others."""
_WAKE_UP: Final = "id, app_name, workflow_name, priority"
TURN: Final = 1_000
"""Held runs that one transaction lets through."""


# -- made ---------------------------------------------------------------------------------------------------------------


def check_children(tx: Tx, children: Sequence[Commit]) -> None:
    """Raise IdempotencyConflict or WorkspaceNotFound for children of `self.start_many` that can't be what was asked for.

    Their keys were free when the method asked; others may have used them since.
    """
    keyed = {key: commit.run.id for commit in children if (key := key_of(commit.run)) is not None}
    if keyed:
        for key, earlier in runs.by_keys(tx, list(keyed)).items():
            if earlier.id != keyed[key]:
                raise key_taken(earlier, key[2])
    chosen = {
        run.workspace_id: run.user_id
        for run in (commit.run for commit in children)
        if run.workspace_id != workspaces.workspace_of(run.app_name, run.user_id)
    }
    for workspace_id, user_id in chosen.items():
        found = workspaces.load(tx, workspace_id)
        if found is None or found.user_id != user_id:
            raise WorkspaceNotFound(f"No workspace {workspace_id!r} of user {user_id!r}.")


def key_taken(earlier: RunRow, key: str) -> IdempotencyConflict:
    """Return the refusal of a child whose idempotency key belongs to a run that isn't this parent's."""
    whose = "which no run has started" if earlier.parent_id is None else f"a child of run {earlier.parent_id}"
    return IdempotencyConflict(
        f"The idempotency key {key!r} of user {earlier.user_id!r} in app {earlier.app_name!r} belongs to run {earlier.id} of "
        f"{earlier.workflow_name!r}, {whose}: it can't become a child of this run too; use another key."
    )


def make(tx: Tx, made: Sequence[NewGroup]) -> None:
    """Insert groups whose children are made in this transaction."""
    for group in made:
        groups.insert(tx, group.row)
        take_turns(tx, group.slots)
    tx.hints.groups |= {group.row.id for group in made if not group.row.total}


def take_turns(tx: Tx, slots: Sequence[Slot]) -> None:
    """Insert what new runs hold of their group."""
    tx.insert(tables.slots, slots, unless=("gate", "run_id"))


# -- ends of their runs -------------------------------------------------------------------------------------------------


def store_ends(tx: Tx, stored: Iterable[RunRow]) -> dict[str, RunRow]:
    """Store that runs of groups have ended, or begun again; return those that wait for their turn now, as they are."""
    mine = [run for run in stored if run.group_id is not None]
    if not mine:
        return {}
    tx.hints.groups |= {run.group_id for run in mine if run.group_id is not None and run.status in ENDED}
    ended = [run.id for run in mine if run.status in ENDED and run.ended_at is None]
    if ended and not tx.dialect.notes_ends:
        tx.run("UPDATE stepwell_runs SET ended_at=updated_at WHERE id IN list(?)", tx.listed(ended))
    again = [run for run in mine if run.status not in ENDED and run.ended_at is not None]
    return _begun_again(tx, again) if again else {}


def _begun_again(tx: Tx, again: Sequence[RunRow]) -> dict[str, RunRow]:
    ids = {run.group_id or "" for run in again}
    if not tx.dialect.notes_ends:
        tx.run("UPDATE stepwell_runs SET ended_at=NULL WHERE id IN list(?)", tx.listed(run.id for run in again))
    # Also of a group that isn't finished yet, as far as this transaction sees: another one may be finishing it just now.
    tx.run("UPDATE stepwell_groups SET finished_at=NULL WHERE id IN list(?)", tx.listed(ids))
    tx.hints.groups |= ids
    sql = "SELECT id FROM stepwell_groups WHERE max_in_flight IS NOT NULL AND id IN list(?)"
    limited = {row[0] for row in tx.rows(sql, tx.listed(ids))}
    held = {
        run.id: run._replace(
            held_by=group_gate(run.group_id or "", 0).id, held_rank=run.group_index, ready_at=None, due_at=None
        )
        for run in again
        if run.group_id in limited and run.owner is None
    }
    tx.each(
        "UPDATE stepwell_runs SET held_by=?, held_rank=?, ready_at=NULL, due_at=NULL WHERE id=?",
        [(run.held_by, run.held_rank, run.id) for run in held.values()],
    )
    tx.hints.applied = [one for one in tx.hints.applied if one.run_id not in held]
    return held


def ends(tx: Tx, group: GroupRow) -> GroupEnds:
    """Return which ends there are, by looks into an index.

    In one statement: between two of them a run could end, and neither would see it.
    """
    [(completed, failed, canceled, *unended, too_many)] = tx.rows(
        f"SELECT {_ENDS_THERE}, ({_ONE} AND status='failed' AND ended_at>=? ORDER BY ended_at LIMIT 1 OFFSET ?)",
        *[group.id] * 8,
        group.decided_at or 0,
        0 if group.stop_after is None else group.stop_after,
    )
    return GroupEnds(
        completed is not None,
        failed is not None,
        canceled is not None,
        any(one is not None for one in unended),
        group.stop_after is not None and too_many is not None,
    )


def end_counts(tx: Tx, group: GroupRow) -> tuple[int, int]:
    """Return how many of the runs have completed, and how many failed."""
    sql = f"SELECT status, count(*) {_OF_GROUP} AND status IN ('completed', 'failed') GROUP BY status"
    found = dict(tuple(row) for row in tx.rows(sql, group.id))
    return int(found.get("completed", 0)), int(found.get("failed", 0))


def decider(tx: Tx, group: GroupRow, statuses: Sequence[str], *, first: bool) -> Member | None:
    """Return the run that ended first, or last, with one of these statuses; without its result."""
    way = "" if first else " DESC"
    sql = (
        "SELECT group_index, id, app_name, workflow_name, status, NULL, error, ended_at"
        f" {_OF_GROUP} AND status=? ORDER BY ended_at{way}, group_index{way} LIMIT 1"
    )
    found = [row for status in statuses for row in tx.rows(sql, group.id, status)]
    if not found:
        return None
    best = (min if first else max)(found, key=lambda row: (tables.moment(row[7]) or 0, row[0]))
    return Member._make(best[:7])


def result_bytes(tx: Tx, group: GroupRow) -> int:
    """Return the bytes of the results and errors of all runs."""
    sizes = "sum(coalesce(octet_length(result), 0) + coalesce(octet_length(error), 0))"
    found = tx.scalar(f"SELECT {sizes} FROM stepwell_runs INDEXED BY stepwell_runs_member WHERE group_id=?", group.id)
    return int(found or 0)


# -- turns --------------------------------------------------------------------------------------------------------------


def has_turn(tx: Tx, group: GroupRow) -> bool:
    """Return whether a held run could be let through."""
    first = "SELECT 1 FROM stepwell_runs WHERE held_by=? LIMIT 1"
    return tx.scalar(first, _gate(group)) is not None and _in_flight(tx, group) < (group.max_in_flight or 0)


_UNENDED_RUN: Final = (
    "SELECT 1 FROM stepwell_runs r WHERE r.id=stepwell_slots.run_id"
    " AND r.status NOT IN ('completed', 'failed', 'canceled') AND (r.held_by IS NULL OR r.held_by<>stepwell_slots.gate)"
)
"""The run of a slot, if it counts: it has its turn, and hasn't ended."""


def _in_flight(tx: Tx, group: GroupRow) -> int:
    sql = f"SELECT count(*) FROM stepwell_slots WHERE gate=? AND taken=1 AND EXISTS ({_UNENDED_RUN})"
    return int(tx.scalar(sql, _gate(group)))


_SINCE: Final = (
    "deadline=deadline+(CAST(? AS BIGINT)-updated_at),"
    " expires_at=CASE WHEN expires_at<0 THEN CAST(? AS BIGINT)-expires_at ELSE expires_at END"
)
"""SQL for the limits that count from the moment at which a run is due, as `engine.groups.held_back` has left them."""


def let_through(tx: Tx, group: GroupRow, now: Moment) -> int:
    """Let held runs through, as many as there is room for, in the order of their starts; return their number.

    The group must be held. What their starts have asked for, a delay and then the time limits of the run, counts from now.
    """
    gate = _gate(group)
    tx.run(f"DELETE FROM stepwell_slots WHERE gate=? AND taken=1 AND NOT EXISTS ({_UNENDED_RUN})", gate)
    taken = int(tx.scalar("SELECT count(*) FROM stepwell_slots WHERE gate=? AND taken=1", gate))
    room = min((group.max_in_flight or 0) - taken, TURN)
    if room <= 0:
        return 0
    first = "SELECT id FROM stepwell_runs WHERE held_by=? ORDER BY held_rank, id LIMIT ? FOR NO KEY UPDATE"
    ids = [row[0] for row in tx.rows(first, gate, room)]
    if not ids:
        return 0
    later = _delays(tx, gate, ids, now)
    at_once = [run_id for run_id in ids if run_id not in later]
    found = tx.rows(
        f"{LET}, {_SINCE} WHERE id IN list(?) RETURNING {_WAKE_UP}, ready_at, {tables.GATED}",
        *[now] * 3,
        tx.listed(at_once),
    )
    tx.hints.woken(row for row in found if row[4] is not None)
    for run_id, due_at in later.items():
        found = tx.rows(
            f"{LET.replace('ready_at', 'due_at')}, {_SINCE} WHERE id=? RETURNING {_WAKE_UP}, due_at",
            *[due_at] * 3,
            run_id,
        )
        tx.hints.due += [WakeUp._make(row) for row in found if row[4] is not None]
    turns = [(gate, run_id, "group", 1, 0, now) for run_id in ids]
    tx.insert(tables.slots, turns, unless=("gate", "run_id"))
    return len(ids)


def _delays(tx: Tx, gate: str, ids: Sequence[str], now: Moment) -> dict[str, Moment]:
    """Return when those of these runs are due whose starts have asked for a later moment."""
    sql = "DELETE FROM stepwell_slots WHERE gate=? AND taken=0 AND run_id IN list(?) RETURNING run_id, kind, at"
    found = {run_id: now + at if kind == "delay" else at for run_id, kind, at in tx.rows(sql, gate, tx.listed(ids))}
    return {run_id: due_at for run_id, due_at in found.items() if due_at > now}


# -- what a decision stops ----------------------------------------------------------------------------------------------


def store_decision(tx: Tx, group: GroupRow, status: str, decided_by: str | None, now: Moment) -> None:
    """Store the decision about a group."""
    tx.run(
        "UPDATE stepwell_groups SET status=?, outcome=?, decided_by=?, decided_at=? WHERE id=?",
        status,
        status,
        decided_by,
        now,
        group.id,
    )


def mark_finished(tx: Tx, group: GroupRow, now: Moment) -> None:
    """Note that nothing is left to do for a group: all of its runs have ended, and its parent knows."""
    tx.run("UPDATE stepwell_groups SET finished_at=? WHERE id=?", now, group.id)
    if group.max_in_flight is not None:
        tx.run("DELETE FROM stepwell_slots WHERE gate=?", _gate(group))


def open_ones(tx: Tx, after: str, limit: int) -> list[str]:
    """Return groups for which something is left to do, in the order of their ids, behind this one."""
    sql = "SELECT id FROM stepwell_groups WHERE finished_at IS NULL AND id>? ORDER BY id LIMIT ?"
    return [row[0] for row in tx.rows(sql, after, limit)]


def forget(tx: Tx, before: Moment, limit: int) -> int:
    """Delete groups that finished before this moment and whose runs, and parents, are gone; return their number."""
    old = (
        "SELECT g.id FROM stepwell_groups g WHERE g.finished_at<?"
        " AND NOT EXISTS (SELECT 1 FROM stepwell_runs r WHERE r.group_id=g.id)"
        " AND NOT EXISTS (SELECT 1 FROM stepwell_runs p WHERE p.id=g.parent_id) LIMIT ?"
    )
    return tx.run(f"DELETE FROM stepwell_groups WHERE id IN ({old})", before, limit)


def _gate(group: GroupRow) -> str:
    return group_gate(group.id, group.max_in_flight or 0).id

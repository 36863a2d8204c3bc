"""The runs: loaded and locked, claimed and woken, deleted. A run row is also its place in the queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from stepwell.engine.forks import Former, with_former
from stepwell.engine.run import Moment, RunRow
from stepwell.store import documents, openings, tables
from stepwell.store.pauses import OPEN, paused_sql, unpaused
from stepwell.store.tables import runs
from stepwell.store.tx import Fence, Lane, Tx, WakeUp, paired

_ALL: Final = tables.columns(runs)
_WAKE_UP: Final = "id, app_name, workflow_name, priority"
_PAUSED: Final = paused_sql("stepwell_runs.app_name", "stepwell_runs.workflow_name")
_WOKEN: Final = f"{_WAKE_UP}, ready_at, {tables.GATED}"
_RIPE: Final = "SELECT id FROM stepwell_runs WHERE due_at IS NOT NULL AND due_at<=? AND owner IS NULL"
_RANK: Final = "ready_at - headstart"
"""The order of ready runs, as their index has it."""
_OWNED: Final = {
    "shared_documents": "run_id, document_id",
    "history": "run_id, version",
    "steps": "run_id, visit, transition, name",
    "documents": "id",
    "signals": "id",
    "questions": "run_id, visit, transition",
}
"""The tables of which a run may own many rows, by its key."""
_FIRST: Final = -(2**63)
"""Before every moment."""


class Ready(NamedTuple):
    """A run that waits for a worker: the part of its row that decides whether, and how, it may be claimed."""

    id: str
    app_name: str
    workflow_name: str
    workflow_version: int
    headstart: Moment
    ready_at: Moment
    version: int
    place: str
    bound: str | None
    moves_to: str | None
    suspicion: str | None
    gates: str | None
    claim: int

    @property
    def rank(self) -> Moment:
        """Its order among the ready runs of its workflow."""
        return self.ready_at - self.headstart


_SEEN_READY: Final = ", ".join(Ready._fields)


def load(tx: Tx, ids: Iterable[str]) -> dict[str, RunRow]:
    """Return the runs of these ids that exist."""
    found = tx.fetch(RunRow._make, f"SELECT {_ALL} FROM stepwell_runs WHERE id IN list(?)", tx.listed(ids))
    return {run.id: run for run in found}


def load_one(tx: Tx, run_id: str) -> RunRow | None:
    """Return the run, or None."""
    return tx.one(RunRow._make, f"SELECT {_ALL} FROM stepwell_runs WHERE id=?", run_id)


def hold(tx: Tx, run_id: str) -> RunRow | None:
    """Return the run, locked until this transaction ends; or None."""
    return tx.one(RunRow._make, f"SELECT {_ALL} FROM stepwell_runs WHERE id=? FOR NO KEY UPDATE", run_id)


def hold_all(tx: Tx, ids: Iterable[str]) -> dict[str, RunRow]:
    """Return those of these runs that exist, locked until this transaction ends."""
    sql = f"SELECT {_ALL} FROM stepwell_runs WHERE id IN list(?) ORDER BY id FOR NO KEY UPDATE"
    return {run.id: run for run in tx.fetch(RunRow._make, sql, tx.listed(ids))}


def fence(tx: Tx, ids: Iterable[str]) -> dict[str, Fence]:
    """Return the fence of each run, locked until this transaction ends."""
    sql = "SELECT id, version, claim, inbox FROM stepwell_runs WHERE id IN list(?) ORDER BY id FOR NO KEY UPDATE"
    return {fence.id: fence for fence in tx.fetch(Fence._make, sql, tx.listed(ids))}


def by_keys(tx: Tx, keys: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], RunRow]:
    """Return the runs of these (app, user, idempotency key)."""
    found = [RunRow._make(row) for row in tx.dialect.keyed(tx.driver, keys)]
    return {(run.app_name, run.user_id, run.idempotency_key or ""): run for run in found}


def claim(tx: Tx, lanes: Sequence[Lane], worker: str, limit: int, now: Moment) -> list[RunRow]:
    """Return up to `limit` ready runs, owned by `worker` from now on, the best first."""
    found = [RunRow._make(row) for row in tx.dialect.claim(tx.driver, lanes, worker, limit, now)]
    return sorted(found, key=_best)


def claim_ids(tx: Tx, lanes: Sequence[Lane], ids: Iterable[str], worker: str, limit: int, now: Moment) -> list[RunRow]:
    """Claim those of these runs that are ready, or due and without an owner, for `worker`; the best first."""
    picked = (
        "SELECT id FROM stepwell_runs WHERE id IN list(?) AND owner IS NULL AND (ready_at IS NOT NULL OR due_at<=?)"
        " AND EXISTS (SELECT 1 FROM pairs(?) l WHERE l.a=app_name AND l.b=workflow_name)"
        f" AND NOT {_PAUSED} AND {OPEN} ORDER BY COALESCE(ready_at, due_at)-headstart, id LIMIT ? FOR NO KEY UPDATE SKIP LOCKED"
    )
    found = tx.fetch(
        RunRow._make,
        f"UPDATE stepwell_runs SET {tables.CLAIMED} WHERE id IN ({picked}) RETURNING {_ALL}",
        worker,
        now,
        tx.listed(ids),
        now,
        paired(lanes),
        limit,
    )
    return sorted(found, key=_best)


def _best(run: RunRow) -> tuple[Moment, str]:
    # One bad row must not keep back those that are claimed with it.
    return (tables.moment(run.created_at) or 0) - (tables.moment(run.headstart) or 0), run.id


def claimable(tx: Tx, ids: Iterable[str], now: Moment) -> set[str]:
    """Return those of these runs that could be claimed now, if other transactions didn't hold their rows."""
    found = tx.rows(
        "SELECT id FROM stepwell_runs WHERE id IN list(?) AND owner IS NULL AND (ready_at IS NOT NULL OR due_at<=?)"
        f" AND NOT {_PAUSED}",
        tx.listed(ids),
        now,
    )
    return {row[0] for row in found}


def ripen(tx: Tx, now: Moment, limit: int = 1000, only: str | None = None) -> int:
    """Make due runs ready, at most `limit` at a time, or `only` this one, and return their number."""
    one = "" if only is None else " AND id=?"
    found = tx.rows(
        "UPDATE stepwell_runs SET ready_at=due_at, due_at=NULL"
        f" WHERE id IN ({_RIPE}{one} ORDER BY due_at LIMIT ? FOR NO KEY UPDATE SKIP LOCKED) RETURNING {_WOKEN}",
        now,
        *([] if only is None else [only]),
        limit,
    )
    tx.hints.woken(found)
    return len(found)


def ripe(tx: Tx, now: Moment, limit: int = 1000) -> list[str]:
    """Return the runs whose moment has come, those that are due longest first."""
    return [row[0] for row in tx.rows(f"{_RIPE} ORDER BY due_at LIMIT ?", now, limit)]


def ahead(tx: Tx, moment: Moment) -> bool:
    """Return whether a run that becomes due, or expires, was stored after this moment."""
    due = "SELECT 1 FROM stepwell_runs WHERE due_at IS NOT NULL AND due_at>? AND owner IS NULL AND updated_at>? LIMIT 1"
    late = "SELECT 1 FROM stepwell_runs WHERE expires_at IS NOT NULL AND expires_at>? AND updated_at>? LIMIT 1"
    return any(tx.scalar(sql, moment, moment) is not None for sql in (due, late))


def bring_back(tx: Tx, now: Moment, tolerance: Moment) -> int:
    """Correct future moments that were counted from a time ahead of now; return the number of runs.

    Some clock was ahead when they were stored: their timers would fire, and those that haven't begun would expire, as much
    too late.
    """
    back = "(updated_at-CAST(? AS BIGINT))"
    expires = f"expires_at=CASE WHEN expires_at<0 THEN expires_at ELSE expires_at-{back} END"
    waiting = tx.run(
        f"UPDATE stepwell_runs SET {expires}, ready_at=ready_at-{back},"
        f" held_rank=CASE WHEN held_by LIKE 'group:%' THEN held_rank ELSE held_rank-{back} END,"
        f" deadline=CASE WHEN deadline>? THEN deadline-{back} ELSE deadline END, updated_at=?"
        " WHERE expires_at IS NOT NULL AND due_at IS NULL AND owner IS NULL AND updated_at>?",
        *[now] * 6,
        now + tolerance,
    )
    return waiting + tx.run(
        f"UPDATE stepwell_runs SET due_at=due_at-{back},"
        f" entered_at=CASE WHEN entered_at>? THEN entered_at-{back} ELSE entered_at END,"
        f" deadline=CASE WHEN deadline>? THEN deadline-{back} ELSE deadline END, {expires}, updated_at=?"
        " WHERE due_at IS NOT NULL AND owner IS NULL AND due_at>=updated_at AND updated_at>?",
        *[now] * 7,
        now + tolerance,
    )


def ready_before(tx: Tx, lanes: Sequence[Lane], before: Moment, limit: int) -> list[WakeUp]:
    """Return runs that have been ready since before this moment, the best first of each lane; at most `limit` of a lane."""
    sql = (
        f"SELECT {_WAKE_UP}, ready_at FROM stepwell_runs INDEXED BY stepwell_runs_ready WHERE app_name=? AND workflow_name=?"
        f" AND ready_at IS NOT NULL AND ready_at<? ORDER BY {_RANK} LIMIT ?"
    )
    return [wake_up for lane in unpaused(tx, lanes) for wake_up in tx.fetch(WakeUp._make, sql, *lane, before, limit)]


def due_between(tx: Tx, after: Moment, before: Moment, limit: int) -> list[WakeUp]:
    """Return runs of any lane that become due after the one and before the other moment, the next first."""
    sql = f"SELECT {_WAKE_UP}, due_at FROM stepwell_runs WHERE due_at>? AND due_at<? AND owner IS NULL ORDER BY due_at LIMIT ?"
    return tx.fetch(WakeUp._make, sql, after, before, limit)


def suspects(tx: Tx, lanes: Sequence[Lane], limit: int) -> list[Ready]:
    """Return ready runs of these lanes that are under suspicion."""
    sql = (
        f"SELECT {_SEEN_READY} FROM stepwell_runs INDEXED BY stepwell_runs_suspected"
        " WHERE suspicion IS NOT NULL AND ready_at IS NOT NULL"
        f" AND EXISTS (SELECT 1 FROM pairs(?) l WHERE l.a=app_name AND l.b=workflow_name)"
        " ORDER BY suspicion, id LIMIT ?"
    )
    return tx.fetch(Ready._make, sql, paired(unpaused(tx, lanes)), limit)


def page(tx: Tx, lane: Lane, after: tuple[Moment, str] | None, limit: int) -> list[Ready]:
    """Return the lane's ready runs behind a (rank, id), in order."""
    rank, run_id = (_FIRST, "") if after is None else after
    sql = (
        f"SELECT {_SEEN_READY} FROM stepwell_runs INDEXED BY stepwell_runs_ready"
        f" WHERE app_name=? AND workflow_name=? AND ready_at IS NOT NULL AND {_RANK}>=?"
        f" AND ({_RANK}>? OR id>?) ORDER BY {_RANK}, id LIMIT ?"
    )
    return tx.fetch(Ready._make, sql, *lane, rank, rank, run_id, limit)


def wake(tx: Tx, ids: Iterable[str], now: Moment) -> None:
    """Count a signal in the inbox of each (two where it is named twice), and make waiting runs ready."""
    idle = "status='waiting' AND owner IS NULL AND ready_at IS NULL AND held_by IS NULL"
    sql = (
        f"UPDATE stepwell_runs SET inbox=inbox+1, ready_at=CASE WHEN {idle} THEN ? ELSE ready_at END,"
        f" due_at=CASE WHEN {idle} THEN NULL ELSE due_at END WHERE id IN list(?) RETURNING {_WOKEN}"
    )
    left = Counter(iter(ids))
    while left:
        woken = tx.rows(sql, now, tx.listed(sorted(left)))
        tx.hints.woken(row for row in woken if row[4] is not None)
        left -= Counter(left.keys())


def look_again(tx: Tx, ids: Iterable[str], now: Moment) -> int:
    """Make those of these runs ready that wait, and return their number."""
    found = tx.rows(
        "UPDATE stepwell_runs SET ready_at=?, due_at=NULL WHERE id IN list(?) AND status='waiting' AND owner IS NULL"
        f" AND ready_at IS NULL AND held_by IS NULL RETURNING {_WOKEN}",
        now,
        tx.listed(sorted(ids)),
    )
    tx.hints.woken(found)
    return len(found)


def migrate(tx: Tx, migrated: Sequence[RunRow]) -> None:
    """Write the version and the args of runs whose checkpoint is the first one since migrations have changed them.

    What they were before stays with them (`engine.forks`).
    """
    sql = "SELECT id, former, workflow_version, args FROM stepwell_runs WHERE id IN list(?)"
    before = {row[0]: row[1:] for row in tx.rows(sql, tx.listed(run.id for run in migrated))}
    tx.each(
        "UPDATE stepwell_runs SET workflow_version=?, args=?, former=? WHERE id=?",
        [(run.workflow_version, run.args, _former(run, *before[run.id]), run.id) for run in migrated],
    )


def rename(tx: Tx, run: RunRow) -> None:
    """Write the labels and the subject of a run whose row is held."""
    tx.run("UPDATE stepwell_runs SET labels=?, subject=? WHERE id=?", run.labels, run.subject, run.id)


def _former(run: RunRow, former: str | None, workflow_version: int, args: str) -> str:
    return with_former(former, Former(run.version - 1, workflow_version, args))


def expired(tx: Tx, before: Moment, limit: int) -> list[str]:
    """Return finished runs that ended before this moment, oldest first; those of a group only once all of it has."""
    kept = "SELECT 1 FROM stepwell_groups g WHERE g.id=group_id AND (g.finished_at IS NULL OR g.finished_at>=?)"
    found = tx.rows(
        "SELECT id FROM stepwell_runs WHERE finished_at IS NOT NULL AND finished_at<?"
        f" AND (group_id IS NULL OR NOT EXISTS ({kept})) ORDER BY finished_at LIMIT ?",
        before,
        before,
        limit,
    )
    return [row[0] for row in found]


def delete(tx: Tx, ids: Iterable[str]) -> None:
    """Delete these runs with all they own."""
    gone = tx.listed(ids)
    documents.hand_over(tx, ids)
    for table in ("shared_documents", "history", "steps", "documents", "signals", "listeners", "endings"):
        tx.run(f"DELETE FROM stepwell_{table} WHERE run_id IN list(?)", gone)
    openings.forget(tx, ids)
    tx.run("DELETE FROM stepwell_runs WHERE id IN list(?)", gone)


def shrink(tx: Tx, ids: Iterable[str], limit: int) -> int:
    """Delete rows that these runs own, at most `limit` of one kind, and return their number; 0: all are gone.

    The history goes first: a run is forked only from a row that is there, and then all documents are too.
    """
    if deleted := _shrink(tx, "history", ids, limit) or documents.hand_over(tx, ids, limit):
        return deleted
    return next((deleted for table in _OWNED if (deleted := _shrink(tx, table, ids, limit))), 0)


def _shrink(tx: Tx, table: str, ids: Iterable[str], limit: int) -> int:
    key, gone = _OWNED[table], tx.listed(ids)
    some = f"SELECT {key} FROM stepwell_{table} WHERE run_id IN list(?) LIMIT ?"
    return tx.run(f"DELETE FROM stepwell_{table} WHERE ({key}) IN ({some})", gone, limit)


def delete_some(tx: Tx, run_id: str, limit: int) -> bool:
    """Delete rows that the run owns, about `limit`, and the run itself with the last of them; return whether any are left.

    A smaller run is deleted at once.
    """
    if load_one(tx, run_id) is None:
        return False  # another call was quicker
    while limit > 0 and (deleted := shrink(tx, [run_id], limit)):
        limit -= deleted
    if limit > 0:
        delete(tx, [run_id])
    return limit <= 0


def fork_of(tx: Tx, origin: str, key: str, user_id: str | None) -> RunRow | None:
    """Return the fork of this run, which may be gone, that was made (for this user) with this idempotency key; or None."""
    of_user = "" if user_id is None else " AND user_id=?"
    sql = f"SELECT {_ALL} FROM stepwell_runs WHERE forked_from=? AND idempotency_key=?{of_user}"
    return tx.one(RunRow._make, sql, origin, key, *([] if user_id is None else [user_id]))


def delete_handlers(tx: Tx, ids: Iterable[str]) -> None:
    """Delete those of these runs that are handlers of ticks or deliveries, and have ended."""
    found = tx.rows(
        "SELECT id FROM stepwell_runs WHERE id IN list(?) AND internal=1"
        " AND status IN ('completed', 'failed', 'canceled') FOR NO KEY UPDATE SKIP LOCKED",
        tx.listed(ids),
    )
    delete(tx, [row[0] for row in found])


def lanes_of(tx: Tx, app_name: str) -> list[Lane]:
    """Return the (app, workflow) pairs of the app's runs: one look at the index for each."""
    found = [(app_name, "")]
    following = "SELECT min(workflow_name) FROM stepwell_runs WHERE app_name=? AND workflow_name>?"
    while (name := tx.scalar(following, *found[-1])) is not None:
        found.append((app_name, name))
    return found[1:]


def existing(tx: Tx, ids: Iterable[str], apps: Sequence[str] | None = None) -> set[str]:
    """Return those of these ids that are runs (of these apps)."""
    of_apps = "" if apps is None else " AND app_name IN list(?)"
    found = tx.rows(
        f"SELECT id FROM stepwell_runs WHERE id IN list(?){of_apps}",
        tx.listed(ids),
        *([] if apps is None else [tx.listed(apps)]),
    )
    return {row[0] for row in found}


def still(tx: Tx, ids: Iterable[str]) -> dict[str, RunRow]:
    """Return those of these runs that have ended, failed or wait."""
    found = tx.fetch(
        RunRow._make,
        f"SELECT {_ALL} FROM stepwell_runs WHERE id IN list(?)"
        " AND status IN ('completed', 'failed', 'canceled', 'waiting')",
        tx.listed(ids),
    )
    return {run.id: run for run in found}

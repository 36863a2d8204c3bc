"""The runs: fenced checkpoints, claims, releases. A run row is also its place in the queue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from stepwell.engine.run import Moment, Run
from stepwell.store import rows
from stepwell.store.tables import runs
from stepwell.store.tx import Bell, Fence, Lane, Tx, paired

_ALL: Final = rows.columns(runs)
_BELL: Final = "id, app_name, workflow_name, priority"
_DELAYED: Final = "status='retrying' AND due_at IS NOT NULL"
_FREE: Final = (
    "UPDATE stepwell_runs SET owner=NULL, claim=claim+1, takeovers=takeovers+?,"
    f" status=CASE WHEN {_DELAYED} THEN status ELSE 'pending' END, due_at=CASE WHEN {_DELAYED} THEN due_at END,"
    f" ready_at=CASE WHEN {_DELAYED} THEN NULL ELSE CAST(? AS BIGINT) END, updated_at=?"
)
"""Nobody owns it any more. Who owned it may have waited out the delay of a retry: that goes on to count."""
_FREED: Final = f"RETURNING {_BELL}, ready_at, due_at, claim"
_CLAIMED: Final = "owner=?, claim=claim+1, status='running', ready_at=NULL, due_at=NULL, updated_at=?"
_OWNED: Final = {
    "history": "run_id, version",
    "steps": "run_id, visit, transition, name",
    "documents": "id",
    "signals": "id",
}
"""What a run may own much of, by its key."""
_READY: Final = "stepwell_runs_ready"

__all__ = ["Fence", "Lane"]


def load(tx: Tx, ids: Iterable[str]) -> dict[str, Run]:
    """The runs of these ids that exist."""
    d = tx.dialect
    found = tx.fetch(Run._make, f"SELECT {_ALL} FROM stepwell_runs WHERE id {d.among}", d.listed(ids))
    return {run.id: run for run in found}


def load_one(tx: Tx, run_id: str) -> Run | None:
    """The run, or None."""
    found = tx.fetch(Run._make, f"SELECT {_ALL} FROM stepwell_runs WHERE id=?", run_id)
    return found[0] if found else None


def hold(tx: Tx, run_id: str) -> Run | None:
    """The run, which nobody else changes before this transaction ends; or None."""
    found = tx.fetch(Run._make, f"SELECT {_ALL} FROM stepwell_runs WHERE id=?{tx.dialect.locking}", run_id)
    return found[0] if found else None


def hold_all(tx: Tx, ids: Iterable[str]) -> dict[str, Run]:
    """Those of these runs that exist, which nobody else changes before this transaction ends."""
    d = tx.dialect
    sql = f"SELECT {_ALL} FROM stepwell_runs WHERE id {d.among} ORDER BY id{d.locking}"
    return {run.id: run for run in tx.fetch(Run._make, sql, d.listed(ids))}


def fence(tx: Tx, ids: Iterable[str]) -> dict[str, Fence]:
    """The fence of each run, which nobody else changes before this transaction ends."""
    d = tx.dialect
    sql = f"SELECT id, version, claim, inbox FROM stepwell_runs WHERE id {d.among} ORDER BY id{d.locking}"
    return {fence.id: fence for fence in tx.fetch(Fence._make, sql, d.listed(ids))}


def by_keys(tx: Tx, keys: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], Run]:
    """The runs of these (app, user, idempotency key)."""
    found = [Run._make(row) for row in tx.dialect.keyed(tx.connection, keys)]
    return {(run.app_name, run.user_id, run.idempotency_key or ""): run for run in found}


def claim(tx: Tx, lanes: Sequence[Lane], worker: str, limit: int, now: Moment) -> list[Run]:
    """Up to `limit` ready runs, owned by `worker` from now on, the best first."""
    found = [Run._make(row) for row in tx.dialect.claim(tx.connection, lanes, worker, limit, now)]
    return sorted(found, key=lambda run: (-run.priority, run.created_at, run.id))


def claim_ids(tx: Tx, lanes: Sequence[Lane], ids: Iterable[str], worker: str, limit: int, now: Moment) -> list[Run]:
    """Those of these runs that are ready, or due by now and nobody's, owned by `worker` from now on, the best first."""
    d = tx.dialect
    picked = (
        f"SELECT id FROM stepwell_runs WHERE id {d.among} AND owner IS NULL AND (ready_at IS NOT NULL OR due_at<=?)"
        f" AND EXISTS (SELECT 1 FROM {d.pairs} WHERE l.app=app_name AND l.workflow=workflow_name)"
        f" ORDER BY priority DESC, id LIMIT ?{d.skipping}"
    )
    found = tx.fetch(
        Run._make,
        f"UPDATE stepwell_runs SET {_CLAIMED} WHERE id IN ({picked}) RETURNING {_ALL}",
        worker,
        now,
        d.listed(ids),
        now,
        paired(lanes),
        limit,
    )
    return sorted(found, key=lambda run: (-run.priority, run.created_at, run.id))


def claimable(tx: Tx, ids: Iterable[str], now: Moment) -> set[str]:
    """Those of these runs that could be claimed now, but for somebody who holds their rows."""
    found = tx.rows(
        f"SELECT id FROM stepwell_runs WHERE id {tx.dialect.among} AND owner IS NULL"
        " AND (ready_at IS NOT NULL OR due_at<=?)",
        tx.dialect.listed(ids),
        now,
    )
    return {row[0] for row in found}


def ripen(tx: Tx, now: Moment, limit: int = 1000) -> int:
    """How many runs became ready because their moment has come; at most `limit` at a time."""
    ripe = (
        "SELECT id FROM stepwell_runs WHERE due_at IS NOT NULL AND due_at<=? AND owner IS NULL"
        f" ORDER BY due_at LIMIT ?{tx.dialect.skipping}"
    )
    found = tx.fetch(
        Bell._make,
        f"UPDATE stepwell_runs SET ready_at=due_at, due_at=NULL WHERE id IN ({ripe}) RETURNING {_BELL}, ready_at",
        now,
        limit,
    )
    tx.hints.ready += found
    return len(found)


def next_due(tx: Tx) -> Moment | None:
    """When the next run becomes due; None if none will."""
    found = tx.scalar("SELECT min(due_at) FROM stepwell_runs WHERE due_at IS NOT NULL AND owner IS NULL")
    return int(found) if found is not None else None


def outlook(tx: Tx, lanes: Sequence[Lane]) -> tuple[Moment | None, bool]:
    """When the next run becomes due, and whether a run of these lanes waits for a worker: one statement."""
    [(due, ready)] = tx.rows(
        "SELECT (SELECT min(due_at) FROM stepwell_runs WHERE due_at IS NOT NULL AND owner IS NULL),"
        f" (SELECT 1 FROM {tx.dialect.pairs} WHERE EXISTS (SELECT 1 FROM stepwell_runs{tx.dialect.by(_READY)}"
        " WHERE app_name=l.app AND workflow_name=l.workflow AND ready_at IS NOT NULL) LIMIT 1)",
        paired(lanes),
    )
    return (int(due) if due is not None else None), ready is not None


def ready_before(tx: Tx, lanes: Sequence[Lane], before: Moment, limit: int) -> list[Bell]:
    """Runs that have been ready since before this moment, the best first of each lane; at most `limit` of a lane."""
    sql = (
        f"SELECT {_BELL}, ready_at FROM stepwell_runs{tx.dialect.by(_READY)} WHERE app_name=? AND workflow_name=?"
        " AND ready_at IS NOT NULL AND ready_at<? ORDER BY priority DESC, ready_at LIMIT ?"
    )
    return [bell for lane in lanes for bell in tx.fetch(Bell._make, sql, *lane, before, limit)]


def due_between(tx: Tx, after: Moment, before: Moment, limit: int) -> list[Bell]:
    """Runs of any lane that become due after the one and before the other moment, the next first."""
    sql = f"SELECT {_BELL}, due_at FROM stepwell_runs WHERE due_at>? AND due_at<? AND owner IS NULL ORDER BY due_at LIMIT ?"
    return tx.fetch(Bell._make, sql, after, before, limit)


def wake(tx: Tx, ids: Iterable[str], now: Moment) -> None:
    """A signal was put into the inbox of each (twice where it is named twice): counted; a waiting run becomes ready."""
    left = list(ids)
    while left:
        once = sorted(set(left))
        for run_id in once:
            left.remove(run_id)
        _wake(tx, once, now)


def _wake(tx: Tx, ids: Sequence[str], now: Moment) -> None:
    idle = "status='waiting' AND owner IS NULL AND ready_at IS NULL"
    woken = tx.rows(
        f"UPDATE stepwell_runs SET inbox=inbox+1, ready_at=CASE WHEN {idle} THEN ? ELSE ready_at END,"
        f" due_at=CASE WHEN {idle} THEN NULL ELSE due_at END WHERE id {tx.dialect.among}"
        f" RETURNING {_BELL}, ready_at",
        now,
        tx.dialect.listed(ids),
    )
    tx.hints.ready += [Bell._make(row) for row in woken if row[4] is not None]


def owned(tx: Tx, worker: str) -> dict[str, int]:
    """The claim number of each run that `worker` owns."""
    return {row[0]: row[1] for row in tx.rows("SELECT id, claim FROM stepwell_runs WHERE owner=?", worker)}


def take_over(tx: Tx, owner: str, now: Moment, *, counts: bool = True) -> list[str]:
    """The ids of the runs that `owner` held: ready for others, at their last checkpoint, or when their delay is over.

    `counts` says whether it died with them; a worker that leaves hands them over.
    """
    # A row that somebody holds is left, and found at the next look: its owner has no row among the workers then.
    held = f"SELECT id FROM stepwell_runs WHERE owner=?{tx.dialect.skipping}"
    return _freed(tx, tx.rows(f"{_FREE} WHERE id IN ({held}) {_FREED}", int(counts), now, now, owner))


def release(tx: Tx, worker: str, claims: Iterable[tuple[str, int]], now: Moment, *, counts: bool = True) -> int:
    """How many of these (id, claim) were still owned by `worker` and are ready for others now.

    It counts as a take-over, unless the worker only leaves: what breaks a pass outside of user code would break the next
    as well, for ever.
    """
    sql = f"{_FREE} WHERE id=? AND owner=? AND claim=? {_FREED}"
    return len(
        [
            freed
            for run_id, number in sorted(claims)
            for freed in _freed(tx, tx.rows(sql, int(counts), now, now, run_id, worker, number))
        ]
    )


def _freed(tx: Tx, found: Sequence[Any]) -> list[str]:
    for run_id, app, workflow, priority, ready_at, due_at, claim in found:
        if ready_at is not None:
            tx.hints.ready.append(Bell(run_id, app, workflow, priority, ready_at))
        else:
            tx.hints.due.append(Bell(run_id, app, workflow, priority, due_at))
        tx.hints.lost[run_id] = claim
    return [row[0] for row in found]


def expired(tx: Tx, before: Moment, limit: int) -> list[str]:
    """Finished runs that ended before this moment, oldest first."""
    found = tx.rows(
        "SELECT id FROM stepwell_runs WHERE finished_at IS NOT NULL AND finished_at<? ORDER BY finished_at LIMIT ?",
        before,
        limit,
    )
    return [row[0] for row in found]


def delete(tx: Tx, ids: Iterable[str]) -> None:
    """These runs are gone with all they own."""
    among, gone = tx.dialect.among, tx.dialect.listed(ids)
    for table in ("history", "steps", "documents", "signals", "listeners", "endings"):
        tx.run(f"DELETE FROM stepwell_{table} WHERE run_id {among}", gone)
    tx.run(f"DELETE FROM stepwell_runs WHERE id {among}", gone)


def shrink(tx: Tx, ids: Iterable[str], limit: int) -> int:
    """How many rows that these runs own were deleted, at most `limit` of one kind; 0: all are gone."""
    among, gone = tx.dialect.among, tx.dialect.listed(ids)
    for table, key in _OWNED.items():
        some = f"SELECT {key} FROM stepwell_{table} WHERE run_id {among} LIMIT ?"
        if deleted := tx.run(f"DELETE FROM stepwell_{table} WHERE ({key}) IN ({some})", gone, limit):
            return deleted
    return 0


def delete_handlers(tx: Tx, ids: Iterable[str]) -> None:
    """Those of these runs that are handlers of ticks or deliveries, and have ended, are gone."""
    found = tx.rows(
        f"SELECT id FROM stepwell_runs WHERE id {tx.dialect.among} AND internal=1"
        f" AND status IN ('completed', 'failed', 'canceled'){tx.dialect.skipping}",
        tx.dialect.listed(ids),
    )
    delete(tx, [row[0] for row in found])


def existing(tx: Tx, ids: Iterable[str], apps: Sequence[str] | None = None) -> set[str]:
    """Those of these ids that are runs (of these apps)."""
    of_apps = "" if apps is None else f" AND app_name {tx.dialect.among}"
    found = tx.rows(
        f"SELECT id FROM stepwell_runs WHERE id {tx.dialect.among}{of_apps}",
        tx.dialect.listed(ids),
        *([] if apps is None else [tx.dialect.listed(apps)]),
    )
    return {row[0] for row in found}


def still(tx: Tx, ids: Iterable[str]) -> dict[str, Run]:
    """Those of these runs that have ended, failed or wait."""
    found = tx.fetch(
        Run._make,
        f"SELECT {_ALL} FROM stepwell_runs WHERE id {tx.dialect.among}"
        " AND status IN ('completed', 'failed', 'canceled', 'waiting')",
        tx.dialect.listed(ids),
    )
    return {run.id: run for run in found}

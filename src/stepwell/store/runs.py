"""The runs: fenced checkpoints, claims, releases. A run row is also its place in the queue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Connection

from stepwell.engine.run import CREATED_FIELDS, Moment, Run
from stepwell.store import rows
from stepwell.store.tables import runs

_ALL = rows.columns(runs)
_MOVING = Run._fields[CREATED_FIELDS:]
_ADVANCE = f"UPDATE stepwell_runs SET {', '.join(f'{name}=?' for name in _MOVING)} WHERE id=? AND version=? AND claim=?"
_DELAYED = "status='retrying' AND due_at IS NOT NULL"
_FREE = (
    "UPDATE stepwell_runs SET owner=NULL, claim=claim+1, takeovers=takeovers+?,"
    f" status=CASE WHEN {_DELAYED} THEN status ELSE 'pending' END, due_at=CASE WHEN {_DELAYED} THEN due_at END,"
    f" ready_at=CASE WHEN {_DELAYED} THEN NULL ELSE ? END, updated_at=?"
)
"""Nobody owns it any more. Who owned it may have waited out the delay of a retry: that goes on to count."""
_IN = "IN (SELECT value FROM json_each(?))"

Lane = tuple[str, str]
"""An (app, workflow) that a worker takes."""

_UNION = 400
"""Walks joined by one UNION: SQLite's limit is 500."""


def load(connection: Connection, ids: Iterable[str]) -> dict[str, Run]:
    """The runs of these ids that exist."""
    found = rows.fetch(connection, Run._make, f"SELECT {_ALL} FROM stepwell_runs WHERE id {_IN}", rows.ids(ids))
    return {run.id: run for run in found}


def load_one(connection: Connection, run_id: str) -> Run | None:
    """The run, or None."""
    found = rows.fetch(connection, Run._make, f"SELECT {_ALL} FROM stepwell_runs WHERE id=?", run_id)
    return found[0] if found else None


class Fence(NamedTuple):
    """What a worker must still hold to write."""

    id: str
    version: int
    claim: int
    inbox: int


def fence(connection: Connection, ids: Iterable[str]) -> dict[str, Fence]:
    """The fence of each run, read under the write lock: nothing can change it before the commit."""
    found = rows.fetch(
        connection, Fence._make, f"SELECT id, version, claim, inbox FROM stepwell_runs WHERE id {_IN}", rows.ids(ids)
    )
    return {fence.id: fence for fence in found}


def advance(connection: Connection, changes: Sequence[tuple[Run, int, int]]) -> None:
    """Each run is as given. The fence was read in this transaction; the condition repeats it where it can't hurt."""
    if changes:
        parameters = [(*run[CREATED_FIELDS:], run.id, version, claim) for run, version, claim in changes]
        connection.exec_driver_sql(_ADVANCE, parameters)


def by_keys(connection: Connection, keys: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], Run]:
    """The runs of these (app, user, idempotency key)."""
    found = rows.fetch(
        connection,
        Run._make,
        f"SELECT {rows.columns(runs, 'r.')} FROM json_each(?) k JOIN stepwell_runs r"
        " ON r.app_name = json_extract(k.value, '$[0]') AND r.user_id = json_extract(k.value, '$[1]')"
        " AND r.idempotency_key = json_extract(k.value, '$[2]')",
        to_json([list(key) for key in keys]).decode(),
    )
    return {(run.app_name, run.user_id, run.idempotency_key or ""): run for run in found}


def claim_sql(lanes: Sequence[Lane]) -> str:
    """The statement of a claim for these lanes: one walk along the ready index per lane, the best of all of them."""
    walk = (
        "SELECT * FROM (SELECT id, priority, ready_at FROM stepwell_runs INDEXED BY stepwell_runs_ready"
        " WHERE app_name=? AND workflow_name=? AND ready_at IS NOT NULL ORDER BY priority DESC, ready_at LIMIT ?)"
    )
    best = _best_of([walk] * len(lanes))
    return (
        "UPDATE stepwell_runs SET owner=?, claim=claim+1, status='running', ready_at=NULL, due_at=NULL, updated_at=?"
        f" WHERE id IN (SELECT id FROM ({best}) ORDER BY priority DESC, ready_at LIMIT ?) RETURNING {_ALL}"
    )


def _best_of(walks: Sequence[str]) -> str:
    while len(walks) > _UNION:
        groups = [walks[start : start + _UNION] for start in range(0, len(walks), _UNION)]
        walks = [f"SELECT * FROM ({' UNION ALL '.join(group)})" for group in groups]
    return " UNION ALL ".join(walks)


def claim(connection: Connection, sql: str, lanes: Sequence[Lane], worker: str, limit: int, now: Moment) -> list[Run]:
    """Up to `limit` ready runs, owned by `worker` from now on, the best first."""
    walks: list[Any] = [value for app, workflow in lanes for value in (app, workflow, limit)]
    found = rows.fetch(connection, Run._make, sql, worker, now, *walks, limit)
    return sorted(found, key=lambda run: (-run.priority, run.created_at, run.id))


def ripen(connection: Connection, now: Moment, limit: int = 1000) -> int:
    """How many runs became ready because their moment has come; at most `limit` at a time."""
    cursor = connection.exec_driver_sql(
        "UPDATE stepwell_runs SET ready_at=due_at, due_at=NULL WHERE id IN (SELECT id FROM stepwell_runs"
        " WHERE due_at IS NOT NULL AND due_at<=? AND owner IS NULL ORDER BY due_at LIMIT ?)",
        (now, limit),
    )
    return cursor.rowcount


def next_due(connection: Connection) -> Moment | None:
    """When the next run becomes due; None if none will."""
    found = connection.exec_driver_sql(
        "SELECT min(due_at) FROM stepwell_runs WHERE due_at IS NOT NULL AND owner IS NULL"
    ).scalar()
    return int(found) if found is not None else None


def wake(connection: Connection, ids: Iterable[str], now: Moment) -> None:
    """A signal was put into the inbox of each: counted, and a waiting run becomes ready."""
    idle = "status='waiting' AND owner IS NULL AND ready_at IS NULL"
    connection.exec_driver_sql(
        f"UPDATE stepwell_runs SET inbox=inbox+1, ready_at=CASE WHEN {idle} THEN ? ELSE ready_at END,"
        f" due_at=CASE WHEN {idle} THEN NULL ELSE due_at END WHERE id=?",
        [(now, run_id) for run_id in ids],
    )


def any_ready(connection: Connection, lanes: Sequence[Lane]) -> bool:
    """Whether a run of these lanes waits for a worker: one step along the index per lane, until one is found."""
    return any(
        connection.exec_driver_sql(
            "SELECT 1 FROM stepwell_runs INDEXED BY stepwell_runs_ready"
            " WHERE app_name=? AND workflow_name=? AND ready_at IS NOT NULL LIMIT 1",
            lane,
        ).first()
        for lane in lanes
    )


def owned(connection: Connection, worker: str) -> dict[str, int]:
    """The claim number of each run that `worker` owns."""
    found = connection.exec_driver_sql("SELECT id, claim FROM stepwell_runs WHERE owner=?", (worker,))
    return {row[0]: row[1] for row in found.fetchall()}


def take_over(connection: Connection, owner: str, now: Moment, *, counts: bool = True) -> list[str]:
    """The ids of the runs that `owner` held: ready for others, at their last checkpoint, or when their delay is over.

    `counts` says whether it died with them; a worker that leaves hands them over.
    """
    cursor = connection.exec_driver_sql(f"{_FREE} WHERE owner=? RETURNING id", (int(counts), now, now, owner))
    return [row[0] for row in cursor.fetchall()]


def release(connection: Connection, worker: str, claims: Iterable[tuple[str, int]], now: Moment) -> int:
    """How many of these (id, claim) were still owned by `worker` and are ready for others now.

    It counts as a take-over: what breaks a pass outside of user code would break the next as well, for ever.
    """
    parameters = [(1, now, now, run_id, worker, claim) for run_id, claim in claims]
    if not parameters:
        return 0
    return connection.exec_driver_sql(f"{_FREE} WHERE id=? AND owner=? AND claim=?", parameters).rowcount


def strangers(connection: Connection) -> list[str]:
    """Owners of runs that have no row among the workers: nobody can renew for them."""
    found = connection.exec_driver_sql(
        "SELECT DISTINCT owner FROM stepwell_runs WHERE owner IS NOT NULL AND owner NOT IN (SELECT id FROM stepwell_workers)"
    )
    return [row[0] for row in found.fetchall()]


def expired(connection: Connection, before: Moment, limit: int) -> list[str]:
    """Finished runs that ended before this moment, oldest first."""
    found = connection.exec_driver_sql(
        "SELECT id FROM stepwell_runs WHERE finished_at IS NOT NULL AND finished_at<? ORDER BY finished_at LIMIT ?",
        (before, limit),
    )
    return [row[0] for row in found.fetchall()]


def delete(connection: Connection, ids: Iterable[str]) -> None:
    """These runs are gone with all they own."""
    gone = rows.ids(ids)
    for table in ("history", "steps", "documents", "signals", "listeners", "endings"):
        connection.exec_driver_sql(f"DELETE FROM stepwell_{table} WHERE run_id {_IN}", (gone,))
    connection.exec_driver_sql(f"DELETE FROM stepwell_runs WHERE id {_IN}", (gone,))


def delete_handlers(connection: Connection, ids: Iterable[str]) -> None:
    """Those of these runs that are handlers of ticks or deliveries, and have ended, are gone."""
    found = connection.exec_driver_sql(
        f"SELECT id FROM stepwell_runs WHERE id {_IN} AND internal=1 AND status IN ('completed', 'failed', 'canceled')",
        (rows.ids(ids),),
    )
    delete(connection, [row[0] for row in found.fetchall()])


def existing(connection: Connection, ids: Iterable[str]) -> set[str]:
    """Those of these ids that are runs."""
    found = connection.exec_driver_sql(f"SELECT id FROM stepwell_runs WHERE id {_IN}", (rows.ids(ids),))
    return {row[0] for row in found.fetchall()}


def still(connection: Connection, ids: Iterable[str]) -> dict[str, Run]:
    """Those of these runs that have ended, failed or wait."""
    found = rows.fetch(
        connection,
        Run._make,
        f"SELECT {_ALL} FROM stepwell_runs WHERE id {_IN} AND status IN ('completed', 'failed', 'canceled', 'waiting')",
        rows.ids(ids),
    )
    return {run.id: run for run in found}

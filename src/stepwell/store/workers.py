"""Workers: one heartbeat row per process, and the runs that each owns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from uuid_utils import uuid7

from stepwell.engine.gates import gates_of
from stepwell.engine.run import Moment, RunRow
from stepwell.engine.suspicion import Charge, Executed, charges
from stepwell.store import tables
from stepwell.store.tables import workers
from stepwell.store.tx import Tx, WakeUp

_NO_ROW: Final = -1
_DELAYED: Final = "status='retrying' AND due_at IS NOT NULL"
_FREE: Final = (
    "UPDATE stepwell_runs SET owner=NULL, claim=claim+1, takeovers=takeovers+?, suspicion=COALESCE(?, suspicion),"
    f" status=CASE WHEN {_DELAYED} THEN status ELSE 'pending' END, due_at=CASE WHEN {_DELAYED} THEN due_at END,"
    f" ready_at=CASE WHEN {_DELAYED} THEN NULL ELSE CAST(? AS BIGINT) END, updated_at=?"
)
"""SQL to release a run. Its owner may have waited out the delay of a retry, which continues to count."""
_FREED: Final = f"RETURNING id, app_name, workflow_name, priority, ready_at, {tables.GATED}, due_at"


class WorkerRow(NamedTuple):
    """A process that executes runs. It is alive as long as `counter` changes."""

    id: str
    counter: int
    host: str
    pid: int
    takes: str
    started_at: int
    seen_at: int


def register(tx: Tx, worker: WorkerRow) -> None:
    """Insert the worker's row."""
    tx.insert(workers, [worker], unless=("id",))


def beat(tx: Tx, worker: str, now: int) -> bool:
    """Increment the counter; return False if another process declared the worker dead and removed its row."""
    return tx.run("UPDATE stepwell_workers SET counter=counter+1, seen_at=? WHERE id=?", now, worker) == 1


def all_of(tx: Tx) -> list[WorkerRow]:
    """Return every worker that has a row."""
    return tx.fetch(WorkerRow._make, f"SELECT {tables.columns(workers)} FROM stepwell_workers ORDER BY started_at")


def last_trace(tx: Tx, now: int) -> int | None:
    """Return when the database was last used, by workers and ended runs; None without any."""
    [(seen_at, ended_at)] = tx.rows(
        "SELECT (SELECT max(seen_at) FROM stepwell_workers),"
        " (SELECT max(finished_at) FROM stepwell_runs WHERE finished_at IS NOT NULL AND finished_at<=?)",
        now,
    )
    return max((at for at in (tables.moment(seen_at), tables.moment(ended_at)) if at is not None), default=None)


def seen(tx: Tx) -> tuple[list[WorkerRow], list[str]]:
    """Return every worker that has a row, and the owners of runs that have none: their leases can't be renewed."""
    found = tx.fetch(
        WorkerRow._make,
        f"SELECT {tables.columns(workers)} FROM stepwell_workers UNION ALL"
        f" SELECT DISTINCT owner, {_NO_ROW}, '', 0, '', 0, 0 FROM stepwell_runs"
        " WHERE owner IS NOT NULL AND owner NOT IN (SELECT id FROM stepwell_workers)",
    )
    return [row for row in found if row.counter != _NO_ROW], [row.id for row in found if row.counter == _NO_ROW]


def remove(tx: Tx, worker: str, counter: int | None = None) -> bool:
    """Delete the row (with this counter, if one is given); return whether it was there."""
    sql = "DELETE FROM stepwell_workers WHERE id=?" + ("" if counter is None else " AND counter=?")
    return tx.run(sql, worker, *(() if counter is None else (counter,))) == 1


def lanes_of(worker: WorkerRow) -> list[list[str]]:
    """Return the [app, workflow] pairs that the worker takes; none where its row can't be read."""
    try:
        found = json.loads(worker.takes)
        return [[app, workflow] for app, workflow in found if isinstance(app, str) and isinstance(workflow, str)]
    except (ValueError, TypeError, RecursionError):
        return []


# -- the runs that they own -------------------------------------------------------------------------------------------


def owned(tx: Tx, worker: str) -> dict[str, int]:
    """Return the claim number of each run that `worker` owns."""
    return {row[0]: row[1] for row in tx.rows("SELECT id, claim FROM stepwell_runs WHERE owner=?", worker)}


def take_over(tx: Tx, owner: str, now: Moment, *, counts: bool = True, whole: bool = True) -> list[str]:
    """Return the ids of the runs that `owner` held: ready for others, at their last checkpoint, or when their delay is over.

    `counts` says whether it died with them: what it executed is under suspicion then. A worker that leaves hands them over.
    `whole` says whether what it holds now is all that it held then: only so it is known to have executed one run alone.
    """
    # A row that another transaction holds is left, and found at the next look: its owner has no row among the workers then.
    held = "SELECT id FROM stepwell_runs WHERE owner=? FOR NO KEY UPDATE SKIP LOCKED"
    if not counts:
        return _freed(tx, tx.rows(f"{_FREE} WHERE id IN ({held}) {_FREED}", 0, None, now, now, owner))
    return [run_id for charge in _charges(tx, owner, now, whole) for run_id in _charged(tx, owner, charge, now)]


def _charges(tx: Tx, owner: str, now: Moment, whole: bool) -> list[Charge]:
    found = tx.rows("SELECT id, suspicion, status, due_at FROM stepwell_runs WHERE owner=?", owner)
    # Who waits out the delay of a retry executes nothing.
    asleep = {row[0] for row in found if row[2] == "retrying" and isinstance(row[3], int) and row[3] > now}
    executed = [Executed(row[0], row[1]) for row in found if row[0] not in asleep]
    charged = [charge if whole else charge._replace(counts=False) for charge in charges(executed, lambda: str(uuid7()))]
    return [*charged, Charge(tuple(asleep), None, False)] if asleep else charged


def _charged(tx: Tx, owner: str, charge: Charge, now: Moment) -> list[str]:
    held = "SELECT id FROM stepwell_runs WHERE owner=? AND id IN list(?) FOR NO KEY UPDATE SKIP LOCKED"
    given = (int(charge.counts), charge.suspicion, now, now, owner, tx.listed(charge.ids))
    return _freed(tx, tx.rows(f"{_FREE} WHERE id IN ({held}) {_FREED}", *given))


def suspect(tx: Tx, run: RunRow, suspicion: str) -> bool:
    """Return True if the run, in the same hands as in this row, is under suspicion now."""
    sql = "UPDATE stepwell_runs SET suspicion=? WHERE id=? AND owner=? AND version=? AND claim=?"
    return tx.run(sql, suspicion, run.id, run.owner, run.version, run.claim) == 1


def release(tx: Tx, worker: str, claims: Iterable[tuple[str, int]], now: Moment, *, counts: bool = True) -> int:
    """Release those of these (id, claim) that `worker` still owns, and return their number.

    `counts` says whether each of them is to blame by itself: what breaks a pass outside of user code would break the next
    as well, for ever.
    """
    sql = f"{_FREE} WHERE id=? AND owner=? AND claim=? {_FREED}"
    return len(
        [
            freed
            for run_id, number in sorted(claims)
            for freed in _freed(tx, tx.rows(sql, int(counts), None, now, now, run_id, worker, number))
        ]
    )


def _freed(tx: Tx, found: Sequence[Any]) -> list[str]:
    tx.hints.woken(row[:-1] for row in found if row[4] is not None)
    for run_id, app, workflow, priority, ready_at, gates, claim, _, _, due_at in found:
        if ready_at is None:
            tx.hints.due.append(WakeUp(run_id, app, workflow, priority, due_at))
        if gates is not None:
            tx.hints.freed.update(gate.id for gate in gates_of(gates) if gate.kind == "executing")
        tx.hints.lost[run_id] = claim
    return [row[0] for row in found]

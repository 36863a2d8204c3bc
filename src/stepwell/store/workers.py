"""Workers: one heartbeat row per process."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from stepwell.store import rows
from stepwell.store.tables import workers
from stepwell.store.tx import Tx

_NO_ROW: Final = -1


class WorkerRow(NamedTuple):
    """A process that executes runs. Alive as long as `counter` changes."""

    id: str
    counter: int
    host: str
    pid: int
    takes: str
    started_at: int
    seen_at: int


def register(tx: Tx, worker: WorkerRow) -> None:
    """The worker's row exists."""
    tx.insert(workers, [worker], unless=("id",))


def beat(tx: Tx, worker: str, now: int) -> bool:
    """True if the counter went up; False if somebody declared the worker dead and removed its row."""
    return tx.run("UPDATE stepwell_workers SET counter=counter+1, seen_at=? WHERE id=?", now, worker) == 1


def all_of(tx: Tx) -> list[WorkerRow]:
    """Every worker that has a row."""
    return tx.fetch(WorkerRow._make, f"SELECT {rows.columns(workers)} FROM stepwell_workers ORDER BY started_at")


def seen(tx: Tx) -> tuple[list[WorkerRow], list[str]]:
    """Every worker that has a row, and who owns runs without one: nobody can renew for them. One statement."""
    found = tx.fetch(
        WorkerRow._make,
        f"SELECT {rows.columns(workers)} FROM stepwell_workers UNION ALL"
        f" SELECT DISTINCT owner, {_NO_ROW}, '', 0, '', 0, 0 FROM stepwell_runs"
        " WHERE owner IS NOT NULL AND owner NOT IN (SELECT id FROM stepwell_workers)",
    )
    return [row for row in found if row.counter != _NO_ROW], [row.id for row in found if row.counter == _NO_ROW]


def remove(tx: Tx, worker: str, counter: int | None = None) -> bool:
    """True if the row was there (with this counter, where one is given) and is gone."""
    sql = "DELETE FROM stepwell_workers WHERE id=?" + ("" if counter is None else " AND counter=?")
    return tx.run(sql, worker, *(() if counter is None else (counter,))) == 1


def lanes_of(worker: WorkerRow) -> list[list[str]]:
    """The [app, workflow] pairs that the worker takes."""
    return [list(lane) for lane in json.loads(worker.takes)]

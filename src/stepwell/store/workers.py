"""Workers: one heartbeat row per process."""

from __future__ import annotations

import json
from typing import NamedTuple

from sqlalchemy import Connection

from stepwell.store import rows
from stepwell.store.tables import workers


class WorkerRow(NamedTuple):
    """A process that executes runs. Alive as long as `counter` changes."""

    id: str
    counter: int
    host: str
    pid: int
    takes: str
    started_at: int
    seen_at: int


def register(connection: Connection, worker: WorkerRow) -> None:
    """The worker's row exists."""
    rows.insert(connection, workers, [worker])


def beat(connection: Connection, worker: str, now: int) -> bool:
    """True if the counter went up; False if somebody declared the worker dead and removed its row."""
    cursor = connection.exec_driver_sql(
        "UPDATE stepwell_workers SET counter=counter+1, seen_at=? WHERE id=?", (now, worker)
    )
    return cursor.rowcount == 1


def all_of(connection: Connection) -> list[WorkerRow]:
    """Every worker that has a row."""
    return rows.fetch(
        connection, WorkerRow._make, f"SELECT {rows.columns(workers)} FROM stepwell_workers ORDER BY started_at"
    )


def remove(connection: Connection, worker: str, counter: int | None = None) -> bool:
    """True if the row was there (with this counter, where one is given) and is gone."""
    sql = "DELETE FROM stepwell_workers WHERE id=?" + ("" if counter is None else " AND counter=?")
    return connection.exec_driver_sql(sql, (worker,) if counter is None else (worker, counter)).rowcount == 1


def lanes_of(worker: WorkerRow) -> list[list[str]]:
    """The [app, workflow] pairs that the worker takes."""
    return [list(lane) for lane in json.loads(worker.takes)]

"""The history: one row per creation, checkpoint, failed or cancelled attempt."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from stepwell.engine.run import HistoryRow, StepRow
from stepwell.store import rows
from stepwell.store.base import History
from stepwell.store.tables import history, steps

_ALL = rows.columns(history)


def append(connection: Connection, added: Sequence[HistoryRow], keep_states: int) -> None:
    """The rows are stored; of each run the states of the last `keep_states` checkpoints remain."""
    rows.insert(connection, history, added)
    for row in added:
        if row.state is not None and row.version > keep_states:
            _forget_states(connection, row.run_id, row.version - keep_states)


def _forget_states(connection: Connection, run_id: str, before: int) -> None:
    # The last state at or before the window stays: rows after it that didn't change the state lean on it.
    connection.exec_driver_sql(
        "UPDATE stepwell_history INDEXED BY stepwell_history_states SET state=NULL"
        " WHERE run_id=? AND state IS NOT NULL AND version<("
        " SELECT max(version) FROM stepwell_history INDEXED BY stepwell_history_states"
        " WHERE run_id=? AND version<=? AND state IS NOT NULL)",
        (run_id, run_id, before),
    )


def of_run(connection: Connection, run_id: str, after: int = -1, limit: int = 100_000) -> list[History]:
    """The rows of a run, oldest first, each with the state as it was then (None where it is no longer kept)."""
    found = rows.fetch(
        connection,
        HistoryRow._make,
        f"SELECT {_ALL} FROM stepwell_history WHERE run_id=? AND version>? ORDER BY version LIMIT ?",
        run_id,
        after,
        limit,
    )
    state = _state_at(connection, run_id, after) if after >= 0 else None
    result = []
    for row in found:
        state = row.state if row.state is not None else state
        result.append(History(row, state))
    return result


def at(connection: Connection, run_id: str, version: int) -> HistoryRow | None:
    """The row of this version, or None."""
    sql = f"SELECT {_ALL} FROM stepwell_history WHERE run_id=? AND version=?"
    found = rows.fetch(connection, HistoryRow._make, sql, run_id, version)
    return found[0] if found else None


def _state_at(connection: Connection, run_id: str, version: int) -> str | None:
    found = connection.exec_driver_sql(
        "SELECT state FROM stepwell_history WHERE run_id=? AND version<=? AND state IS NOT NULL"
        " ORDER BY version DESC LIMIT 1",
        (run_id, version),
    ).scalar()
    return str(found) if found is not None else None


def record_steps(connection: Connection, recorded: Sequence[StepRow]) -> None:
    """The journal holds these rows."""
    rows.insert(connection, steps, recorded)


def journals(connection: Connection, run_ids: Sequence[str]) -> dict[str, dict[tuple[str, str], str]]:
    """For each run the journaled values of its current visit, by (transition, step)."""
    found = connection.exec_driver_sql(
        "SELECT s.run_id, s.transition, s.name, s.value FROM json_each(?) j JOIN stepwell_runs r ON r.id=j.value"
        " JOIN stepwell_steps s ON s.run_id=r.id AND s.visit=r.visit",
        (rows.ids(run_ids),),
    )
    result: dict[str, dict[tuple[str, str], str]] = {}
    for run_id, transition, name, value in found.fetchall():
        result.setdefault(run_id, {})[transition, name] = value
    return result


def steps_of(connection: Connection, run_id: str) -> list[StepRow]:
    """All journaled steps of a run, oldest first."""
    return rows.fetch(
        connection,
        StepRow._make,
        f"SELECT {rows.columns(steps)} FROM stepwell_steps WHERE run_id=? ORDER BY recorded_at, name",
        run_id,
    )

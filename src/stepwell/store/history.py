"""The history: one row per creation, checkpoint, failed or cancelled attempt."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.engine.run import HistoryRow, StepRow
from stepwell.store import rows
from stepwell.store.base import History
from stepwell.store.tables import history, steps
from stepwell.store.tx import Tx

_ALL = rows.columns(history)
_EVERY = 2**31 - 1


def append(tx: Tx, added: Sequence[HistoryRow], keep_states: int) -> None:
    """The rows are stored; of each run the states of the last `keep_states` checkpoints remain."""
    tx.insert(history, added)
    for row in added:
        if row.state is not None and row.version > keep_states:
            _forget_states(tx, row.run_id, row.version - keep_states)


def create(tx: Tx, added: Sequence[HistoryRow]) -> None:
    """The first rows of runs are stored, where they weren't before."""
    tx.insert(history, added, unless=("run_id", "version"))


def _forget_states(tx: Tx, run_id: str, before: int) -> None:
    # The last state at or before the window stays: rows after it that didn't change the state lean on it.
    by = tx.dialect.by("stepwell_history_states")
    tx.run(
        f"UPDATE stepwell_history{by} SET state=NULL WHERE run_id=? AND state IS NOT NULL AND version<("
        f" SELECT max(version) FROM stepwell_history{by} WHERE run_id=? AND version<=? AND state IS NOT NULL)",
        run_id,
        run_id,
        before,
    )


def of_run(tx: Tx, run_id: str, after: int = -1, limit: int = 100_000, before: int | None = None) -> list[History]:
    """The rows of a run after a version (and before another), oldest first, each with the state as it was then.

    A state is None where it is no longer kept.
    """
    found = tx.fetch(
        HistoryRow._make,
        f"SELECT {_ALL} FROM stepwell_history WHERE run_id=? AND version>? AND version<? ORDER BY version LIMIT ?",
        run_id,
        after,
        _EVERY if before is None else before,
        limit,
    )
    state = _state_at(tx, run_id, after) if after >= 0 else None
    result = []
    for row in found:
        state = row.state if row.state is not None else state
        result.append(History(row, state))
    return result


def newest(tx: Tx, run_id: str, before: int | None, limit: int) -> int:
    """The version after which the last `limit` rows (before version `before`) begin."""
    found = tx.scalar(
        "SELECT min(version) FROM (SELECT version FROM stepwell_history WHERE run_id=? AND version<?"
        " ORDER BY version DESC LIMIT ?) AS last",
        run_id,
        _EVERY if before is None else before,
        limit,
    )
    return -1 if found is None else int(found) - 1


def at(tx: Tx, run_id: str, version: int) -> HistoryRow | None:
    """The row of this version, or None."""
    sql = f"SELECT {_ALL} FROM stepwell_history WHERE run_id=? AND version=?"
    found = tx.fetch(HistoryRow._make, sql, run_id, version)
    return found[0] if found else None


def _state_at(tx: Tx, run_id: str, version: int) -> str | None:
    found = tx.scalar(
        "SELECT state FROM stepwell_history WHERE run_id=? AND version<=? AND state IS NOT NULL"
        " ORDER BY version DESC LIMIT 1",
        run_id,
        version,
    )
    return str(found) if found is not None else None


def record_steps(tx: Tx, recorded: Sequence[StepRow]) -> None:
    """The journal holds these rows, or an earlier one of the same step where there is one."""
    tx.insert(steps, recorded, unless=("run_id", "visit", "transition", "name"))


def journals(tx: Tx, run_ids: Sequence[str]) -> dict[str, dict[tuple[str, str], str]]:
    """For each run the journaled values of its current visit, by (transition, step)."""
    found = tx.rows(
        "SELECT s.run_id, s.transition, s.name, s.value FROM stepwell_runs r"
        f" JOIN stepwell_steps s ON s.run_id=r.id AND s.visit=r.visit WHERE r.id {tx.dialect.among}",
        tx.dialect.listed(run_ids),
    )
    result: dict[str, dict[tuple[str, str], str]] = {}
    for run_id, transition, name, value in found:
        result.setdefault(run_id, {})[transition, name] = value
    return result


def steps_of(
    tx: Tx, run_id: str, visit: int | None = None, limit: int = 100_000, most_bytes: int | None = None
) -> list[StepRow]:
    """The last journaled steps of a run (or of one visit), oldest first: `limit`, and no more than fit into `most_bytes`."""
    only, parameters = ("", (run_id,)) if visit is None else (" AND visit=?", (run_id, visit))
    wanted = f"FROM stepwell_steps WHERE run_id=?{only} ORDER BY recorded_at DESC, name DESC LIMIT ?"
    if most_bytes is not None:
        sizes = tx.rows(f"SELECT length(value) {wanted}", *parameters, limit)
        limit = rows.fitting((row[0] for row in sizes), most_bytes)
    return tx.fetch(StepRow._make, f"SELECT {rows.columns(steps)} {wanted}", *parameters, limit)[::-1]

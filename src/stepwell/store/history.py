"""The history: one row per creation, checkpoint, failed or cancelled attempt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stepwell.engine.run import HistoryRow
from stepwell.store import tables
from stepwell.store.journal import BARRING, JournalRow
from stepwell.store.tables import history, steps
from stepwell.store.tx import Tx

_ALL = tables.columns(history)
_STEP = tables.columns(steps)
_EVERY = 2**31 - 1


@dataclass(frozen=True, slots=True)
class History:
    """A history row with the state as it was then, filled in where the row doesn't repeat it."""

    row: HistoryRow
    state: str | None


def append(tx: Tx, added: Sequence[HistoryRow], keep_states: int) -> None:
    """Insert the rows; of each run the states of the last `keep_states` checkpoints remain."""
    tx.insert(history, added)
    forget(tx, added, keep_states)


def forget(tx: Tx, added: Iterable[HistoryRow], keep_states: int) -> None:
    """Delete old states of each run to which one of these rows was added, except those of the last `keep_states` checkpoints."""
    for row in added:
        if row.state is not None and row.version > keep_states:
            _forget_states(tx, row.run_id, row.version - keep_states)


def _forget_states(tx: Tx, run_id: str, before: int) -> None:
    # The last state at or before the window stays: rows after it that didn't change the state lean on it.
    tx.run(
        "UPDATE stepwell_history INDEXED BY stepwell_history_states SET state=NULL"
        " WHERE run_id=? AND state IS NOT NULL AND version<(SELECT max(version) FROM stepwell_history"
        " INDEXED BY stepwell_history_states WHERE run_id=? AND version<=? AND state IS NOT NULL)",
        run_id,
        run_id,
        before,
    )


def of_run(tx: Tx, run_id: str, after: int = -1, limit: int = 100_000, before: int | None = None) -> list[History]:
    """Return the rows of a run after a version (and before another), oldest first, each with the state as it was then.

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


def fitting(
    tx: Tx, run_id: str, after: int, before: int | None, limit: int, most_bytes: int, *, last: bool
) -> tuple[int, int]:
    """Return between which versions the first (or last) rows are, at most `limit`, that are no larger together.

    A row counts with its whole state, also where it doesn't repeat it.
    """
    found = tx.rows(
        "SELECT version, octet_length(state), coalesce(octet_length(trace), 0) FROM stepwell_history"
        " WHERE run_id=? AND version>? AND version<? ORDER BY version LIMIT ?",
        run_id,
        after,
        _EVERY if before is None else before,
        limit,
    )
    state = len((_state_at(tx, run_id, after) or "").encode()) if after >= 0 else 0
    sizes = []
    for version, own, trace in found:
        state = state if own is None else own
        sizes.append((version, state + trace))
    ordered = sizes[::-1] if last else sizes
    kept = ordered[: tables.fitting((size for _, size in ordered), most_bytes)]
    if not kept:
        return after, after + 1
    return min(version for version, _ in kept) - 1, max(version for version, _ in kept) + 1


def newest(tx: Tx, run_id: str, before: int | None, limit: int) -> int:
    """Return the version after which the last `limit` rows (before version `before`) begin."""
    found = tx.scalar(
        "SELECT min(version) FROM (SELECT version FROM stepwell_history WHERE run_id=? AND version<?"
        " ORDER BY version DESC LIMIT ?) AS last",
        run_id,
        _EVERY if before is None else before,
        limit,
    )
    return -1 if found is None else int(found) - 1


def attempts_after(tx: Tx, run_id: str, version: int) -> bool:
    """Return whether there are rows after this version other than those of unused signals and of assignments."""
    sql = (
        "SELECT 1 FROM stepwell_history WHERE run_id=? AND version>? AND status<>'void'"
        " AND NOT (status='committed' AND target IS NULL) LIMIT 1"
    )
    return tx.scalar(sql, run_id, version) is not None


def unused_in(tx: Tx, run_id: str, since: int, limit: int) -> list[HistoryRow]:
    """Return the last rows of unused signals after a version, newest first."""
    return tx.fetch(
        HistoryRow._make,
        f"SELECT {_ALL} FROM stepwell_history WHERE run_id=? AND version>? AND status='void' ORDER BY version DESC LIMIT ?",
        run_id,
        since,
        limit,
    )


def at(tx: Tx, run_id: str, version: int) -> HistoryRow | None:
    """Return the row of this version, or None."""
    sql = f"SELECT {_ALL} FROM stepwell_history WHERE run_id=? AND version=?"
    return tx.one(HistoryRow._make, sql, run_id, version)


def _state_at(tx: Tx, run_id: str, version: int) -> str | None:
    found = tx.scalar(
        "SELECT state FROM stepwell_history WHERE run_id=? AND version<=? AND state IS NOT NULL"
        " ORDER BY version DESC LIMIT 1",
        run_id,
        version,
    )
    return str(found) if found is not None else None


def record_steps(tx: Tx, recorded: Sequence[JournalRow]) -> None:
    """Write these rows into the journal; a step that has a value keeps it. Their runs' rows are held."""
    new: dict[tuple[str, int, str, str], JournalRow] = {}
    for row in recorded:
        if row.undone_at is None and new.setdefault(row[:4], row).status is not None:
            new[row[:4]] = row  # of one step in one flush, as a statement takes it: the last, or the first with a value
    tx.insert(steps, [*_numbered(tx, new.values())], unless=("run_id", "visit", "transition", "name"))
    sql = "UPDATE stepwell_steps SET undone_at=? WHERE run_id=? AND visit=? AND transition=? AND name=? AND undone_at IS NULL"
    tx.each(sql, [(row.undone_at, *row[:4]) for row in recorded if row.undone_at is not None])


def _numbered(tx: Tx, rows: Iterable[JournalRow]) -> Iterator[JournalRow]:
    """Yield the rows, those with an undo numbered in the order of their commits."""
    last: dict[str, int] = {}
    for row in rows:
        if row.undo is None:
            yield row
            continue
        if row.run_id not in last:
            sql = "SELECT max(ordinal) FROM stepwell_steps WHERE run_id=? AND undo IS NOT NULL"
            last[row.run_id] = tx.scalar(sql, row.run_id) or 0
        last[row.run_id] += 1
        yield row._replace(ordinal=last[row.run_id])


def journaled(tx: Tx, row: JournalRow) -> bool:
    """Return whether the journal has this row, whatever its number is."""
    sql = f"SELECT {_STEP} FROM stepwell_steps WHERE run_id=? AND visit=? AND transition=? AND name=?"
    found = tx.one(JournalRow._make, sql, *row[:4])
    return found is not None and found._replace(ordinal=row.ordinal) == row


def undoable(tx: Tx, run_id: str, limit: int = 100) -> list[JournalRow]:
    """Return steps of the run that have an undo and weren't undone, newest first."""
    return tx.fetch(
        JournalRow._make,
        f"SELECT {_STEP} FROM stepwell_steps WHERE run_id=? AND undo IS NOT NULL AND undone_at IS NULL"
        " ORDER BY ordinal DESC LIMIT ?",
        run_id,
        limit,
    )


def journals(tx: Tx, run_ids: Sequence[str]) -> dict[str, dict[tuple[str, str], str | None]]:
    """Return for each run the journaled values of its current visit, by (transition, step); None bars one without a value."""
    found = tx.rows(
        "SELECT s.run_id, s.transition, s.name, s.value, s.status FROM stepwell_runs r"
        " JOIN stepwell_steps s ON s.run_id=r.id AND s.visit=r.visit WHERE r.id IN list(?)",
        tx.listed(run_ids),
    )
    result: dict[str, dict[tuple[str, str], str | None]] = {}
    for run_id, transition, name, value, status in found:
        if status is None or status in BARRING:
            result.setdefault(run_id, {})[transition, name] = value if status is None else None
    return result


class StepPosition(NamedTuple):
    """The place of a step among those of its run, in the order of visits and then of their beginnings."""

    visit: int
    began_at: int
    transition: str
    name: str


def position_of(row: JournalRow) -> StepPosition:
    """Return the position of this row."""
    began = row.recorded_at if row.started_at is None else row.started_at
    return StepPosition(row.visit, began, row.transition, row.name)


def steps_after(
    tx: Tx, run_id: str, after: StepPosition | None, limit: int, most_bytes: int
) -> tuple[list[JournalRow], bool]:
    """Return the run's steps behind a position, at most `limit` within `most_bytes`, and whether there are more."""
    order = "visit, COALESCE(started_at, recorded_at), transition, name"
    behind = "" if after is None else f" AND ({order})>(?, ?, ?, ?)"
    wanted = f"FROM stepwell_steps WHERE run_id=?{behind} ORDER BY {order} LIMIT ?"
    given = (run_id, *(after or ()))
    sizes = tx.rows(f"SELECT octet_length(value) {wanted}", *given, limit + 1)
    count = tables.fitting((row[0] for row in sizes[:limit]), most_bytes)
    rows = tx.fetch(JournalRow._make, f"SELECT {_STEP} {wanted}", *given, count)
    return rows, len(sizes) > len(rows)


def steps_of(
    tx: Tx, run_id: str, visit: int | None = None, limit: int = 100_000, most_bytes: int | None = None
) -> list[JournalRow]:
    """Return the last journaled steps of a run (or of one visit), oldest first: `limit`, within `most_bytes`."""
    only, parameters = ("", (run_id,)) if visit is None else (" AND visit=?", (run_id, visit))
    wanted = f"FROM stepwell_steps WHERE run_id=?{only} ORDER BY recorded_at DESC, name DESC LIMIT ?"
    if most_bytes is not None:
        sizes = tx.rows(f"SELECT octet_length(value) {wanted}", *parameters, limit)
        limit = tables.fitting((row[0] for row in sizes), most_bytes)
    return tx.fetch(JournalRow._make, f"SELECT {_STEP} {wanted}", *parameters, limit)[::-1]

"""Gates that are to be looked at, because a window opens or a hint was lost; and rows of theirs that are old."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from stepwell.engine.gates import gates_of
from stepwell.engine.run import Moment
from stepwell.store import tables
from stepwell.store.tx import Tx


def next_opening(tx: Tx) -> Moment | None:
    """Return when the next gate is to be looked at; None if none is."""
    return tables.moment(tx.scalar("SELECT min(due_at) FROM stepwell_gates"))


def due(tx: Tx, now: Moment, limit: int) -> list[str]:
    """Return gates that are to be looked at, those that are due longest first."""
    return [
        row[0] for row in tx.rows("SELECT gate FROM stepwell_gates WHERE due_at<=? ORDER BY due_at LIMIT ?", now, limit)
    ]


def held(tx: Tx, after: str, limit: int) -> list[str]:
    """Return gates behind which runs are held, in the order of their ids, behind this one."""
    following = "SELECT min(held_by) FROM stepwell_runs WHERE held_by IS NOT NULL AND held_by>"
    sql = (
        f"WITH RECURSIVE g(gate) AS ({following}CAST(? AS TEXT)"
        f" UNION ALL SELECT ({following}g.gate) FROM g WHERE g.gate IS NOT NULL)"
        " SELECT gate FROM g WHERE gate IS NOT NULL LIMIT ?"
    )
    return [row[0] for row in tx.rows(sql, after, limit)]


def noted(tx: Tx, gate_ids: Iterable[str]) -> set[str]:
    """Return those of these gates of which a moment is stored at which they are looked at."""
    return {row[0] for row in tx.rows("SELECT gate FROM stepwell_gates WHERE gate IN list(?)", tx.listed(gate_ids))}


def look_again(tx: Tx, now: Moment, limit: int) -> None:
    """Have gates looked at behind which runs are held, at most so many."""
    tx.each(
        "INSERT INTO stepwell_gates (gate, due_at) VALUES (?, ?) ON CONFLICT (gate) DO UPDATE SET due_at=excluded.due_at",
        [(gate, now) for gate in held(tx, "", limit) if not gate.startswith("group:")],
    )


def forget_due(tx: Tx, gate_ids: Iterable[str], now: Moment) -> None:
    """Forget the moments of these gates that have passed."""
    tx.run("DELETE FROM stepwell_gates WHERE due_at<=? AND gate IN list(?)", now, tx.listed(sorted(gate_ids)))


def prune(tx: Tx, now: Moment, limit: int) -> int:
    """Delete rows of rates that are older than their windows, at most so many, and return their number."""
    old = f"SELECT gate, run_id {_OF_WINDOW} AND at<? ORDER BY at LIMIT ?"
    pruned = 0
    for seconds in _windows(tx):
        before = now - (tables.moment(seconds) or 0) * 1_000_000
        sql = f"DELETE FROM stepwell_slots WHERE (gate, run_id) IN ({old})"
        pruned += tx.run(sql, seconds, before, limit - pruned)
    return pruned


def bring_back(tx: Tx, now: Moment, tolerance: Moment) -> int:
    """Count first executions from now that a clock which was ahead has stored as later; return their number."""
    ahead = f"SELECT gate, run_id {_OF_WINDOW} AND at>?"
    sql = f"UPDATE stepwell_slots SET at=? WHERE (gate, run_id) IN ({ahead})"
    return sum(tx.run(sql, now, seconds, now + tolerance) for seconds in _windows(tx))


_OF_WINDOW: Final = "FROM stepwell_slots INDEXED BY stepwell_slots_window WHERE kind='rate' AND taken=1 AND claim=?"


def _windows(tx: Tx) -> list[int]:
    """Return the lengths in seconds of the windows of rates that have rows: few, found in as many steps."""
    least = "SELECT min(claim) FROM stepwell_slots INDEXED BY stepwell_slots_window WHERE kind='rate' AND taken=1"
    sql = (
        f"WITH RECURSIVE w(seconds) AS ({least}"
        f" UNION ALL SELECT ({least} AND claim>w.seconds) FROM w WHERE w.seconds IS NOT NULL)"
        " SELECT seconds FROM w WHERE seconds IS NOT NULL"
    )
    return [row[0] for row in tx.rows(sql)]


def forget(tx: Tx, ids: Iterable[str]) -> None:
    """Delete the slots of runs that are to be deleted, besides those that a rate still counts."""
    found = tx.rows("SELECT id, gates FROM stepwell_runs WHERE gates IS NOT NULL AND id IN list(?)", tx.listed(ids))
    tx.each(
        "DELETE FROM stepwell_slots WHERE gate=? AND run_id=? AND NOT (kind='rate' AND taken=1)",
        [(gate.id, run_id) for run_id, text in found for gate in gates_of(text)],
    )

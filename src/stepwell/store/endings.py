"""Runs that are to be cancelled because something else has ended: their parent, or their group.

Each is cancelled by a commit of its own (rule 26), which removes its mark. What hasn't begun is taken out of the queue
together with the marking: it never begins.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from stepwell.engine.run import Moment, RunRow
from stepwell.store.tx import Tx

_UNENDED: Final = "status NOT IN ('completed', 'failed', 'canceled') AND canceling IS NULL"
"""A run that clears up because it was cancelled goes on to its end."""


def mark_children(tx: Tx, parent: RunRow) -> None:
    """Mark the children that end with this parent."""
    which = "parent_id=? AND on_parent_end='cancel'"
    status = parent.status if parent.canceling is None else "canceled"
    _mark(tx, which, parent.id, f"its parent {parent.id} is {status}", parent.updated_at)


def mark_group(tx: Tx, group_id: str, reason: str, now: Moment) -> None:
    """Mark the runs of a group that haven't ended."""
    _mark(tx, "group_id=?", group_id, reason, now)


def _mark(tx: Tx, which: str, value: str, reason: str, now: Moment) -> None:
    tx.run(
        "INSERT INTO stepwell_endings (run_id, reason, marked_at)"
        f" SELECT id, CAST(? AS TEXT), CAST(? AS BIGINT) FROM stepwell_runs WHERE {which} AND {_UNENDED}"
        " ON CONFLICT (run_id) DO NOTHING",
        reason,
        now,
        value,
    )
    tx.run(
        "UPDATE stepwell_runs SET ready_at=NULL, due_at=NULL, held_by=NULL, held_rank=NULL"
        f" WHERE {which} AND status='pending' AND owner IS NULL AND canceling IS NULL",
        value,
    )
    tx.hints.children = True


def marked(tx: Tx, limit: int = 100) -> list[tuple[str, str]]:
    """Return (run, reason) of runs that are to be cancelled."""
    found = tx.rows("SELECT run_id, reason FROM stepwell_endings ORDER BY marked_at LIMIT ?", limit)
    return [(row[0], row[1]) for row in found]


def unmark(tx: Tx, *run_ids: str) -> None:
    """Remove the marks of these runs."""
    tx.run("DELETE FROM stepwell_endings WHERE run_id IN list(?)", tx.listed(sorted(run_ids)))


def unmark_all(tx: Tx, ids: Iterable[str]) -> None:
    """Remove the marks of these runs."""
    tx.run("DELETE FROM stepwell_endings WHERE run_id IN list(?)", tx.listed(ids))

"""Runs that are cancelled unless they begin in time: found by the sweep, and seen by claims where the sweep is late."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stepwell.engine.conflicts import EXPIRED, has_begun
from stepwell.engine.control import cancel
from stepwell.engine.run import Moment, RunRow
from stepwell.store import tables
from stepwell.store.tables import runs
from stepwell.store.tx import Tx
from stepwell.store.writing.apply import Applier

_ALL: Final = tables.columns(runs)


def overdue(tx: Tx, now: Moment, limit: int) -> list[str]:
    """Return runs whose time to begin is over, those that are overdue longest first."""
    sql = "SELECT id FROM stepwell_runs WHERE expires_at>=0 AND expires_at<=? ORDER BY expires_at LIMIT ?"
    return [row[0] for row in tx.rows(sql, now, limit)]


def expire(applier: Applier, tx: Tx, ids: Sequence[str], now: Moment) -> int:
    """Cancel those of these runs whose time is over and that haven't begun, and return how many rows were changed.

    Rows that another transaction holds stay as they are: a claim sees by itself that it is too late.
    """
    found = tx.fetch(
        RunRow._make,
        f"SELECT {_ALL} FROM stepwell_runs WHERE id IN list(?) AND expires_at BETWEEN 0 AND ?"
        " ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
        tx.listed(ids),
        now,
    )
    _cancel(applier, tx, [run for run in found if not has_begun(run) and run.status == "pending"], now)
    clear(tx, found)
    return len(found)


def cancel_late(applier: Applier, tx: Tx, claimed: list[RunRow], now: Moment) -> list[RunRow]:
    """Cancel those of the runs, claimed in this transaction, that may not begin any more; return the others."""
    late = {run.id for run in claimed if (ends := tables.moment(run.expires_at)) is not None and ends <= now}
    if not late:
        return claimed
    _cancel(applier, tx, [run for run in claimed if run.id in late], now)
    clear(tx, [run for run in claimed if run.id in late])
    return [run for run in claimed if run.id not in late]


def clear(tx: Tx, found: Sequence[RunRow]) -> None:
    """Forget when these runs expire: they have begun, or never will."""
    if ids := [run.id for run in found if run.expires_at is not None]:
        tx.run("UPDATE stepwell_runs SET expires_at=NULL WHERE id IN list(?)", tx.listed(ids))


def _cancel(applier: Applier, tx: Tx, found: Sequence[RunRow], now: Moment) -> None:
    if commits := [commit for run in found if (commit := cancel(run, EXPIRED, None, now)) is not None]:
        applier.advance(tx, commits)

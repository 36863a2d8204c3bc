"""Runs in flight, page by page, with the names of the signals that they keep: what a check of the code needs to know of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from stepwell.engine.run import Inbox, RunRow, SignalRow
from stepwell.store import tables
from stepwell.store.tables import runs
from stepwell.store.tx import Tx

STATUSES: Final = ("pending", "running", "waiting", "retrying", "failed")
_ALL: Final = tables.columns(runs)


class InFlight(NamedTuple):
    """A page of runs of one status, in the order of their ids."""

    runs: Sequence[RunRow]
    inboxes: dict[str, Inbox]
    """By run: one open signal of each kind and name, without its data."""


def page(tx: Tx, apps: Sequence[str], status: str, after: str, limit: int) -> InFlight:
    """Return runs of these apps behind an id."""
    found = tx.fetch(
        RunRow._make,
        f"SELECT {_ALL} FROM stepwell_runs WHERE status=? AND status<>'completed' AND id>? AND app_name IN list(?)"
        " ORDER BY id LIMIT ?",
        status,
        after,
        tx.listed(apps),
        limit,
    )
    return InFlight(found, _inboxes(tx, [run.id for run in found if run.inbox]))


def _inboxes(tx: Tx, ids: Sequence[str]) -> dict[str, Inbox]:
    if not ids:
        return {}
    rows = tx.rows(
        "SELECT DISTINCT run_id, kind, name FROM stepwell_signals WHERE run_id IN list(?) AND state='open'",
        tx.listed(ids),
    )
    found: dict[str, Inbox] = {}
    for run_id, kind, name in rows:
        found[run_id] = (*found.get(run_id, ()), _outlined(run_id, kind, name))
    return found


def _outlined(run_id: str, kind: str, name: str) -> SignalRow:
    return SignalRow(
        "", run_id, name, kind, "", "completed", None, "", None, None, None, None, 0, "open", None  # type: ignore[arg-type]
    )  # fmt: skip

"""Pauses: put, lifted and listed; and the conditions by which a claim passes over what is paused.

A pause must hold from the moment at which its transaction has committed, so no claim may be under way that hasn't seen it.
On SQLite there is one write at a time. On PostgreSQL a statement sees what was committed when it began; so each claim takes
a lock on the table before that (`OPEN`), and a pause waits for those locks (`Dialect.stop_claims`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stepwell.engine.pauses import PauseRow, covering
from stepwell.store import tables
from stepwell.store.tables import pauses
from stepwell.store.tx import Lane, Tx

_ALL: Final = tables.columns(pauses)


def paused_sql(app: str, workflow: str) -> str:
    """Return the condition that a pause covers the workflow in these columns (`PauseRow.covers`)."""
    return (
        f"({workflow} NOT LIKE '%:%' AND EXISTS (SELECT 1 FROM stepwell_pauses p"
        f" WHERE p.app_name IN ('', {app}) AND p.workflow_name IN ('', {workflow})))"
    )


OPEN: Final = "NOT EXISTS (SELECT 1 FROM stepwell_pauses WHERE paused_at<0 FOR KEY SHARE)"
"""A condition that is always true. PostgreSQL locks the table for it, in the mode of row locks, before the statement sees
anything and until its transaction ends; no row is ever locked, and backups don't keep a pause waiting."""


def all_of(tx: Tx) -> list[PauseRow]:
    """Return all pauses, the oldest first."""
    return tx.fetch(PauseRow._make, f"SELECT {_ALL} FROM stepwell_pauses ORDER BY paused_at, app_name, workflow_name")


def fenced(tx: Tx) -> list[PauseRow]:
    """Return all pauses; none is added before this transaction ends."""
    return tx.fetch(PauseRow._make, f"SELECT {_ALL} FROM stepwell_pauses WHERE {OPEN}")


def unpaused(tx: Tx, lanes: Sequence[Lane]) -> Sequence[Lane]:
    """Return those of the lanes that no pause covers now."""
    found = all_of(tx)
    return [lane for lane in lanes if not covering(found, *lane)] if found else lanes


def put(tx: Tx, pause: PauseRow) -> PauseRow:
    """Return the pause as it is stored now: with a new reason, if it was there already and a reason is given."""
    tx.dialect.stop_claims(tx.driver)
    [stored] = tx.fetch(
        PauseRow._make,
        f"INSERT INTO stepwell_pauses AS p ({_ALL}) VALUES (?, ?, ?, ?, ?) ON CONFLICT (app_name, workflow_name) DO UPDATE"
        " SET reason=COALESCE(excluded.reason, p.reason),"
        " user_id=CASE WHEN excluded.reason IS NULL THEN p.user_id ELSE excluded.user_id END"
        f" RETURNING {_ALL}",
        *pause,
    )
    tx.hints.pauses[stored.app_name, stored.workflow_name] = stored
    return stored


def lift(tx: Tx, app_name: str, workflow_name: str) -> PauseRow | None:
    """Return exactly this pause, lifted; None if there is none."""
    sql = f"DELETE FROM stepwell_pauses WHERE app_name=? AND workflow_name=? RETURNING {_ALL}"
    lifted = tx.one(PauseRow._make, sql, app_name, workflow_name)
    if lifted is not None:
        tx.hints.pauses[app_name, workflow_name] = None
    return lifted

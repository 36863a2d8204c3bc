"""Listeners: which event resumes which run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stepwell.engine.commit import Listener, Resume
from stepwell.store.tables import listeners
from stepwell.store.tx import Tx


def listen(tx: Tx, added: Sequence[Listener]) -> None:
    """The runs listen to this too."""
    tx.insert(listeners, added, unless=("run_id", "event", "transition", "matched"))


def stop(tx: Tx, run_ids: Iterable[str]) -> None:
    """These runs listen to nothing any more."""
    tx.run(f"DELETE FROM stepwell_listeners WHERE run_id {tx.dialect.among}", tx.dialect.listed(run_ids))


def matching(tx: Tx, resume: Resume, user_id: str | None) -> list[str]:
    """The runs that the event resumes; with `user_id`, that user's only."""
    found = tx.rows(
        "SELECT l.run_id FROM stepwell_listeners l JOIN stepwell_runs r ON r.id=l.run_id"
        " WHERE l.event=? AND l.app_name=? AND l.workflow_name=? AND l.transition=? AND l.matched=?"
        " AND (CAST(? AS TEXT) IS NULL OR r.user_id=?) AND r.status NOT IN ('completed', 'canceled') ORDER BY l.run_id",
        resume.event,
        resume.app_name,
        resume.workflow_name,
        resume.transition,
        resume.matched,
        user_id,
        user_id,
    )
    return [row[0] for row in found]

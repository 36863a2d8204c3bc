"""Listeners: which event resumes which run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from stepwell.engine.commit import Listener, Resume
from stepwell.store import rows
from stepwell.store.tables import listeners


def listen(connection: Connection, added: Sequence[Listener]) -> None:
    """The runs listen to this too."""
    rows.insert(connection, listeners, added)


def stop(connection: Connection, run_ids: Iterable[str]) -> None:
    """These runs listen to nothing any more."""
    connection.exec_driver_sql(
        "DELETE FROM stepwell_listeners WHERE run_id IN (SELECT value FROM json_each(?))", (rows.ids(run_ids),)
    )


def matching(connection: Connection, resume: Resume, user_id: str | None) -> list[str]:
    """The runs that the event resumes; with `user_id`, that user's only."""
    found = connection.exec_driver_sql(
        "SELECT l.run_id FROM stepwell_listeners l JOIN stepwell_runs r ON r.id=l.run_id"
        " WHERE l.event=? AND l.app_name=? AND l.workflow_name=? AND l.transition=? AND l.matched=?"
        " AND (? IS NULL OR r.user_id=?) AND r.status NOT IN ('completed', 'canceled') ORDER BY l.run_id",
        (
            resume.event,
            resume.app_name,
            resume.workflow_name,
            resume.transition,
            resume.matched,
            user_id,
            user_id,
        ),
    )
    return [row[0] for row in found.fetchall()]

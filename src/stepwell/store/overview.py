"""What people look at beyond single runs: counts, failures, throughput, the queue, who works on what.

Every statement walks a bounded number of rows, however many runs there are: a count says where it stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import func, literal_column, select, tuple_

from stepwell.engine.run import Moment, Run
from stepwell.store import queries, rows
from stepwell.store.base import WorkspaceRow
from stepwell.store.tables import runs, workspaces
from stepwell.store.tx import Tx

COUNTED: Final = 10_000
"""Runs that are counted of each status."""
WALKED: Final = 100_000
"""Rows that are walked for one number."""
_DURATIONS: Final = 5_000
OPEN: Final = ("pending", "running", "waiting", "retrying", "failed", "canceled")

Counts = Counter[tuple[str, str, str]]
"""How many runs there are, by (app, workflow, status)."""


def counts(tx: Tx, user_id: str | None, apps: Sequence[str] | None = None) -> Counts:
    """The newest runs (of these apps), at most `COUNTED` of a status among the newest `WALKED`; of a user, of their newest."""
    if user_id is not None:
        newest = f"SELECT * FROM stepwell_runs WHERE user_id=? AND internal=0 ORDER BY id DESC LIMIT {2 * COUNTED}"
        return _counted(tx, newest, apps, user_id)
    walked = COUNTED if apps is None else WALKED
    found: Counts = Counter()
    for status in OPEN:
        found += _counted(
            tx,
            "SELECT * FROM stepwell_runs WHERE status=? AND status<>'completed' AND internal=0"
            f" ORDER BY id DESC LIMIT {walked}",
            apps,
            status,
        )
    ended = f"SELECT * FROM stepwell_runs WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT {2 * walked}"
    return found + _counted(tx, f"SELECT * FROM ({ended}) AS f WHERE status='completed' AND internal=0", apps)


def _counted(tx: Tx, source: str, apps: Sequence[str] | None, *parameters: str) -> Counts:
    only, given = ("", ()) if apps is None else (f" WHERE app_name {tx.dialect.among}", (tx.dialect.listed(apps),))
    found = tx.rows(
        f"SELECT app_name, workflow_name, status, count(*) FROM (SELECT app_name, workflow_name, status FROM ({source})"
        f" AS w{only} LIMIT {COUNTED}) AS r GROUP BY app_name, workflow_name, status",
        *parameters,
        *given,
    )
    return Counter({(app, workflow, status): n for app, workflow, status, n in found})


class Ended(NamedTuple):
    """How many runs ended alike in one stretch of time."""

    bucket: int
    status: str
    app_name: str
    runs: int


def ended(tx: Tx, user_id: str | None, since: Moment, width: int) -> list[Ended]:
    """Runs that ended since a moment, by stretches of `width` microseconds; of the newest `WALKED`."""
    newest = _newest_ended(user_id)
    given = (user_id, since) if user_id is not None else (since,)
    return tx.fetch(
        Ended._make,
        f"SELECT (finished_at-?)/?, status, app_name, count(*) FROM ({newest} LIMIT {WALKED}) AS r"
        " WHERE internal=0 GROUP BY 1, 2, 3",
        since,
        width,
        *given,
    )


def durations(tx: Tx, user_id: str | None, since: Moment) -> list[tuple[Moment, int, str]]:
    """(when it ended, microseconds from its creation, its app) of the runs that completed last since a moment."""
    given = (user_id, since) if user_id is not None else (since,)
    found = tx.rows(
        f"SELECT finished_at, finished_at-created_at, app_name FROM ({_newest_ended(user_id)} LIMIT {_DURATIONS}) AS r"
        " WHERE status='completed' AND internal=0",
        *given,
    )
    return [(row[0], row[1], row[2]) for row in found]


def _newest_ended(user_id: str | None) -> str:
    if user_id is None:
        return "SELECT * FROM stepwell_runs WHERE finished_at IS NOT NULL AND finished_at>=? ORDER BY finished_at DESC"
    mine = f"SELECT * FROM stepwell_runs WHERE user_id=? ORDER BY id DESC LIMIT {WALKED}"
    return f"SELECT * FROM ({mine}) AS m WHERE finished_at IS NOT NULL AND finished_at>=? ORDER BY finished_at DESC"


class Ready(NamedTuple):
    """What of a workflow waits for a worker."""

    app_name: str
    workflow_name: str
    runs: int
    oldest_at: Moment


def ready(tx: Tx) -> list[Ready]:
    """What waits for a worker, by workflow, handlers left out; at most `WALKED` runs are counted."""
    return tx.fetch(
        Ready._make,
        "SELECT app_name, workflow_name, count(*), min(ready_at) FROM (SELECT app_name, workflow_name, ready_at"
        f" FROM stepwell_runs WHERE ready_at IS NOT NULL AND internal=0 LIMIT {WALKED}) AS r GROUP BY app_name, workflow_name",
    )


def later(tx: Tx) -> list[tuple[str, int, Moment]]:
    """How many runs of each app become due later (at most `WALKED` of all are counted), and when its first does."""
    found = tx.rows(
        "SELECT app_name, count(*), min(due_at) FROM (SELECT app_name, due_at FROM stepwell_runs"
        f" WHERE due_at IS NOT NULL AND owner IS NULL AND internal=0 ORDER BY due_at LIMIT {WALKED}) AS r GROUP BY app_name"
    )
    return [(app_name, int(runs), int(first)) for app_name, runs, first in found]


def held(tx: Tx, worker: str, apps: Sequence[str] | None, limit: int) -> tuple[int, list[Run]]:
    """How many runs (of these apps) a worker executes, and some of them, without what is heavy."""
    where = [runs.c.owner == worker]
    if apps is not None:
        where.append(runs.c.app_name.in_(apps))
    count = tx.execute(select(func.count()).select_from(runs).where(*where)).scalar()
    query = select(*queries.columns(runs, True)).where(*where, runs.c.internal == 0).limit(limit)
    return int(count or 0), [Run._make(row) for row in tx.execute(query)]


def children(tx: Tx, parent: str, limit: int, before: str | None = None) -> list[Run]:
    """The children of a run, newest first, without what is heavy."""
    query = select(*queries.columns(runs, True)).where(runs.c.parent_id == parent)
    if before is not None:
        query = query.where(runs.c.id < before)
    return [Run._make(row) for row in tx.execute(query.order_by(runs.c.id.desc()).limit(limit))]


def links(tx: Tx, parent: str) -> list[str]:
    """The current links among a run's documents: those to its children say how it shows them."""
    found = tx.rows(
        "SELECT content FROM stepwell_documents WHERE run_id=? AND name='link' AND replaced_at IS NULL AND internal=0",
        parent,
    )
    return [row[0] for row in found]


def called_back(tx: Tx, parents: Sequence[str]) -> set[tuple[str, str]]:
    """(parent, transition) of each signal that a child, and no person, is going to send."""
    found = tx.rows(
        f"SELECT DISTINCT parent_id, callback FROM stepwell_runs WHERE parent_id {tx.dialect.among}"
        " AND callback IS NOT NULL AND status NOT IN ('completed', 'canceled', 'failed')",
        tx.dialect.listed(parents),
    )
    return {(row[0], row[1]) for row in found}


def waiting(
    tx: Tx, places: Sequence[tuple[str, str, str]], user_id: str | None, limit: int, before: str | None
) -> queries.Listed:
    """Runs that wait at one of these (app, workflow, place), newest first; of a bounded number of those that wait.

    Those that have got what they waited for are left out, also where no worker has taken them up yet.
    """
    walk = select(runs).where(
        runs.c.status == "waiting", runs.c.status != literal_column("'completed'"), runs.c.internal == 0
    )
    if user_id is not None:
        walk = select(runs).where(runs.c.user_id == user_id, runs.c.internal == 0)
    if before is not None:
        walk = walk.where(runs.c.id < before)
    walked = walk.order_by(runs.c.id.desc()).limit(queries.TRIED).subquery()
    query = select(*queries.columns(walked, True)).where(
        walked.c.status == "waiting",
        walked.c.ready_at.is_(None),
        tuple_(walked.c.app_name, walked.c.workflow_name, walked.c.place).in_(places),
    )
    found = [Run._make(row) for row in tx.execute(query.order_by(walked.c.id.desc()).limit(limit + 1))]
    if len(found) > limit:
        return queries.Listed(found[:limit], found[limit - 1].id)
    last = select(walked.c.id).order_by(walked.c.id.desc()).offset(queries.TRIED - 1).limit(1)
    return queries.Listed(found, tx.execute(last).scalar())


def list_workspaces(
    tx: Tx, app_name: str | None, user_id: str | None, apps: Sequence[str] | None, limit: int, after: str | None
) -> list[WorkspaceRow]:
    """Workspaces in the order of their ids, those after `after`."""
    query = select(*(workspaces.c[name] for name in rows.names(workspaces)))
    for column, value in ((workspaces.c.app_name, app_name), (workspaces.c.user_id, user_id)):
        if value is not None:
            query = query.where(column == value)
    if apps is not None:
        query = query.where(workspaces.c.app_name.in_(apps))
    if after is not None:
        query = query.where(workspaces.c.id > after)
    return [WorkspaceRow._make(row) for row in tx.execute(query.order_by(workspaces.c.id).limit(limit))]

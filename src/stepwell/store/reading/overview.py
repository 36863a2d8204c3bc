"""Queries beyond single runs: counts, failures, throughput, the queue, the runs of each worker.

Every statement walks a bounded number of rows, however many runs there are: a count says where it stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Table, and_, func, literal_column, or_, select, tuple_

from stepwell.engine.run import Moment, RunRow
from stepwell.store import tables
from stepwell.store.reading import queries
from stepwell.store.tables import made_workspaces, runs, workspaces
from stepwell.store.tx import Tx
from stepwell.store.workspaces import WorkspaceRow

COUNTED: Final = 10_000
"""Runs that are counted of each status."""
WALKED: Final = 100_000
"""Rows that are walked for one number."""
_DURATIONS: Final = 5_000

OPEN: Final = ("pending", "running", "waiting", "retrying", "failed", "canceled")
# Only the columns that are needed: SQLite reads all that a subquery names, and a run's may be large.
_COUNTS: Final = "app_name, workflow_name, status"
_ENDED: Final = "app_name, status, internal, created_at, finished_at"

StatusCounts = Counter[tuple[str, str, str]]
"""The number of runs, by (app, workflow, status)."""


def counts(tx: Tx, user_id: str | None, apps: Sequence[str] | None = None) -> StatusCounts:
    """Count the newest runs (of these apps), at most `COUNTED` of a status among the newest `WALKED`, or of a user's newest."""
    if user_id is not None:
        newest = (
            f"SELECT {_COUNTS} FROM stepwell_runs WHERE user_id=? AND internal=0 ORDER BY id DESC LIMIT {2 * COUNTED}"
        )
        return _counted(tx, newest, apps, user_id)
    walked = COUNTED if apps is None else WALKED
    found: StatusCounts = Counter()
    for status in OPEN:
        found += _counted(
            tx,
            f"SELECT {_COUNTS} FROM stepwell_runs WHERE status=? AND status<>'completed' AND internal=0"
            f" ORDER BY id DESC LIMIT {walked}",
            apps,
            status,
        )
    ended = (
        f"SELECT {_COUNTS}, internal FROM stepwell_runs WHERE finished_at IS NOT NULL"
        f" ORDER BY finished_at DESC LIMIT {2 * walked}"
    )
    return found + _counted(tx, f"SELECT {_COUNTS} FROM ({ended}) AS f WHERE status='completed' AND internal=0", apps)


def _counted(tx: Tx, source: str, apps: Sequence[str] | None, *parameters: str) -> StatusCounts:
    only, given = ("", ()) if apps is None else (" WHERE app_name IN list(?)", (tx.listed(apps),))
    found = tx.rows(
        f"SELECT app_name, workflow_name, status, count(*) FROM (SELECT app_name, workflow_name, status FROM ({source})"
        f" AS w{only} LIMIT {COUNTED}) AS r GROUP BY app_name, workflow_name, status",
        *parameters,
        *given,
    )
    return Counter({(app, workflow, status): n for app, workflow, status, n in found})


class Ended(NamedTuple):
    """The number of runs that ended alike in one stretch of time."""

    bucket: int
    status: str
    app_name: str
    runs: int


def ended(tx: Tx, user_id: str | None, since: Moment, width: int) -> list[Ended]:
    """Return the runs that ended since a moment, by stretches of `width` microseconds; of the newest `WALKED`."""
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
    """Return (end, microseconds from its creation, app) of the runs that completed last since a moment."""
    given = (user_id, since) if user_id is not None else (since,)
    found = tx.rows(
        f"SELECT finished_at, finished_at-created_at, app_name FROM ({_newest_ended(user_id)} LIMIT {_DURATIONS}) AS r"
        " WHERE status='completed' AND internal=0",
        *given,
    )
    return [(row[0], row[1], row[2]) for row in found]


def _newest_ended(user_id: str | None) -> str:
    if user_id is None:
        return f"SELECT {_ENDED} FROM stepwell_runs WHERE finished_at IS NOT NULL AND finished_at>=? ORDER BY finished_at DESC"
    mine = f"SELECT {_ENDED} FROM stepwell_runs WHERE user_id=? ORDER BY id DESC LIMIT {WALKED}"
    return f"SELECT * FROM ({mine}) AS m WHERE finished_at IS NOT NULL AND finished_at>=? ORDER BY finished_at DESC"


class ReadyCount(NamedTuple):
    """The runs of a workflow that wait for a worker."""

    app_name: str
    workflow_name: str
    runs: int
    oldest_at: Moment


def ready(tx: Tx) -> list[ReadyCount]:
    """Return the runs that wait for a worker, by workflow, without handlers; at most `WALKED` are counted."""
    return tx.fetch(
        ReadyCount._make,
        "SELECT app_name, workflow_name, count(*), min(ready_at) FROM (SELECT app_name, workflow_name, ready_at"
        f" FROM stepwell_runs WHERE ready_at IS NOT NULL AND internal=0 LIMIT {WALKED}) AS r GROUP BY app_name, workflow_name",
    )


def later(tx: Tx) -> list[tuple[str, int, Moment]]:
    """Return for each app how many runs become due later (at most `WALKED` are counted), and when the first does."""
    found = tx.rows(
        "SELECT app_name, count(*), min(due_at) FROM (SELECT app_name, due_at FROM stepwell_runs"
        f" WHERE due_at IS NOT NULL AND owner IS NULL AND internal=0 ORDER BY due_at LIMIT {WALKED}) AS r GROUP BY app_name"
    )
    return [(app_name, int(runs), int(first)) for app_name, runs, first in found]


def held_back(tx: Tx) -> list[tuple[str, int]]:
    """Return for each app how many runs limits hold back; at most `WALKED` are counted."""
    found = tx.rows(
        "SELECT app_name, count(*) FROM (SELECT app_name FROM stepwell_runs WHERE held_by IS NOT NULL AND internal=0"
        f" LIMIT {WALKED}) AS r GROUP BY app_name"
    )
    return [(app_name, int(runs)) for app_name, runs in found]


def held(tx: Tx, worker: str, apps: Sequence[str] | None, limit: int) -> tuple[int, list[RunRow]]:
    """Return how many runs (of these apps) a worker executes, and some of them, without their large columns."""
    where = [runs.c.owner == worker]
    if apps is not None:
        where.append(runs.c.app_name.in_(apps))
    count = tx.execute(select(func.count()).select_from(runs).where(*where)).scalar()
    query = select(*queries.columns(runs, True)).where(*where, runs.c.internal == 0).limit(limit)
    return int(count or 0), [RunRow._make(row) for row in tx.execute(query)]


def children(tx: Tx, parent: str, limit: int, before: str | None = None) -> list[RunRow]:
    """Return the children of a run, newest first, without their large columns."""
    query = select(*queries.columns(runs, True)).where(runs.c.parent_id == parent)
    if before is not None:
        query = query.where(runs.c.id < before)
    return [RunRow._make(row) for row in tx.execute(query.order_by(runs.c.id.desc()).limit(limit))]


def links(tx: Tx, parent: str) -> list[str]:
    """Return the newest current links among a run's documents: those to its children say how it shows them."""
    found = tx.rows(
        "SELECT content FROM stepwell_documents WHERE run_id=? AND name='link' AND replaced_at IS NULL AND internal=0"
        " ORDER BY position DESC LIMIT ?",
        parent,
        COUNTED,
    )
    return [row[0] for row in found]


def waiting(
    tx: Tx,
    places: Sequence[tuple[str, str, str]],
    older: Sequence[tuple[str, str, int]],
    user_id: str | None,
    limit: int,
    before: str | None,
) -> queries.Listed:
    """Return runs that wait at one of these (app, workflow, place), newest first, from a bounded number.

    Those of an earlier version than that of `older` (app, workflow, version) may wait at any place: it may have been renamed.
    Runs that have got their answer are left out, also if no worker has claimed them yet.
    """
    walk = select(*_WAITING).where(
        runs.c.status == "waiting", runs.c.status != literal_column("'completed'"), runs.c.internal == 0
    )
    if user_id is not None:
        walk = select(*_WAITING).where(runs.c.user_id == user_id, runs.c.internal == 0)
    if before is not None:
        walk = walk.where(runs.c.id < before)
    walked = walk.order_by(runs.c.id.desc()).limit(queries.TRIED).subquery()
    fits = (
        walked.c.status == "waiting",
        walked.c.ready_at.is_(None),
        or_(
            tuple_(walked.c.app_name, walked.c.workflow_name, walked.c.place).in_(places),
            *(
                and_(walked.c.app_name == app, walked.c.workflow_name == name, walked.c.workflow_version < version)
                for app, name, version in older
            ),
        ),
    )
    ids = select(walked.c.id).where(*fits).order_by(walked.c.id.desc()).limit(limit + 1)
    query = select(*queries.columns(runs, True)).where(runs.c.id.in_(ids), runs.c.status == "waiting")
    found = [RunRow._make(row) for row in tx.execute(query.order_by(runs.c.id.desc()))]
    if len(found) > limit:
        return queries.Listed(found[:limit], found[limit - 1].id)
    last = select(walked.c.id).order_by(walked.c.id.desc()).offset(queries.TRIED - 1).limit(1)
    return queries.Listed(found, tx.execute(last).scalar())


_WAITING: Final = [
    runs.c[name] for name in ("id", "app_name", "workflow_name", "workflow_version", "status", "place", "ready_at")
]


def list_workspaces(
    tx: Tx, app_name: str | None, user_id: str | None, apps: Sequence[str] | None, limit: int, after: str | None
) -> list[WorkspaceRow]:
    """Return workspaces in the order of their ids, those after `after`."""
    found: list[WorkspaceRow] = []
    for table in (workspaces, made_workspaces):
        query = select(*(table.c[name] for name in tables.names(table)))
        if app_name is not None:
            query = query.where(table.c.app_name == app_name)
        if apps is not None:
            query = query.where(table.c.app_name.in_(apps))
        if user_id is not None:
            # Their indexes begin with the app: with each app named, a user's are found without those of others.
            query = query.where(table.c.user_id == user_id, table.c.app_name.in_(_apps(tx, table)))
        if after is not None:
            query = query.where(table.c.id > after)
        found += [WorkspaceRow._make(row) for row in tx.execute(query.order_by(table.c.id).limit(limit))]
    return sorted(found, key=lambda row: row.id)[:limit]


def _apps(tx: Tx, table: Table) -> list[str]:
    """Return the apps that have such workspaces: one look at the index for each."""
    found: list[str] = []
    following = f"SELECT min(app_name) FROM {table.name} WHERE app_name>?"
    while (name := tx.scalar(following, found[-1] if found else "")) is not None:
        found.append(name)
    return found

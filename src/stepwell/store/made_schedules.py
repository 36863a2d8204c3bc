"""Schedules made at run time: their rows, and which of them are to be looked at. Their ticks are in `schedules.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from stepwell.engine.run import Moment
from stepwell.store import tables
from stepwell.store.schedules import ScheduleRow
from stepwell.store.tables import made_schedules
from stepwell.store.tx import Lane, Tx, paired

_ALL: Final = tables.columns(made_schedules)
_BRIEF: Final = _ALL.removesuffix(", args") + ", '' AS args"
_KNOWN: Final = "EXISTS (SELECT 1 FROM pairs(?) l WHERE l.a=m.app_name AND l.b=m.workflow_name)"
_LOCK: Final = " FOR NO KEY UPDATE"
NEXT_TICK: Final = (
    f"(SELECT next_at FROM stepwell_made_schedules m WHERE next_at IS NOT NULL AND paused=0 AND {_KNOWN}"
    " ORDER BY next_at LIMIT 1), (SELECT 1 FROM stepwell_made_schedules WHERE queued<>0 AND paused=0 LIMIT 1)"
)
"""The columns of `NextTick`, for these (app, workflow)."""


class MadeSchedule(NamedTuple):
    """A schedule made at run time. One of `cron`, `every` (with `anchor`) and `once` is its rule."""

    id: str
    app_name: str
    user_id: str
    name: str
    workflow_name: str
    cron: str | None
    every: int | None
    """Microseconds."""
    anchor: Moment | None
    once: Moment | None
    timezone: str
    overlap: str
    misfire: str
    catch_up: int
    jitter: int
    paused: int
    since: Moment
    """Everything up to it is settled."""
    next_at: Moment | None
    """The moment at which the next tick fires; None: none does any more."""
    queued: int
    """1 if ticks wait for the run of an earlier one."""
    made_by: str | None
    """The call that made it, if that may be made again: a handler that runs again finds its schedule."""
    created_at: Moment
    updated_at: Moment
    args: str

    @property
    def settled(self) -> ScheduleRow:
        """The settled part, in the form of a declared schedule."""
        return ScheduleRow(self.app_name, self.id, "", self.since, self.next_at, self.paused, self.updated_at)


class DueSchedule(NamedTuple):
    """A schedule to look at, and its names for reports."""

    id: str
    app_name: str
    user_id: str
    name: str


class NextTick(NamedTuple):
    """The next work for schedules made at run time."""

    next_at: Moment | None
    """The moment at which the next tick fires, or should have fired."""
    queued: bool
    """True if ticks are queued behind runs."""


def title_of(one: MadeSchedule | DueSchedule) -> str:
    """Return the title of a schedule, for people."""
    return f"schedule {one.name!r} of user {one.user_id!r} in app {one.app_name!r}"


_DUE: Final = ", ".join(f"m.{name}" for name in DueSchedule._fields)


# -- one schedule -----------------------------------------------------------------------------------------------------


def add(tx: Tx, row: MadeSchedule) -> MadeSchedule:
    """Insert the schedule unless its name is taken, and return the one that has the name."""
    tx.insert(made_schedules, [row], unless=("app_name", "user_id", "name"))
    tx.hints.schedules = True
    [found] = named(tx, row.app_name, row.name, row.user_id)
    return found


def named(tx: Tx, app_name: str, name: str, user_id: str | None, *, lock: bool = False) -> list[MadeSchedule]:
    """Return the schedules of that name, of a user or of the first two that have one; locked if they are to be changed."""
    of_user = "" if user_id is None else " AND user_id=?"
    given = (app_name, name, *(() if user_id is None else (user_id,)))
    return tx.fetch(
        MadeSchedule._make,
        f"SELECT {_ALL} FROM stepwell_made_schedules WHERE app_name=? AND name=?{of_user} ORDER BY user_id LIMIT 2"
        + (_LOCK if lock else ""),
        *given,
    )


def load(tx: Tx, schedule_id: str) -> MadeSchedule | None:
    """Return the schedule of this id."""
    return tx.one(MadeSchedule._make, f"SELECT {_ALL} FROM stepwell_made_schedules WHERE id=?", schedule_id)


def hold_free(tx: Tx, schedule_id: str) -> MadeSchedule | None:
    """Return the schedule, locked; None if it is gone, or another transaction has it locked."""
    sql = f"SELECT {_ALL} FROM stepwell_made_schedules WHERE id=?{_LOCK} SKIP LOCKED"
    return tx.one(MadeSchedule._make, sql, schedule_id)


def replace(tx: Tx, row: MadeSchedule) -> None:
    """Store the changed row of a schedule."""
    names = tables.names(made_schedules)[1:]
    tx.run(
        f"UPDATE stepwell_made_schedules SET {', '.join(f'{name}=?' for name in names)} WHERE id=?", *row[1:], row.id
    )
    tx.hints.schedules = True


def settle(tx: Tx, row: ScheduleRow, *, queued: bool) -> None:
    """Store what is settled of a schedule: `row` has its id as name."""
    sql = "UPDATE stepwell_made_schedules SET since=?, next_at=?, queued=?, updated_at=? WHERE id=?"
    tx.run(sql, row.since, row.next_at, int(queued), row.updated_at, row.name)
    tx.hints.schedules = tx.hints.schedules or queued


def delete(tx: Tx, row: MadeSchedule) -> None:
    """Delete the schedule and its queued ticks. Those that fired are deleted when they are old, as all are."""
    tx.run("DELETE FROM stepwell_made_schedules WHERE id=?", row.id)
    tx.run(
        "DELETE FROM stepwell_ticks WHERE app_name=? AND schedule=? AND outcome='queued'",
        row.app_name,
        row.id,
    )


# -- many schedules ---------------------------------------------------------------------------------------------------


def page(
    tx: Tx,
    limit: int,
    before: str | None = None,
    *,
    apps: Iterable[str] | None = None,
    user_id: str | None = None,
    name: str | None = None,
    brief: bool = False,
    most_bytes: int | None = None,
) -> tuple[list[MadeSchedule], str | None]:
    """Return the newest schedules made before that one, and the id after which the next page begins.

    `apps`: only those of these. `brief`: without their args. `most_bytes`: as many as are no larger together.
    """
    conditions = [
        ("id<?", before),
        ("user_id=?", user_id),
        ("name=?", name),
        ("app_name IN list(?)", None if apps is None else tx.listed(apps)),
    ]
    wanted = [(sql, value) for sql, value in conditions if value is not None]
    where = " AND ".join(sql for sql, _ in wanted) or "1=1"
    given = [value for _, value in wanted]
    if most_bytes is not None:
        sizes = tx.rows(
            f"SELECT octet_length(args) FROM stepwell_made_schedules WHERE {where} ORDER BY id DESC LIMIT ?",
            *given,
            limit,
        )
        limit = max(1, tables.fitting([int(row[0]) for row in sizes], most_bytes))
    found = tx.fetch(
        MadeSchedule._make,
        f"SELECT {_BRIEF if brief else _ALL} FROM stepwell_made_schedules WHERE {where} ORDER BY id DESC LIMIT ?",
        *given,
        limit + 1,
    )
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def due(tx: Tx, lanes: Sequence[Lane], now: Moment, limit: int, but: Iterable[str] = ()) -> list[DueSchedule]:
    """Return those of these (app, workflow) with a tick that fires now, the longest due first; without those in `but`."""
    return tx.fetch(
        DueSchedule._make,
        f"SELECT {_DUE} FROM stepwell_made_schedules m WHERE next_at IS NOT NULL AND paused=0 AND next_at<=?"
        f" AND {_KNOWN} AND NOT id IN list(?) ORDER BY next_at LIMIT ?",
        now,
        paired(lanes),
        tx.listed(but),
        limit,
    )


def freed(tx: Tx, lanes: Sequence[Lane], limit: int, but: Iterable[str] = ()) -> list[DueSchedule]:
    """Return those of these (app, workflow) with ticks that are queued behind a run that has ended."""
    return tx.fetch(
        DueSchedule._make,
        f"SELECT {_DUE} FROM stepwell_made_schedules m WHERE queued<>0 AND paused=0 AND {_KNOWN} AND NOT id IN list(?)"
        " AND NOT EXISTS (SELECT 1 FROM stepwell_runs r WHERE r.id=(SELECT t.run_id FROM stepwell_ticks t"
        " WHERE t.app_name=m.app_name AND t.schedule=m.id AND t.run_id IS NOT NULL ORDER BY t.scheduled_at DESC LIMIT 1)"
        " AND r.status IN ('pending', 'running', 'waiting', 'retrying')) LIMIT ?",
        paired(lanes),
        tx.listed(but),
        limit,
    )


def unknown(
    tx: Tx, apps: Iterable[str], lanes: Sequence[Lane], now: Moment, limit: int, but: Iterable[str] = ()
) -> list[tuple[DueSchedule, str]]:
    """Return those of these apps that were due at a moment, with their workflow, which isn't one of these."""
    found = tx.rows(
        f"SELECT {_DUE}, m.workflow_name FROM stepwell_made_schedules m WHERE next_at IS NOT NULL AND paused=0"
        f" AND next_at<=? AND app_name IN list(?) AND NOT {_KNOWN} AND NOT id IN list(?) ORDER BY next_at LIMIT ?",
        now,
        tx.listed(apps),
        paired(lanes),
        tx.listed(but),
        limit,
    )
    return [(DueSchedule._make(row[:-1]), str(row[-1])) for row in found]


def ahead(tx: Tx, lanes: Sequence[Lane], after: Moment, limit: int) -> list[DueSchedule]:
    """Return those of these (app, workflow) that are settled beyond this moment: a clock was ahead."""
    sql = f"SELECT {_DUE} FROM stepwell_made_schedules m WHERE since>? AND {_KNOWN} LIMIT ?"
    return tx.fetch(DueSchedule._make, sql, after, paired(lanes), limit)


def next_due(tx: Tx, lanes: Sequence[Lane], after: Moment) -> Moment | None:
    """Return the first moment after this one at which a tick of these (app, workflow) fires."""
    return tables.moment(
        tx.scalar(
            "SELECT next_at FROM stepwell_made_schedules m WHERE next_at IS NOT NULL AND paused=0 AND next_at>?"
            f" AND {_KNOWN} ORDER BY next_at LIMIT 1",
            after,
            paired(lanes),
        )
    )


def next_unknown(tx: Tx, apps: Iterable[str], lanes: Sequence[Lane], after: Moment) -> Moment | None:
    """Return the first moment after this one at which a tick of these apps fires whose workflow isn't one of these."""
    return tables.moment(
        tx.scalar(
            "SELECT next_at FROM stepwell_made_schedules m WHERE next_at IS NOT NULL AND paused=0 AND next_at>?"
            f" AND app_name IN list(?) AND NOT {_KNOWN} ORDER BY next_at LIMIT 1",
            after,
            tx.listed(apps),
            paired(lanes),
        )
    )

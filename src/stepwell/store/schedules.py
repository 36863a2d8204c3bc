"""Declared schedules, and the ticks of all: the moment up to which each is settled, and the process that fired each tick."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from stepwell.engine.run import Moment, Status
from stepwell.store import runs, tables
from stepwell.store.tables import schedules, ticks
from stepwell.store.tx import Tx, paired

MADE: Final = "made:"
"""The beginning of the ids of schedules that are made at run time: their ticks have them as name."""

TickOutcome = Literal["fired", "queued", "refused"]

_OF_SCHEDULE: Final = f"SELECT {tables.columns(ticks)} FROM stepwell_ticks WHERE app_name=? AND schedule=?"
_ACTIVE: Final = frozenset({"pending", "running", "waiting", "retrying"})


class ScheduleRow(NamedTuple):
    """A schedule as the database knows it. Everything up to `since` is settled."""

    app_name: str
    name: str
    rule: str
    since: Moment
    next_at: Moment | None
    paused: int
    updated_at: Moment


class TickRow(NamedTuple):
    """A tick that fired, is queued behind an earlier one, or was refused by its workflow. Skipped ones have no row."""

    app_name: str
    schedule: str
    scheduled_at: Moment
    fired_at: Moment
    outcome: TickOutcome
    run_id: str | None


class TickRun(NamedTuple):
    """The run of a tick: that of its handler (`internal`), or the one that it started."""

    id: str
    internal: int
    status: Status


def hold(tx: Tx, app_name: str, name: str, now: Moment) -> ScheduleRow:
    """Return the schedule's row, locked until this transaction ends; one without a rule if it is new."""
    tx.insert(schedules, [ScheduleRow(app_name, name, "", now, None, 0, now)], unless=("app_name", "name"))
    [found] = tx.fetch(
        ScheduleRow._make,
        f"SELECT {tables.columns(schedules)} FROM stepwell_schedules WHERE app_name=? AND name=? FOR NO KEY UPDATE",
        app_name,
        name,
    )
    return found


def save(tx: Tx, row: ScheduleRow) -> None:
    """Store the schedule's row."""
    tx.run(
        f"INSERT INTO stepwell_schedules ({tables.columns(schedules)}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (app_name, name) DO UPDATE SET rule=excluded.rule, since=excluded.since,"
        " next_at=excluded.next_at, paused=excluded.paused, updated_at=excluded.updated_at",
        *row,
    )


def pause(tx: Tx, app_name: str, name: str, paused: bool, now: Moment) -> None:
    """Pause the schedule, or resume it from now: ticks of that time aren't caught up."""
    tx.run(
        "UPDATE stepwell_schedules SET paused=?, since=CASE WHEN paused<>0 THEN ? ELSE since END, updated_at=?"
        " WHERE app_name=? AND name=?",
        int(paused),
        now,
        now,
        app_name,
        name,
    )


def add_tick(tx: Tx, tick: TickRow) -> bool:
    """Record the tick; return False if it was recorded before."""
    added = tx.run(
        f"INSERT INTO stepwell_ticks ({tables.columns(ticks)}) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (app_name, schedule, scheduled_at) DO NOTHING",
        *tick,
    )
    return added == 1


def change_tick(tx: Tx, tick: TickRow) -> None:
    """Store the changed state of a recorded tick."""
    tx.run(
        "UPDATE stepwell_ticks SET fired_at=?, outcome=?, run_id=? WHERE app_name=? AND schedule=? AND scheduled_at=?",
        tick.fired_at,
        tick.outcome,
        tick.run_id,
        tick.app_name,
        tick.schedule,
        tick.scheduled_at,
    )


def every(tx: Tx) -> list[ScheduleRow]:
    """Return all schedules that any process has declared."""
    sql = f"SELECT {tables.columns(schedules)} FROM stepwell_schedules ORDER BY app_name, name"
    return tx.fetch(ScheduleRow._make, sql)


def tick(tx: Tx, wanted: TickRow) -> TickRow | None:
    """Return the tick of the same moment as it is recorded."""
    return tx.one(TickRow._make, f"{_OF_SCHEDULE} AND scheduled_at=?", *wanted[:3])


def tick_of(tx: Tx, app_name: str, schedule: str, run_id: str) -> TickRow | None:
    """Return the tick of a schedule that has this run; the newest ones are looked at first."""
    return tx.one(
        TickRow._make, f"{_OF_SCHEDULE} AND run_id=? ORDER BY scheduled_at DESC LIMIT 1", app_name, schedule, run_id
    )


def ticks_of(tx: Tx, app_name: str, schedule: str, limit: int = 1000) -> list[TickRow]:
    """Return the newest ticks of a schedule, newest first."""
    return tx.fetch(TickRow._make, f"{_OF_SCHEDULE} ORDER BY scheduled_at DESC LIMIT ?", app_name, schedule, limit)


def newest_ticks(tx: Tx, named: Iterable[tuple[str, str]]) -> dict[tuple[str, str], TickRow]:
    """Return the newest tick of each of these (app, schedule) that has one."""
    found = tx.fetch(
        TickRow._make,
        f"SELECT {tables.columns(ticks, 't.')} FROM pairs(?) l JOIN stepwell_ticks t ON t.app_name=l.a"
        " AND t.schedule=l.b WHERE t.scheduled_at=(SELECT max(n.scheduled_at) FROM stepwell_ticks n"
        " WHERE n.app_name=l.a AND n.schedule=l.b)",
        paired(named),
    )
    return {(one.app_name, one.schedule): one for one in found}


def runs_of(tx: Tx, found: Iterable[TickRow]) -> dict[str, TickRun]:
    """Return the runs of these ticks that are still there, by id."""
    ids = [one.run_id for one in found if one.run_id is not None]
    rows = tx.fetch(TickRun._make, "SELECT id, internal, status FROM stepwell_runs WHERE id IN list(?)", tx.listed(ids))
    return {row.id: row for row in rows}


def queued(tx: Tx, app_name: str, schedule: str, limit: int) -> list[TickRow]:
    """Return the oldest ticks that wait for an earlier one to end."""
    return tx.fetch(
        TickRow._make, f"{_OF_SCHEDULE} AND outcome='queued' ORDER BY scheduled_at LIMIT ?", app_name, schedule, limit
    )


def busy(tx: Tx, app_name: str, schedule: str, now: Moment) -> bool:
    """Return whether the run of the tick that fired last hasn't ended; or that of one that fired too early."""
    newest = (
        "SELECT * FROM (SELECT run_id FROM stepwell_ticks WHERE app_name=? AND schedule=? AND run_id IS NOT NULL"
        " AND scheduled_at{}? ORDER BY scheduled_at DESC LIMIT 1) AS t"
    )
    given = (app_name, schedule, now)
    found = tx.rows(f"{newest.format('<=')} UNION ALL {newest.format('>')}", *given, *given)
    return any(run.status in _ACTIVE for run in runs.load(tx, [str(row[0]) for row in found]).values())


def early(tx: Tx, app_name: str, schedule: str, after: Moment) -> list[TickRow]:
    """Return the ticks of a schedule that are recorded for a moment after this one, the first one first."""
    return tx.fetch(
        TickRow._make, f"{_OF_SCHEDULE} AND scheduled_at>? ORDER BY scheduled_at", app_name, schedule, after
    )


def move_tick(tx: Tx, tick: TickRow, to: Moment) -> bool:
    """Record the tick for another moment, at which it fired; return False if there is one already."""
    moved = tick._replace(scheduled_at=to, fired_at=to)
    if not add_tick(tx, moved):
        return False
    remove_tick(tx, tick)
    return True


def remove_tick(tx: Tx, tick: TickRow) -> None:
    """Delete the record of the tick."""
    tx.run("DELETE FROM stepwell_ticks WHERE app_name=? AND schedule=? AND scheduled_at=?", *tick[:3])


def expire(tx: Tx, before: Moment, limit: int) -> int:
    """Delete ticks that fired before this moment, with the ended runs of their handlers, and return their number.

    The newest tick of a schedule stays: the next one asks for its run. Of one that was made at run time and is deleted,
    none stays.
    """
    found = tx.rows(
        "SELECT app_name, schedule, scheduled_at, run_id FROM stepwell_ticks old WHERE fired_at<? AND outcome<>'queued'"
        " AND (EXISTS (SELECT 1 FROM stepwell_ticks new WHERE new.app_name=old.app_name AND new.schedule=old.schedule"
        f" AND new.scheduled_at>old.scheduled_at) OR (substr(schedule, 1, {len(MADE)})='{MADE}' AND NOT EXISTS"
        " (SELECT 1 FROM stepwell_made_schedules made WHERE made.id=old.schedule))) ORDER BY fired_at LIMIT ?",
        before,
        limit,
    )
    if found:
        tx.each(
            "DELETE FROM stepwell_ticks WHERE app_name=? AND schedule=? AND scheduled_at=?",
            [(row[0], row[1], row[2]) for row in found],
        )
        runs.delete_handlers(tx, [row[3] for row in found if row[3] is not None])
    return len(found)

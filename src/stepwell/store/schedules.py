"""Schedules and their ticks: the moment up to which each is settled, and the process that fired each tick."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from stepwell.engine.run import Moment
from stepwell.store import runs, tables
from stepwell.store.tables import schedules, ticks
from stepwell.store.tx import Tx

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

    The newest tick of a schedule stays: the next one asks for its run.
    """
    found = tx.rows(
        "SELECT app_name, schedule, scheduled_at, run_id FROM stepwell_ticks old WHERE fired_at<? AND outcome<>'queued'"
        " AND EXISTS (SELECT 1 FROM stepwell_ticks new WHERE new.app_name=old.app_name AND new.schedule=old.schedule"
        " AND new.scheduled_at>old.scheduled_at) ORDER BY fired_at LIMIT ?",
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

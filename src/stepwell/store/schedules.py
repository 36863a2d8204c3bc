"""Schedules and their ticks: how far each schedule is settled, and who fired what."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from stepwell.engine.run import Moment
from stepwell.store import rows, runs
from stepwell.store.tables import schedules, ticks
from stepwell.store.tx import Tx

TickOutcome = Literal["fired", "queued", "refused"]

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
    """The schedule's row, which nobody else changes before this transaction ends; one without a rule if it is new."""
    tx.insert(schedules, [ScheduleRow(app_name, name, "", now, None, 0, now)], unless=("app_name", "name"))
    [found] = tx.fetch(
        ScheduleRow._make,
        f"SELECT {rows.columns(schedules)} FROM stepwell_schedules WHERE app_name=? AND name=?{tx.dialect.locking}",
        app_name,
        name,
    )
    return found


def save(tx: Tx, row: ScheduleRow) -> None:
    """The schedule's row is this one."""
    tx.run(
        f"INSERT INTO stepwell_schedules ({rows.columns(schedules)}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (app_name, name) DO UPDATE SET rule=excluded.rule, since=excluded.since,"
        " next_at=excluded.next_at, paused=excluded.paused, updated_at=excluded.updated_at",
        *row,
    )


def pause(tx: Tx, app_name: str, name: str, paused: bool, now: Moment) -> None:
    """The schedule is paused, or goes on from now: what came due meanwhile stays undone."""
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
    """True if the tick is recorded by this call; False if somebody has recorded it before."""
    added = tx.run(
        f"INSERT INTO stepwell_ticks ({rows.columns(ticks)}) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (app_name, schedule, scheduled_at) DO NOTHING",
        *tick,
    )
    return added == 1


def change_tick(tx: Tx, tick: TickRow) -> None:
    """What became of a recorded tick."""
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
    """All schedules that any process has declared."""
    sql = f"SELECT {rows.columns(schedules)} FROM stepwell_schedules ORDER BY app_name, name"
    return tx.fetch(ScheduleRow._make, sql)


def tick(tx: Tx, wanted: TickRow) -> TickRow | None:
    """The tick of the same moment as it is recorded."""
    found = tx.fetch(
        TickRow._make,
        f"SELECT {rows.columns(ticks)} FROM stepwell_ticks WHERE app_name=? AND schedule=? AND scheduled_at=?",
        *wanted[:3],
    )
    return found[0] if found else None


def tick_of(tx: Tx, app_name: str, schedule: str, run_id: str) -> TickRow | None:
    """The tick of a schedule that has this run; the newest ones are looked at first."""
    found = tx.fetch(
        TickRow._make,
        f"SELECT {rows.columns(ticks)} FROM stepwell_ticks WHERE app_name=? AND schedule=? AND run_id=?"
        " ORDER BY scheduled_at DESC LIMIT 1",
        app_name,
        schedule,
        run_id,
    )
    return found[0] if found else None


def ticks_of(tx: Tx, app_name: str, schedule: str, limit: int = 1000) -> list[TickRow]:
    """The newest ticks of a schedule, newest first."""
    return tx.fetch(
        TickRow._make,
        f"SELECT {rows.columns(ticks)} FROM stepwell_ticks WHERE app_name=? AND schedule=?"
        " ORDER BY scheduled_at DESC LIMIT ?",
        app_name,
        schedule,
        limit,
    )


def queued(tx: Tx, app_name: str, schedule: str, limit: int) -> list[TickRow]:
    """The oldest ticks that wait for an earlier one to end."""
    return tx.fetch(
        TickRow._make,
        f"SELECT {rows.columns(ticks)} FROM stepwell_ticks WHERE app_name=? AND schedule=? AND outcome='queued'"
        " ORDER BY scheduled_at LIMIT ?",
        app_name,
        schedule,
        limit,
    )


def busy(tx: Tx, app_name: str, schedule: str) -> bool:
    """Whether the run of the tick that fired last is still worked on, or waits."""
    found = tx.scalar(
        "SELECT run_id FROM stepwell_ticks WHERE app_name=? AND schedule=? AND run_id IS NOT NULL"
        " ORDER BY scheduled_at DESC LIMIT 1",
        app_name,
        schedule,
    )
    run = runs.load_one(tx, str(found)) if found is not None else None
    return run is not None and run.status in _ACTIVE


def expire(tx: Tx, before: Moment, limit: int) -> int:
    """How many ticks that fired before this moment are deleted, with the ended runs of their handlers.

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

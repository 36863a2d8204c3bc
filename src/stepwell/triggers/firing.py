"""One look at one schedule, inside a write transaction: due ticks are settled, and those that fire get their runs.

The tick, its run and the schedule's row are one commit. A process that dies before it has fired nothing; one that dies after it
leaves a run that any worker takes up; a second process finds the tick settled.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, assert_never

from stepwell.definition.schedules.schedule_times import MOST_AT_ONCE, ON_TIME, Due, described, due_ticks
from stepwell.definition.text import SYSTEM_USER
from stepwell.engine.run import Moment
from stepwell.errors import StepwellError
from stepwell.execution.clock import microseconds, to_datetime, to_moment
from stepwell.execution.shared import Shared
from stepwell.runner.start import Origin, Start, prepare
from stepwell.store import runs, schedules
from stepwell.store.schedules import ScheduleRow, TickRow
from stepwell.store.tables import moment
from stepwell.store.tx import Tx
from stepwell.store.writing.apply import Applier
from stepwell.triggers.declare import DeclaredSchedule, StartWorkflow
from stepwell.triggers.events import Tick
from stepwell.triggers.handlers import schedule_workflow

log = logging.getLogger("stepwell.triggers")

_ON_TIME: Final = microseconds(ON_TIME)
_AHEAD: Final = 2_000_000
"""Microseconds by which processes may disagree about the time."""
_FAR_AHEAD: Final = 3_600_000_000
"""Microseconds: a tick of a moment nearer than this stays what it is, and holds its place until the moment comes."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The result of one look."""

    fired: int
    wake: Moment
    """The moment at which the next tick fires; nothing comes due before."""
    queued: bool
    """Ticks wait for the run of an earlier one: look again when it may have ended."""


@dataclass(frozen=True)
class Firing:
    """One schedule of one app, and what it needs to fire. Of a schedule made at run time, `made_firing.py` has the rest."""

    app_name: str
    schedule: DeclaredSchedule
    shared: Shared
    applier: Applier

    @property
    def title(self) -> str:
        """The schedule, for people."""
        return f"schedule {self.schedule.name!r} of app {self.app_name!r}"

    def hold(self, tx: Tx, now: Moment) -> ScheduleRow:
        """Return what is settled of the schedule, locked until this transaction ends."""
        return schedules.hold(tx, self.app_name, self.schedule.name, now)

    def store(self, tx: Tx, before: ScheduleRow, row: ScheduleRow, *, queued: bool) -> None:
        """Store what is settled now, unless it is what was settled before; and whether ticks are queued."""
        if row != before._replace(updated_at=row.updated_at):
            schedules.save(tx, row)

    def look(self, tx: Tx) -> Looked:
        """Settle everything that is due now."""
        now = self.shared.clock.now()
        # One look at a time, whichever process: what is read here is decided on, and written.
        row = self.hold(tx, now)
        due = self._due(self._since(self._settled_by_now(tx, row, now), now), now)
        paused = row.paused
        self._log_skipped(0 if paused else due.skipped, f"misfire={self.schedule.misfire!r}")
        fired = self._settle(tx, due.fire, now) if not paused else 0
        queue = schedules.queued(tx, self.app_name, self.schedule.name, 1)
        if queue and not paused and not self._busy(tx):
            fired += self._fire(tx, queue[0], now)
            queue = schedules.queued(tx, self.app_name, self.schedule.name, 1)
        self._save(tx, row, due, bool(queue), now)
        return Looked(fired, to_moment(due.wake), bool(queue) and not paused)

    def _settled_by_now(self, tx: Tx, row: ScheduleRow, now: Moment) -> ScheduleRow:
        """Return the row, corrected where a clock that was ahead (or a person) settled it up to a future moment.

        Else nothing would fire before that moment. A tick that has fired too early stays fired, and isn't fired again.
        """
        since = moment(row.since)
        if since is not None and since <= now + _AHEAD:
            return row
        log.warning(
            "%s was settled up to %s, which is in the future: a clock was ahead. It continues from now",
            self.title,
            repr(row.since) if since is None else to_datetime(since).isoformat(),
        )
        self._bring_back(tx, now)
        return row._replace(since=now)

    def _bring_back(self, tx: Tx, now: Moment) -> None:
        """Record ticks of the far future for now: their runs were started, and readers find them."""
        far = schedules.early(tx, self.app_name, self.schedule.name, now + _FAR_AHEAD)
        for back, tick in enumerate(reversed(far)):
            if tick.outcome == "queued" or not schedules.move_tick(tx, tick, now - back):
                schedules.remove_tick(tx, tick)

    def _since(self, row: ScheduleRow, now: Moment) -> Moment:
        if row.rule == described(self.schedule.rule):
            return row.since
        # Another rule than the one that was settled: what it would have done before isn't caught up, and where two
        # versions of the code run side by side neither misses a tick of its own.
        return max(row.since, now - _ON_TIME)

    def _due(self, since: Moment, now: Moment) -> Due:
        one = self.schedule
        return due_ticks(
            one.rule,
            to_datetime(since),
            to_datetime(now),
            one.misfire,
            one.catch_up,
            schedule=f"{self.app_name}:{one.name}",
            jitter=one.jitter,
        )

    def _save(self, tx: Tx, row: ScheduleRow, due: Due, queued: bool, now: Moment) -> None:
        rule = described(self.schedule.rule)
        new = row._replace(rule=rule, since=to_moment(due.last), next_at=to_moment(due.wake), updated_at=now)
        self.store(tx, row, new, queued=queued)

    def fire_now(self, tx: Tx, key: str | None = None) -> TickRow:
        """Fire a tick of this moment, whatever the rule says and whether the schedule is paused or not.

        Return the earlier tick for a key that has fired one. Its run has the key, so it holds as long as the run is kept.
        """
        now = self.shared.clock.now()
        # A concurrent call with the same key waits here, and finds the tick that this one has fired.
        self.hold(tx, now)
        if key is not None and (fired := self._fired_by(tx, key)) is not None:
            return fired
        tick = self._tick(to_datetime(now), now)
        while schedules.tick(tx, tick) is not None:
            tick = tick._replace(
                scheduled_at=tick.scheduled_at + 1
            )  # a call's tick is neither the rule's nor another call's
        self._fire(tx, tick, now, key)
        return schedules.tick(tx, tick) or tick

    def _fired_by(self, tx: Tx, key: str) -> TickRow | None:
        action = self.schedule.action
        user_id = action.user_id if isinstance(action, StartWorkflow) else SYSTEM_USER
        one = (self.app_name, user_id, self._run_key(key))
        run = runs.by_keys(tx, [one]).get(one)
        if run is None:
            return None
        tick = schedules.tick_of(tx, self.app_name, self.schedule.name, run.id)
        # A run is kept for as long as its user wants, its tick isn't.
        return tick or TickRow(self.app_name, self.schedule.name, run.created_at, run.created_at, "fired", run.id)

    def _run_key(self, key: str) -> str:
        return f"schedule:{self.schedule.name}:fire:{sha256(key.encode()).hexdigest()}"

    # -- what becomes of a tick -----------------------------------------------------------------------------------

    def _settle(self, tx: Tx, due: Sequence[datetime], now: Moment) -> int:
        """Fire ticks and return their number. Whether an earlier one is still executed is asked once for all."""
        if not due:
            return 0
        match self.schedule.overlap:
            case "allow":
                return sum(self._fire(tx, self._tick(one, now), now) for one in due)
            case "skip" if self._busy(tx):
                self._log_skipped(len(due), "overlap='skip', and the run of the last tick hasn't ended")
                return 0
            case "skip":
                return sum(self._fire(tx, self._tick(one, now), now) for one in due)
            case "queue":
                return self._queue(tx, due, now)
            case _ as never:
                assert_never(never)

    def _queue(self, tx: Tx, due: Sequence[datetime], now: Moment) -> int:
        room = MOST_AT_ONCE - len(schedules.queued(tx, self.app_name, self.schedule.name, MOST_AT_ONCE))
        for one in due[:room]:
            schedules.add_tick(tx, self._tick(one, now)._replace(outcome="queued"))
        self._log_skipped(len(due[room:]), f"{MOST_AT_ONCE} are queued already")
        return 0

    def _log_skipped(self, count: int, why: str) -> None:
        if count:
            log.warning("%s skips %d ticks: %s", self.title, count, why)

    def _busy(self, tx: Tx) -> bool:
        return schedules.busy(tx, self.app_name, self.schedule.name, self.shared.clock.now())

    def _tick(self, scheduled_at: datetime, now: Moment) -> TickRow:
        return TickRow(self.app_name, self.schedule.name, to_moment(scheduled_at), now, "fired", None)

    def _fire(self, tx: Tx, tick: TickRow, now: Moment, key: str | None = None) -> int:
        """Fire the tick: return 1; or 0 if another process has fired it, or its workflow refuses it."""
        if tick.outcome == "fired" and not schedules.add_tick(tx, tick):
            return 0
        run_id = self._begin(tx, tick, now, key)
        outcome: schedules.TickOutcome = "fired" if run_id else "refused"
        schedules.change_tick(tx, tick._replace(fired_at=now, outcome=outcome, run_id=run_id))
        return int(run_id is not None)

    def _begin(self, tx: Tx, tick: TickRow, now: Moment, key: str | None) -> str | None:
        try:
            _, commit = prepare(self.shared, *self.start(tick, now, key))
        except Exception as error:  # noqa: BLE001 - validators are user code
            self._log_refused(error)
            return None
        [answer] = self.applier.begin(tx, [(commit,)])
        if isinstance(answer, StepwellError):
            self._log_refused(answer)
            return None
        if isinstance(answer, Exception):
            raise answer
        return answer[0].run.id

    def _log_refused(self, error: Exception) -> None:
        # The schedule continues: one tick that can't start must not stop those after it.
        log.error("%s could not fire its tick", self.title, exc_info=error)

    def start(self, tick: TickRow, now: Moment, key: str | None) -> tuple[Start, Origin]:
        """Return the start that the tick makes."""
        action = self.schedule.action
        run_key = None if key is None else self._run_key(key)
        if isinstance(action, StartWorkflow):
            of_tick = f"schedule:{self.schedule.name}:{to_datetime(tick.scheduled_at).isoformat()}"
            start = Start(action.workflow, action.args, idempotency_key=run_key or of_tick)
            return start, Origin(self.app_name, action.user_id)
        scheduled_at = to_datetime(tick.scheduled_at).astimezone(getattr(self.schedule.rule, "zone", UTC))
        given = Tick(self.schedule.name, scheduled_at, to_datetime(now)).to_json()
        start = Start(schedule_workflow(self.schedule.name), given, idempotency_key=run_key)
        return start, Origin(self.app_name, SYSTEM_USER, internal=1)

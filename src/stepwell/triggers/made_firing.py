"""Schedules made at run time, as they fire: each is built from its row inside the transaction that looks at it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from stepwell.definition.schedules.policy import Overlap
from stepwell.definition.schedules.schedule_times import Misfire, described
from stepwell.engine.run import Moment
from stepwell.errors import DefinitionError
from stepwell.execution.clock import FAR
from stepwell.execution.shared import Shared
from stepwell.runner.made_rules import rule_of
from stepwell.runner.start import Origin, Start
from stepwell.store import made_schedules
from stepwell.store.made_schedules import MadeSchedule
from stepwell.store.schedules import ScheduleRow, TickRow
from stepwell.store.tx import Tx
from stepwell.store.writing.apply import Applier
from stepwell.triggers.declare import DeclaredSchedule, StartWorkflow
from stepwell.triggers.firing import Firing, Looked
from stepwell.triggers.handlers import Triggers


@dataclass(frozen=True)
class MadeFiring(Firing):
    """One schedule made at run time, by its row, which this transaction has locked. Its id is the name of its ticks."""

    row: MadeSchedule

    @property
    def title(self) -> str:
        return made_schedules.title_of(self.row)

    def hold(self, tx: Tx, now: Moment) -> ScheduleRow:
        return self.row.settled._replace(rule=described(self.schedule.rule))

    def store(self, tx: Tx, before: ScheduleRow, row: ScheduleRow, *, queued: bool) -> None:
        row = row._replace(next_at=None if row.next_at is None or row.next_at >= FAR else row.next_at)
        if queued != bool(self.row.queued) or row != before._replace(updated_at=row.updated_at):
            made_schedules.settle(tx, row, queued=queued)

    def start(self, tick: TickRow, now: Moment, key: str | None) -> tuple[Start, Origin]:
        start, origin = super().start(tick, now, key)
        definition = self.shared.registry.get(self.row.app_name, self.row.workflow_name)
        # As the type reads JSON, which isn't always how it reads the same data from Python.
        args = None if definition.args is None else definition.args.load(self.row.args)
        return Start(start.workflow, args, idempotency_key=start.idempotency_key), origin


@dataclass(frozen=True, slots=True)
class MadeFirings:
    """The schedules made at run time, for the verbs and the scheduler. It knows which names are declared."""

    shared: Shared
    applier: Applier
    declared: frozenset[tuple[str, str]]
    """(app, name) of the schedules that this process declares."""

    @classmethod
    def of(cls, shared: Shared, applier: Applier, apps: Iterable[Triggers]) -> MadeFirings:
        """Return those beside the schedules that these apps declare."""
        return cls(shared, applier, frozenset((app.name, one.name) for app in apps for one in app.schedules))

    def declares(self, app_name: str, name: str) -> bool:
        """Return whether a schedule of this name is declared by the app."""
        return (app_name, name) in self.declared

    def firing(self, row: MadeSchedule) -> MadeFiring:
        """Return the schedule as it fires. Raises DefinitionError for a row with an invalid rule."""
        action = StartWorkflow(row.workflow_name, None, row.user_id)
        late = (cast("Overlap", row.overlap), cast("Misfire", row.misfire))
        spans = (timedelta(microseconds=row.catch_up), timedelta(microseconds=row.jitter))
        schedule = DeclaredSchedule(row.id, rule_of(row), action, *late, *spans)
        return MadeFiring(row.app_name, schedule, self.shared, self.applier, row)

    def look(self, tx: Tx, schedule_id: str) -> Looked | None:
        """Settle everything that is due; None if the schedule is gone, or another process has it in hand."""
        row = made_schedules.hold_free(tx, schedule_id)
        return None if row is None else self.firing(row).look(tx)

    def settle(self, tx: Tx, row: MadeSchedule) -> MadeSchedule:
        """Settle everything that is due of a schedule that this transaction has locked, and return it as it is then."""
        if self.shared.registry.find(row.app_name, row.workflow_name) is None:
            return row
        try:
            firing = self.firing(row)
        except DefinitionError:
            return row  # its rule isn't valid any more, which the change may put right
        firing.look(tx)
        return made_schedules.load(tx, row.id) or row

    def fire(self, tx: Tx, row: MadeSchedule, key: str | None) -> TickRow:
        """Fire a tick now, of a schedule that this transaction has locked; or return the one that this key has fired.

        Raises UnknownApp, UnknownWorkflow.
        """
        self.shared.registry.get(row.app_name, row.workflow_name)
        return self.firing(row).fire_now(tx, key)

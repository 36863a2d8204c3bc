"""Schedules made at run time: the verbs of `runner.schedules`. `triggers/` fires them."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Unpack

from typing_extensions import TypeVar

from stepwell.definition.schedules.policy import NO_JITTER, Overlap
from stepwell.definition.schedules.schedule_times import Misfire
from stepwell.definition.text import is_handler
from stepwell.definition.values.inputs import args_json
from stepwell.definition.values.misfit import shown
from stepwell.engine.run import Moment
from stepwell.errors import (
    InvalidArgs,
    ScheduleExists,
    ScheduleNotFound,
    StoreUnavailable,
    UnknownWorkflow,
    WorkflowNotFound,
)
from stepwell.execution.shared import new_id
from stepwell.nearest import UnknownKeyword, unknown_keywords
from stepwell.runner import made_rules
from stepwell.runner.arguments import check_limit, check_user, checked_key, checked_text, cursor_of
from stepwell.runner.core import Core
from stepwell.runner.made_rules import ScheduleChanges
from stepwell.runner.models import Page
from stepwell.runner.readable import parsed
from stepwell.runner.schedule_models import Schedule, TickView, schedule_of, tick_of
from stepwell.runner.steering import Steering
from stepwell.store import made_schedules, schedules
from stepwell.store.made_schedules import MadeSchedule
from stepwell.store.schedules import MADE, TickRow
from stepwell.store.tx import Tx

if TYPE_CHECKING:
    from stepwell.definition.authoring.workflow import Workflow

A = TypeVar("A", default=Any)

_PAGE_BYTES: Final = 64 * 1024 * 1024
_TRIES: Final = 10
"""The schedule may change while the change of another call is checked; not for ever."""
_Newest = dict[tuple[str, str], TickRow]
CHANGES: Final = tuple(ScheduleChanges.__annotations__)


class RunnerSchedules:
    """Schedules made at run time, each known by its app, its user and its name. A restricted runner has its user's only."""

    def __init__(
        self, runner: Steering, only: Callable[[str | None], str | None], key: Callable[..., str | None]
    ) -> None:
        self._runner = runner
        self._only = only
        self._derived_key = key

    @property
    def _core(self) -> Core:
        return self._runner.core

    async def create(
        self,
        name: str,
        workflow: type[Workflow[A, Any, Any]] | str,
        args: A | Mapping[str, Any] | None = None,
        *,
        app_name: str,
        user_id: str | None = None,
        cron: str | None = None,
        every: timedelta | None = None,
        at: datetime | None = None,
        timezone: str = "UTC",
        overlap: Overlap = "skip",
        misfire: Misfire = "latest",
        catch_up: timedelta | None = None,
        jitter: timedelta = NO_JITTER,
        paused: bool = False,
    ) -> Schedule:
        """Store a schedule that starts a run of `workflow` for `user_id` at each tick, and return it.

        Give one of `cron` (in `timezone`), `every` (counted from now) and `at` (once). `catch_up`: a day by default.
        Raises ScheduleExists, UnknownApp, UnknownWorkflow, InvalidArgs, PayloadTooLarge, StoreUnavailable; nothing is stored
        then.
        """
        core, user = self._core, self._user(user_id)
        given = {
            "cron": cron, "every": every, "at": at, "timezone": timezone, "overlap": overlap, "misfire": misfire,
            "catch_up": catch_up, "jitter": jitter, "paused": paused,
        }  # fmt: skip
        now = core.shared.clock.now()
        workflow_name, stored = self._start(app_name, workflow, args)
        made_rules.refuse(
            name,
            [*made_rules.name_faults(name), *made_rules.rule_faults(given, now), *made_rules.option_faults(given)],
        )
        self._refuse_declared(app_name, name)
        columns = made_rules.rule_columns(given, now) | made_rules.option_columns(given)
        row = made_rules.timed(
            MadeSchedule(
                id=MADE + new_id(),
                app_name=app_name,
                user_id=user,
                name=name,
                workflow_name=workflow_name,
                paused=int(paused),
                next_at=None,
                queued=0,
                made_by=self._derived_key("schedule", app_name, user, name, workflow_name, stored, given),
                created_at=now,
                updated_at=now,
                args=stored,
                **columns,
            )
        )
        found = await core.write(lambda tx: made_schedules.add(tx, row), None)
        if found.id != row.id and (row.made_by is None or found.made_by != row.made_by):
            raise ScheduleExists(
                f"User {user!r} has a schedule {name!r} in app {app_name!r} already: give another name, or update it."
            )
        return await self._told(found)

    async def get(self, name: str, *, app_name: str, user_id: str | None = None) -> Schedule:
        """Return the schedule. Raises ScheduleNotFound, InvalidArgs where several users have one and none is named."""
        return await self._told(await self.row(name, app_name=app_name, user_id=user_id))

    async def row(self, name: str, *, app_name: str, user_id: str | None = None) -> MadeSchedule:
        """Return the stored row of a schedule. Raises as `get`."""
        return await self._runner.read(self._found(name, app_name, user_id, lock=False))

    async def list(
        self, *, app_name: str | None = None, user_id: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Schedule]:
        """Return a page of schedules, the newest first. `limit` is 1 to 1,000; a page is no larger than 64 MiB."""
        check_limit(limit)
        core, only = self._core, self._restricted(user_id)
        apps = None if checked_text("app_name", app_name) is None else [str(app_name)]
        after = cursor_of(cursor)

        def query(tx: Tx) -> tuple[builtins.list[MadeSchedule], str | None, _Newest]:
            before = None if after is None else MADE + after
            rows, mark = made_schedules.page(tx, limit, before, apps=apps, user_id=only, most_bytes=_PAGE_BYTES)
            return rows, mark, schedules.newest_ticks(tx, [(row.app_name, row.id) for row in rows])

        rows, mark, last = await self._runner.read(query)
        items = []
        for row in rows:
            with core.shared.faults.apart(made_schedules.title_of(row)):
                items.append(schedule_of(row, last.get((row.app_name, row.id)), core.shared.clock.now()))
        return Page(items=tuple(items), next_cursor=None if mark is None else mark.removeprefix(MADE))

    async def update(
        self, name: str, *, app_name: str, user_id: str | None = None, **changes: Unpack[ScheduleChanges]
    ) -> Schedule:
        """Change what is given (`workflow, args, cron, every, at, timezone, overlap, misfire, catch_up, jitter, paused`).

        What was due before is fired before. One of `cron`, `every` and `at` replaces the rule, which then counts from now.
        Raises ScheduleNotFound, UnknownKeyword, and what `create` raises; nothing is changed then.
        """
        if unknown := unknown_keywords(changes, CHANGES):
            raise UnknownKeyword(f"The change of the schedule {name!r}", unknown)
        return await self._change(name, app_name, user_id, changes)

    async def delete(self, name: str, *, app_name: str, user_id: str | None = None) -> None:
        """Delete the schedule: it fires nothing any more. The runs that it has started stay. Raises ScheduleNotFound."""
        find = self._found(name, app_name, user_id)
        await self._core.write(lambda tx: made_schedules.delete(tx, find(tx)), None)

    async def pause(self, name: str, *, app_name: str, user_id: str | None = None) -> Schedule:
        """Pause the schedule: ticks that come before it is resumed aren't fired, nor caught up. Raises ScheduleNotFound."""
        return await self._change(name, app_name, user_id, ScheduleChanges(paused=True))

    async def resume(self, name: str, *, app_name: str, user_id: str | None = None) -> Schedule:
        """Resume the schedule: it fires again from now on. Raises ScheduleNotFound."""
        return await self._change(name, app_name, user_id, ScheduleChanges(paused=False))

    async def fire(
        self, name: str, *, app_name: str, user_id: str | None = None, idempotency_key: str | None = None
    ) -> TickView:
        """Fire the schedule now, whatever its rule says and even if it is paused; return the tick, fired or refused.

        The same `idempotency_key` again returns the tick that it has fired. Raises ScheduleNotFound, UnknownApp,
        UnknownWorkflow, InvalidArgs.
        """
        core, find = self._core, self._found(name, app_name, user_id)
        key = checked_key(idempotency_key) or self._derived_key("fire", app_name, user_id, name)
        tick = await core.write(lambda tx: core.ticks.fire(tx, find(tx), key), None)
        return await self._runner.read(lambda tx: tick_of(tick, schedules.runs_of(tx, [tick])))

    # -- which schedule ---------------------------------------------------------------------------------------------

    def _restricted(self, user_id: str | None) -> str | None:
        """Return the user to restrict to. Raises ScheduleNotFound for another user in a restricted runner."""
        try:
            return self._only(user_id)
        except WorkflowNotFound as error:
            raise ScheduleNotFound(str(error)) from None

    def _user(self, user_id: str | None) -> str:
        found = self._restricted(user_id)
        if found is None:
            raise InvalidArgs("user_id is missing: say for whom the schedule starts runs, as in user_id='u1'.")
        check_user(found)
        return found

    def _found(
        self, name: str, app_name: str, user_id: str | None, *, lock: bool = True
    ) -> Callable[[Tx], MadeSchedule]:
        """Return a query of the one schedule of that name. It raises ScheduleNotFound, InvalidArgs."""
        only = self._restricted(user_id)
        if checked_text("name", name) is None or checked_text("app_name", app_name) is None:
            raise InvalidArgs(
                f"name={name!r}, app_name={app_name!r}: give both; with the user they identify a schedule."
            )

        missing = self._missing(name, app_name, only)

        def find(tx: Tx) -> MadeSchedule:
            found = [] if "\0" in name + app_name else made_schedules.named(tx, app_name, name, only, lock=lock)
            if not found:
                raise missing
            if len(found) > 1:
                raise InvalidArgs(
                    f"Several users have a schedule {name!r} in app {app_name!r}: give one, as in "
                    f"user_id={found[0].user_id!r}."
                )
            return found[0]

        return find

    def _missing(self, name: str, app_name: str, user_id: str | None) -> ScheduleNotFound:
        whose = "" if user_id is None else f" of user {user_id!r}"
        declared = self._core.ticks.declares(app_name, name)
        cure = " One of that name is declared in the app's code: change it there." if declared else ""
        return ScheduleNotFound(f"No schedule {shown(name)}{whose} was made in app {shown(app_name)}.{cure}")

    def _refuse_declared(self, app_name: str, name: str) -> None:
        if self._core.ticks.declares(app_name, name):
            raise ScheduleExists(f"The app {app_name!r} declares a schedule {name!r} in its code: give another name.")

    # -- what becomes of it -------------------------------------------------------------------------------------------

    def _start(self, app_name: str, workflow: Any, args: object) -> tuple[str, str]:
        """Return the workflow's name, and the args as they are stored. Raises as `create`."""
        shared = self._core.shared
        definition = shared.registry.get(app_name, workflow)
        if is_handler(definition.name):
            raise UnknownWorkflow(f"{definition.name!r} handles triggers of app {app_name!r}: it can't be scheduled.")
        return definition.name, args_json(definition, args, shared.limits.args)

    async def _change(self, name: str, app_name: str, user_id: str | None, changes: ScheduleChanges) -> Schedule:
        core, find = self._core, self._found(name, app_name, user_id, lock=False)
        for _ in range(_TRIES):
            before = await self._runner.read(find)
            now = core.shared.clock.now()
            columns = self._changed(before, changes, now)
            after = await core.write(self._changing(before, columns, changes.get("paused")), None)
            if after is not None:
                return await self._told(after)
        raise StoreUnavailable(f"The schedule {name!r} was changed by other calls all the time. Repeat the change.")

    def _changed(self, before: MadeSchedule, changes: ScheduleChanges, now: Moment) -> dict[str, Any]:
        """Return the changed columns. Raises as `create`."""
        given: dict[str, Any] = dict(changes)
        columns: dict[str, Any] = {}
        faults = made_rules.option_faults(given)
        rule = made_rules.changed_rule(before, given)
        if rule:
            faults = [*made_rules.rule_faults(rule, now), *faults]
        made_rules.refuse(before.name, faults)
        if rule:
            columns |= made_rules.rule_columns(rule, now)
        if "workflow" in given or "args" in given:
            workflow = given.get("workflow", before.workflow_name)
            args = given["args"] if "args" in given else parsed(before.args)
            columns["workflow_name"], columns["args"] = self._start(before.app_name, workflow, args)
        return columns | made_rules.option_columns(given)

    def _changing(
        self, before: MadeSchedule, columns: Mapping[str, Any], paused: bool | None
    ) -> Callable[[Tx], MadeSchedule | None]:
        """Return an operation that changes the schedule; None: what was checked isn't so any more."""
        core, missing = self._core, self._missing(before.name, before.app_name, before.user_id)

        def change(tx: Tx) -> MadeSchedule | None:
            found = made_schedules.named(tx, before.app_name, before.name, before.user_id, lock=True)
            if not found:
                raise missing
            row = found[0]
            checked = (row.id, row.workflow_name, row.args, row.cron, row.timezone)
            if checked != (before.id, before.workflow_name, before.args, before.cron, before.timezone):
                return None
            now = core.shared.clock.now()
            row = core.ticks.settle(tx, row)
            if paused is False and row.paused:
                row = row._replace(since=now)
            row = row._replace(**columns, updated_at=now)
            row = made_rules.timed(row if paused is None else row._replace(paused=int(paused)))
            made_schedules.replace(tx, row)
            return row

        return change

    async def _told(self, row: MadeSchedule) -> Schedule:
        key = (row.app_name, row.id)
        last = await self._runner.read(lambda tx: schedules.newest_ticks(tx, [key]))
        return schedule_of(row, last.get(key), self._core.shared.clock.now())

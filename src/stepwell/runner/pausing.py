"""The verbs that pause: nothing of an app, of a workflow or of all is claimed or begun until that pause is lifted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict

from stepwell.definition.registry import Registry
from stepwell.definition.text import is_handler
from stepwell.definition.values.misfit import shown
from stepwell.engine.pauses import PauseRow
from stepwell.errors import NoAccess, UnknownApp, UnknownWorkflow
from stepwell.execution.clock import to_datetime
from stepwell.nearest import suggestion
from stepwell.runner.arguments import check_user, checked_reason, workflow_name_of
from stepwell.runner.query import Reader
from stepwell.store import openings, pauses, runs, workers
from stepwell.store.tables import moment
from stepwell.store.tx import Lane, Tx

if TYPE_CHECKING:
    from stepwell.definition.authoring.workflow import Workflow

log = logging.getLogger("stepwell.runner")

_GATES: Final = 10_000
"""Gates of limits that are looked at as soon as a pause is lifted; the duty comes to all others."""
_ALL: Final = ""
"""The name that a stored pause has for all."""


class Pause(BaseModel):
    """A pause of an app, of a workflow, of a workflow in one app, or of everything: None stands for all."""

    model_config = ConfigDict(frozen=True)

    app_name: str | None
    workflow: str | None
    reason: str | None
    paused_at: datetime
    """Since when; a second pause of the same doesn't change it."""
    who: str | None
    """The user who paused it; None where that isn't known."""

    def __str__(self) -> str:
        since = f"since {self.paused_at.isoformat(timespec='seconds')}"
        return f"{what_is_paused(self.app_name, self.workflow)}, {since}{told_by(self.who, self.reason)}"


def pause_of(row: PauseRow) -> Pause:
    """Return the model of a row."""
    return Pause(
        app_name=row.app_name or None,
        workflow=row.workflow_name or None,
        reason=row.reason,
        paused_at=to_datetime(moment(row.paused_at) or 0),
        who=row.user_id,
    )


def what_is_paused(app_name: str | None, workflow: str | None) -> str:
    """Return what a pause of these covers, in words."""
    if workflow is None:
        return "everything" if app_name is None else f"app {app_name!r}"
    return f"workflow {workflow!r}" + ("" if app_name is None else f" of app {app_name!r}")


def told_by(who: str | None, reason: str | None) -> str:
    """Return who paused it and why, as far as either is known, as the end of a clause."""
    return ("" if who is None else f", by {who!r}") + ("" if not reason else f" ({reason})")


class Pausing(Reader):
    """The verbs that pause and resume, for all users."""

    async def pause(
        self,
        app_name: str | None = None,
        workflow: type[Workflow[Any, Any, Any]] | str | None = None,
        reason: str | None = None,
        *,
        by: str | None = None,
    ) -> Pause:
        """Pause an app, a workflow (of that app), or everything; return the pause as it is stored.

        Once this has returned, nothing that it covers is claimed or begun, in any process. What executes goes on to its next
        checkpoint and is handed back there. Starts, signals, events, ticks and deliveries are stored as always. A second
        pause of the same changes its reason, if it gives one. `by` says who paused it.

        Raises UnknownApp or UnknownWorkflow for a name that neither this process, nor a worker, nor a stored run has;
        NoAccess from `as_user(...)`, InvalidArgs, StoreUnavailable.
        """
        self._refuse_one_user("pause")
        name, text = workflow_name_of(workflow), checked_reason(reason)
        if by is not None:
            check_user(by)
        core = self.core
        _check_app(core.shared.registry, app_name)
        await self._check_known(app_name, name)
        row = PauseRow(app_name or _ALL, name or _ALL, text or None, by, core.shared.clock.now())
        stored = pause_of(await core.write(lambda tx: pauses.put(tx, row), None))
        log.warning("paused: %s", stored)
        return stored

    async def resume(
        self, app_name: str | None = None, workflow: type[Workflow[Any, Any, Any]] | str | None = None
    ) -> Pause | None:
        """Lift exactly this pause and return it; None if there was none.

        Other pauses that cover the same runs stay: `paused()` lists them. Raises UnknownApp or UnknownWorkflow for a name
        that nothing has, NoAccess from `as_user(...)`, InvalidArgs, StoreUnavailable.
        """
        self._refuse_one_user("resume")
        core, name = self.core, workflow_name_of(workflow)
        _check_app(core.shared.registry, app_name)
        if _ALL not in (app_name, name):
            lifted = await core.write(_lifting(app_name or _ALL, name or _ALL, core.shared.clock.now()), None)
            if lifted is not None:
                log.warning("resumed: %s", what_is_paused(app_name, name))
                return pause_of(lifted)
        await self._check_known(app_name, name)
        return None

    async def paused(self) -> list[Pause]:
        """Return all pauses, the oldest first; `as_user(...)` isn't told who paused, and why. Raises StoreUnavailable."""
        found = [pause_of(row) for row in await self.read(pauses.all_of)]
        return [one.model_copy(update={"who": None, "reason": None}) for one in found] if self.restricted else found

    def _refuse_one_user(self, verb: str) -> None:
        if self._user_id is not None:
            raise NoAccess(
                f"runner.as_user({self._user_id!r}).{verb}: a pause concerns the runs of all users. "
                f"Call {verb} of the runner itself."
            )

    async def _check_known(self, app_name: str | None, name: str | None) -> None:
        """Raise UnknownApp or UnknownWorkflow unless this process, a worker or a stored run has these names."""
        registry = self.core.shared.registry
        lanes = {lane for lane in registry.lanes if not is_handler(lane[1])}
        apps = {*registry.apps}
        if _fits(app_name, name, apps, lanes):
            return
        # What only other processes' code has can be paused too, and what is left of code that none has any more.
        lanes |= await self.read(lambda tx: _elsewhere(tx, app_name))
        apps |= {app for app, _ in lanes}
        if _fits(app_name, name, apps, lanes):
            return
        if app_name is not None and app_name not in apps:
            raise UnknownApp(f"No app {shown(app_name)}: {suggestion(app_name, sorted(apps), '{!r}')}")
        names = sorted({known for app, known in lanes if app_name in (None, app)})
        who = "No app lists" if app_name is None else f"The app {shown(app_name)} doesn't list"
        raise UnknownWorkflow(f"{who} the workflow {shown(name)}: {suggestion(str(name), names, '{!r}')}")


def _lifting(app_name: str, workflow_name: str, now: int) -> Callable[[Tx], PauseRow | None]:
    def operation(tx: Tx) -> PauseRow | None:
        lifted = pauses.lift(tx, app_name, workflow_name)
        if lifted is not None:
            openings.look_again(tx, now, _GATES)  # nothing was let through meanwhile
        return lifted

    return operation


def _check_app(registry: Registry, app_name: Any) -> None:
    """Raise UnknownApp for what is no name at all, such as the App itself."""
    if app_name is not None and not isinstance(app_name, str):
        registry.get(app_name, "")


def _fits(app_name: str | None, name: str | None, apps: Collection[str], lanes: Collection[Lane]) -> bool:
    if name is None:
        return app_name is None or app_name in apps
    return any(app_name in (None, app) and name == known for app, known in lanes)


def _elsewhere(tx: Tx, app_name: str | None) -> set[Lane]:
    """Return the (app, workflow) pairs that workers take, and those of the app's stored runs."""
    found = {(app, known) for row in workers.all_of(tx) for app, known in workers.lanes_of(row)}
    stored = [] if app_name is None else runs.lanes_of(tx, app_name)
    return {lane for lane in (*found, *stored) if not is_handler(lane[1])}

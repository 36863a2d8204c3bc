"""Pauses as people see and steer them, and the reasons that they give runs to wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from stepwell.engine.pauses import PauseRow
from stepwell.engine.run import RunRow
from stepwell.errors import NoAccess, UnknownApp
from stepwell.runner.pausing import Pause, pause_of, told_by, what_is_paused
from stepwell.runner.runner import WorkflowRunner


class Resumed(BaseModel):
    """The pause that was lifted, and those that still cover the same runs."""

    model_config = ConfigDict(frozen=True)

    lifted: Pause | None
    """None: there was no such pause."""
    remaining: tuple[Pause, ...]


@dataclass(frozen=True, slots=True)
class Pauses:
    """The pauses that a reader may see, and may put or lift; `apps`: those of these apps only."""

    runner: WorkflowRunner
    apps: frozenset[str] | None = None

    async def listed(self) -> list[Pause]:
        """Return the pauses, the oldest first: those of visible apps, and those that cover all apps."""
        return [one for one in await self.runner.paused() if self._shows(one)]

    async def pause(self, app_name: str | None, workflow: str | None, reason: str | None, by: str) -> Pause:
        """Pause these runs. Raises NoAccess, UnknownApp, UnknownWorkflow."""
        self._check(app_name)
        return await self.runner.pause(app_name, workflow, reason, by=by)

    async def resume(self, app_name: str | None, workflow: str | None) -> Resumed:
        """Lift exactly this pause. Raises NoAccess, UnknownApp, UnknownWorkflow."""
        self._check(app_name)
        lifted = await self.runner.resume(app_name, workflow)
        left = [
            one for one in await self.listed() if one.app_name in (None, app_name) and one.workflow in (None, workflow)
        ]
        return Resumed(lifted=lifted, remaining=tuple(left))

    def _shows(self, pause: Pause) -> bool:
        return self.apps is None or pause.app_name is None or pause.app_name in self.apps

    def _check(self, app_name: str | None) -> None:
        if self.apps is None:
            return
        named = ", ".join(map(repr, sorted(self.apps))) or "none"
        if app_name is None:
            raise NoAccess(f"A pause of all apps needs access to all apps. Name one of yours: {named}.")
        if app_name not in self.apps:
            raise UnknownApp(f"No app {app_name!r}. Yours: {named}.")


def paused_reasons(row: RunRow, pauses: Sequence[PauseRow], *, insider: bool) -> list[str]:
    """Return one sentence for each pause that covers the run; only an insider is told who paused it, why, and the cure."""
    if row.finished or row.status == "failed":
        return []
    if row.owner is not None:
        effect = "the run is handed back at its next checkpoint"
    elif row.ready_at is not None:
        effect = "the run isn't begun before that is lifted"
    else:
        effect = "the run isn't executed before that is lifted, whatever comes for it"
    return [_sentence(pause_of(pause), effect, insider) for pause in pauses]


def _sentence(pause: Pause, effect: str, insider: bool) -> str:
    what = what_is_paused(pause.app_name, pause.workflow)
    since = f"{what[0].upper()}{what[1:]} has been paused since {pause.paused_at.isoformat(timespec='seconds')}"
    if not insider:
        return f"{since}: {effect}."
    return f"{since}{told_by(pause.who, pause.reason)}: {effect}. {lifting(pause.app_name, pause.workflow)}"


def lifting(app_name: str | None, workflow: str | None) -> str:
    """Return how a pause of these is lifted."""
    given = [f"{name}={value!r}" for name, value in (("app_name", app_name), ("workflow", workflow)) if value]
    return f"Lift it with runner.resume({', '.join(given)}) or `{lifting_command(app_name, workflow)}`."


def lifting_command(app_name: str | None, workflow: str | None) -> str:
    """Return the command that lifts a pause of these."""
    options = [("--app-name", app_name), ("--workflow", workflow)]
    given = [f"{option} {value}" for option, value in options if value] or ["--everything"]
    return f"stepwell resume {' '.join(given)}"

"""What the commands need of runs, wherever they are: on a database, or behind the HTTP API of a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

from stepwell.errors import ConfigurationError, UnknownWorkflow
from stepwell.runner.explain import Explanation
from stepwell.runner.models import Checkpoint, Page, Run, StoredDocument
from stepwell.runner.views import Ask
from stepwell.triggers.views import ScheduleView, TickView

MOVING: Final = ("pending", "running", "retrying")
ENDED: Final = ("completed", "canceled", "failed")


@dataclass(frozen=True, slots=True)
class Listed:
    """A workflow of an app, as `definition.export.to_json` tells it."""

    app_name: str
    told: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name, by which it is started."""
        return str(self.told["name"])

    @property
    def args(self) -> dict[str, Any]:
        """The JSON schema of its args; {} if it takes none."""
        return self.told["args"] or {}

    def payload(self, transition: str) -> dict[str, Any] | None:
        """The JSON schema of a signal's payload; None: it carries nothing, or there is no such signal."""
        found = [t["payload"] for t in self.told["transitions"] if t["name"] == transition and t["payload"]]
        return found[0]["schema"] if found else None

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows of it."""
        return {"app_name": self.app_name, **self.told}


class News(NamedTuple):
    """What became of a run since the news before."""

    run: Run
    """The run as it is now; its args, state and result may be left out."""
    rows: Sequence[Checkpoint] = ()
    documents: Sequence[StoredDocument] = ()
    rests: bool = False
    """It ended, failed, or waits for somebody: it doesn't go on by itself."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs to list; None: any."""

    app_name: str | None = None
    workflow: str | None = None
    status: Sequence[str] | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Beginning:
    """A run to start."""

    workflow: Listed
    args: Any
    user: str | None = None
    """For whom; None: for whoever asks."""
    labels: Sequence[str] = field(default=())
    key: str | None = None
    delay: timedelta | None = None
    """It begins so much later; excludes `at`."""
    at: datetime | None = None
    """It begins then; aware."""
    priority: int | None = None
    """Higher goes first; None: the workflow's."""
    workspace: str | None = None
    """The workspace's id; None: that of the app and the user."""


class Backend(Protocol):
    """Runs, and what can be done with them. Errors are StepwellErrors, whichever side they come from."""

    @property
    def back(self) -> str:
        """Options by which another command reaches the same runs, for people to copy."""
        ...

    def open(self, *, runs: bool = True, worker: bool = False) -> AbstractAsyncContextManager[None]:
        """Inside it the other verbs work; without `runs` only what is about workflows.

        With `worker` this process executes runs, if that isn't somebody else's task.
        """
        ...

    async def workflows(self, app_name: str | None) -> Sequence[Listed]:
        """All workflows, or those of an app. Raises UnknownApp."""
        ...

    async def workflow(self, name: str, app_name: str | None) -> Listed:
        """The workflow of that name. Raises UnknownApp, UnknownWorkflow, ConfigurationError with what there is."""
        ...

    async def lacks_workers(self, app_name: str, workflow: str) -> bool:
        """Whether no process that is alive takes this workflow, as far as one can know here."""
        ...

    async def start(self, given: Beginning) -> str:
        """The id of a run that is queued, durably."""
        ...

    async def get(self, run_id: str) -> Run: ...

    async def page(self, wanted: Wanted) -> Page[Run]:
        """Runs, the newest first; args, state and result may be left out."""
        ...

    async def history(self, run_id: str) -> Sequence[Checkpoint]: ...

    async def explain(self, run_id: str) -> Explanation: ...

    async def asks(self, run_id: str) -> Sequence[Ask]:
        """The signals that a person may send now."""
        ...

    async def signal(self, run_id: str, name: str, data: Any, key: str | None) -> Run: ...

    async def cancel(self, run_id: str, reason: str | None) -> Run: ...

    async def retry(self, run_id: str) -> Run: ...

    async def schedules(self) -> Sequence[ScheduleView]:
        """All schedules, by app and name."""
        ...

    async def pause(self, app_name: str, schedule: str, paused: bool) -> ScheduleView:
        """The schedule, which fires nothing until it is resumed, or fires again."""
        ...

    async def fire(self, app_name: str, schedule: str, key: str | None) -> TickView:
        """A tick of now, fired or refused, or the one that this key has fired."""
        ...

    async def retry_tick(self, app_name: str, schedule: str, scheduled_at: datetime) -> TickView:
        """The tick, whose failed handler, or the failed run that it started, runs again."""
        ...

    def follow(self, run_id: str) -> AsyncIterator[News]:
        """The run's history from its beginning and as it goes on, until it ended; each row once, and in order."""
        ...


def chosen(name: str, app_name: str | None, found: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """The one of (app, workflow) that has this name. Raises UnknownWorkflow, ConfigurationError with what there is."""
    named = [one for one in found if one[1] == name and app_name in (None, one[0])]
    if not named:
        listed = sorted({known for app, known in found if app_name in (None, app)})
        raise UnknownWorkflow(f"No workflow {name!r}. There is: {', '.join(listed) or 'none'}.")
    if len(named) > 1:
        apps = ", ".join(app for app, _ in named)
        raise ConfigurationError(f"Several apps list {name!r} ({apps}): say which by --app-name.")
    return named[0]


def may_go_on(run: Run) -> bool:
    """Whether the run goes on by itself as far as it tells; it may also wait for a child that does."""
    if run.status in MOVING or run.ready_at is not None:
        return True
    return run.status == "waiting" and run.due_at is not None and not run.waiting_for  # only a timer

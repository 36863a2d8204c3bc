"""The composition root: `App` lists what a team wrote, `Stepwell` puts the rooms together and opens them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from stepwell.definition.compile import resolve_payloads
from stepwell.definition.model import Definition
from stepwell.definition.registry import Registry
from stepwell.definition.workflow import Workflow, definition_of
from stepwell.engine.outcome import Rules
from stepwell.errors import ConfigurationError, DefinitionError
from stepwell.execution.clock import Clock, SystemClock
from stepwell.execution.shared import Limits, Shared
from stepwell.execution.threads import Threads
from stepwell.runner.opening import Opening
from stepwell.settings import Settings
from stepwell.triggers.declare import (
    Schedule,
    WebhookRoute,
    cron_schedule,
    duplicates,
    interval_schedule,
    webhook_route,
)
from stepwell.triggers.verify import Verifier

if TYPE_CHECKING:
    from fastapi import FastAPI

    from stepwell.process import Process
    from stepwell.runner.runner import WorkflowRunner
    from stepwell.store.runs import Lane
    from stepwell.triggers.scheduler import Scheduler

# What opens, executes or serves is imported where that happens: a module that only lists its workflows in an App loads
# neither the database layer nor the web framework.

__all__ = ["App", "Stepwell"]

H = TypeVar("H", bound=Callable[..., Any])


class App:
    """A named group of workflows with their triggers. Raises DefinitionError with all that is wrong with it."""

    def __init__(
        self, name: str, *, title: str | None = None, workflows: Sequence[type[Workflow[Any, Any, Any]]] = ()
    ) -> None:
        self.name = name
        self.title = title or name
        self.schedules: list[Schedule] = []
        self.webhooks: list[WebhookRoute] = []
        self.definitions = _definitions(name, workflows)
        self.open_in = 0
        """How many open Stepwells use it: none of them would hear of another trigger."""

    def cron(self, expression: str, *, timezone: str = "UTC", **options: Any) -> Callable[[H], H]:
        """Decorates a handler `(runner, tick)` that runs durably at each tick of a cron expression.

        One that raises is tried again 3 times; what it had started is not started twice. A plain `def` runs in a thread,
        and its runner is `runner.blocking`. Options: `name`, `overlap`, `misfire`, `catch_up`, `jitter`. Raises
        DefinitionError.
        """

        def declare(handler: H) -> H:
            self._add(cron_schedule(expression, timezone=timezone, handler=handler, **options))
            return handler

        return declare

    def schedule(
        self,
        name: str,
        *,
        workflow: type[Workflow[Any, Any, Any]] | str | None = None,
        args: Any = None,
        user_id: str = "system",
        every: timedelta | None = None,
        cron: str | None = None,
        timezone: str = "UTC",
        **options: Any,
    ) -> None:
        """Each tick starts one run of `workflow`. Raises DefinitionError."""
        if (every is None) == (cron is None):
            raise DefinitionError(f"The schedule {name!r}", ["give either every=timedelta(...) or cron='...'."])
        given = {"name": name, "workflow": workflow, "args": args, "user_id": user_id, **options}
        self._add(interval_schedule(every, **given) if every else cron_schedule(cron or "", timezone=timezone, **given))

    def webhook(self, path: str, *, verify: Verifier, name: str | None = None) -> Callable[[H], H]:
        """Decorates a handler `(event, runner)` for signed deliveries at exactly `path`, each handled once.

        It runs before the answer. One that raises is answered with 500, and runs again when the sender tries again; what
        it had started is not started twice. A plain `def` gets `runner.blocking`. Raises DefinitionError.
        """

        def declare(handler: H) -> H:
            route = webhook_route(path, verify=verify, handler=handler, name=name)
            from stepwell.triggers.handlers import check_webhook

            check_webhook(self, route)
            self._refuse_twice("webhook", [*self.webhooks, route])
            self.webhooks.append(route)
            return handler

        return declare

    def _add(self, schedule: Schedule) -> None:
        from stepwell.triggers.handlers import check_schedule

        check_schedule(self, schedule)
        self._refuse_twice("schedule", [*self.schedules, schedule])
        self.schedules.append(schedule)

    def _refuse_twice(self, kind: str, declared: Sequence[Schedule | WebhookRoute]) -> None:
        faults = duplicates({kind: [one.name for one in declared]})
        if self.open_in:
            faults.append("it is open already: declare triggers before the application starts.")
        if faults:
            raise DefinitionError(f"App {self.name!r}", faults)


def _definitions(name: str, workflows: Sequence[type[Workflow[Any, Any, Any]]]) -> dict[str, Definition]:
    faults = [] if name and ":" not in name else [f"the name {name!r} must be a text without ':'."]
    found: dict[str, Definition] = {}
    for workflow in workflows:
        try:
            definition = resolve_payloads(definition_of(workflow))
        except DefinitionError as error:
            faults += error.faults
            continue
        other = found.setdefault(definition.name, definition)
        if other is not definition:
            faults.append(
                f"{other.workflow.__name__} and {workflow.__name__} are both named {definition.name!r}: "
                "give one of them another name=..."
            )
    if faults:
        raise DefinitionError(f"App {name!r}", faults)
    return found


class Stepwell:
    """All apps of a process on one database. Open it with `async with`, `with`, or FastAPI's `lifespan=stepwell.lifespan`.

    Raises ConfigurationError or DefinitionError when it is made, StoreUnavailable when it is opened.
    """

    def __init__(
        self,
        apps: Sequence[App],
        *,
        settings: Settings | None = None,
        embedded_worker: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self.apps: Mapping[str, App] = _by_name(apps)
        self.settings = settings or Settings()
        self.embedded_worker = embedded_worker
        self.lanes: Sequence[Lane] | None = None
        """The (app, workflow) pairs that the worker of this process takes, from when it is opened; None: all of them."""
        _check_queue(self.settings)
        self._shared = self._make_shared(clock or SystemClock())
        self.opening = Opening(self._shared)
        self._declare()
        self._blocking: Any = None
        self.process: Process | None = None

    @property
    def runner(self) -> WorkflowRunner:
        """The verbs. Usable while this Stepwell is open; `run_sync(..., stateless=True)` at any time."""
        from stepwell.runner.runner import WorkflowRunner

        return WorkflowRunner(self.opening)

    @property
    def scheduler(self) -> Scheduler:
        """What fires the schedules of this process. Raises StepwellError while it isn't open."""
        self.opening.core  # noqa: B018 - says that it isn't open
        assert self.process is not None
        return self.process.scheduler

    async def faults(self) -> list[str]:
        """What keeps this process from its work now, for health checks; empty if it is ready."""
        return ["closed"] if self.process is None else await self.process.faults()

    def _make_shared(self, clock: Clock) -> Shared:
        limits = self.settings
        return Shared(
            registry=Registry({name: app.definitions for name, app in self.apps.items()}),
            rules=Rules(limits.max_transitions_per_pass, limits.max_takeovers, limits.max_kept_signals),
            limits=Limits(
                args=limits.max_args_bytes,
                state=limits.max_state_bytes,
                payload=limits.max_payload_bytes,
                document=limits.max_document_bytes,
                transition_timeout=limits.transition_timeout,
                transaction_seconds=limits.transaction_seconds,
            ),
            clock=clock,
            threads=Threads(limits.sync_threads),
            random=random.random,
        )

    def _declare(self) -> None:
        """The handlers of all triggers are registered. Again when it opens: decorators may follow the composition root."""
        if not any(app.schedules or app.webhooks for app in self.apps.values()):
            return
        from stepwell.triggers.handlers import handler_definitions, refuse_shared_paths

        refuse_shared_paths(self.apps.values())
        for name, app in self.apps.items():
            self._shared.registry.add(name, handler_definitions(app, self.opening))

    # -- opening --------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Stepwell:
        if self.process is not None:
            raise ConfigurationError("This Stepwell is open already: open it once per process.")
        from stepwell.process import Process

        self._declare()
        self.process = Process(self._shared, self.settings, self.opening, list(self.apps.values()), self.lanes)
        try:
            await self.process.open(worker=self.embedded_worker)
        except BaseException:
            self.process = None
            raise
        for app in self.apps.values():
            app.open_in += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process is not None:
            process, self.process = self.process, None
            for app in self.apps.values():
                app.open_in -= 1
            try:
                await process.close()
            finally:
                self._shared.threads.close()

    @asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """For `FastAPI(lifespan=stepwell.lifespan)`: open while the application runs, drained when it stops."""
        if app is not None and getattr(app.state, "stepwell", None) is None:
            app.state.stepwell = self  # where `stepwell.fastapi.Runner` looks
        async with self:
            yield

    def __enter__(self) -> Stepwell:
        from anyio.from_thread import start_blocking_portal

        portal = start_blocking_portal("asyncio")
        opened = portal.__enter__()
        try:
            context = opened.wrap_async_context_manager(self)
            context.__enter__()
        except BaseException:
            portal.__exit__(None, None, None)
            raise
        self._blocking = (portal, context)
        return self

    def __exit__(self, *_: object) -> None:
        portal, context = self._blocking
        self._blocking = None
        try:
            context.__exit__(None, None, None)
        finally:
            portal.__exit__(None, None, None)

    def mount(self, app: FastAPI, *, user: object = None) -> None:
        """`app` serves the health and the runs of this Stepwell under `/api/v1`, and its webhooks at their paths.

        `user=Depends(current_user)` says who asks: a user's id, or an object with an `id`. Runs are shown to their own
        user only; without `user` those routes answer 403. May be called before the Stepwell is open, once per app.
        """
        from stepwell.http.mount import mount

        mount(self, app, user=user)


def _by_name(apps: Sequence[App]) -> dict[str, App]:
    names = [app.name for app in apps]
    faults = [f"two apps are named {name!r}." for name in sorted({name for name in names if names.count(name) > 1})]
    if faults:
        raise DefinitionError("Stepwell", faults)
    return {app.name: app for app in apps}


def _check_queue(settings: Settings) -> None:
    if settings.queue_url is not None:
        from stepwell.queue.chosen import check_queue

        check_queue(settings)

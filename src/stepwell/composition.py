"""The place where the apps, the settings, the process and the console are put together."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from stepwell.app import App, refuse_unapplied
from stepwell.definition.registry import Registry
from stepwell.engine.choose import Rules
from stepwell.errors import DefinitionError
from stepwell.execution.clock import Clock, SystemClock
from stepwell.execution.shared import Limits, LinkKeys, Shared
from stepwell.execution.threads import Threads
from stepwell.faults import Condition
from stepwell.nearest import checks_keywords
from stepwell.people import ready_made
from stepwell.runner.opening import Opening
from stepwell.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from stepwell.process import Process
    from stepwell.runner.checking import Misfit
    from stepwell.runner.models import Explanation, Situation
    from stepwell.runner.opening import LoopThread
    from stepwell.runner.runner import WorkflowRunner
    from stepwell.store.tx import Lane
    from stepwell.triggers.scheduler import Scheduler

# Rooms that open, execute or serve are imported where that happens: a module that only lists its workflows loads
# neither the database layer nor the web framework.

__all__ = ["Stepwell"]


class Stepwell:
    """All apps of a process on one database. Open it with `async with`, `with`, or FastAPI's `lifespan=stepwell.lifespan`.

    Raises ConfigurationError or DefinitionError when it is made, StoreUnavailable when it is opened, and DefinitionError then
    where a decorator of an app is put on no function.
    """

    @checks_keywords("Stepwell")
    def __init__(
        self,
        apps: Sequence[App],
        *,
        settings: Settings | None = None,
        embedded_worker: bool = True,
        clock: Clock | None = None,
    ) -> None:
        if wrong := [*_stepwell_faults(apps, settings, embedded_worker)]:
            raise DefinitionError("Stepwell", wrong)
        self.apps: Mapping[str, App] = _by_name(apps)
        self.settings = settings or Settings()
        self.embedded_worker = embedded_worker
        self.lanes: Sequence[Lane] | None = None
        """The (app, workflow) pairs that the worker of this process takes, from when it is opened; None: all of them."""
        if self.settings.queue_url is not None:
            from stepwell.queue.base import check_queue

            check_queue(self.settings)
        self._shared = self._make_shared(clock or SystemClock())
        self.opening = Opening(self._shared, _explain)
        self._declare()
        self._mounted: list[Callable[[], None]] = []
        """Checks of the applications that serve this Stepwell, for routes and webhooks that follow the call of mount."""
        self._thread: LoopThread | None = None
        self.process: Process | None = None

    @cached_property
    def runner(self) -> WorkflowRunner:
        """The verbs. Usable while this Stepwell is open; `run_sync(..., stateless=True)` at any time."""
        from stepwell.runner.runner import WorkflowRunner

        return WorkflowRunner(self.opening)

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler that fires the schedules of this process. Raises StepwellError while it isn't open."""
        self.opening.core  # noqa: B018 - says that it isn't open
        assert self.process is not None
        return self.process.scheduler

    async def faults(self) -> list[str]:
        """Return the faults of this process; empty without any.

        They include items set apart while the rest continues: a schedule that can't be evaluated, a row that can't be
        read. `condition` says whether the process is still ready.
        """
        return list((await self.condition()).faults)

    async def condition(self, *, brief: bool = False) -> Condition:
        """Return whether this process is ready for work, for health checks, with its faults; `brief`: without texts of errors."""
        if self.process is None:
            return Condition(False, ("closed",))
        elsewhere = self.opening.fault()
        return await self.process.condition(brief=brief) if elsewhere is None else Condition(False, (elsewhere,))

    async def check(self) -> list[Misfit]:
        """Return the runs in flight that this code can't carry on, failed ones included; empty if it fits all of them.

        They are those of the registered apps, also of workflows that they no longer list. Nothing is written. Each run is
        loaded and validated, some hundred at a time. Raises StepwellError while this Stepwell isn't open, StoreUnavailable.
        """
        from stepwell.runner.checking import misfits

        return await misfits(self.opening.core)

    def _make_shared(self, clock: Clock) -> Shared:
        limits = self.settings
        return Shared(
            registry=Registry({name: app.definitions for name, app in self.apps.items()}, ready_made()),
            rules=Rules(
                limits.max_transitions_per_pass,
                limits.max_takeovers,
                limits.max_kept_signals,
                limits.max_kept_bytes,
                round(limits.priority_ageing * 1_000_000),
            ),
            limits=Limits(
                args=limits.max_args_bytes,
                state=limits.max_state_bytes,
                payload=limits.max_payload_bytes,
                document=limits.max_document_bytes,
                transition_timeout=limits.transition_timeout,
                transaction_seconds=limits.transaction_seconds,
                cleanup_seconds=limits.cleanup_seconds,
            ),
            clock=clock,
            threads=Threads(limits.sync_threads),
            random=random.random,
            links=LinkKeys(limits.secret_key, limits.former_secret_keys, limits.public_url),
        )

    def _declare(self) -> None:
        """Register the handlers of all triggers. Called again on opening: decorators may follow the composition root."""
        if not any(app.schedules or app.webhooks for app in self.apps.values()):
            return
        from stepwell.triggers.handlers import handler_definitions, refuse_shared_paths

        refuse_shared_paths(self.apps.values())
        for name, app in self.apps.items():
            self._shared.registry.add(name, handler_definitions(app, self.opening))

    # -- opening --------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Stepwell:
        if self.process is not None:
            raise self.opening.refuse_second()
        from stepwell.process import Process

        refuse_unapplied(self.apps.values())
        for check in self._mounted:
            check()
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
        if self.opening.forked:
            return  # what another process has opened is its own to close
        self.opening.check_closable()
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
        """Open this Stepwell while the application runs, drain it on shutdown: `FastAPI(lifespan=stepwell.lifespan)`."""
        if app is not None and getattr(app.state, "stepwell", None) is None:
            app.state.stepwell = self  # where `stepwell.fastapi.Runner` looks
        async with self:
            yield

    def __enter__(self) -> Stepwell:
        from stepwell.runner.opening import LoopThread

        thread = LoopThread(self)
        thread.enter()
        self._thread = thread
        return self

    def __exit__(self, *_: object) -> None:
        if self.opening.forked:
            return  # as above; and the thread of the loop isn't in this process
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.exit()

    def mount(self, app: FastAPI, *, user: object = None, prefix: str = "", include_in_schema: bool = False) -> None:
        """Serve the API at `/api/v1` and Studio at `/studio`, both under `prefix`, and the webhooks at exactly their paths.

        `user=Depends(current_user)` names the caller: a user's id, or an object with an `id`. Runs are shown to their own
        user only; without `user` those routes answer 403. With `include_in_schema` the application's own OpenAPI document
        has the API too. Nothing else of the application changes. May be called before the Stepwell is open, once per app.

        Raises ConfigurationError, and has changed nothing, if a route of the application takes requests to these paths, or
        `prefix` isn't a path such as "/flows". Opening raises it for collisions with routes and webhooks that follow.
        """
        from stepwell.console.http.mount import mount

        self._mounted.append(mount(self, app, user=user, prefix=prefix, include_in_schema=include_in_schema))


def _explain(facts: Situation) -> Explanation:
    from stepwell.console.reading.explain import explain

    return explain(facts)


def _stepwell_faults(apps: object, settings: object, embedded_worker: object) -> Iterator[str]:
    if not isinstance(apps, Sequence) or isinstance(apps, str):
        yield f"apps={apps!r} isn't a list of apps; write apps=[App(...)]."
    elif wrong := [one for one in apps if not isinstance(one, App)]:
        yield f"apps holds {wrong[0]!r}, which isn't an App; write apps=[App('orders', workflows=[...])]."
    if settings is not None and not isinstance(settings, Settings):
        yield f"settings is of type {type(settings).__name__}; write settings=Settings(...)."
    if not isinstance(embedded_worker, bool):
        yield f"embedded_worker={embedded_worker!r} is neither True nor False."


def _by_name(apps: Sequence[App]) -> dict[str, App]:
    names = [app.name for app in apps]
    faults = [f"two apps are named {name!r}." for name in sorted({name for name in names if names.count(name) > 1})]
    if faults:
        raise DefinitionError("Stepwell", faults)
    return {app.name: app for app in apps}

"""Handlers of ticks and deliveries as internal runs: durable like any other, hidden from lists.

A handler that raises is tried again: that of a tick by `TICK_RETRY`, that of a delivery when its sender sends it again.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, timedelta
from types import new_class
from typing import Any, Final, Protocol

from stepwell.definition.inputs import args_json
from stepwell.definition.model import END, Definition
from stepwell.definition.retry import Retry
from stepwell.definition.workflow import Workflow, transition
from stepwell.errors import DefinitionError, StepwellError
from stepwell.runner.opening import Opening
from stepwell.triggers.binding import DELIVERY_ROLES, TICK_ROLES, Binding, bind
from stepwell.triggers.declare import Schedule, StartWorkflow, WebhookRoute
from stepwell.triggers.event import WebhookEvent
from stepwell.triggers.keyed import Calls, HandlerRunner
from stepwell.triggers.tick import Tick

log = logging.getLogger("stepwell.triggers")

TICK_RETRY: Final = Retry(retries=3, delay=timedelta(seconds=1), max_delay=timedelta(seconds=30), jitter=0.2)

_Handle = Callable[[Any], Awaitable[list[str]]]


class Triggers(Protocol):
    """What an App holds."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def definitions(self) -> Mapping[str, Definition]: ...
    @property
    def schedules(self) -> Sequence[Schedule]: ...
    @property
    def webhooks(self) -> Sequence[WebhookRoute]: ...


def schedule_workflow(name: str) -> str:
    """The name of the internal workflow that handles the ticks of a schedule."""
    return f"schedule:{name}"


def webhook_workflow(name: str) -> str:
    """The name of the internal workflow that handles the deliveries of a webhook."""
    return f"webhook:{name}"


def handler_definitions(app: Triggers, opening: Opening) -> dict[str, Definition]:
    """The internal workflows of an app's handlers, by name. Raises DefinitionError."""
    made = [_of_schedule(app.name, one, opening) for one in app.schedules if not isinstance(one.action, StartWorkflow)]
    made += [_of_webhook(app.name, one, opening) for one in app.webhooks]
    return {definition.name: definition for definition in made}


def check_schedule(app: Triggers, schedule: Schedule) -> None:
    """Raises DefinitionError unless the handler can be called, or the workflow can be started with these args."""
    action = schedule.action
    faults = _start_faults(app, action) if isinstance(action, StartWorkflow) else bind(action, TICK_ROLES)[1]
    if faults:
        raise DefinitionError(f"The schedule {schedule.name!r} of app {app.name!r}", faults)


def check_webhook(app: Triggers, route: WebhookRoute) -> None:
    """Raises DefinitionError unless the handler can be called."""
    faults = bind(route.handler, DELIVERY_ROLES)[1]
    if faults:
        raise DefinitionError(f"The webhook {route.path!r} of app {app.name!r}", faults)


def refuse_shared_paths(apps: Iterable[Triggers]) -> None:
    """Raises DefinitionError if two webhooks are at one path: only the first would be served."""
    found: dict[str, list[str]] = {}
    for app in apps:
        for route in app.webhooks:
            found.setdefault(route.path, []).append(f"{route.name!r} of app {app.name!r}")
    faults = [
        f"the path {path!r} belongs to {' and '.join(names)}: give one of them another path."
        for path, names in found.items()
        if len(names) > 1
    ]
    if faults:
        raise DefinitionError("Stepwell", faults)


def _start_faults(app: Triggers, action: StartWorkflow) -> list[str]:
    name = action.workflow
    if isinstance(name, type):
        name = getattr(getattr(name, "stepwell_definition", None), "name", name.__name__)
    definition = app.definitions.get(name)
    if definition is None or (isinstance(action.workflow, type) and definition.workflow is not action.workflow):
        listed = ", ".join(sorted(app.definitions)) or "none"
        return [f"the app doesn't list the workflow {name!r} (it lists: {listed}); add it to App(workflows=[...])."]
    try:
        args_json(definition, action.args, sys.maxsize)
    except StepwellError as error:
        return [str(error)]
    return []


def _of_schedule(app_name: str, schedule: Schedule, opening: Opening) -> Definition:
    assert not isinstance(schedule.action, StartWorkflow)  # only handlers have a workflow of their own
    binding, _ = bind(schedule.action, TICK_ROLES)

    async def handle(self: Any) -> list[str]:
        tick = Tick.from_json(self.args)
        identity = f"tick:{app_name}:{schedule.name}:{tick.scheduled_at.astimezone(UTC).isoformat()}"
        return await _call(self, binding, {"tick": tick}, Calls(identity), opening)

    return _internal(schedule_workflow(schedule.name), handle, TICK_RETRY)


def _of_webhook(app_name: str, route: WebhookRoute, opening: Opening) -> Definition:
    binding, _ = bind(route.handler, DELIVERY_ROLES)

    async def handle(self: Any) -> list[str]:
        event = WebhookEvent.from_json(self.args)
        calls = Calls(f"delivery:{app_name}:{route.name}:{event.id}")
        return await _call(self, binding, {"event": event}, calls, opening)

    return _internal(webhook_workflow(route.name), handle, None)


async def _call(run: Any, binding: Binding, given: Mapping[str, Any], calls: Calls, opening: Opening) -> list[str]:
    """The ids of the runs that the handler started; they are the result of its own run."""
    runner = HandlerRunner(opening, calls)
    shown = runner if binding.asynchronous else runner.blocking
    try:
        await binding.call({**given, "runner": shown}, opening.shared.threads)
    except Exception:
        log.exception("the handler of %s failed", calls.identity)
        await _journal(run, calls)
        raise
    return calls.started


async def _journal(run: Any, calls: Calls) -> None:
    """What a failed handler started is in the journal of its run: that goes on, and the handler's error has no room."""
    if not calls.started:
        return
    try:
        await run.step(f"started:{run.info.attempt}", calls.started.copy)
    except StepwellError:
        log.exception("what the handler of %s had started could not be noted", calls.identity)


def _internal(name: str, handle: _Handle, retry: Retry | None) -> Definition:
    def body(namespace: dict[str, Any]) -> None:
        namespace.update(__module__=__name__, handle=transition(target=END, retry=retry)(handle))

    made: Any = new_class(name, (Workflow[dict[str, Any], None, list[str]],), {"name": name, "title": name}, body)
    definition: Definition = made.stepwell_definition
    return definition

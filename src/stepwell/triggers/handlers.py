"""Handlers of ticks and deliveries as internal runs: durable like any other, hidden from lists.

A handler that raises is tried again by its `retry=`. Without one, that of a tick is tried again by `TICK_RETRY`, and that
of a delivery when its sender sends it again.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, timedelta
from types import new_class
from typing import Annotated, Any, Final, Protocol, get_args, get_origin

from typing_extensions import Format, get_annotations

from stepwell.definition.authoring.marks import END, Retry, transition
from stepwell.definition.authoring.workflow import Workflow
from stepwell.definition.compile.transitions import Parameter, parameter_of
from stepwell.definition.compile.types import Namespace
from stepwell.definition.model import Definition
from stepwell.definition.text import told
from stepwell.definition.values.inputs import args_json
from stepwell.errors import DefinitionError, StepwellError
from stepwell.execution.begun import current_attempt
from stepwell.execution.threads import Threads
from stepwell.execution.user_errors import logged, own
from stepwell.runner.blocking import BlockingRunner
from stepwell.runner.opening import Opening
from stepwell.runner.runner import WorkflowRunner
from stepwell.triggers.answers import StoredAnswer, answer_of, result_of
from stepwell.triggers.declare import DeclaredSchedule, StartWorkflow, WebhookRoute
from stepwell.triggers.events import Tick, WebhookEvent
from stepwell.triggers.handler_runner import Calls, HandlerRunner

log = logging.getLogger("stepwell.triggers")


TICK_RETRY: Final = Retry(retries=3, delay=timedelta(seconds=1), max_delay=timedelta(seconds=30), jitter=0.2)

_Handle = Callable[[Any], Awaitable[list[str] | dict[str, Any]]]


class Triggers(Protocol):
    """The triggers of an App."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def definitions(self) -> Mapping[str, Definition]: ...
    @property
    def schedules(self) -> Sequence[DeclaredSchedule]: ...
    @property
    def webhooks(self) -> Sequence[WebhookRoute]: ...


def schedule_workflow(name: str) -> str:
    """Return the name of the internal workflow that handles the ticks of a schedule."""
    return f"schedule:{name}"


def webhook_workflow(name: str) -> str:
    """Return the name of the internal workflow that handles the deliveries of a webhook."""
    return f"webhook:{name}"


def retry_of(schedule: DeclaredSchedule) -> Retry | None:
    """Return how the handler of a schedule is tried again; None if it starts a workflow."""
    return None if isinstance(schedule.action, StartWorkflow) else schedule.retry or TICK_RETRY


def handler_definitions(app: Triggers, opening: Opening) -> dict[str, Definition]:
    """Return the internal workflows of an app's handlers, by name. Raises DefinitionError."""
    made = [_of_schedule(app.name, one, opening) for one in app.schedules if not isinstance(one.action, StartWorkflow)]
    made += [_of_webhook(app.name, one, opening) for one in app.webhooks]
    return {definition.name: definition for definition in made}


def check_schedule(app: Triggers, schedule: DeclaredSchedule) -> None:
    """Raise DefinitionError unless the handler can be called, or the workflow can be started with these args."""
    action = schedule.action
    faults = _start_faults(app, action) if isinstance(action, StartWorkflow) else bind(action, TICK_ROLES)[1]
    if faults:
        raise DefinitionError(f"The schedule {schedule.name!r} of app {app.name!r}", faults)


def check_webhook(app: Triggers, route: WebhookRoute) -> None:
    """Raise DefinitionError unless the handler can be called."""
    faults = bind(route.handler, DELIVERY_ROLES)[1]
    if faults:
        raise DefinitionError(f"The webhook {route.path!r} of app {app.name!r}", faults)


def refuse_shared_paths(apps: Iterable[Triggers]) -> None:
    """Raise DefinitionError if two webhooks are at one path: only the first would be served."""
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


def _of_schedule(app_name: str, schedule: DeclaredSchedule, opening: Opening) -> Definition:
    assert not isinstance(schedule.action, StartWorkflow)  # only handlers have a workflow of their own
    binding, _ = bind(schedule.action, TICK_ROLES)

    async def handle(self: Any) -> list[str] | dict[str, Any]:
        tick = Tick.from_json(self.args)
        identity = f"tick:{app_name}:{schedule.name}:{tick.scheduled_at.astimezone(UTC).isoformat()}"
        calls = Calls(identity)
        await _call(self, binding, {"tick": tick}, calls, opening)
        return calls.started

    return _internal(schedule_workflow(schedule.name), handle, retry_of(schedule), schedule.timeout)


def _of_webhook(app_name: str, route: WebhookRoute, opening: Opening) -> Definition:
    binding, _ = bind(route.handler, DELIVERY_ROLES)

    async def handle(self: Any) -> list[str] | dict[str, Any]:
        event = WebhookEvent.from_json(self.args)
        calls = Calls(f"delivery:{app_name}:{route.name}:{event.id}")
        answer = await _call(self, binding, {"event": event}, calls, opening, answer_of)
        return result_of(calls.started, answer)

    return _internal(webhook_workflow(route.name), handle, route.retry, route.timeout)


async def _call(
    run: Any,
    binding: Binding,
    given: Mapping[str, Any],
    calls: Calls,
    opening: Opening,
    answer: Callable[[object, str], StoredAnswer | None] = lambda returned, handler: None,
) -> StoredAnswer | None:
    """Call the handler, and return its answer to the sender, if it has one. The runs that it started are in `calls`."""
    inside = current_attempt.get()
    assert inside is not None  # handlers are methods of workflows
    calls.scope = scope = inside.attempt.scope
    runner = HandlerRunner(opening, run.info.app_name, calls)
    shown = runner if binding.asynchronous else runner.blocking
    try:
        return answer(await binding.call({**given, "runner": shown}, opening.shared.threads), calls.identity)
    except asyncio.CancelledError:
        calls.close()
        if scope.reason == "timeout":
            await _record(run, calls)
        raise
    except BaseException as error:
        info = run.info
        extra = {
            "workflow_id": info.workflow_id, "workflow_name": type(run).stepwell_definition.name,
            "app_name": info.app_name, "user_id": info.user_id, "transition": info.transition, "attempt": info.attempt,
        }  # fmt: skip
        text = "the handler of %s failed: %s (attempt %d, run %s)"
        what = (calls.identity, told(own(error)), info.attempt, info.workflow_id)
        log.error(text, *what, exc_info=logged(error), extra=extra)
        calls.close()
        await _record(run, calls)
        raise
    finally:
        calls.close()


async def _record(run: Any, calls: Calls) -> None:
    """Record what a failed attempt has started: its own run continues, and its error has no room for that."""
    if not calls.started:
        return

    async def started() -> list[str]:  # on the loop: perhaps no thread is free
        return calls.started.copy()

    try:
        await run.step(f"started:{run.info.attempt}", started)
    except StepwellError:
        log.exception("the runs that the handler of %s started could not be recorded", calls.identity)


def _internal(name: str, handle: _Handle, retry: Retry | None, timeout: timedelta | None) -> Definition:
    def body(namespace: dict[str, Any]) -> None:
        marked = transition(target=END, retry=retry, timeout=timeout)(handle)
        namespace.update(__module__=__name__, handle=marked)

    base = Workflow[dict[str, Any], None, list[str] | dict[str, Any]]
    made: Any = new_class(name, (base,), {"name": name, "title": name}, body)
    definition: Definition = made.stepwell_definition
    return definition


Roles = Mapping[str, tuple[type, ...]]
"""The available arguments, by the name of the parameter that takes each, with the annotations that also ask for it."""

TICK_ROLES: Final[Roles] = {"runner": (WorkflowRunner, BlockingRunner), "tick": (Tick,)}
DELIVERY_ROLES: Final[Roles] = {"event": (WebhookEvent,), "runner": (WorkflowRunner, BlockingRunner)}

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Binding:
    """A handler whose parameters are known."""

    handler: Callable[..., Any]
    filled: Mapping[str, str]
    """Parameters by name, each with the role that fills it."""
    injected: bool
    asynchronous: bool

    async def call(self, given: Mapping[str, Any], threads: Threads) -> object:
        """Return what the handler returns. It runs on the loop, or in a thread of Stepwell's if it is a plain `def`."""
        values = {name: given[role] for name, role in self.filled.items()}
        if self.injected:
            return await _injected(self.handler, self.asynchronous, threads)(**values)
        if self.asynchronous:
            return await self.handler(**values)
        return await threads.run(self.handler, **values)


def bind(handler: Callable[..., Any], roles: Roles) -> tuple[Binding, list[str]]:
    """Return the binding, and a fault for everything that keeps the handler from being called."""
    plain = _function(handler)
    parameters: list[Parameter] = []
    faults: list[str] = []
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        faults.append("it contains yield, so calling it runs nothing; leave out yield.")
    try:
        parameters = _parameters(handler, plain)
    except (TypeError, ValueError):
        faults.append("its parameters can't be read; give a function written with def or async def.")
    free = [one for one in parameters if not one.injected]
    faults += [fault for one in free if (fault := _fault(one, roles))]
    filled = {one.name: role for one in free if (role := _role(one, roles))}
    return Binding(handler, filled, len(free) < len(parameters), inspect.iscoroutinefunction(plain)), faults


def _fault(parameter: Parameter, roles: Roles) -> str | None:
    """Return why nothing can fill a parameter that isn't injected."""
    cure = "annotate it Annotated[..., Depends(...)] with `from stepwell import Depends`"
    if parameter.foreign:
        return f"its parameter '{parameter.name}' is marked with FastAPI's Depends; {cure}."
    if parameter.positional_only:
        return f"its parameter '{parameter.name}' is positional-only; leave out the '/'."
    if parameter.required and _role(parameter, roles) is None:
        takes = " and ".join(f"`{name}: {types[0].__name__}`" for name, types in roles.items())
        return f"nothing fills its parameter '{parameter.name}'; it takes {takes}, or {cure}."
    return None


def _role(parameter: Parameter, roles: Roles) -> str | None:
    hint = get_args(parameter.hint)[0] if get_origin(parameter.hint) is Annotated else parameter.hint
    by_type = next((role for role, types in roles.items() if hint in types), None)
    return by_type or (parameter.name if parameter.name in roles else None)


def _parameters(handler: Callable[..., Any], plain: Any) -> list[Parameter]:
    """Return the parameters that a call has to fill. Raises TypeError or ValueError where they can't be read."""
    given = handler.keywords if isinstance(handler, functools.partial) else {}
    signature = inspect.signature(handler)
    annotations = get_annotations(plain, format=Format.FORWARDREF)
    namespace = Namespace(getattr(plain, "__globals__", {}), {})
    hints: dict[str, Any] = {}
    for name in signature.parameters.keys() & annotations.keys():
        # What is imported for type checkers only isn't known: there the parameter's name says what it is.
        with suppress(NameError, AttributeError, TypeError, SyntaxError):
            hints[name] = namespace.evaluate(annotations[name])
    return [
        parameter_of(one, hints)
        for one in signature.parameters.values()
        if one.kind not in _VARIADIC and one.name not in given
    ]


def _function(handler: Callable[..., Any]) -> Any:
    plain = inspect.unwrap(handler)
    while isinstance(plain, functools.partial):
        plain = plain.func
    return plain if inspect.isroutine(plain) else type(plain).__call__


@functools.lru_cache(maxsize=1024)
def _injected(handler: Callable[..., Any], asynchronous: bool, threads: Threads) -> Callable[..., Any]:
    """Return the handler with its injection, wrapped once; dependencies are resolved on the loop for plain `def` too."""
    from stepwell.execution.injection import injecting

    if asynchronous:
        return injecting(handler, threads)

    @functools.wraps(handler)
    async def on_the_loop(*args: Any, **kwargs: Any) -> Any:
        return await threads.run(handler, *args, **kwargs)

    return injecting(on_the_loop, threads)

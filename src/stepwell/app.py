"""An App: what a team wrote, by name: its workflows, schedules and webhooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar, Unpack

from stepwell.definition.authoring.document import document_faults
from stepwell.definition.authoring.marks import Retry
from stepwell.definition.authoring.workflow import Workflow, definition_of
from stepwell.definition.compile.compiler import resolve_payloads
from stepwell.definition.model import Definition
from stepwell.definition.text import READY_MADE, is_text
from stepwell.errors import DefinitionError
from stepwell.nearest import UnknownKeyword, checks_keywords, keywords_of, unknown_keywords
from stepwell.people import ready_made
from stepwell.triggers.challenges import ChallengeAnswer
from stepwell.triggers.declare import (
    SCHEDULE_OPTIONS,
    CronOptions,
    DeclaredSchedule,
    ScheduleOptions,
    WebhookRoute,
    cron_schedule,
    duplicates,
    interval_schedule,
    webhook_route,
)
from stepwell.triggers.signatures import UrlVerifier, Verifier

__all__ = ["App"]

MAX_NAME = 256

H = TypeVar("H", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")


def _called(example: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a method that makes a decorator: put on a function without being called, it says how it is written."""

    def refusing(method: Callable[P, R]) -> Callable[P, R]:
        @wraps(method)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if len(args) == 2 and callable(args[1]):
                handler = getattr(args[1], "__name__", repr(args[1]))
                raise DefinitionError(f"The decorator on {handler!r}", [f"it needs its arguments: write {example}."])
            return method(*args, **kwargs)

        return checked

    return refusing


class App:
    """A named group of workflows with their triggers. Raises DefinitionError with all that is wrong with it."""

    @checks_keywords("App")
    def __init__(
        self, name: str, *, title: str | None = None, workflows: Sequence[type[Workflow[Any, Any, Any]]] = ()
    ) -> None:
        if wrong := [*_app_faults(name, title, workflows)]:
            raise DefinitionError(f"App {name!r}", wrong)
        self.name = name
        self.title = title or name
        self.schedules: list[DeclaredSchedule] = []
        self.webhooks: list[WebhookRoute] = []
        self.unapplied: dict[object, str] = {}
        """Decorators that decorate no function yet, as they are written: they do nothing."""
        self.definitions = _definitions(name, workflows)
        self.open_in = 0
        """The number of open Stepwells that use it: none of them would notice another trigger."""

    def __repr__(self) -> str:
        return f"App({self.name!r})"

    @_called("@app.cron('0 9 * * *')")
    def cron(self, expression: str, *, timezone: str = "UTC", **options: Unpack[CronOptions]) -> Callable[[H], H]:
        """Decorate a handler `(runner, tick)` that runs durably at each tick of a cron expression.

        One that raises is tried again 3 times, or by `retry=`; what it had started is not started twice. A plain `def`
        runs in a thread, and its runner is `runner.blocking`. Options: `name`, `overlap`, `misfire`, `catch_up`,
        `jitter`, `timeout`, `retry`. Raises DefinitionError.
        """

        def declare(handler: Callable[..., Any]) -> None:
            self._add(cron_schedule(expression, timezone=timezone, handler=handler, **options))

        return self._decorator(f"@app.cron({expression!r})", declare)

    @_called("app.schedule('nightly-cleanup', workflow=Cleanup, every=timedelta(hours=6)), or @app.cron(...)")
    def schedule(
        self,
        name: str,
        *,
        workflow: type[Workflow[Any, Any, Any]] | str | None = None,
        args: Any = None,
        user_id: str | None = None,
        every: timedelta | None = None,
        cron: str | None = None,
        timezone: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> None:
        """Declare a schedule; each tick starts one run of `workflow`, for `user_id` (default: system). Raises DefinitionError."""
        faults = ["give either every=timedelta(...) or cron='...'."] if (every is None) == (cron is None) else []
        if every is not None and timezone is not None:
            faults.append("timezone=... does nothing with every=..., which counts real time: leave out one of them.")
        if cron is not None and "anchor" in options:
            faults.append("anchor=... does nothing with cron=...: leave out one of them.")
        known = [*keywords_of(type(self).schedule), *SCHEDULE_OPTIONS]
        if unknown := unknown_keywords(options, known):
            raise UnknownKeyword(f"The schedule {name!r}", [*faults, *unknown])
        if faults:
            raise DefinitionError(f"The schedule {name!r}", faults)
        given: dict[str, Any] = {"name": name, "workflow": workflow, "args": args, "user_id": user_id, **options}
        if every is not None:
            self._add(interval_schedule(every, **given))
        else:
            self._add(cron_schedule(cron or "", timezone="UTC" if timezone is None else timezone, **given))

    @_called("@app.webhook('/webhooks/stripe', verify=stripe_signature(secret=...))")
    @checks_keywords("The webhook")
    def webhook(
        self,
        path: str,
        *,
        verify: Verifier | UrlVerifier,
        name: str | None = None,
        challenge: ChallengeAnswer | None = None,
        timeout: timedelta | None = None,
        retry: Retry | None = None,
    ) -> Callable[[H], H]:
        """Decorate a handler `(event, runner)` for signed deliveries at exactly `path`, each handled once.

        It runs before the answer. One that raises is answered with 500, and runs again when the sender tries again; what
        it had started is not started twice. With `retry=` Stepwell tries it again instead, and the answer is 202.
        `timeout=` limits each attempt. A plain `def` gets `runner.blocking`.

        `challenge` answers unsigned tests of the address: it is given each GET and HEAD, and each POST with a query, and
        returns the text to answer with, or None. A GET or HEAD with None is refused (403), a POST is taken for a delivery.
        Without it, only POST is served. Raises DefinitionError.
        """

        def declare(handler: Callable[..., Any]) -> None:
            route = webhook_route(
                path, verify=verify, handler=handler, name=name, challenge=challenge, timeout=timeout, retry=retry
            )
            from stepwell.triggers.handlers import check_webhook

            check_webhook(self, route)
            self._refuse_twice("webhook", [*self.webhooks, route])
            self.webhooks.append(route)

        return self._decorator(f"@app.webhook({path!r}, ...)", declare)

    def _decorator(self, written: str, declare: Callable[[Callable[..., Any]], None]) -> Callable[[H], H]:
        """Return a decorator that declares its handler, and is unapplied until then."""
        made = object()
        self.unapplied[made] = written

        def decorate(handler: H) -> H:
            self.unapplied.pop(made, None)
            declare(handler)
            return handler

        return decorate

    def _add(self, schedule: DeclaredSchedule) -> None:
        from stepwell.triggers.handlers import check_schedule

        check_schedule(self, schedule)
        self._refuse_twice("schedule", [*self.schedules, schedule])
        self.schedules.append(schedule)

    def _refuse_twice(self, kind: str, declared: Sequence[DeclaredSchedule | WebhookRoute]) -> None:
        faults = duplicates({kind: [one.name for one in declared]})
        if self.open_in:
            faults.append("it is open already: declare triggers before the application starts.")
        if faults:
            raise DefinitionError(f"App {self.name!r}", faults)


def refuse_unapplied(apps: Iterable[App]) -> None:
    """Raise DefinitionError with all decorators of these apps that decorate no function."""
    wrong = [
        f"{written} of app {app.name!r} decorates no function, so it does nothing: write it above its handler, or remove it."
        for app in apps
        for written in app.unapplied.values()
    ]
    if wrong:
        raise DefinitionError("Stepwell", wrong)


def _app_faults(name: object, title: object, workflows: object) -> Iterator[str]:
    if not is_text(name, MAX_NAME) or ":" in name:
        yield f"the name {name!r} must be a text of at most {MAX_NAME} characters, without ':' and NUL."
    if title is not None and not (isinstance(title, str) and title):
        yield f"title={title!r} isn't a text; give a string, or leave it out."
    if isinstance(workflows, (type, str)) or not isinstance(workflows, Iterable):
        yield f"workflows={workflows!r} isn't a list of workflow classes; write workflows=[ProcessOrder]."


def _name_faults(definition: Definition) -> Iterator[str]:
    if definition.name.startswith(READY_MADE) and ready_made().get(definition.name) is not definition:
        yield (
            f"{definition.workflow.__name__} is named {definition.name!r}: names that begin with {READY_MADE!r} are those "
            "of ready-made workflows; give it another name=..."
        )


def _definitions(name: str, workflows: Iterable[type[Workflow[Any, Any, Any]]]) -> dict[str, Definition]:
    faults: list[str] = []
    found: dict[str, Definition] = {}
    for workflow in workflows:
        try:
            definition = resolve_payloads(definition_of(workflow))
        except DefinitionError as error:
            faults += error.faults
            continue
        faults += [*document_faults(definition.workflow), *_name_faults(definition)]
        other = found.setdefault(definition.name, definition)
        if other is not definition:
            faults.append(
                f"{other.workflow.__name__} and {workflow.__name__} are both named {definition.name!r}: "
                "give one of them another name=..."
            )
    if faults:
        raise DefinitionError(f"App {name!r}", faults)
    return found

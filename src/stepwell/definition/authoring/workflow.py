"""The base class of all workflows: compiled when it is subclassed, and a thin front of the `Context` when it runs."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec, cast, overload

from typing_extensions import TypeVar

from stepwell.definition.authoring.context import Context, Documents, Info, OnParentEnd, Ordered, Show, Until
from stepwell.definition.authoring.groups import GroupItem
from stepwell.definition.authoring.limits import Concurrency, Debounce, KeyOf, RateLimit
from stepwell.definition.authoring.marks import Event, Keywords
from stepwell.definition.authoring.steps import Step
from stepwell.definition.compile.compiler import compile_workflow
from stepwell.definition.model import Definition
from stepwell.errors import DefinitionError, StepwellError, UnknownTransition
from stepwell.nearest import keywords_of, unknown_class_keywords

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

Args = TypeVar("Args", default=None)
State = TypeVar("State", default=dict[str, Any])
Result = TypeVar("Result", default=Any)

P = ParamSpec("P")
R = TypeVar("R")
ChildArgs = TypeVar("ChildArgs")


class _Unbound:
    """A placeholder for the context: any use of it raises an error that says when it works."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise _outside(name)

    def __setattr__(self, name: str, value: object) -> None:
        raise _outside(name)


def _outside(name: str) -> StepwellError:
    return StepwellError(
        f"self.{name} works only while Stepwell executes a transition or a guard of a run; "
        "start one with runner.run(...), or with stepwell.testing.Harness in a test."
    )


class Workflow(Generic[Args, State, Result]):
    """Base of all workflows: `Workflow[Args, State, Result]`, each of them optional.

    A subclass with transitions is compiled and checked at once, and holds its Definition in `stepwell_definition`; one
    without any is an abstract base. An instance is made per transition, without arguments, and bound to its context.
    """

    stepwell_definition: ClassVar[Definition]
    stepwell_keywords: ClassVar[Keywords] = Keywords()

    _stepwell: Context = cast("Context", _Unbound())

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        version: int = 1,
        run_timeout: timedelta | None = None,
        on: Event | Sequence[Event] = (),
        concurrency: Concurrency | Sequence[Concurrency] | None = None,
        rate_limit: RateLimit | Sequence[RateLimit] | None = None,
        debounce: Debounce | None = None,
        fair_by: KeyOf | None = None,
        expires: timedelta | None = None,
        on_cancel: str | None = None,
        subject: str | Callable[[Any], str | None] | None = None,
        priority: int | None = None,
        ui: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        known = keywords_of(Workflow.__init_subclass__)
        unknown = [f"{cls.__name__}: {fault}" for fault in unknown_class_keywords(cls, Workflow, kwargs, known)]
        super().__init_subclass__(**({} if unknown else kwargs))
        # Keywords about execution and display are inherited; those that identify the workflow aren't.
        inherited = cls.stepwell_keywords
        cls.stepwell_keywords = Keywords(
            name=name,
            title=title,
            description=description,
            version=version,
            run_timeout=inherited.run_timeout if run_timeout is None else run_timeout,
            on=_sequence(on),
            priority=inherited.priority if priority is None else priority,
            ui=inherited.ui if ui is None else _sequence(ui),
            concurrency=inherited.concurrency if concurrency is None else _sequence(concurrency),
            rate_limit=inherited.rate_limit if rate_limit is None else _sequence(rate_limit),
            debounce=inherited.debounce if debounce is None else debounce,
            fair_by=inherited.fair_by if fair_by is None else fair_by,
            expires=inherited.expires if expires is None else expires,
            on_cancel=inherited.on_cancel if on_cancel is None else on_cancel,
            subject=inherited.subject if subject is None else subject,
        )
        definition = compile_workflow(cls, Workflow, cls.stepwell_keywords, _locals_around(sys._getframe(1)), unknown)
        if definition is not None:
            cls.stepwell_definition = definition

    if not TYPE_CHECKING:

        def __class_getitem__(cls, parameters: Any) -> Any:
            return super().__class_getitem__(Ordered.of(parameters))

    def __stepwell_bind__(self, context: Context) -> None:
        """Bind the instance to `context`, which answers everything below from now on."""
        self._stepwell = context

    @property
    def args(self) -> Args:
        """The run's arguments, a fresh copy per transition: changes to it are not kept."""
        args: Args = self._stepwell.args
        return args

    @property
    def state(self) -> State:
        """The run's state, a private copy: kept when the transition succeeds, dropped when it fails."""
        state: State = self._stepwell.state
        return state

    @state.setter
    def state(self, value: State) -> None:
        self._stepwell.state = value

    @property
    def result(self) -> Result | None:
        """The result so far, None until it is set; a transition into END may return it instead."""
        result: Result | None = self._stepwell.result
        return result

    @result.setter
    def result(self, value: Result | None) -> None:
        self._stepwell.result = value

    @property
    def documents(self) -> Documents:
        """The documents of the run, those of this transition included."""
        return self._stepwell.documents

    @property
    def info(self) -> Info:
        """The place, user and identity of this attempt."""
        return self._stepwell.info

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry the run, the transition and the attempt."""
        return self._stepwell.log

    @overload
    def step(
        self, step: str | Step, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R]: ...
    @overload
    def step(
        self, step: str | Step, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R]: ...
    def step(self, step: str | Step, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Run `fn` and journal its return value before going on; in the same visit it is never run again after that.

        Returns the round-tripped value, decoded by the return annotation of `fn`. Names are unique within one visit.
        An exception is not journaled. Steps may run concurrently. `Step("name", ...)` stands for a name with options.
        """
        return self._stepwell.step(step, fn, args, kwargs)

    def undo(self) -> Coroutine[Any, Any, None]:
        """Call the `undo` of each step of the run that has committed and wasn't undone, newest first, over all visits.

        Each that returns is journaled: a retry of this transition goes on with the next one.
        """
        return self._stepwell.undo(self)

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Return a connection whose writes commit with this transition's checkpoint, or not at all.

        It comes once and last in a visit: afterwards `step` and a second `transaction` raise.
        """
        return self._stepwell.transaction()

    def start(
        self,
        workflow: type[Workflow[ChildArgs, Any, Any]] | str,
        args: ChildArgs | Mapping[str, Any] | None = None,
        *,
        callback: str | None = None,
        show: Show = "inline",
        label: str | None = None,
        meta: dict[str, Any] | None = None,
        on_parent_end: OnParentEnd | None = None,
        app_name: str | None = None,
    ) -> Coroutine[Any, Any, str]:
        """Start a child, created in the same commit as this transition's checkpoint, and return its id.

        `callback` names the signal transition of this workflow that gets the child's end. `on_parent_end=None` cancels
        the child with its parent if it has a callback, and abandons it if not. `app_name`: that of another registered
        app, for a child in the same user's workspace there.
        """
        context = self._stepwell
        self._check_callback(callback)
        return context.start(
            workflow,
            args,
            callback=callback,
            show=show,
            label=label,
            meta=meta,
            on_parent_end=on_parent_end,
            app_name=app_name,
        )

    def start_many(
        self,
        starts: Sequence[Start],
        *,
        callback: str | None = None,
        until: Until = "each",
        max_in_flight: int | None = None,
        show: Show = "hidden",
        label: str | None = None,
        meta: dict[str, Any] | None = None,
        on_parent_end: OnParentEnd | None = None,
    ) -> Coroutine[Any, Any, list[str]]:
        """Start up to 100,000 children, all created in this transition's checkpoint, and return their ids in order.

        `until` says when the callback is fired: `each`, once per child with its end; `all_ended`, once when all have ended,
        however; `all_completed`, once when all have completed, or failed at the first child that hasn't;
        `first_completed`, once at the first that completes, failed if none does. The three last get a `Group`, and cancel
        the children that haven't ended. `max_in_flight`: at most so many are begun and not ended at any time, in order.
        """
        context = self._stepwell
        self._check_callback(callback)
        return context.start_many(
            starts,
            callback=callback,
            until=until,
            max_in_flight=max_in_flight,
            show=show,
            label=label,
            meta=meta,
            on_parent_end=on_parent_end,
        )

    def children(self, group_id: str) -> AsyncIterator[GroupItem[Any]]:
        """Yield the children of a group in the order of their starts, each as it stands when it is read, page by page.

        Results are validated by the child's `Result`. Raises GroupNotFound.
        """
        return self._stepwell.children(group_id)

    def _check_callback(self, callback: str | None) -> None:
        definition = definition_of(type(self))
        if callback is None or definition.current(callback) in definition.signals:
            return
        known = ", ".join(sorted(definition.signals)) or "none"
        raise UnknownTransition(
            f"{type(self).__name__} has no signal transition {callback!r} for the end of a child (it has: {known}); "
            "name one, or add one with wait=True."
        )

    def emit(self, name: str, data: Any = None) -> Coroutine[Any, Any, None]:
        """Emit an internal event in the same commit as this transition's checkpoint."""
        return self._stepwell.emit(name, data)


@dataclass(frozen=True, slots=True)
class Start:
    """A start of `run_many`, `run_batch` or `self.start_many`."""

    workflow: type[Workflow[Any, Any, Any]] | str
    args: Any = None
    labels: Sequence[str] = ()
    idempotency_key: str | None = None
    delay: timedelta | None = None
    at: datetime | None = None
    priority: int | None = None
    workspace_id: str | None = None
    app_name: str | None = None
    """The app; None: that of the call."""


def definition_of(workflow: object) -> Definition:
    """Return the Definition of a workflow class. Raises DefinitionError for an abstract base or any other object."""
    definition = vars(workflow).get("stepwell_definition") if isinstance(workflow, type) else None
    if isinstance(definition, Definition):
        return definition
    name = getattr(workflow, "__name__", repr(workflow))
    if isinstance(workflow, type) and issubclass(workflow, Workflow):
        raise DefinitionError(
            f"Workflow {name}", ["it has no transitions; add one with @transition, or use a subclass."]
        )
    raise DefinitionError(name, ["it isn't a workflow; give a subclass of stepwell.Workflow."])


def _sequence(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, (list, tuple, set, frozenset)) else (given,)


def _locals_around(frame: FrameType | None) -> Mapping[str, Any]:
    """Return the local names where the class statement stands; empty at the top of a module."""
    while frame is not None and frame.f_code.co_name == "__init_subclass__":
        frame = frame.f_back
    return {} if frame is None or frame.f_locals is frame.f_globals else dict(frame.f_locals)

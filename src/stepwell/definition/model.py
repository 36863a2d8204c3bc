"""The compiled form of a workflow class: frozen data for the engine.

A `Definition` holds no I/O, no clock and no instance; `compile/` makes and judges it, and
shows it as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from stepwell.definition.authoring.marks import Event, Retry
from stepwell.definition.authoring.migration import Migration
from stepwell.definition.values.codec import Codec

if TYPE_CHECKING:
    from stepwell.definition.authoring.asks import Ask

Kind = Literal["automatic", "signal", "timer", "event"]
RuleKind = Literal["executing", "run", "rate", "fair"]


@dataclass(frozen=True, slots=True)
class Payload:
    """The first parameter of a signal or event method that isn't injected."""

    parameter: str
    codec: Codec[Any]
    envelope: bool
    """Annotated `Signal[...]`: the method gets the envelope, not the bare data."""
    optional: bool
    """`data=None` stays None because the type takes None; else None means `{}` (see rule 14)."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One way out of one place. Several stacked decorators, or several sources, make several of them."""

    name: str
    method: str
    """The attribute that holds the method; `name` unless it was given."""
    source: str
    target: str
    kind: Kind
    order: int
    """Position in the class's declarations, unique in the definition."""
    keep: bool = False
    after: timedelta | None = None
    due: Callable[[Any], Any] | None = None
    """The method that works out its duration or moment when the place is entered, instead of `after`."""
    due_name: str | None = None
    event: Event | None = None
    guard: Callable[[Any], Any] | None = None
    guard_name: str | None = None
    priority: int | None = None
    retry: Retry | None = None
    retry_target: str | None = None
    error_place: str | None = None
    timeout: timedelta | None = None
    """None: the default of the settings; zero: no limit."""
    payload: Payload | None = None
    """None: the method takes no payload. Always None for automatic and timer transitions."""
    payload_pending: bool = False
    """The payload's annotation couldn't be resolved when the class was made; the App resolves or reports it."""
    asynchronous: bool = True
    """`async def`; False: run in the private thread pool."""
    injected: bool = False
    """The method has parameters that FastDepends fills."""
    was: tuple[str, ...] = ()
    """The names that it had in earlier code, the oldest first."""
    ask: Ask | None = None
    """The question that a person answers with its signal."""

    @property
    def first_name(self) -> str:
        """The oldest of its names: the journal and idempotency keys go by it, before and after it is renamed."""
        return self.was[0] if self.was else self.name


@dataclass(frozen=True, slots=True)
class Place:
    """A place with its ways out, already in the order in which they are tried."""

    name: str
    automatic: tuple[Transition, ...] = ()
    """Higher `priority` first, then those without one, each group in order of declaration."""
    waiting: tuple[Transition, ...] = ()
    """Signal, timer and event transitions, in order of declaration."""
    by_name: Mapping[str, Transition] = field(default_factory=dict)
    timed: tuple[Transition, ...] = ()
    """Those of `waiting` whose moments or questions are worked out when the place is entered."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A limit on a workflow's runs: an entry of `concurrency=` or `rate_limit=`, or `fair_by=`."""

    kind: RuleKind
    """Slots that are held while it executes, or from its begin to its end; first executions in a time; or turns of keys."""
    index: int
    """Its place among the class's rules of its family: without a name, what tells it from them."""
    limit: int
    """At most so many at once, or in each time; always 1 of `fair`: one run of each key is ready and unclaimed."""
    per: int | None = None
    """The length of the window of a rate limit, in microseconds."""
    name: str | None = None
    """The limit is shared by all rules of this name, of all workflows and apps of the database."""
    key: str | Callable[[Any], Any] | None = None
    """A path, or a function of the args; None: one for all runs."""
    on_conflict: Literal["queue", "skip", "replace"] = "queue"

    @property
    def per_user(self) -> bool:
        """True if each user's keys are their own: no start skips to, or replaces, another user's run."""
        return self.on_conflict != "queue" and self.name is None


@dataclass(frozen=True, slots=True)
class Debounced:
    """The rule of `debounce=`: a start is put off, and the next one of its key takes its place. In microseconds."""

    delay: int
    max_wait: int | None = None
    """The longest time from the first start to the last moment to which it is put off."""
    key: str | Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """A workflow class, compiled and checked."""

    workflow: type[Any]
    """The class, a Workflow."""
    name: str
    title: str
    description: str
    version: int
    args: Codec[Any] | None
    """None: the workflow takes no args."""
    state: Codec[Any]
    result: Codec[Any]
    initial_state: str
    """`State()` as JSON: what every run starts from."""
    places: Mapping[str, Place]
    transitions: tuple[Transition, ...]
    run_timeout: timedelta | None = None
    on: tuple[Event, ...] = ()
    """Events that start a run."""
    priority: int = 0
    ui: tuple[Any, ...] = ()
    listening: tuple[Transition, ...] = ()
    """Transitions that events resume."""
    state_varies: bool = False
    """A default of the state is made by a function, so `State()` may differ from run to run."""
    limits: tuple[Rule, ...] = ()
    """The rules that its runs are under, in order of declaration."""
    debounce: Debounced | None = None
    expires: timedelta | None = None
    """A run that hasn't begun by then is cancelled."""
    timed: frozenset[str] = frozenset()
    """The places with moments or questions that are worked out when they are entered."""
    on_cancel: str | None = None
    """The place to which cancelling a run leads, from which it goes on to END; None: it is cancelled at once."""
    subject: str | Callable[[Any], Any] | None = None
    """A format string over `args`, or a function of them: the title of a run for people."""
    migrations: Mapping[int, Callable[[Migration], object]] = field(default_factory=dict)
    """By the version from which each brings a run to the next one."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Old names of transitions, with the names that they have now."""

    def new_state(self) -> str:
        """Return `State()` as JSON for a new run: `initial_state`, or made afresh if a default is made by a function."""
        return self.state.checked({}) if self.state_varies else self.initial_state

    @property
    def signals(self) -> frozenset[str]:
        """Names that `runner.signal` may use: those of signal transitions."""
        return frozenset(t.name for t in self.transitions if t.kind == "signal")

    def named(self, name: str) -> tuple[Transition, ...]:
        """Return all transitions of that name, one per source."""
        return tuple(t for t in self.transitions if t.name == name)

    def current(self, name: str) -> str:
        """Return the name that a transition has now, where `name` is an old one."""
        return self.renamed.get(name, name)

    def all_names(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return these names of transitions and all old ones of theirs, sorted."""
        known = frozenset(names)
        return tuple(sorted(known.union(old for old, name in self.renamed.items() if name in known)))

    def missing_link(self, version: int) -> int | None:
        """Return the first version, from this one on, from which no migration leads to the next; None if none is missing.

        A class without migrations needs none: its runs go on as they are.
        """
        if not self.migrations:
            return None
        return next((one for one in range(version, self.version) if one not in self.migrations), None)

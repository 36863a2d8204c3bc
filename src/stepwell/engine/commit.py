"""The outcome of user code, and the commit that stores it, as values.

- An outcome says whether trying again could help (rule 18).
- The store applies a commit as a whole, in one transaction. `version` and `claim` are the fence: if the row has others
  by then, nothing of the commit is written (rule 29).
- Documents, children and events of a method are part of its checkpoint's commit: they exist if and only if the
  transition succeeded (fault 4). So is the message to the parent, which is therefore sent once (rule 17, fault 5).

Values that every transition makes are named tuples: one takes half the time of a frozen dataclass to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, final

from stepwell.engine.conflicts import Conflict
from stepwell.engine.groups import NewGroup
from stepwell.engine.questions import QuestionRow
from stepwell.engine.run import HistoryRow, Moment, RunRow, SignalRow
from stepwell.engine.timers import WorkedOut


@dataclass(frozen=True, slots=True)
class DocumentWrite:
    """A document as a transition saved it; content, tags, meta and errors are JSON."""

    name: str
    key: str | None
    content: str
    tags: str
    meta: str | None
    errors: str | None
    internal: int
    transition: str | None
    ui: str | None = None
    """The widgets of its type."""
    title: str | None = None
    """The shown name of its type; None: its name, in words."""


class Listener(NamedTuple):
    """A run that a matching event resumes."""

    event: str
    app_name: str
    workflow_name: str
    transition: str
    matched: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Resume:
    """An event's payload for all runs that wait with `transition` and whose match equals `matched`."""

    event: str
    app_name: str
    workflow_name: str
    transition: str
    matched: str
    data: str
    counts_as: str
    """The first name of the transition: it takes an event once, whatever it was called then."""


@dataclass(frozen=True, slots=True)
class Emission:
    """An event with its effects: the runs that it starts, those that it resumes, and the key that makes it count once."""

    name: str
    event_id: str
    only_user: str | None
    """The user whose runs alone it resumes; None: all listeners."""
    starts: tuple[Commit, ...]
    resumes: tuple[Resume, ...]
    data: str
    """Its payload as JSON, as it was given."""


@dataclass(frozen=True, slots=True)
class Effects:
    """The effects of a method besides its state; stored with its checkpoint or not at all."""

    documents: tuple[DocumentWrite, ...] = ()
    children: tuple[Commit, ...] = ()
    emissions: tuple[Emission, ...] = ()
    groups: tuple[NewGroup, ...] = ()
    """The groups to which some of the children belong."""


NOTHING = Effects()


class Returned(NamedTuple):
    """The method returned, and its state and result were valid."""

    started_at: Moment
    state: str | None = None
    """None: untouched."""
    result: str | None = None
    effects: Effects = NOTHING
    timers: WorkedOut | None = None
    """Those of the target, worked out with the state that the method has left; None: it has none, or they are asked for."""


@final
@dataclass(frozen=True, slots=True)
class Raised:
    """The attempt failed: an exception, a timeout, a state or result that breaks its type, a child that failed."""

    started_at: Moment
    error: BaseException
    trace: str | None = None
    draw: float = 0.0
    """The random share of the jitter, 0.0 to 1.0."""
    repeatable: bool = True
    """False: trying the same again can't help (rule 18): only retry_target or error_place can."""


Outcome = Returned | Raised


class Commit(NamedTuple):
    """One step of a run's life. The row must still have this `version` and `claim`: the fence."""

    version: int
    claim: int
    run: RunRow
    history: HistoryRow | None = None
    effects: Effects = NOTHING
    taken: str | None = None
    """The signal that the transition consumed."""
    left: tuple[int, ...] = ()
    """The visits that ended: their open signals are void."""
    closed: tuple[str, ...] = ()
    """Callbacks that the run has from now on: kept signals for them that aren't a child's end become void."""
    tell: SignalRow | None = None
    """The message to the parent, in the same transaction."""
    listeners: tuple[Listener, ...] | None = None
    """All that the run listens to from now on; None: as before."""
    ends_children: bool = False
    """True if children that end with their parent are to be marked for cancellation."""
    conflicts: tuple[Conflict, ...] = ()
    """Of a start: the rules by which it looks for unfinished runs of its keys."""
    migrated: bool = False
    """True if the row's version and args are written too: migrations have changed them (rule 56)."""
    asked: tuple[QuestionRow, ...] = ()
    """The questions that are asked from now on."""
    unasked: tuple[int, ...] = ()
    """The visits whose questions have ended."""
    outdated: tuple[str, ...] = ()
    """Signals that a person was asked for, and that are asked for otherwise now: what persons have answered is void."""
    reasked: bool = False
    """True if an answer to the questions of its visit was used up, and they are asked again."""

    @property
    def looks(self) -> bool:
        """True if it is a start that an unfinished run of its key may stand for, or that may replace one."""
        return any(one.on_conflict != "queue" for one in self.conflicts)

    @property
    def parks(self) -> bool:
        """True if no worker executes the run after this commit."""
        return self.run.owner is None

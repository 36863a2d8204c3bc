"""What becomes true, as data: the store makes a Commit true in one transaction, or nothing of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from stepwell.engine.run import HistoryRow, Run, SignalRow


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


@dataclass(frozen=True, slots=True)
class Emission:
    """An event, worked out: whom it starts, whom it resumes, and the key that makes it count once."""

    name: str
    event_id: str
    only_user: str | None
    """Resume this user's runs only; None: whoever listens."""
    starts: tuple[Commit, ...]
    resumes: tuple[Resume, ...]


@dataclass(frozen=True, slots=True)
class Effects:
    """What a method asked for besides its state; made true with its checkpoint or not at all."""

    documents: tuple[DocumentWrite, ...] = ()
    children: tuple[Commit, ...] = ()
    emissions: tuple[Emission, ...] = ()


NOTHING = Effects()


class Commit(NamedTuple):
    """One step of a run's life. `version` and `claim` are those the row must still have: the fence."""

    version: int
    claim: int
    run: Run
    history: HistoryRow | None = None
    effects: Effects = NOTHING
    taken: str | None = None
    """The signal that the transition consumed."""
    left: tuple[int, ...] = ()
    """The visits that ended: their open signals are void."""
    tell: SignalRow | None = None
    """What the parent is told, in the same transaction."""
    listeners: tuple[Listener, ...] | None = None
    """All that the run listens to from now on; None: as before."""
    ends_children: bool = False
    """Children that end with their parent are marked for cancellation."""

    @property
    def parks(self) -> bool:
        """True if nobody executes the run after this commit."""
        return self.run.owner is None

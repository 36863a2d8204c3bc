"""What is written, as items for the writer, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from stepwell.engine.commit import Commit
from stepwell.engine.run import HistoryRow, Inbox, Run, StepRow
from stepwell.store.tx import Tx

T = TypeVar("T")


class WorkspaceRow(NamedTuple):
    """A workspace: one per app and user."""

    id: str
    app_name: str
    user_id: str
    created_at: int


class DocumentRow(NamedTuple):
    """A stored document; content, tags, meta and errors are JSON."""

    id: str
    run_id: str
    position: int
    name: str
    key: str | None
    content: str
    tags: str
    meta: str | None
    errors: str | None
    internal: int
    transition: str | None
    version: int
    created_at: int
    replaced_at: int | None
    ui: str | None
    """The widgets of the document's type, as JSON."""


@dataclass(frozen=True, slots=True)
class Started:
    """A start as it stands now: the run, and whether this call made it."""

    run: Run
    created: bool


@dataclass(frozen=True, slots=True)
class Begin:
    """Starts that are all stored or none; answered by a list of `Started`."""

    commits: tuple[Commit, ...]


@dataclass(frozen=True, slots=True)
class Advance:
    """A checkpoint; answered by the run as stored, or `LeaseLost`."""

    commit: Commit


@dataclass(frozen=True, slots=True)
class Record:
    """A journal row under the run's fence; answered by None, or `LeaseLost`."""

    step: StepRow
    version: int
    claim: int


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """Any other operation, in a savepoint of its own; answered by what it returns."""

    operation: Callable[[Tx], T]


Item = Begin | Advance | Record | Call[Any]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that this worker may execute now, with all that its next pass needs."""

    run: Run
    inbox: Inbox
    steps: dict[tuple[str, str], str]
    """Journaled values of the current visit, by (transition, step)."""


@dataclass(frozen=True, slots=True)
class History:
    """A history row with the state as it was then, filled in where the row doesn't repeat it."""

    row: HistoryRow
    state: str | None

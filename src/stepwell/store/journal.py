"""The rows of the journal. The rules decide nothing by them: what is journaled is what `self.step` has returned (rule 9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from stepwell.engine.run import Moment

StepStatus = Literal["started", "failed", "unknown"]


BARRING: Final = frozenset({"started", "unknown"})
"""The states of a step with `once` in which it isn't run again although it has no value."""


class JournalRow(NamedTuple):
    """One step of a visit. Only one that has completed has a value, and isn't run again."""

    run_id: str
    visit: int
    transition: str
    name: str
    value: str
    """As JSON; empty without one."""
    recorded_at: Moment
    attempts: int | None = None
    """Tries in the attempt that it belongs to; None: one."""
    status: StepStatus | None = None
    """None: completed. `started` and `unknown` bar a step with `once` from being run again."""
    error: str | None = None
    undo: str | None = None
    """The method that undoes it."""
    ordinal: int | None = None
    """Its number among the run's steps with an undo, in the order of their commits: given when it is stored."""
    started_at: Moment | None = None
    undone_at: Moment | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A journal row under the run's fence; answered by None, or `LeaseLost`."""

    step: JournalRow
    version: int
    claim: int
